"""What is done to a project before its first job after a change of its files: packages installed, everything parsed.

As DBT_PREPARE asks. So that a step's time is the warehouse's, and a package that cannot be had is told as that.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio

from stackhub.contract import Rejected, Unavailable, in_thread

PATIENCE: Final = 300.0  # seconds for each command
QUOTED: Final = 500  # characters of what dbt says of a failure, from its end
# Words of a network, not of a project: dbt gives both the same code. As requests and git say them.
PASSING: Final = ("timed out", "timeout", "connection", "resolve", "temporarily", "unreachable", "max retries", " 50")


class Preparing:
    """Knows for which files of a project it has been done. One at a time does it, the others wait."""

    def __init__(self, verbs: Sequence[str], kept: Path, files: Callable[[], Awaitable[str]]) -> None:
        """``kept`` is the file that names the files it was done for, ``files`` names those of now."""
        self._verbs = verbs
        self._kept = kept
        self._files = files
        self._turn = anyio.Lock()

    async def done(self, carry_out: Callable[[str], Awaitable[None]]) -> None:
        """Have ``carry_out`` do each verb, unless it was done for these very files. Raises what it does."""
        if not self._verbs:
            return
        async with self._turn:
            if await in_thread(self._read) == await self._files():
                return
            for verb in self._verbs:
                await carry_out(verb)
            await in_thread(self._write, await self._files())  # packages are files as well

    def _read(self) -> str:
        with suppress(OSError):
            return self._kept.read_text()
        return ""

    def _write(self, name: str) -> None:
        with suppress(OSError):  # then it is done again
            self._kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._kept.write_text(name)


async def run(
    verb: str, argv: Sequence[str], cwd: Path, env: Mapping[str, str], hide: Callable[[str], str] = str
) -> None:
    """Run one command to its end.

    Raises:
        Unavailable: packages could not be had for want of a network, or it took too long: it may go well later.
        Rejected: dbt refuses the project, or a package.
    """
    with anyio.move_on_after(PATIENCE) as scope:
        done = await anyio.run_process(list(argv), cwd=cwd, env=env, check=False)
    if scope.cancelled_caught:
        raise Unavailable(f"dbt {verb} has not ended within {PATIENCE:g} s")
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).decode("utf-8", "replace").split())[-QUOTED:]
        passing = verb == "deps" and any(word in said.lower() for word in PASSING)
        failed = Unavailable if passing else Rejected
        raise failed(f"dbt {verb} failed before the job (DBT_PREPARE): {hide(said) or f'code {done.returncode}'}")
