"""A daemon of its own process, in front of played vendors: started, killed, and asked how things stand."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import httpx

from stackhub import registry
from stackhub.contract.sandbox import Feed, InboxVendor, Shown
from stackhub.sandbox.mount import Stage, open_stage, serve

VENDORS = ("fivetran", "airbyte", "slack", "pagerduty")
FEEDS = {
    "fivetran": [
        Feed(id="crm_1", name="crm", schema="crm", seconds=1.5),
        Feed(id="orders_1", name="orders", schema="orders", seconds=2.5),
    ],
    "airbyte": [Feed(id="00000000-0000-4000-8000-000000000001", name="Payments", seconds=2.0)],
}
BUILD = """
  marts:
    uses: shell.run
    with: {command: "echo built >> built.txt; read -t 2 < /dev/zero; echo ended >> built.txt", cwd: "%s"}
    retries: {attempts: 1}
    needs: [NEEDS]
  told:
    uses: shell.run
    needs: [marts]
    with: {command: "exit 3"}
    retries: {attempts: 1}
alerts:
  - {to: slack, channel: "#data-alerts", on: [failed]}
  - {to: pagerduty, on: [failed]}
"""
PIPELINE = """
pipeline: shop
tasks:
  crm:      {uses: fivetran.sync, with: {connection: crm}}
  orders:   {uses: fivetran.sync, with: {connection: orders}}
  payments: {uses: airbyte.sync,  with: {connection: Payments}}
""" + BUILD.strip("\n").replace("NEEDS", "crm, orders, payments")
SHORT = "pipeline: shop\ntasks:\n" + BUILD.strip("\n").replace("NEEDS", "")


@dataclass
class House:
    """A configuration directory, the vendors it points at, and the daemon that works on it."""

    directory: Path
    stage: Stage
    url: str  # of the stage
    daemon: asyncio.subprocess.Process | None = None
    host: str = ""  # one of several, each with a state directory of its own
    more: Mapping[str, str] = field(default_factory=dict)  # of its environment
    inside: Sequence[str] = ()  # what stands before its daemon's command

    @property
    def state(self) -> Path:
        """Where its daemons keep what is theirs."""
        return self.directory / (f".{self.host}" if self.host else ".stackhub")

    @property
    def log(self) -> Path:
        """Where every daemon of this house writes."""
        return self.directory / f"{self.host or 'daemon'}.log"

    @property
    def environ(self) -> dict[str, str]:
        """What its processes are given."""
        own = {"STACKHUB_STATE_DIR": str(self.state)} if self.host else {}
        return {"PATH": os.environ["PATH"], "HOME": str(self.directory), **own, **self.more}

    def beside(self, host: str, *inside: str, **more: str) -> "House":
        """Return another host's, with the same configuration and vendors; ``inside`` stands before its command."""
        return replace(self, daemon=None, host=host, more={**self.more, **more}, inside=inside)

    async def start(self, *, wait: bool = True) -> None:
        """Start a daemon; with ``wait``, until it is ready."""
        with self.log.open("ab") as log:
            self.daemon = await asyncio.create_subprocess_exec(
                *(*self.inside, sys.executable, "-m", "stackhub", "--config", str(self.directory), "serve"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environ,
            )
        if wait:
            await self.ready()

    async def ready(self) -> None:
        """Wait until the daemon answers over its socket."""
        assert self.daemon is not None
        with anyio.fail_after(30):
            while not await self._answers():
                assert self.daemon.returncode is None, self.log.read_text()
                await self._ends_within(0.02)

    async def _answers(self) -> bool:
        with suppress(httpx.HTTPError, OSError):
            return (await self.ask("GET", "/readyz")).status_code == 200
        return False

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask the daemon over its Unix socket."""
        transport = httpx.AsyncHTTPTransport(uds=str(self.state / "hub.sock"))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=20) as http:
            return await http.request(method, path, **more)

    async def kill(self, with_signal: int = signal.SIGKILL) -> int:
        """Kill the daemon and wait for its end; returns its exit code."""
        assert self.daemon is not None
        if self.daemon.returncode is None:
            self.daemon.send_signal(with_signal)
        with anyio.fail_after(30):
            return await self.daemon.wait()

    async def _ends_within(self, seconds: float) -> bool:
        """Wait for the daemon's own end, at most so long; this is how an instant is chosen, too."""
        assert self.daemon is not None
        with anyio.move_on_after(seconds):
            await self.daemon.wait()
            return True
        return False

    async def lives_for(self, seconds: float) -> None:
        """Let the daemon work for a while; it may not end by itself."""
        assert not await self._ends_within(seconds), self.log.read_text()[-4000:]

    async def command(self, *args: str) -> tuple[int, str, str]:
        """Run a command of the command line; returns its exit code and what it wrote."""
        made = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "stackhub", "--config", str(self.directory), *args),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environ,
        )
        with anyio.fail_after(60):
            out, err = await made.communicate()
        assert made.returncode is not None
        return made.returncode, out.decode(), err.decode()

    async def show(self, run: str) -> dict[str, Any]:
        """Return a run as the command line shows it: read from the store, daemon or not."""
        code, out, err = await self.command("show", run, "--json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    async def run_state(self, run: str) -> str:
        """Ask the daemon for a run's state; "" while it does not answer."""
        with suppress(httpx.HTTPError, OSError):
            answer = await self.ask("GET", f"/api/v1/runs/{run}")
            if answer.status_code == 200:
                return str(answer.json()["state"])
        return ""

    def shown(self, vendor: str) -> list[Shown]:
        """Return what a vendor's user sees."""
        inbox = self.stage.vendors[vendor]
        assert isinstance(inbox, InboxVendor)
        return list(inbox.shown())

    def built(self) -> list[str]:
        """Return what the build has written, in order."""
        path = self.directory / "built.txt"
        return path.read_text().split() if path.is_file() else []


@asynccontextmanager
async def open_house(directory: Path, pipeline: str = PIPELINE) -> AsyncIterator[House]:
    """Open a house: vendors on a free port, env files that point there."""
    connectors = [registry.load(name) for name in VENDORS]
    async with open_stage(connectors, feeds=FEEDS) as stage, serve(stage, port=0) as url:
        (directory / "pipelines").mkdir(parents=True)
        (directory / "pipelines" / "shop.yaml").write_text(pipeline.replace("%s", str(directory)))
        _env(directory / "stackhub.env", {"STACKHUB_PORT": "0", "STACKHUB_GRACE": "8s"})
        for name, variables in stage.environment(url).items():
            _env(directory / f"{name}.env", variables)
        house = House(directory=directory, stage=stage, url=url)
        try:
            yield house
        finally:
            if house.daemon is not None and house.daemon.returncode is None:
                await house.kill()


def _env(path: Path, variables: Mapping[str, str]) -> None:
    path.write_text("".join(f'{name}="{value}"\n' for name, value in variables.items()))
    path.chmod(0o600)


def instants(seed: int, times: int, longest: float) -> list[float]:
    """Return so many lifetimes of daemons, in seconds; the same for the same seed."""
    rng = random.Random(seed)
    return [rng.uniform(0.0, longest) for _ in range(times)]
