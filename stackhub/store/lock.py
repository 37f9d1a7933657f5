"""The hub's lock: one hub per SQLite file. A lock of the kernel on a file of its own, so a dead hub holds nothing."""

import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from stackhub.errors import StoreUnusable

TRIES: Final = 5  # to take it: whoever only asks whether it is held has it for a moment
APART: Final = 0.02  # seconds


class HubLock:
    """Held for as long as the process lives, or until `release`."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    @classmethod
    def take(cls, path: Path) -> Self:
        """Take the lock at once, or not at all.

        Raises:
            StoreUnusable: another process holds it, and the message names it; or the file cannot be made.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as err:
            raise StoreUnusable(
                f"{path} cannot be opened ({err.strerror}): make its directory writable for this user,"
                " or set STACKHUB_STATE_DIR to one that is"
            ) from err
        if not _taken(fd):
            owner = _named(fd)
            os.close(fd)
            raise StoreUnusable(
                f"{path} is held by another stackhub (process {owner or 'unknown'}): only one may use this database;"
                " stop that one, or give this one another STACKHUB_STATE_DIR"
            )
        with suppress(OSError):  # a full disk: it is held all the same, and only does not say by whom
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return cls(path, fd)

    def release(self) -> None:
        """Give the lock back. The file stays: nobody shall lock one that is about to vanish."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def holder(path: Path) -> str | None:
    """Name the process that holds the lock, "unknown" where it did not say; None when nobody does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named(fd) or "unknown"
    else:
        return None
    finally:
        os.close(fd)


def _taken(fd: int) -> bool:
    for _ in range(TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            threading.Event().wait(APART)
        else:
            return True
    return False


def _named(fd: int) -> str:
    return os.pread(fd, 64, 0).decode("ascii", "replace").strip()
