"""The daemon: reads the configuration, opens the store, attends the engine and serves, until a signal ends it.

First SIGTERM or SIGINT: start nothing more, finish what is being committed, leave the jobs running, exit 0 within
STACKHUB_GRACE. A second one: exit at once; what was committed is safe. SIGHUP: read the configuration again.
"""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import structlog
from anyio.abc import TaskStatus

import stackhub
from stackhub import registry
from stackhub.cli import exits, logging
from stackhub.cli.where import made
from stackhub.config.read import Configuration, fingerprint_directory, read
from stackhub.config.settings import HubSettings
from stackhub.engine.engine import Engine, attend
from stackhub.errors import ConfigError, StoreUnavailable, StoreUnusable
from stackhub.server.doors import Doors, Late, make
from stackhub.server.listen import served
from stackhub.server.places import SOCKET, bind_port, bound_socket
from stackhub.server.redact import Redactor
from stackhub.server.reloading import Reloader, ceased, warn
from stackhub.server.supervisor import Supervisor, heartbeat
from stackhub.store.store import Store, open_store

log = structlog.get_logger()
AGAIN: Final = 1.0  # seconds between tries while the database is away at the start
ASIDE: Final = 0.5  # seconds of the grace that are kept for the exit itself
FOR_REQUESTS: Final = 0.3  # of the grace, for requests under way


@dataclass(slots=True, kw_only=True)
class Stop:
    """Whether, and how soon, the daemon is to end."""

    asked: anyio.Event = field(default_factory=anyio.Event)
    reloader: Reloader | None = None
    grace: timedelta = timedelta(seconds=10)
    _limit: threading.Timer | None = None

    def first(self, name: str) -> None:
        """Begin to leave; whatever happens, the process is gone when the grace has passed."""
        log.info("leaving; jobs go on", signal=name, grace=self.grace.total_seconds())
        self._limit = threading.Timer(max(self.grace.total_seconds() - ASIDE, 0.0), _gone, (0,))
        self._limit.daemon = True
        self._limit.start()
        self.asked.set()

    def over(self) -> None:
        """Say that the daemon has ended in time."""
        if self._limit is not None:
            self._limit.cancel()


async def serve(directory: Path, environ: Mapping[str, str], *, migrate: bool) -> int:
    """Run the daemon; return its exit code: 0 asked to leave, 1 something broke, 2 usage or configuration."""
    stop, redactor = Stop(), Redactor()
    logging.configure("text", "info", redactor)
    try:
        async with anyio.create_task_group() as group:
            await group.start(_heed, stop)
            await _attended(directory, environ, stop, redactor, migrate=migrate)
            group.cancel_scope.cancel()
    except BaseExceptionGroup as errors:
        return _told(errors)
    finally:
        stop.over()
    return exits.OK


def _told(errors: BaseExceptionGroup[BaseException]) -> int:
    """Tell why the daemon ends: a line for what a person can mend, all there is to know of anything else."""
    alone = exits.unwrapped(errors)
    match alone:
        case ConfigError() | StoreUnusable():
            return exits.told(alone)
        case _:
            log.critical("the hub breaks off; what was committed is safe", exc_info=alone)
            return exits.FAILED


async def _heed(stop: Stop, *, task_status: TaskStatus[None]) -> None:
    """Heed signals until cancelled."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            if number == signal.SIGHUP:
                if stop.reloader is not None:
                    stop.reloader.soon()
            elif stop.asked.is_set():
                log.warning("leaving at once", signal=number.name)
                _gone(128 + number)
            else:
                stop.first(number.name)


def _gone(code: int) -> None:
    """End the process here and now: nothing that matters lives only in memory."""
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(directory: Path, environ: Mapping[str, str]) -> Configuration:
    return read(directory, environ, registry.load, registry.installed())


# --- attending --------------------------------------------------------------------------------------------------------


async def _attended(
    directory: Path, environ: Mapping[str, str], stop: Stop, redactor: Redactor, *, migrate: bool
) -> None:
    began = time.monotonic()
    again = partial(_read, directory, environ)
    seen = await anyio.to_thread.run_sync(fingerprint_directory, directory)
    configuration = await anyio.to_thread.run_sync(again)
    hub = configuration.hub

    def settle(configuration: Configuration) -> None:
        """Bring this process to a configuration, before anything is said of it."""
        redactor.learn(configuration.secrets)
        logging.configure(configuration.hub.log_format, configuration.hub.log_level, redactor)
        stop.grace = configuration.hub.grace

    settle(configuration)
    warn(configuration)
    await anyio.to_thread.run_sync(made, hub.state_dir)
    async with AsyncExitStack() as opened:
        store = await _opened(opened, hub, stop, migrate=migrate)
        if store is None:
            return
        with bind_port(hub.host, hub.port) as port, bound_socket(hub.state_dir) as local:
            async with attend(configuration, store, environ, state=hub.state_dir) as engine:
                reloader = Reloader(directory, engine, again, settle, seen=seen)
                stop.reloader = reloader
                doors = make(engine, reload=reloader.now, leaving=stop.asked.is_set, redactor=redactor)
                address = _address(hub.host, port.getsockname()[1])
                async with served([(doors.outside, port), (doors.inside, local)], patience=_patience(stop.grace)):
                    log.info(
                        "stackhub serves",
                        version=stackhub.__version__,
                        address=address,
                        socket=str(hub.state_dir / SOCKET),
                        pipelines=len(configuration.pipelines),
                        shadow=len(configuration.in_shadow),
                        instances=len(configuration.instances),
                        revision=engine.revision,
                        runs_taken_over=len(engine.board.runs()),
                        seconds=round(time.monotonic() - began, 3),
                    )
                    await _tended(engine, doors, reloader, Supervisor(environ), stop)


async def _opened(stack: AsyncExitStack, hub: HubSettings, stop: Stop, *, migrate: bool) -> Store | None:
    """Open the store, waiting for a server that does not answer yet; None where we are asked to leave meanwhile."""
    url, told = hub.database_url.get_secret_value(), False
    may = True if migrate else None
    while not stop.asked.is_set():
        try:
            opening = open_store(url, hub.state_dir, written_by=stackhub.__version__, migrate=may)
            store = await stack.enter_async_context(opening)
        except StoreUnavailable as err:
            if not told:
                log.error("the database is away, waiting for it", reason=str(err))  # noqa: TRY400 - no bug of ours
            told = True
        else:
            if told:
                log.info("the database is there")
            return store
        with anyio.move_on_after(AGAIN):
            await stop.asked.wait()
    return None


async def _tended(engine: Engine, doors: Doors, reloader: Reloader, supervisor: Supervisor, stop: Stop) -> None:
    """Keep up what surrounds the engine until the daemon is asked to leave."""

    def status() -> str:
        return f"{len(engine.in_force.configuration.pipelines)} pipelines, revision {engine.revision}"

    def address() -> str | None:
        url = engine.in_force.configuration.hub.heartbeat_url
        return url.get_secret_value() if url is not None else None

    def alive() -> bool:
        return engine.unready() != "the loop is stale"

    await ceased(engine, "the configuration is good again")
    async with anyio.create_task_group() as group:
        group.start_soon(_arrived, doors.app)
        group.start_soon(reloader.watch, supervisor.reloading, lambda: supervisor.ready(status()))
        group.start_soon(doors.metrics.watch_loop)
        group.start_soon(supervisor.watched, alive)
        group.start_soon(heartbeat, address, engine.unready)
        supervisor.ready(status())
        await stop.asked.wait()
        supervisor.stopping()
        engine.lanes.stop_claiming()
        engine.board.crier.cry()  # whoever waits for news gets what there is
        group.cancel_scope.cancel()


async def _arrived(app: Late) -> None:
    await app.there()
    gc.freeze()  # like all that was imported before: see `doing.serve`


def _patience(grace: timedelta) -> float:
    return grace.total_seconds() * FOR_REQUESTS


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host and not host.startswith("[") else f"http://{host}:{port}"
