"""Hears at once that a process has ended. A hint: what is true is read from its directory."""

import asyncio
import os
import threading
from collections.abc import Callable

from stackhub.launch import shim

_children: set[int] = set()
"""Shims that this very process started and has not buried; until then no other process can have their pids."""


_burials = threading.Lock()


def adopt(pid: int) -> int:
    """Take note of a child, and bury those that have ended meanwhile; return it. Safe from any thread."""
    for child in tuple(_children):
        bury(child)
    _children.add(pid)
    return pid


def bury(pid: int) -> None:
    """Take a dead child of ours out of the process table; nobody else's, and no living one."""
    with _burials:
        if pid in _children and os.waitpid(pid, os.WNOHANG)[0]:
            _children.discard(pid)


class Watch:
    """Calls ``wake`` from the event loop for each watched process that ends. Needs Linux; does nothing elsewhere."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._fds: dict[int, tuple[int, asyncio.AbstractEventLoop]] = {}

    def add(self, pid: int, birth: int = 0) -> bool:
        """Watch a process; one with a ``birth`` only if it is that very one. Say whether it is watched."""
        if pid in self._fds or not hasattr(os, "pidfd_open"):
            return pid in self._fds
        try:
            loop = asyncio.get_running_loop()
            fd = os.pidfd_open(pid)
        except (RuntimeError, OSError):  # no loop to wake, no such process, no more files to open
            return False
        if birth and shim.birth(pid) != birth:
            os.close(fd)
            return False
        self._fds[pid] = (fd, loop)
        loop.add_reader(fd, self._ended, pid)
        return True

    def close(self) -> None:
        """Watch no more."""
        for pid in tuple(self._fds):
            self._drop(pid)

    def _ended(self, pid: int) -> None:
        self._drop(pid)
        bury(pid)
        self._wake()

    def _drop(self, pid: int) -> None:
        fd, loop = self._fds.pop(pid)
        if not loop.is_closed():
            loop.remove_reader(fd)
        os.close(fd)
