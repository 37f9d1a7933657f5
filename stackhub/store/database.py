"""Opens a database: checks that it is ours and of a version we may use, makes or migrates its tables."""

import os
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event, exc

from stackhub.errors import StoreUnusable
from stackhub.store import tables as t

READERS: Final = 4
MIGRATIONS: Final = Path(__file__).parent / "migrations"
ASKED_WRONGLY: Final = (exc.IntegrityError, exc.DataError, exc.ProgrammingError, exc.NotSupportedError)
WRONG_CODES: Final = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
    }
)


def engine(url: str) -> sa.Engine:
    """Make an engine: every COMMIT durable, writers queueing. Connecting changes nothing in the database.

    Raises:
        StoreUnusable: the URL names no database that stackhub can use.
    """
    try:
        made = sa.create_engine(url, pool_size=READERS + 1, max_overflow=1)
    except (exc.ArgumentError, exc.NoSuchModuleError) as err:
        raise StoreUnusable(f"STACKHUB_DATABASE_URL: not a database URL that stackhub knows: {err}") from err
    except ModuleNotFoundError as err:
        raise StoreUnusable(f"STACKHUB_DATABASE_URL needs {err.name}: pip install 'stackhub[postgres]'") from err
    if made.dialect.name == "sqlite":
        event.listen(made, "connect", _pragmas)
        event.listen(made, "begin", _begin)
    return made


def _pragmas(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in ("synchronous=FULL", "busy_timeout=5000", "foreign_keys=OFF"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def path_of(url: str) -> Path | None:
    """Return the file of an SQLite URL; None for any other."""
    parsed = sa.make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def away(err: BaseException) -> bool:
    """Say whether the database itself is the trouble, so that the same may go well later; else it is what was asked.

    SQLite has one class of error for a full disk and for a table that is not there: its code tells them apart.
    """
    if isinstance(err, exc.TimeoutError):  # no connection was free
        return True
    if not isinstance(err, exc.DBAPIError) or isinstance(err, ASKED_WRONGLY):
        return False
    code = getattr(err.orig, "sqlite_errorcode", None)
    return code is None or code & 0xFF not in WRONG_CODES


def prepare(made: sa.Engine, written_by: str, *, migrate: bool = True) -> None:
    """Make the tables of a new database, bring those of an older one up to date after a backup; SQLite in WAL mode.

    Raises:
        StoreUnusable: not a stackhub database, one of a newer version, or one that may not be migrated now.
    """
    _make_private(made)
    version = version_of(made)
    try:
        if version is None:
            _create(made, written_by)
        elif version < t.VERSION:
            if not migrate:
                raise StoreUnusable(f"{_where(made)} has tables of version {version}: run `stackhub db upgrade` first")
            _migrate(made, version, written_by)
        _use_wal(made)
    except exc.DatabaseError as err:
        raise StoreUnusable(f"{_where(made)} cannot be made ready: {err.orig}") from err
    path = path_of(str(made.url))
    if path is not None:
        event.listen(made, "do_connect", partial(_still_there, path))


def _use_wal(made: sa.Engine) -> None:
    """Set the journal's mode, which the file remembers; only once it is known to be ours."""
    if made.dialect.name == "sqlite":
        with made.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None  # noqa: S101 - it was connected just now
            raw.cursor().execute("PRAGMA journal_mode=WAL")


def _still_there(path: Path, *_: Any) -> None:
    """Refuse to connect to a file that is gone: SQLite would make an empty one, and all history would seem undone."""
    if not path.exists():
        raise sqlite3.OperationalError(f"{path} is gone")


def version_of(made: sa.Engine) -> int | None:
    """Return the version of the tables; None where there are none yet.

    Raises:
        StoreUnusable: not a stackhub database, or one of a newer version.
    """
    try:
        seen = made.execution_options(reading=True)
        names = set(sa.inspect(seen).get_table_names())
        if not names:
            return None
        version, oldest_reader = _version(seen, names)
    except exc.DatabaseError as err:
        raise StoreUnusable(f"{_where(made)} cannot be used: {err.orig}") from err
    if oldest_reader > t.VERSION:
        raise StoreUnusable(
            f"{_where(made)} was written by a newer stackhub (tables {version}, this one knows {t.VERSION}):"
            " start that version, or restore a backup from before the upgrade"
        )
    missing = sorted(t.metadata.tables.keys() - names)
    if missing and version >= t.VERSION:
        raise StoreUnusable(
            f"{_where(made)} lacks tables ({', '.join(missing)}): restore a backup, or name another file"
        )
    return version


def backup(made: sa.Engine, to: Path) -> Path:
    """Copy an SQLite database, while it is in use, to a file that must not exist yet.

    Raises:
        StoreUnusable: another kind of database, or the file exists or cannot be written.
    """
    source = path_of(str(made.url))
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


def _create(made: sa.Engine, written_by: str) -> None:
    with made.begin() as connection:
        t.metadata.create_all(connection)
        row = {"id": 1, "version": t.VERSION, "oldest_reader": t.OLDEST_READER, "written_by": written_by}
        connection.execute(sa.insert(t.schema), row)


def _make_private(made: sa.Engine) -> None:
    """Make the file of a new SQLite database, so that its journals, which take its mode, are never open to others."""
    path = path_of(str(made.url))
    if path is None or str(path).startswith((":memory:", "file:")):
        return
    with suppress(OSError):  # one that cannot be made is told of by SQLite
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _version(made: sa.Engine, names: set[str]) -> tuple[int, int]:
    if t.schema.name not in names:
        raise StoreUnusable(f"{_where(made)} is not a stackhub database: it has other tables in it")
    with made.connect() as connection:
        row = connection.execute(sa.select(t.schema.c.version, t.schema.c.oldest_reader)).one_or_none()
    if row is None:
        raise StoreUnusable(f"{_where(made)} is half made: delete it, or restore a backup")
    return row.version, row.oldest_reader


def _migrate(made: sa.Engine, version: int, written_by: str) -> None:
    """Bring older tables up to date: all steps in one transaction, after a backup where the database is a file."""
    from alembic import command
    from alembic.config import Config

    path, kept = path_of(str(made.url)), ""
    if path is not None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        kept = f"; {backup(made, path.with_name(f'{path.name}.before-{t.VERSION}-{stamp}'))} is a copy from before"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with made.begin() as connection:
            config.attributes["connection"] = connection
            command.stamp(config, f"{version:04d}" if version else "base")
            command.upgrade(config, "head")
            connection.execute(sa.update(t.schema).values(written_by=written_by))
    except exc.DatabaseError as err:
        raise StoreUnusable(f"{_where(made)} cannot be upgraded, nothing has changed: {err.orig}{kept}") from err


def _where(made: sa.Engine) -> str:
    path = path_of(str(made.url))
    return str(path) if path else made.url.render_as_string(hide_password=True)
