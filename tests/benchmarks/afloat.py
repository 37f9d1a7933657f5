"""Many syncs under way: an account that is played in this process, a database that knows them, hubs as processes."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import anyio
from msgspec.structs import replace
from places import Place

from stackhub import registry
from stackhub.config.read import read
from stackhub.contract.sandbox import Feed
from stackhub.decide import create
from stackhub.model.ids import Ids
from stackhub.model.run import Interval, OpenRun, RunState, Trigger
from stackhub.model.step import StepState
from stackhub.sandbox.mount import open_stage, serve
from stackhub.store.rows import run_made
from stackhub.store.store import open_store
from stackhub.store.transaction import Transaction

EACH: Final = 100  # tasks of one pipeline
A_DAY: Final = 86_400.0
NEVER: Final = "2100-01-01T00:00:00Z"  # a baseline that no sync of today is newer than


class Account:
    """A Fivetran account with so many syncs that do not end; notes what is asked of it, and when it was answered."""

    def __init__(self, syncs: int) -> None:
        self.lists: list[float] = []  # when a page of the list had been sent
        self.starts = 0
        self.environment: dict[str, str] = {}
        self._syncs = syncs
        self._up, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=anyio.run, args=(self._play,))

    def __enter__(self) -> Self:
        self._thread.start()
        self._up.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    async def _play(self) -> None:
        feeds = [Feed(id=f"conn_{n}", name=f"schema_{n}", seconds=A_DAY) for n in range(self._syncs)]
        async with open_stage([registry.load("fivetran")], feeds={"fivetran": feeds}) as stage:

            async def noted(scope: Any, receive: Any, send: Any) -> None:
                await stage(scope, receive, send)
                if scope["type"] == "http" and scope["path"].endswith("/v1/connections"):
                    self.lists.append(time.monotonic())
                elif scope["type"] == "http" and scope["method"] == "POST":
                    self.starts += 1

            for feed in feeds:
                stage.vendors["fivetran"].begin(feed.id)  # type: ignore[attr-defined]  # of the one that plays Fivetran
            async with serve(noted, 0) as url:
                self.environment = dict(stage.environment(url)["fivetran"])
                self._up.set()
                while not self._over.is_set():
                    await anyio.sleep(0.05)


def configure(where: Place, account: Account, syncs: int) -> None:
    """Write a configuration with a task for each sync, and put all of them into the database as under way."""
    pipelines = where.directory / "pipelines"
    pipelines.mkdir()
    (where.directory / "fivetran.env").write_text("".join(f"{k}={v}\n" for k, v in account.environment.items()))
    settings = f"STACKHUB_PORT={free_port()}\nSTACKHUB_LOG_LEVEL=error\nSTACKHUB_DATABASE_URL={where.url}\n"
    (where.directory / "stackhub.env").write_text(settings)
    for path in where.directory.glob("*.env"):
        path.chmod(0o600)
    for first in range(0, syncs, EACH):
        numbers = range(first, min(first + EACH, syncs))
        tasks = "".join(f"  t{n}: {{uses: fivetran.sync, with: {{connection: conn_{n}}}}}\n" for n in numbers)
        (pipelines / f"p{first}.yaml").write_text(f"pipeline: p{first}\ntasks:\n{tasks}")
    anyio.run(_under_way, where)


async def _under_way(where: Place) -> None:
    configuration = read(where.directory, {}, registry.load, registry.installed())
    ids, now = Ids(), datetime.now(UTC)
    async with open_store(where.url, configuration.hub.state_dir, written_by="bench") as store:
        for pipeline in configuration.pipelines.values():
            made = create.new(
                pipeline,
                run_id=ids.make(now),
                trigger=Trigger.MANUAL,
                interval=Interval(start=now, end=now),
                now=now,
            )
            await store.apply(Transaction().add(*run_made(_begun(made, now))))


def _begun(made: OpenRun, now: datetime) -> OpenRun:
    run = replace(made.run, state=RunState.RUNNING, started_at=now, version=1)
    steps = {}
    for name, step in made.steps.items():
        connection = made.pipeline.task(name).options["connection"]
        known = {"connection": connection, "name": connection, "succeeded_at": NEVER, "failed_at": None, "url": ""}
        handle = {**known, "operation": "sync", "key": step.key, "joined": False}
        steps[name] = replace(
            step, state=StepState.RUNNING, handle=handle, baseline=handle, began_at=now, attempt_at=now, due=None
        )
    return replace(made, run=run, steps=steps)


@contextmanager
def hub(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon as a process, which is gone at the end."""
    process = subprocess.Popen([sys.executable, "-m", "stackhub", "--config", str(directory), "serve"])
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.wait(30)


def free_port() -> int:
    """Return a port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processor(pid: int) -> float:
    """Return the seconds of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Return a process's proportional set size in MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1]) / 1024
