"""A daemon of its own process whose ground gives way: its database, its disk, its log."""

import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import anyio
import httpx
from anyio.abc import Process

PATIENCE = 60  # seconds until a test that waits in vain fails
PIPELINE = """
pipeline: shop
tasks:
  said: {uses: shell.run, with: {command: "%s"}, retries: {attempts: 1}}
"""
SERVE = (sys.executable, "-m", "stackhub", "--config")


@dataclass
class Daemon:
    """A daemon at work, what it has logged, and the way to it."""

    process: Process
    state: Path  # as this process sees it
    lines: list[str] = field(default_factory=list)
    url: str = ""
    _news: anyio.Event = field(default_factory=anyio.Event)

    async def listen(self) -> None:
        """Read what it logs until it ends."""
        rest = ""
        async for data in self.process.stderr:
            *whole, rest = (rest + data.decode()).split("\n")
            self.lines += whole
            for line in whole:
                if "stackhub serves" in line:
                    self.url = re.search(r"address=(\S+)", line)[1]
            self._news.set()
            self._news = anyio.Event()

    def said(self, words: str) -> int:
        """Return how many lines say so."""
        return sum(words in line for line in self.lines)

    async def until_said(self, words: str, times: int = 1) -> None:
        with anyio.fail_after(PATIENCE):
            while self.said(words) < times:
                await self._news.wait()

    async def ask(self, method: str, path: str) -> httpx.Response:
        """Ask over HTTP; nothing answers later than a person would wait."""
        async with httpx.AsyncClient(base_url=self.url, timeout=20, trust_env=False) as http:
            return await http.request(method, path)

    async def until(self, holds) -> None:
        """Ask until something holds of the daemon; its answers take their time."""
        with anyio.fail_after(PATIENCE):
            while not await holds():
                await anyio.sleep(0.1)

    async def until_unready(self) -> None:
        await self.until(partial(self._is_ready, 503))

    async def until_ready(self) -> None:
        await self.until(partial(self._is_ready, 200))

    async def _is_ready(self, status: int) -> bool:
        try:
            return (await self.ask("GET", "/readyz")).status_code == status
        except httpx.ConnectError:  # it is about to begin
            return False

    async def trigger(self) -> str:
        answer = await self.ask("POST", "/api/v1/pipelines/shop/trigger")
        assert answer.status_code == 202, answer.text
        return answer.json()["run"]

    async def runs(self) -> dict[str, str]:
        answer = await self.ask("GET", "/api/v1/runs")
        assert answer.status_code == 200, answer.text
        return {run["id"]: run["state"] for run in answer.json()}

    async def ended(self, run: str, state: str = "succeeded") -> None:
        async def over() -> bool:
            return (await self.runs()).get(run) == state

        await self.until(over)


@asynccontextmanager
async def daemon(directory: Path, *, command: str = "true", before: tuple[str, ...] = (), url: str = "", **env: str):
    """Run a daemon; ``before`` is put before its command line, and must become it; ``url``: it cannot say it."""
    (directory / "pipelines").mkdir(parents=True, exist_ok=True)
    (directory / "pipelines" / "shop.yaml").write_text(PIPELINE % command)
    settings = {"STACKHUB_PORT": "0", "STACKHUB_GRACE": "5s", **env}
    (directory / "stackhub.env").write_text("".join(f'{name}="{value}"\n' for name, value in settings.items()))
    (directory / "stackhub.env").chmod(0o600)
    state = Path(settings.get("STACKHUB_STATE_DIR", directory / ".stackhub"))
    process = await anyio.open_process(
        [*before, *SERVE, str(directory), "serve"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(directory)},
    )
    if before:
        state = Path(f"/proc/{process.pid}/root{state}")
    made = Daemon(process, state, url=url)
    async with anyio.create_task_group() as group:
        group.start_soon(made.listen)
        try:
            if not url:
                await made.until_said("stackhub serves")
            yield made
        finally:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.send_signal(signal.SIGKILL)
                await process.wait()
            group.cancel_scope.cancel()
            await process.aclose()


# --- what gives way -----------------------------------------------------------------------------------------------------


@contextmanager
def locked(daemon: Daemon):
    """Hold the database as another program would."""
    other = sqlite3.connect(daemon.state / "stackhub.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.execute("COMMIT")
    other.close()


@contextmanager
def moved_away(daemon: Daemon):
    """Take the file away, as an unmounted volume does."""
    away = (daemon.state / "stackhub.db").rename(daemon.state / "elsewhere.db")
    yield
    away.rename(daemon.state / "stackhub.db")


@contextmanager
def limited(daemon: Daemon):
    """Let no file grow, nor be written: as a quota that is used up."""
    before = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    yield
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def filled(daemon: Daemon):
    """Fill the disk to its last block."""
    filler = daemon.state / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 512):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    yield
    filler.unlink()


def small_disk(state: Path, size: str = "2m") -> tuple[str, ...]:
    """Return what puts a process onto a small disk of its own at ``state``."""
    state.mkdir(parents=True, exist_ok=True)
    script = f'mount -t tmpfs -o size={size},mode=700 none "$0" && exec "$@"'
    return ("unshare", *_new_spaces(), "sh", "-c", script, str(state))


@cache
def no_small_disk() -> str:
    """Say why this machine lends no small disk; "" where it does."""
    if shutil.which("unshare") is None:
        return "there is no unshare"
    tried = subprocess.run(
        ["unshare", *_new_spaces(), "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True, check=False
    )
    return tried.stderr.strip() if tried.returncode else ""


def _new_spaces() -> tuple[str, ...]:
    return ("--mount",) if os.geteuid() == 0 else ("--mount", "--user", "--map-root-user")
