"""The sandbox: every connector's fake vendor on one port, and a shop whose data they load."""

from pathlib import Path


def configurations() -> Path:
    """Return the folder that holds ``demo/`` and ``example/``: in a checkout or in an installed wheel.

    It may not be ours to write in: copy what is to be run.
    """
    package = Path(__file__).parent.parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def demo_directory() -> Path:
    """Return the demo's configuration: a directory that runs as it is once copied."""
    return configurations() / "demo"
