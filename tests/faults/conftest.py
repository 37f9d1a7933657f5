"""The grounds that give way: the engine's own houses, real processes, and daemons."""

from engine.conftest import empty, house, logged, tmp_path

__all__ = ["empty", "house", "logged", "tmp_path"]
