"""A store on a real database, and transactions worth committing."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

import anyio
import anyio.to_thread
import sqlalchemy as sa
from decide.worlds import T0, World, pipeline
from sqlalchemy import event

from stackhub.model.run import OpenRun
from stackhub.store import database, schema
from stackhub.store import tables as t
from stackhub.store.readers import Readers
from stackhub.store.rows import happened, run_made
from stackhub.store.store import Store
from stackhub.store.transaction import Transaction
from stackhub.store.writer import Writer

SOON = 0.01  # seconds between tries


def opened(url: str) -> sa.Engine:
    """Open a database; a file's lock is hardly waited for at all."""
    engine = database.engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=5"))
    schema.prepare(engine, "test")
    return engine


def made_ready(url: str) -> None:
    """Make the tables."""
    opened(url).dispose()


@asynccontextmanager
async def store_at(url: str) -> AsyncIterator[Store]:
    engine = opened(url)
    writer = Writer(engine, asyncio.get_running_loop(), again=SOON)
    try:
        yield Store(engine, writer, Readers(engine, again=SOON))
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(writer.close)
        engine.dispose()


@asynccontextmanager
async def held(store: Store) -> AsyncIterator[None]:
    """Keep the writer busy, so that what is applied meanwhile is one group."""
    begun, go = Event(), Event()

    def work(_: sa.Connection) -> None:
        begun.set()
        go.wait(10)

    busy = store.writer.call(work)
    await anyio.to_thread.run_sync(begun.wait)
    try:
        yield
    finally:
        go.set()
        await busy


def line(text: str) -> Transaction:
    """Nothing but a line of history: two of the same do not conflict."""
    return Transaction().add(happened(T0, "test", text=text))


def new_run(run_id: str, shop=None) -> tuple[OpenRun, Transaction]:
    made = World(pipeline=shop or pipeline(), rules={}).run(run_id, T0)
    return made, Transaction().add(*run_made(made))


async def texts(store: Store) -> list[str]:
    query = sa.select(t.event.c.text).order_by(t.event.c.id)
    return await store.read(lambda connection: list(connection.scalars(query)))


async def count(store: Store, table: sa.Table) -> int:
    query = sa.select(sa.func.count()).select_from(table)
    return await store.read(lambda connection: connection.scalar(query) or 0)


async def until(true) -> None:
    """Wait for something that another thread brings about."""
    with anyio.fail_after(10):
        while not true():
            await anyio.lowlevel.checkpoint()


def say(url: str, *statements: str) -> None:
    """Do something to a database that is none of the store's doing."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def everything(url: str) -> object:
    """Return all that a database holds: the bytes of a file; of a server's, each table with its columns and rows."""
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        engine.dispose()
        return Path(engine.url.database).read_bytes()
    kept = sa.MetaData()
    with engine.connect() as connection:
        kept.reflect(connection)
        found = {
            name: [(*table.columns.keys(),), *sorted(map(repr, connection.execute(sa.select(table))))]
            for name, table in kept.tables.items()
        }
    engine.dispose()
    return found


def locked(path: Path) -> sqlite3.Connection:
    """Hold a file as another program would."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    return connection
