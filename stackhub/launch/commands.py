"""The whole of a connector whose every job is one command: `Jobs`, `Logs` and `Probe`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from stackhub.contract import Answer, Baseline, Finished, Handle, Job, Limits, Outcome, Permission, Rejected, Search
from stackhub.launch.jobs import ProcessJobs
from stackhub.launch.launcher import Launcher
from stackhub.launch.process import Command, Ended

LIMITS: Final = Limits(
    rate=1000.0,  # looking is reading a file
    burst=1000,
    width=16,
    look=timedelta(seconds=1),  # an end wakes the lane by itself; this is for what was found again elsewhere
    first_look=timedelta(milliseconds=200),
)
"""What a host bears."""


class CommandJobs:
    """One command per job; what it says, on both its streams, is kept in order in the file ``output``.

    - ``build`` makes the command of a job, given the directory it will have
    - ``check`` tries what the commands need
    - ``result`` reads what a job left in its directory besides its exit code: facts worth keeping, and the reason of
      a failure where that is known better than from the last lines of its output
    - ``judge`` has the last word on an end, a lost process's included
    """

    def __init__(
        self,
        launcher: Launcher,
        *,
        build: Callable[[Job, Path], Command],
        check: Callable[[], Awaitable[Sequence[Permission]]],
        result: Callable[[Handle], tuple[Mapping[str, object], str]] = lambda _: ({}, ""),
        judge: Callable[[Handle, Finished], Finished] = lambda _, end: end,
    ) -> None:
        self._launcher = launcher
        self._build = build
        self._check = check
        self._result = result
        self._judge = judge
        self._processes = ProcessJobs(launcher, finish=self._finish)

    async def prepare(self, job: Job) -> Baseline:
        """See that there is a directory to run in, and name the host that it will run on.

        Raises:
            Rejected: there is none.
        """
        cwd = self._build(job, Path()).cwd
        if not cwd.is_dir():
            raise Rejected(f"cwd: {cwd} is no directory")
        return {"host": self._launcher.host}

    async def start(self, job: Job, _baseline: Baseline, key: str) -> Handle:
        """Spawn the command, once per key."""
        command = self._build(job, self._launcher.place(key))
        return await self._processes.start(key, command, repeatable=job.options.repeatable)

    async def poll(self, handles: Sequence[Handle]) -> Sequence[Answer]:
        """Read how each stands."""
        answers = await self._processes.poll(handles)
        return [
            self._judge(handle, answer) if isinstance(answer, Finished) else answer
            for handle, answer in zip(handles, answers, strict=True)
        ]

    async def find(self, job: Job, _baseline: Baseline, key: str) -> Search:
        """Look for the directory of the key."""
        return self._processes.find(key, repeatable=job.options.repeatable)

    async def cancel(self, handle: Handle) -> None:
        """Send SIGTERM, then SIGKILL, to the command and all it has started in its group."""
        await self._processes.cancel(handle)

    def read_log(self, handle: Handle, offset: int, most: int) -> tuple[str, int]:
        """Return what the command said, on both streams, in order."""
        return self._launcher.lines(handle, "output", offset, most)

    async def check(self) -> Sequence[Permission]:
        """Try what the commands need."""
        return await self._check()

    async def _finish(self, handle: Handle, ended: Ended) -> Finished:
        kept, reason = self._result(handle)
        if ended.ok:
            return Finished(outcome=Outcome.OK, result={"code": 0, **kept})
        how = {"code": ended.code} if ended.signal is None else {"signal": ended.signal}
        said = reason or self._launcher.tail(handle, "output")
        if ended.signal is not None or not said:
            said = f"{self._launcher.how(handle, ended)}\n{said}".strip()
        return Finished(outcome=Outcome.FAILED, note=said, result={**how, **kept})
