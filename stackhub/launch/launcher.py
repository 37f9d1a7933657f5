"""Spawns processes that outlive the hub, and finds them again by the key of their attempt."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from types import TracebackType
from typing import Self

from stackhub.contract import Context, Handle
from stackhub.launch.process import Command, Process

LADDER = (SIGINT, SIGTERM, SIGKILL)


class Launcher:
    """The jobs of one host, each in ``<state>/jobs/<key>/``. Close it with the instance: `with Launcher(context)`."""

    def __init__(self, context: Context, *, most: int = 50 * 2**20) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening for ends. The processes go on."""
        raise NotImplementedError

    async def spawn(self, key: str, command: Command) -> Handle:
        """Run a command, once per key: the same key again returns the same job, never a second process."""
        raise NotImplementedError

    def look(self, handle: Handle) -> Process:
        """Say how a process stands; asks the file system only."""
        raise NotImplementedError

    def find(self, key: str) -> Handle | None:
        """Look for what was spawned under a key, by whichever hub of this host; None: nothing was, for certain."""
        raise NotImplementedError

    def directory(self, handle: Handle) -> Path:
        """Return where a job keeps its files."""
        raise NotImplementedError

    def place(self, key: str) -> Path:
        """Return where the files of a key are, or will be: for what must name them before the spawn."""
        raise NotImplementedError

    async def climb(self, handle: Handle, *, ladder: Sequence[Signals] = LADDER) -> None:
        """Send the process group the next signal of the ladder; the last one again and again."""
        raise NotImplementedError

    def read(self, handle: Handle, name: str, offset: int, most: int) -> tuple[bytes, int]:
        """Return at most ``most`` bytes of a job's file from ``offset`` on, and the offset after them."""
        raise NotImplementedError

    def tail(self, handle: Handle, name: str, most: int = 2000) -> str:
        """Return the last lines of a job's file, at most ``most`` characters."""
        raise NotImplementedError

    async def sweep(self, older_than: timedelta) -> int:
        """Remove the directories of jobs that ended longer ago than that; return how many."""
        raise NotImplementedError
