"""Where a universe's hubs stand: a configuration directory and a new database in memory, and played vendors."""

import json
import os
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path

import httpx
from engine.house import House
from simulation.universe import Life, Universe

from stackhub.clock.loop import VirtualLoop
from stackhub.model.ids import Ids
from stackhub.store.inline import InlineWriter
from stackhub.store.store import open_store

MONDAY = datetime(2026, 11, 2, 12, tzinfo=UTC)
MEMORY = Path("/dev/shm")


@dataclass
class Ground:
    """One universe, and where its hubs live."""

    universe: Universe
    house: House
    saved: tuple[bytes, datetime] = (b"", MONDAY)
    transport: Callable[[str], httpx.AsyncBaseTransport] | None = None  # to the vendors of real connectors

    def __getitem__(self, name):
        """Return the far end of an instance."""
        return self.house.world[name]

    @property
    def state(self) -> Path:
        return self.house.root / ".stackhub"

    @property
    def database(self) -> Path:
        return self.state / "stackhub.db"

    def hub(self, **more) -> Life:
        """Let a hub begin to live."""
        return self.universe.hub(self.house.read(), state=self.state, transport=self.transport, **more)

    def save(self) -> None:
        """Keep the database as it is now, and the time, for `reset`."""
        self.saved = self.database.read_bytes(), self.universe.clock.now()

    def reset(self) -> None:
        """Begin anew where and when `save` was: another universe, vendors that remember nothing, the same configuration."""
        for life in list(self.universe.lives):
            life.kill()
        old, (rows, at) = self.universe, self.saved
        self.universe = Universe(old.seed, at, looks=timedelta(seconds=old.line.looks), engines=old.engines)
        self.house.clock = self.house.world.clock = self.universe.clock
        self.house.world.accounts.clear()
        self.house.world.tally = self.house.world.stuck = 0
        for name in ("-wal", "-shm"):
            self.database.with_name(f"{self.database.name}{name}").unlink(missing_ok=True)
        self.database.write_bytes(rows)

    def keep(self, kind, args, nth=0) -> None:
        """Ask for something while no hub is there."""
        row = (f"{Ids(random.Random(nth)).make(self.universe.clock.now())}", kind, json.dumps(args), "ada")
        at = round(self.universe.clock.now().timestamp() * 1e6)
        query = 'INSERT INTO command (id, kind, args, "by", created_at) VALUES (?, ?, ?, ?, ?)'
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(query, (*row, at))

    def is_quiet(self) -> bool:
        """Say whether nothing is left to be done, or told."""
        open_runs = "EXISTS (SELECT 1 FROM run WHERE ended_at IS NULL)"
        untold = "EXISTS (SELECT 1 FROM outbox WHERE state = 'pending')"
        unobeyed = "EXISTS (SELECT 1 FROM command WHERE done_at IS NULL)"
        return self.ask(f"SELECT {open_runs} OR {untold} OR {unobeyed}") == [(0,)]

    def check_nothing_is_forgotten(self) -> None:
        """Check what must hold at the end of any story."""
        assert self.is_quiet(), "something is left to be done"
        lost = self.ask("SELECT run, task, state FROM step WHERE run NOT IN (SELECT id FROM run)")
        assert lost == [], f"steps without a run: {lost}"
        left = [job for name in ("tap", "mill") for job in self[name].running()]
        assert left == [], f"jobs that nobody asks after: {left}"
        refused = self.ask("SELECT kind, error FROM command WHERE error IS NOT NULL")
        assert refused == [], f"commands refused: {refused}"

    def ask(self, query, *values) -> list[tuple]:
        """Read the database, past any hub."""
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(query, values).fetchall()


@contextmanager
def ground(seed: int = 0, start: datetime = MONDAY, *, looks: timedelta = timedelta()) -> Iterator[Ground]:
    """Make a universe with nothing in it."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as root:
        universe = Universe(seed, start, looks=looks)
        made = Ground(universe, House(Path(root), clock=universe.clock))
        made.state.mkdir(mode=0o700)
        made.database.write_bytes(_empty())
        made.database.chmod(0o600)
        try:
            yield made
        finally:
            for life in list(universe.lives):
                life.kill()


@cache
def _empty() -> bytes:
    """Return a database with nothing in it."""

    async def make(root):
        url = f"sqlite:///{root / 'stackhub.db'}"
        async with open_store(url, root, written_by="simulation", writer=partial(InlineWriter, mark="empty")):
            pass

    with tempfile.TemporaryDirectory() as root:
        VirtualLoop().run_until_complete(make(Path(root)))
        return (Path(root) / "stackhub.db").read_bytes()


def dumped(path: Path) -> list[str]:
    """Return every row of every table, as text."""
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY 1")]
        return [f"{name}: {row!r}" for name in names for row in connection.execute(f'SELECT * FROM "{name}"')]
