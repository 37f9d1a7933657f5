"""The verbs of `Jobs`, as far as they are the same for everything that runs as a process."""

from collections.abc import Awaitable, Callable, Sequence
from signal import SIGKILL, SIGTERM, Signals

from stackhub.contract import Answer, Finished, Handle, Json, Pending, Search
from stackhub.launch.launcher import Launcher
from stackhub.launch.process import Command, Ended, Running


async def _going(_handle: Handle, _running: Running) -> Pending:
    """Say no more than that it is going."""
    return Pending()


class ProcessJobs:
    """Start, poll, find and cancel over a `Launcher`.

    A handle is the launcher's with the connector's own facts beside it: ``start`` and ``find`` take them as ``facts``
    (the same for the same job). ``repeatable: true`` among them lets a lost process be tried again.
    """

    def __init__(
        self,
        launcher: Launcher,
        *,
        finish: Callable[[Handle, Ended], Awaitable[Finished]],
        going: Callable[[Handle, Running], Awaitable[Pending]] = _going,
        ladder: Sequence[Signals] = (SIGTERM, SIGKILL),
    ) -> None:
        raise NotImplementedError

    async def start(self, key: str, command: Command, **facts: Json) -> Handle:
        """Spawn it, or return what was spawned under this key before."""
        raise NotImplementedError

    async def poll(self, handles: Sequence[Handle]) -> list[Answer]:
        """Say how each stands, in order."""
        raise NotImplementedError

    def find(self, key: str, **facts: Json) -> Search:
        """Look for what was started under a key."""
        raise NotImplementedError

    async def cancel(self, handle: Handle) -> None:
        """Take the next step of the ladder."""
        raise NotImplementedError
