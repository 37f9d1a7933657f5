"""Where real processes are let loose in a test, told when to go on, waited for without sleeping, and ended after it."""

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import anyio
import anyio.to_thread
import pytest

from stackhub.contract import Context, Finished, Handle
from stackhub.launch import Command, CommandJobs, Launcher, Process, Running, watch
from stackhub.launch.place import Place

PATIENCE = 20  # seconds until a test that waits in vain fails


class Pipe:
    """A named pipe: opening it never blocks, so a job that dies leaves nobody hanging."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def __str__(self) -> str:
        return str(self.path)

    async def heard(self) -> str:
        """Wait for a word of the job's."""
        with anyio.fail_after(PATIENCE):
            await anyio.wait_readable(self.fd)
        return os.read(self.fd, 4096).decode().strip()

    def say(self, word: str = "go") -> None:
        """Give the job a line to read."""
        os.write(self.fd, f"{word}\n".encode())


async def over(pid: int) -> None:
    """Wait until a process is dead, buried or not."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with anyio.fail_after(PATIENCE):
            await anyio.wait_readable(fd)
    finally:
        os.close(fd)


class Grounds:
    """A state directory of one test, with its launchers and pipes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state"
        self.bell = Pipe(root / "bell")  # from the job
        self.gate = Pipe(root / "gate")  # to the job
        self.woken = 0
        self._event = anyio.Event()

    def wake(self) -> None:
        """Take note of a wake-up."""
        self.woken += 1
        self._event.set()

    def context(self, **changes) -> Context:
        return Context(
            **{"instance": "tested", "directory": self.root, "state": self.state, "wake": self.wake} | changes
        )

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true, asking again at each wake-up only."""
        with anyio.fail_after(PATIENCE):
            while True:
                self._event = anyio.Event()
                if true():
                    return
                await self._event.wait()

    async def end(self, launcher: Launcher, handle: Handle) -> Process:
        """Wait until a job is running no more."""
        await self.until(lambda: not isinstance(launcher.look(handle), Running))
        return launcher.look(handle)

    async def told(self, jobs: CommandJobs, handle: Handle) -> Finished:
        """Wait for an end, and return what is told of it."""
        launcher = jobs._launcher
        await self.end(launcher, handle)
        [answer] = await jobs.poll([handle])
        assert isinstance(answer, Finished)
        return answer

    async def freed(self, launcher: Launcher, handle: Handle) -> None:
        """Wait until a job and its shim are gone, to the last process that had a hand on the lock."""
        place = launcher.directory(handle)

        def wait() -> None:
            with next(path for path in (place / "lock", place / "claim") if path.exists()).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH)

        with anyio.fail_after(PATIENCE):
            await anyio.to_thread.run_sync(wait, abandon_on_cancel=True)

    def command(self, *argv: str, **changes) -> Command:
        return Command(
            **{"argv": argv, "cwd": self.root, "env": {"PATH": os.environ["PATH"]}, "merge_output": True} | changes
        )

    def bash(self, script: str, **changes) -> Command:
        return self.command("bash", "-c", script, **changes)

    def waiting(self, then: str = "") -> Command:
        """Return a job that rings the bell, then waits at the gate."""
        return self.bash(f"echo begun >> {self.root}/runs; echo $$ > {self.bell}; read _ < {self.gate}; {then}")

    def runs(self) -> int:
        """Return how many times a job has begun."""
        path = self.root / "runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def clear(self) -> None:
        """End all that still goes on: newborn shims first, so that nothing begins any more."""
        for pid in tuple(watch._children):
            if str(self.state) not in Path(f"/proc/{pid}/cmdline").read_text():
                continue  # on other grounds, or dead and not buried
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            watch._children.discard(pid)
        for path in sorted((self.state / "jobs").glob("*/")):
            began = Place(path).began()
            if began and began.job_lives:
                os.killpg(began.pid, signal.SIGKILL)
            for _ in range(3):
                self.gate.say()  # to those that outlived their leader
            for name in ("lock", "claim"):
                if (path / name).exists():
                    with (path / name).open() as lock:
                        fcntl.flock(lock, fcntl.LOCK_SH)  # nothing of it is left
        for pipe in (self.bell, self.gate):
            os.close(pipe.fd)


@contextmanager
def grounds_in(root: Path) -> Iterator[Grounds]:
    """Lend the grounds, and clear them."""
    grounds = Grounds(root)
    try:
        yield grounds
    finally:
        grounds.clear()


async def spawn_latencies(state: Path, times: int) -> list[tuple[float, float]]:
    """Spawn ``true`` so many times, one after another: seconds until the call returned, and until we were woken.

    What `tests/benchmarks` prints; a test only sees that it works.
    """
    found = []
    for n in range(times):
        woken = anyio.Event()
        with Launcher(Context(instance="measured", state=state, wake=woken.set)) as launcher:
            command = Command(argv=("true",), cwd=state, env={"PATH": os.environ["PATH"]}, merge_output=True)
            start = perf_counter()
            await launcher.spawn(f"measured-{n}", command)
            returned = perf_counter()
            with anyio.fail_after(PATIENCE):
                await woken.wait()
            found.append((returned - start, perf_counter() - start))
    return found


class OnGrounds:
    """Goes before the contract suite of jobs that are processes and wait at ``grounds.gate``."""

    @pytest.fixture
    def started(self, grounds):
        """Count the directories of jobs: a process is begun in each, once (tests/launch)."""
        return lambda: len([path for path in (grounds.state / "jobs").glob("*") if path.is_dir()])

    @pytest.fixture
    def finish(self, grounds, jobs, job):
        async def finish():
            grounds.gate.say()
            for path in (grounds.state / "jobs").glob("*/"):
                await grounds.told(jobs, (await jobs.find(job, {}, path.name)).handle)

        return finish
