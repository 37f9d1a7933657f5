"""The grounds that give way: the engine's own houses, real processes, and daemons."""

from engine.conftest import empty, house, logged, tmp_path
from launch.conftest import grounds, launcher

__all__ = ["empty", "grounds", "house", "launcher", "logged", "tmp_path"]
