"""The demo's house: a working directory, the fake vendors on one port, and the daemon, all in this process.

The vendors call the daemon's webhooks as the real ones would, so that an extract is seen to land at once and not at
the next look. Nothing is read from the process environment that could name an account of yours.
"""

import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol, cast, runtime_checkable

import anyio

from stackhub import __version__, registry
from stackhub.cli import logging
from stackhub.config.read import Configuration, fingerprint_directory, read
from stackhub.contract import Jobs
from stackhub.contract.sandbox import InboxVendor, Shown, SyncVendor, Turn
from stackhub.engine.engine import Engine, attend
from stackhub.errors import ConfigError, ConnectorError, Refused
from stackhub.model.step import OPEN
from stackhub.sandbox import demo_directory
from stackhub.sandbox.mount import Stage, open_stage
from stackhub.sandbox.mount import serve as play
from stackhub.sandbox.shop import FEEDS, Shop
from stackhub.server.doors import make
from stackhub.server.listen import served
from stackhub.server.places import bind_port, bound_socket
from stackhub.server.redact import Redactor
from stackhub.server.reloading import Reloader
from stackhub.store.store import open_store

LOOPBACK: Final = "127.0.0.1"
STATE: Final = ".stackhub"
LOG: Final = "hub.log"  # in the state directory
PIPELINE: Final = "shop"
LEFTOVERS: Final = shutil.ignore_patterns("target", "logs", STATE, "dbt_packages", ".user.yml", "*.duckdb*")
PATIENCE: Final = 1.0  # seconds for requests under way, at the end
ENDING: Final = 10.0  # seconds for the processes of a run that is broken off
ANOTHER: Final = 1.0  # seconds between two signals to one that goes on
_DEADLINE: Final = re.compile(r"(?<=max_duration: )\w+")


@runtime_checkable
class Signs(Protocol):
    """A fake vendor that signs them; it names the secret among its variables."""

    hook_secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Where the demo is played."""

    directory: Path
    vendors_url: str
    hub_url: str
    stage: Stage
    engine: Engine
    reloader: Reloader
    landed: Counter[str]  # rows that each connection has brought so far
    log: Path  # the daemon's

    def script(self, connection: str, *turns: Turn) -> None:
        """Say what the next syncs of a connection do."""
        for name, vendor in self._syncs():
            if connection in {feed.name for feed in self.stage.feeds(name)}:
                vendor.script(connection, *turns)

    def begin(self, connection: str) -> None:
        """Begin a sync at its vendor, as a person does there."""
        for name, vendor in self._syncs():
            if connection in {feed.name for feed in self.stage.feeds(name)}:
                vendor.begin(connection)

    def started(self) -> dict[str, tuple[str, int]]:
        """Return the vendor of each connection, and how many syncs have begun there."""
        return {
            feed.name: (name, vendor.started(feed.name))
            for name, vendor in self._syncs()
            for feed in self.stage.feeds(name)
        }

    def shown(self, vendor: str) -> Sequence[Shown]:
        """Return the messages that a vendor's user sees now."""
        return cast("InboxVendor", self.stage.vendors[vendor]).shown()

    async def allow(self, duration: str) -> str:
        """Write another SLA into the pipeline's file and have the daemon take it up; return the one before."""
        path = anyio.Path(self.directory / "pipelines" / f"{PIPELINE}.yaml")
        text = await path.read_text(encoding="utf-8")
        found = _DEADLINE.search(text)
        await path.write_text(_DEADLINE.sub(duration, text), encoding="utf-8")
        if refused := await self.reloader.now():
            raise ConfigError(refused)
        return found[0] if found else duration

    def _syncs(self) -> list[tuple[str, SyncVendor]]:
        return [(name, one) for name, one in self.stage.vendors.items() if isinstance(one, SyncVendor)]


# --- the directory ---------------------------------------------------------------------------------------------------


@contextmanager
def working_directory(keep: Path | None) -> Iterator[Path]:
    """Fill a directory with a copy of configs/demo: ``keep``, else one that is gone afterwards.

    Raises:
        ConfigError: ``keep`` holds something already, or cannot be written.
    """
    if keep is None:
        with TemporaryDirectory(prefix="stackhub-demo-", ignore_cleanup_errors=True) as made:
            yield _filled(Path(made) / "demo")
        return
    try:
        if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
            raise ConfigError(f"--keep {keep}: there is something already: name a new directory")
        filled = _filled(keep.absolute())
    except OSError as err:
        raise ConfigError(f"--keep {keep}: {err.strerror}: name a directory that can be made") from err
    yield filled


def _filled(directory: Path) -> Path:
    shutil.copytree(demo_directory(), directory, ignore=LEFTOVERS, copy_function=shutil.copyfile, dirs_exist_ok=True)
    for path in directory.glob("*.env"):
        path.chmod(0o600)
    (directory / STATE).mkdir(mode=0o700)
    return directory


def used(directory: Path) -> set[str]:
    """Return the connectors that have an env file, and the hub's own name."""
    return {path.name.partition(".")[0] for path in directory.glob("*.env")}


def environment(environ: Mapping[str, str], directory: Path, url: str, stage: Stage) -> dict[str, str]:
    """Return the environment to read the configuration in: this process's without anybody's accounts.

    The process environment wins over env files, so what it says of a connector or of the hub is left out, all but
    DBT_EXECUTABLE, and the vendors' addresses are put in.
    """
    prefixes = tuple(f"{name.upper()}_" for name in used(directory))
    kept = {
        name: value
        for name, value in environ.items()
        if name == "DBT_EXECUTABLE" or not name.upper().startswith(prefixes)
    }
    for variables in stage.environment(url).values():
        kept |= variables
    return kept


# --- everything at work ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_house(directory: Path, environ: Mapping[str, str], *, port: int) -> AsyncIterator[House]:
    """Play the vendors on ``port`` (0: any free one), run the daemon, and at the end leave no process and no port.

    Raises:
        ConfigError: the port is taken.
    """
    shop, landed = Shop(directory=directory / STATE / "shop"), Counter[str]()

    def land(vendor: str, connection: str) -> int:
        rows = shop.land(vendor, connection)
        landed[connection] += rows
        return rows

    installed = registry.installed()
    connectors = [registry.load(name) for name in sorted(used(directory) & {*installed})]
    async with open_stage(connectors, feeds=FEEDS, land=land) as stage, play(stage, port) as url:
        for vendor in stage.vendors.values():
            if isinstance(vendor, Signs):
                vendor.hook_secret = secrets.token_hex(16)
        environ = environment(environ, directory, url, stage)
        again = partial(read, directory, environ, registry.load, installed, key=secrets.token_bytes(32))
        seen, configuration = fingerprint_directory(directory), again()
        hub = configuration.hub
        redactor = Redactor(configuration.secrets)
        with (
            _log(hub.state_dir / LOG, redactor),
            bind_port(LOOPBACK, 0) as listener,
            bound_socket(hub.state_dir) as local,
        ):
            database = hub.database_url.get_secret_value()
            async with (
                open_store(database, hub.state_dir, written_by=__version__) as store,
                attend(configuration, store, environ, state=hub.state_dir) as engine,
            ):
                reloader = Reloader(directory, engine, again, lambda new: redactor.learn(new.secrets), seen=seen)
                doors = make(engine, reload=reloader.now, redactor=redactor)
                hub_url = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
                _connect(stage, configuration, hub_url)
                async with served([(doors.outside, listener), (doors.inside, local)], patience=PATIENCE):
                    house = House(
                        directory=directory,
                        vendors_url=url,
                        hub_url=hub_url,
                        stage=stage,
                        engine=engine,
                        reloader=reloader,
                        landed=landed,
                        log=hub.state_dir / LOG,
                    )
                    try:
                        yield house
                    finally:
                        with anyio.move_on_after(ENDING, shield=True):
                            await _end_jobs(engine)


@contextmanager
def _log(path: Path, redactor: Redactor) -> Iterator[None]:
    """Let the daemon's log go into a file, where it is in nobody's way."""
    with path.open("a", encoding="utf-8") as stream:
        logging.configure("text", "info", redactor, stream)
        yield


def _connect(stage: Stage, configuration: Configuration, hub_url: str) -> None:
    """Register the daemon's webhooks with the vendors: a path that holds a secret where they sign nothing."""
    for name, vendor in stage.vendors.items():
        if isinstance(vendor, SyncVendor) and name in configuration.instances:
            token = getattr(configuration.instances[name].settings, "webhook_token", None)
            vendor.hook = f"{hub_url}/hooks/{name}{f'/{token.get_secret_value()}' if token else ''}"


async def _end_jobs(engine: Engine) -> None:
    """End what is still going: jobs outlive a hub, but not this one, whose directory is about to go."""
    for open_run in engine.board.runs():
        with suppress(Refused):  # it has ended meanwhile
            await engine.commands.submit("cancel", {"run": open_run.run.id, "reason": "the demo ends"}, "demo")
    while left := engine.board.runs():
        await engine.board.crier.wait(ANOTHER)
        for step in (step for open_run in left for step in open_run.steps.values() if step.state in OPEN):
            jobs = engine.lanes.open[step.instance].connector
            if step.handle and isinstance(jobs, Jobs):
                with suppress(ConnectorError):
                    await jobs.cancel(step.handle)


@contextmanager
def off_proxies() -> Iterator[None]:
    """Keep what goes to this machine off a proxy: HTTP clients read that from the process environment alone."""
    before = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    spared = ",".join(filter(None, [*before.values(), LOOPBACK]))
    os.environ.update(dict.fromkeys(before, spared))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({name: value} if value is not None else {})
