"""The verbs of `Jobs`, as far as they are the same for everything that runs as a process."""

from collections.abc import Awaitable, Callable, Sequence
from signal import SIGKILL, SIGTERM, Signals
from typing import assert_never

from stackhub.contract import Absent, Answer, Finished, Found, Handle, Json, Missing, Outcome, Pending, Search
from stackhub.launch.launcher import Launcher
from stackhub.launch.process import Command, Elsewhere, Ended, Lost, NeverBegan, Running


async def _going(_handle: Handle, _running: Running) -> Pending:
    """Say no more than that it is going."""
    return Pending()


class ProcessJobs:
    """Start, poll, find and cancel over a `Launcher`.

    A handle is the launcher's with the connector's own facts beside it: ``start`` and ``find`` take them as ``facts``
    (the same for the same job). ``repeatable: true`` among them lets a lost process be tried again.

    ``finish`` says what an end amounts to, ``going`` how far a job is; ``ladder`` is what cancels send, one each.
    """

    def __init__(
        self,
        launcher: Launcher,
        *,
        finish: Callable[[Handle, Ended], Awaitable[Finished]],
        going: Callable[[Handle, Running], Awaitable[Pending]] = _going,
        ladder: Sequence[Signals] = (SIGTERM, SIGKILL),
    ) -> None:
        self._launcher = launcher
        self._finish = finish
        self._going = going
        self._ladder = ladder

    async def start(self, key: str, command: Command, **facts: Json) -> Handle:
        """Spawn it, or return what was spawned under this key before; raises as `Launcher.spawn` does."""
        return {**await self._launcher.spawn(key, command), **facts}

    async def poll(self, handles: Sequence[Handle]) -> list[Answer]:
        """Say how each stands, in order."""
        return [await self._answer(handle) for handle in handles]

    def find(self, key: str, **facts: Json) -> Search:
        """Look for what was started under a key; never unclear, since a directory is there or is not."""
        handle = self._launcher.find(key)
        return Absent() if handle is None else Found(handle={**handle, **facts})

    async def cancel(self, handle: Handle) -> None:
        """Take the next step of the ladder; raises as `Launcher.climb` does."""
        await self._launcher.climb(handle, ladder=self._ladder)

    async def _answer(self, handle: Handle) -> Answer:
        match self._launcher.look(handle):
            case Running() as running:
                return await self._going(handle, running)
            case Ended() as ended:
                return await self._finish(handle, ended)
            case Lost(note):
                again = bool(handle.get("repeatable"))
                return Finished(outcome=Outcome.FAILED, note=f"the process was lost: {note}", retryable=again)
            case NeverBegan(note):  # so trying again repeats nothing, whatever it is
                because = f": {note}" if note else ", and cannot begin any more"
                return Finished(outcome=Outcome.FAILED, note=f"the process never began{because}")
            case Elsewhere(host):
                return Missing(note=f"it runs on another host, {host}, whose hub alone can see it")
            case other:
                assert_never(other)
