"""Copies a whole store from an SQLite file into a new database: for who outgrows one machine."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy import exc

from stackhub.errors import StoreUnusable
from stackhub.store import schema
from stackhub.store import tables as t
from stackhub.store.database import engine, named, reading

BITE: Final = 1000  # rows at once
TABLES: Final = tuple(table for name, table in sorted(t.metadata.tables.items()) if table is not t.schema)
# The database numbers lines of history itself: it goes on behind the last one.
GO_ON: Final = sa.text(
    "SELECT setval(pg_get_serial_sequence('event', 'id'), coalesce(max(id), 1), max(id) IS NOT NULL) FROM event"
)


def copy(source: Path, to: sa.Engine, written_by: str) -> dict[str, int]:
    """Copy every row in one transaction; return how many there were of each table. No hub may work on either.

    Raises:
        StoreUnusable: one of the two is not as it must be, or a row cannot be kept there; nothing has been copied.
        StoreUnavailable: the server does not answer.
    """
    old = engine(f"sqlite:///{source}")
    try:
        _check_source(schema.version_of(old), named(old))
        schema.make_private(to)
        with reading(old).connect() as kept, to.begin() as connection:
            _make_room(connection, named(to), written_by)
            copied = {table.name: _copy(table, kept, connection) for table in TABLES}
            if connection.dialect.name == "postgresql":
                connection.execute(GO_ON)
                connection.exec_driver_sql("ANALYZE")  # else its first plans would be those for empty tables
            return copied
    except exc.DatabaseError as err:
        raise schema.unfit(to, err, "has taken over nothing") from err
    finally:
        old.dispose()


def _check_source(version: int | None, name: str) -> None:
    if version is None:
        raise StoreUnusable(f"{name} is empty: there is nothing to copy")
    if version < t.VERSION:
        raise StoreUnusable(
            f"{name} has tables of version {version}, not {t.VERSION}: run `stackhub db upgrade` on it first,"
            f" with STACKHUB_DATABASE_URL=sqlite:///{name}"
        )
    if version > t.VERSION:
        raise StoreUnusable(f"{name} has tables of version {version}, not {t.VERSION}: copy it with that stackhub")


def _make_room(connection: sa.Connection, name: str, written_by: str) -> None:
    """Make the tables, or see that those which are there hold nothing, and stay so."""
    schema.alone(connection)
    version = schema.version_on(connection, name)
    if version is None:
        schema.create(connection, written_by)
        return
    if version != t.VERSION:
        raise StoreUnusable(f"{name} has tables of version {version}, not {t.VERSION}: copy into an empty database")
    if connection.dialect.name == "postgresql":
        names = ", ".join(f'"{table.name}"' for table in TABLES)
        connection.exec_driver_sql(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
    full = [table.name for table in TABLES if connection.execute(sa.select(table).limit(1)).first() is not None]
    if full:
        raise StoreUnusable(f"{name} is in use already ({', '.join(full)}): copy into an empty database")


def _copy(table: sa.Table, kept: sa.Connection, connection: sa.Connection) -> int:
    insert = sa.insert(table).inline()
    with kept.execution_options(yield_per=BITE).execute(sa.select(table)) as found:
        for rows in found.mappings().partitions():
            connection.execute(insert, [dict(row) for row in rows])
    count = sa.select(sa.func.count()).select_from(table)
    were, are = kept.execute(count).scalar_one(), connection.execute(count).scalar_one()
    if were != are:
        raise StoreUnusable(f"of {were} rows of {table.name} {are} arrived: nothing has been copied")
    return were
