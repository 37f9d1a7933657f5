"""The hub's lock: one hub per SQLite file. A lock of the kernel on a file of its own, so a dead hub holds nothing."""

import fcntl
import os
from pathlib import Path
from typing import Self

from stackhub.errors import StoreUnusable


class HubLock:
    """Held for as long as the process lives, or until `release`."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    @classmethod
    def take(cls, path: Path) -> Self:
        """Take the lock at once, or not at all.

        Raises:
            StoreUnusable: another process holds it; the message names it.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(fd, 64, 0).decode("ascii", "replace").strip()
            os.close(fd)
            raise StoreUnusable(
                f"{path} is held by another stackhub (process {owner or 'unknown'}): only one may use this database;"
                " stop that one, or give this one another STACKHUB_STATE_DIR"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return cls(path, fd)

    def release(self) -> None:
        """Give the lock back. The file stays: nobody shall lock one that is about to vanish."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)
