"""Makes the tables of a database, or brings older ones up to date; refuses what is not ours, or not whole."""

import os
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event, exc

from stackhub.errors import StoreUnavailable, StoreUnusable
from stackhub.store import faults
from stackhub.store import tables as t
from stackhub.store.database import backup, named, path_of, reading

MIGRATIONS: Final = Path(__file__).parent / "migrations"
ALONE: Final = int.from_bytes(b"stackhub")  # the advisory lock of whoever makes or migrates tables

COLUMNS: Final = {  # every table of ours or of others, with each of its columns; SQLAlchemy's own way takes 50 ms
    "sqlite": "SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c"
    " WHERE m.type = 'table' AND m.name NOT GLOB 'sqlite_*'",
    "postgresql": "SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')",
}


def prepare(made: sa.Engine, written_by: str, *, migrate: bool = True) -> None:
    """Make the tables of a new database, bring those of an older one up to date after a backup; SQLite in WAL mode.

    Of several hubs that do so at once one does, and the others find it done.

    Raises:
        StoreUnusable: not a stackhub database, one of a newer version, or one that may not be migrated now.
        StoreUnavailable: its server does not answer.
    """
    make_private(made)
    version = version_of(made)
    path = path_of(made.url)
    if path is not None and path.exists() and not os.access(path, os.W_OK):
        raise StoreUnusable(f"{named(made)} cannot be written: give it to the user that runs stackhub")
    if version is not None and version < t.VERSION and not migrate:
        raise StoreUnusable(
            f"{named(made)} has tables of version {version}, not {t.VERSION}: run `stackhub db upgrade` first,"
            " or start with `stackhub serve --migrate`"
        )
    try:
        if version is None:
            _create(made, written_by)
        elif version < t.VERSION:
            _migrate(made, written_by)
        _use_wal(made)
    except exc.DatabaseError as err:
        raise unfit(made, err, "cannot be made ready") from err
    if path is not None and path.exists():
        same = partial(_still_there, path, path.stat().st_ino)
        event.listen(made, "do_connect", same)
        event.listen(made, "begin", same)


def version_of(made: sa.Engine) -> int | None:
    """Return the version of the tables; None where there are none yet.

    Raises:
        StoreUnusable: not a stackhub database, or one of a newer version. StoreUnavailable: its server does not answer.
    """
    try:
        with reading(made).connect() as connection:
            return version_on(connection, named(made))
    except exc.DatabaseError as err:
        raise unfit(made, err, "cannot be used") from err


def version_on(connection: sa.Connection, name: str) -> int | None:
    """Return the version of the tables as one transaction sees them. Raises `StoreUnusable` as `version_of` does."""
    found: dict[str, set[str]] = {}
    for table, column in connection.exec_driver_sql(COLUMNS[connection.dialect.name]):
        found.setdefault(str(table), set()).add(str(column))
    if not found:
        _check_encoding(connection, name)
        return None
    if t.schema.name not in found:
        raise StoreUnusable(f"{name} is not a stackhub database: it has other tables in it; name one of its own")
    row = connection.execute(sa.select(t.schema.c.version, t.schema.c.oldest_reader)).one_or_none()
    if row is None:
        raise StoreUnusable(f"{name} is half made: delete it, or restore a backup")
    if row.oldest_reader > t.VERSION:
        raise StoreUnusable(
            f"{name} was written by a newer stackhub (tables {row.version}, this one knows {t.VERSION}):"
            " start that version, or restore a backup from before the upgrade"
        )
    lacks = _lacking(found)
    if lacks and row.version >= t.VERSION:
        raise StoreUnusable(f"{name} lacks {lacks}: restore a backup, or name another database")
    version: int = row.version
    return version


def unfit(made: sa.Engine, err: exc.DatabaseError, what: str) -> StoreUnavailable | StoreUnusable:
    """Say of a database that would not do what it was asked whether it is worth waiting for."""
    if path_of(made.url) is None and faults.away(err) and not faults.refused(err):
        return StoreUnavailable(f"{named(made)} {what} now: {faults.words(err)}")
    return StoreUnusable(f"{named(made)} {what}: {faults.words(err)}")


def alone(connection: sa.Connection) -> None:
    """Keep every other hub from making or migrating tables until the transaction ends, however long ours takes."""
    if connection.dialect.name == "postgresql":  # on SQLite whoever writes is alone
        connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": ALONE})


def create(connection: sa.Connection, written_by: str) -> None:
    """Make the tables."""
    t.metadata.create_all(connection)
    row = {"id": 1, "version": t.VERSION, "oldest_reader": t.OLDEST_READER, "written_by": written_by}
    connection.execute(sa.insert(t.schema), row)


def _lacking(found: dict[str, set[str]]) -> str:
    tables = sorted(t.metadata.tables.keys() - found.keys())
    if tables:
        return f"tables ({', '.join(tables)})"
    columns = sorted(
        str(column)
        for name, table in t.metadata.tables.items()
        for column in table.columns
        if column.name not in found[name]
    )
    return f"columns ({', '.join(columns)})" if columns else ""


def _check_encoding(connection: sa.Connection, name: str) -> None:
    """Refuse a new database that could not keep every character: it would fail at the first such message."""
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        if encoding != "UTF8":
            raise StoreUnusable(
                f"{name} keeps text as {encoding}: make one with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
            )


def _create(made: sa.Engine, written_by: str) -> None:
    with made.begin() as connection:
        alone(connection)
        if version_on(connection, named(made)) is None:
            create(connection, written_by)


def _use_wal(made: sa.Engine) -> None:
    """Set the journal's mode, which the file remembers; only once it is known to be ours."""
    if made.dialect.name == "sqlite":
        with made.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None  # noqa: S101 - it was connected just now
            raw.cursor().execute("PRAGMA journal_mode=WAL")


def _still_there(path: Path, known: int, *_: Any) -> None:
    """Refuse a file that is gone, or is another one than it was.

    SQLite would make an empty one, and all history would seem undone; or go on in one that has no name any more, and
    what is acknowledged would be gone with this process.
    """
    try:
        found = path.stat().st_ino
    except OSError as err:
        why = f"{path} is gone ({err.strerror})"
    else:
        if found == known:
            return
        why = f"{path} is another file than it was: end the hub before you put one in its place"
    raise exc.OperationalError(None, None, sqlite3.OperationalError(why))


def make_private(made: sa.Engine) -> None:
    """Make the file of a new SQLite database, so that its journals, which take its mode, are never open to others."""
    path = path_of(made.url)
    if path is None or str(path).startswith((":memory:", "file:")):
        return
    with suppress(OSError):  # one that cannot be made is told of by SQLite
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _migrate(made: sa.Engine, written_by: str) -> None:
    """Bring older tables up to date: all steps in one transaction, after a backup where the database is a file."""
    from alembic import command
    from alembic.config import Config

    path, kept = path_of(made.url), ""
    if path is not None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        kept = f"; {backup(made, path.with_name(f'{path.name}.before-{t.VERSION}-{stamp}'))} is a copy from before"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with made.begin() as connection:
            alone(connection)
            version = version_on(connection, named(made))
            if version is None or version >= t.VERSION:  # another hub was quicker
                return
            config.attributes["connection"] = connection
            command.stamp(config, f"{version:04d}" if version else "base")
            command.upgrade(config, "head")
            connection.execute(sa.update(t.schema).values(written_by=written_by))
    except exc.DatabaseError as err:
        fault = unfit(made, err, "cannot be upgraded, nothing has changed")
        raise type(fault)(f"{fault}{kept}") from err
