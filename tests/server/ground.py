"""A hub on a temporary store, with a tool in the test that does as it is told, and the app in front of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import anyio
import httpx
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from stackhub.config.read import Configuration, read
from stackhub.contract import (
    Absent,
    Finished,
    Found,
    Hint,
    Limits,
    Operation,
    Options,
    Outcome,
    Pending,
    Promise,
    Rejected,
    Role,
    Settings,
    Speaks,
    StartIs,
)
from stackhub.engine.engine import Engine, attend
from stackhub.server.doors import Doors, make
from stackhub.store.store import open_store

TOKEN = "correct-horse-battery-staple"
ENV = f"TOY_TOKEN={TOKEN}\n"
PIPELINE = """
pipeline: shop
description: The shop's marts
schedule: {cron: "0 6 * * *"}
tasks:
  orders: {uses: toy.load, with: {table: orders}}
  marts: {uses: toy.load, with: {table: marts}, needs: [orders]}
"""


class ToySettings(Settings):
    model_config = SettingsConfigDict(env_prefix="TOY_")
    token: SecretStr


class ToyLoad(Options):
    table: str
    note: str = ""


class BellSettings(Settings):
    model_config = SettingsConfigDict(env_prefix="BELL_")


class BellRoute(Options):
    pass


@dataclass
class Toy:
    """An account whose jobs end when the test says so."""

    name: str = "toy"
    summary: str = "a tool in the test"
    settings: type = ToySettings
    operations: dict = field(
        default_factory=lambda: {
            "load": Operation(
                options=ToyLoad,
                summary="load a table",
                start_is=StartIs.KEYED,
                settle=timedelta(),
                role=Role.EXTRACT,
            )
        }
    )
    route: None = None
    answers: dict = field(default_factory=dict)  # table -> what a poll says
    started: list = field(default_factory=list)
    heard: list = field(default_factory=list)
    said: str = f"loading with {TOKEN}\nloaded\n"
    bug: bool = False
    log_error: Exception | None = None
    open_error: Exception | None = None
    look: timedelta = timedelta(milliseconds=10)
    polled: anyio.Event = field(default_factory=anyio.Event)

    def limits(self, settings):
        return Limits(rate=1000, burst=1000, look=self.look, first_look=self.look)

    @asynccontextmanager
    async def open(self, settings, context):
        if self.open_error:
            raise self.open_error
        yield self

    def sandbox(self, world):
        return None

    def end(self, table, outcome=Outcome.OK, note=""):
        self.answers[table] = Finished(outcome=outcome, note=note, retryable=False)

    async def prepare(self, job):
        return {}

    async def start(self, job, baseline, key):
        self.started.append(job)
        return {"key": key, "table": job.options.table, "url": f"https://toy.test/{job.options.table}"}

    async def poll(self, handles):
        self.polled.set()
        return [self.answers.get(handle["table"], Pending(note="loading")) for handle in handles]

    async def find(self, job, baseline, key):
        return Found(handle={"key": key, "table": job.options.table}) if self.started else Absent()

    async def cancel(self, handle):
        self.answers[handle["table"]] = Finished(outcome=Outcome.CANCELLED)

    def read_log(self, handle, offset, most):
        if self.log_error:
            raise self.log_error
        part = self.said.encode()[offset : offset + most]
        return part.decode(), offset + len(part)

    async def receive(self, headers, body, path):
        if self.bug:
            raise ZeroDivisionError
        self.heard.append((headers, body, path))
        if path == "closed":
            raise Rejected("no secret", status=404)
        if headers.get("x-signature") != "good":
            raise Rejected(f"a bad signature, not {TOKEN}", status=401)
        return [Hint(connection="orders")]


@dataclass
class Bell:
    """A notifier that keeps what it is told."""

    name: str = "bell"
    summary: str = "a bell in the test"
    settings: type = BellSettings
    operations: dict = field(default_factory=dict)
    route: type = BellRoute
    speaks: Speaks = Speaks.LIVE
    promise: Promise = Promise.ONCE
    told: list = field(default_factory=list)

    def limits(self, settings):
        return Limits(rate=1000, burst=1000)

    @asynccontextmanager
    async def open(self, settings, context):
        yield self

    def sandbox(self, world):
        return None

    async def deliver(self, message, receipt, key, *, doubt):
        self.told.append(message)
        return {"at": key}


@dataclass
class Ground:
    """What a test works with."""

    directory: Path
    toy: Toy
    bell: Bell
    engine: Engine
    doors: Doors
    reloads: list

    def ask(self, *, door: str = "outside", **headers) -> httpx.AsyncClient:
        """Return a client at this machine; headers with `_` for `-`."""
        transport = httpx.ASGITransport(getattr(self.doors, door), raise_app_exceptions=False)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787", headers=given)

    async def until(self, run: str, *states: str) -> dict:
        """Wait until a run is in one of these states, and return it; by default: has ended."""
        async with self.ask() as client:
            while True:
                shown = (await client.get(f"/api/v1/runs/{run}")).raise_for_status().json()
                if (shown["state"] in states) if states else shown["ended_at"]:
                    return shown
                await self.engine.board.crier.wait(0.2)  # at most: it may have cried while we asked


def configured(
    directory: Path, toy: Toy, bell: Bell, *, hub: str = "", pipeline: str = PIPELINE, environ: dict | None = None
) -> Configuration:
    """Write a configuration, and read it."""
    (directory / "pipelines").mkdir(parents=True, exist_ok=True)
    for name, text in (("stackhub.env", hub), ("toy.env", ENV), ("bell.env", "")):
        (directory / name).write_text(text)
        (directory / name).chmod(0o600)
    (directory / "pipelines" / "shop.yaml").write_text(pipeline)
    connectors = {"toy": toy, "bell": bell}
    return read(directory, environ or {}, connectors.__getitem__, connectors)


@asynccontextmanager
async def grounds(
    directory: Path, *, hub: str = "", pipeline: str = PIPELINE, toy: Toy | None = None, environ: dict | None = None
) -> AsyncIterator[Ground]:
    """Attend a hub for as long as the block lasts."""
    toy, bell, reloads = toy or Toy(), Bell(), []
    configuration = configured(directory, toy, bell, hub=hub, pipeline=pipeline, environ=environ)
    url, state = configuration.hub.database_url.get_secret_value(), configuration.hub.state_dir

    async def reload() -> str:
        reloads.append(1)
        return "" if len(reloads) == 1 else "pipelines/shop.yaml:2:1: is bad"

    async with (
        open_store(url, state, written_by="test") as store,
        attend(configuration, store, environ or {}, state=state) as engine,
    ):
        yield Ground(directory, toy, bell, engine, make(engine, reload=reload), reloads)


async def asked_for(client, **body) -> str:
    """Ask for a run of the shop."""
    answer = await client.post("/api/v1/pipelines/shop/trigger", **({"json": body} if body else {}))
    assert answer.status_code == 202, answer.text
    return answer.json()["run"]
