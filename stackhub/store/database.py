"""Opens connections: to SQLite so that every COMMIT is durable, to PostgreSQL so that no connection hangs for ever."""

import logging
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event, exc

from stackhub.errors import StoreUnusable

READERS: Final = 4
NAME: Final = "stackhub"  # how our sessions are called in `pg_stat_activity`
CONNECTING: Final = {  # a server that is cut off without a word is noticed within half a minute, not within hours
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": NAME,
    "client_encoding": "utf8",
}
# A hub that is paused or cut off inside a transaction may not keep its rows, and so its lanes, from the others: the
# server counts how long it idles, and asks whether its line is alive. What is
# acknowledged is on the disk: a database that is set to be quicker than that is not asked to be when we write.
SESSION: Final = (
    "SELECT set_config('idle_in_transaction_session_timeout', '10s', false),"
    " set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),"
    " set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '20000', false),"
    " set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') = 'off' THEN 'on'"
    " ELSE current_setting('synchronous_commit') END, false)"
)


def engine(url: str) -> sa.Engine:
    """Make an engine: every COMMIT durable, writers queueing. Connecting changes nothing in the database.

    Raises:
        StoreUnusable: the URL names no database that stackhub can use.
    """
    parsed = parse(url)
    server = parsed.get_backend_name() == "postgresql"
    wanted = {name: value for name, value in CONNECTING.items() if name not in parsed.query} if server else {}
    try:
        made = sa.create_engine(parsed, pool_size=READERS + 1, max_overflow=1, connect_args=wanted)
    except (exc.ArgumentError, exc.NoSuchModuleError) as err:
        raise StoreUnusable(f"STACKHUB_DATABASE_URL: not a database URL that stackhub knows: {err}") from err
    except ModuleNotFoundError as err:
        raise StoreUnusable(f"STACKHUB_DATABASE_URL needs {err.name}: pip install 'stackhub[postgres]'") from err
    if server:
        logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of a lost connection, which is raised as well
        event.listen(made, "connect", _session)
    else:
        event.listen(made, "connect", _pragmas)
        event.listen(made, "begin", _begin)
    return made


def parse(url: str) -> sa.URL:
    """Take a URL apart. Says nothing of what stands in it: that may be a password.

    Raises:
        StoreUnusable: it is none, or its database is none that stackhub can use.
    """
    try:
        parsed = sa.make_url(url)
        backend, driver = parsed.get_backend_name(), parsed.drivername.partition("+")[2]
    except (exc.ArgumentError, ValueError):
        raise StoreUnusable(
            "STACKHUB_DATABASE_URL: not a database URL; write postgresql://user:password@host/name,"
            " with @ : / and % in a password as %40 %3A %2F %25"
        ) from None
    if backend not in {"sqlite", "postgresql"}:
        raise StoreUnusable("STACKHUB_DATABASE_URL: not a database URL that stackhub knows: sqlite or postgresql")
    if driver not in {"", "psycopg", "pysqlite"}:
        raise StoreUnusable(f"STACKHUB_DATABASE_URL: leave out +{driver}, stackhub has its own driver")
    if "@" in (parsed.host or ""):
        raise StoreUnusable("STACKHUB_DATABASE_URL: an @ within the password is written %40")
    return parsed


def reading(made: sa.Engine) -> sa.Engine:
    """Return the same engine for those who only look: each transaction is one moment's view of all tables."""
    if made.dialect.name == "sqlite":
        return made.execution_options(reading=True)
    return made.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _session(connection: Any, _: Any) -> None:
    connection.execute(SESSION)
    connection.commit()


def _pragmas(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in ("synchronous=FULL", "busy_timeout=5000", "foreign_keys=OFF"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("reading", False):
        raw: Any = connection.connection.driver_connection
        raw.execute("BEGIN")  # straight to the driver: it touches no file yet, so there is no error to translate
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def path_of(url: str | sa.URL) -> Path | None:
    """Return the file of an SQLite URL; None for any other. Raises as `parse` does."""
    parsed = parse(url) if isinstance(url, str) else url
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def named(made: sa.Engine) -> str:
    """Name a database to people: its file, or its server and name, and never a password."""
    path, url = path_of(made.url), made.url
    if path is not None:
        return str(path)
    host = url.host or url.query.get("host") or "localhost"
    return (
        f"the database {url.database or url.username or ''!r} at {host if isinstance(host, str) else ', '.join(host)}"
    )


def backup(made: sa.Engine, to: Path) -> Path:
    """Copy an SQLite database, while it is in use, to a file that must not exist yet.

    Raises:
        StoreUnusable: another kind of database, or the file exists or cannot be written.
    """
    source = path_of(made.url)
    if source is None:
        raise StoreUnusable("this database is not a file: back it up with its own tools (pg_dump)")
    if to.exists():
        raise StoreUnusable(f"{to} exists already: name another file")
    part = to.with_name(f"{to.name}.part")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(part)) as new:
            old.backup(new)
        part.rename(to)
    except (OSError, sqlite3.Error) as err:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise StoreUnusable(f"cannot write the backup {to}: {err}") from err
    return to
