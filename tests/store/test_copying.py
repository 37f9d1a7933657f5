"""A store moves whole from a file to a server, or to another file, or not at all."""

import shutil
import sqlite3
from dataclasses import replace

import anyio
import pytest
import sqlalchemy as sa
from decide.worlds import T0, needing, pipeline, task
from store.ground import everything, line, made_ready, new_run, opened, say, store_at, texts

from stackhub.contract import Landing, Node, NodeState
from stackhub.errors import StoreUnusable
from stackhub.model.incident import Incident
from stackhub.model.words import Severity
from stackhub.store import configure, copying, database, queries, rows
from stackhub.store import tables as t
from stackhub.store.transaction import Transaction

SHOP = pipeline(task("orders"), needing("marts", "orders"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A file in which something has happened: more lines than are copied at once, some of them forgotten."""
    path = tmp_path_factory.mktemp("filled") / "hub.db"
    anyio.run(fill, path)
    return path


@pytest.fixture
def source(filled, tmp_path):
    (tmp_path / "old").mkdir()
    return shutil.copy(filled, tmp_path / "old" / "hub.db")


async def fill(path):
    async with store_at(f"sqlite:///{path}") as store:
        await store.call(lambda c: configure.apply(c, {"shop": SHOP}, T0))
        made, born = new_run("R1", SHOP)
        node = Node(id="model.shop.orders", name="orders", kind="model", state=NodeState.SUCCEEDED)
        landing = Landing(connection="crm", mark="7", ended_at=T0, rows=2**40)
        opened_now = Incident(id="I1", key="hub", opened_at=T0, severity=Severity.ERROR)
        born.add(rows.node_kept("R1", "orders", 1, node), rows.landed("fivetran", landing, "R1", T0))
        await store.apply(born.add(rows.incident_kept(opened_now, None)))
        await store.apply(Transaction().add(rows.run_moved(replace(made.run, version=1), 0)))
        for nth in range(copying.BITE * 2):
            store.writer.apply(line(f"{nth} ünïcödé ✓ \ud800 % \\ ' \0"))
        await store.call(lambda c: c.execute(sa.delete(t.event).where(t.event.c.id % 7 == 0)) and None)


def rows_of(url):
    engine = database.engine(url)
    with engine.connect() as connection:
        found = {table.name: {tuple(row) for row in connection.execute(sa.select(table))} for table in copying.TABLES}
    engine.dispose()
    return found


def copy(source, url):
    engine = database.engine(url)
    try:
        return copying.copy(source, engine, "test")
    finally:
        engine.dispose()


async def test_every_row_of_every_table_is_there_and_history_goes_on_behind_it(source, empty):
    before = source.read_bytes()
    copied = copy(source, empty)
    there = rows_of(empty)
    assert there == rows_of(f"sqlite:///{source}")
    assert copied == {name: len(found) for name, found in there.items()}
    assert copied["event"] > copying.BITE * 6 / 7
    assert copied["run"] == copied["incident"] == copied["landing"] == 1
    assert source.read_bytes() == before
    async with store_at(empty) as store:
        await store.apply(line("next"))
        last = await store.read(lambda c: c.execute(sa.select(t.event.c.id, t.event.c.text)).all()[-1])
        assert (last.id, last.text) == (max(row[0] for row in there["event"]) + 1, "next")
        assert [one.run.id for one in await store.read(queries.open_runs)] == ["R1"]


def test_tables_that_were_made_already_are_filled(source, url):
    made_ready(url)
    copy(source, url)
    assert rows_of(url) == rows_of(f"sqlite:///{source}")


def test_an_empty_store_can_be_copied(tmp_path, empty):
    made_ready(f"sqlite:///{tmp_path / 'new.db'}")
    assert set(copy(tmp_path / "new.db", empty).values()) == {0}
    opened(empty).dispose()


async def test_a_database_in_which_there_is_anything_is_left_as_it_is(source, empty):
    async with store_at(empty) as store:
        await store.apply(line("mine"))
    before = rows_of(empty)
    with pytest.raises(StoreUnusable, match=r"in use already \(event, meta\): copy into an empty database"):
        copy(source, empty)
    assert rows_of(empty) == before


def foreign(url):
    say(url, "CREATE TABLE customers (id INTEGER)")


def newer(url):
    made_ready(url)
    say(url, f"UPDATE stackhub_schema SET version = {t.VERSION + 1}")


@pytest.mark.parametrize(
    ("make", "told"), [(foreign, "not a stackhub database"), (newer, f"version {t.VERSION + 1}, not {t.VERSION}")]
)
def test_a_database_that_is_not_as_ours_is_refused(source, empty, make, told):
    make(empty)
    before = everything(empty)
    with pytest.raises(StoreUnusable, match=told):
        copy(source, empty)
    assert everything(empty) == before


SOURCES = [
    ("UPDATE stackhub_schema SET version = 0, oldest_reader = 0", "run `stackhub db upgrade` on it first"),
    (f"UPDATE stackhub_schema SET version = {t.VERSION + 1}", "copy it with that stackhub"),
    (f"UPDATE stackhub_schema SET oldest_reader = {t.VERSION + 1}", "written by a newer stackhub"),
    ("DROP TABLE run", "lacks tables"),
    ("DROP TABLE stackhub_schema", "not a stackhub database"),
]


@pytest.mark.parametrize(("sql", "told"), SOURCES)
def test_a_file_that_is_not_as_ours_is_refused_and_nothing_is_made(source, empty, tmp_path, sql, told):
    say(f"sqlite:///{source}", sql)
    with pytest.raises(StoreUnusable, match=told):
        copy(source, empty)
    engine = database.engine(empty)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_file_that_is_no_database_is_refused(tmp_path, file):
    (tmp_path / "diary").write_text("Dear diary, " * 100)
    with pytest.raises(StoreUnusable, match=r"diary cannot be used: file is not a database"):
        copy(tmp_path / "diary", file)
    (tmp_path / "nothing").touch()
    with pytest.raises(StoreUnusable, match="nothing to copy"):
        copy(tmp_path / "nothing", file)


@pytest.mark.postgres
def test_a_row_that_a_server_cannot_keep_stops_it_all(source, empty_server_url):
    with sqlite3.connect(source) as connection:
        connection.execute("UPDATE snapshot SET definition = 'a NUL' || char(0)")
    connection.close()
    with pytest.raises(StoreUnusable, match=r"has taken over nothing: .*NUL"):
        copy(source, empty_server_url)
    engine = database.engine(empty_server_url)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()


@pytest.mark.postgres
def test_nobody_may_write_meanwhile(source, server_url, monkeypatch):
    """A hub that is started too early finds its tables locked, and what it writes comes after."""
    engine, tried = database.engine(server_url), []
    real = copying._copy

    def copy_one(table, kept, connection):
        if not tried:
            other = database.engine(server_url)
            with other.connect() as intruder:
                intruder.exec_driver_sql("SET lock_timeout = 1")
                with pytest.raises(sa.exc.OperationalError, match="lock timeout") as caught:
                    intruder.execute(sa.insert(t.meta), {"key": "a", "value": "b"})
            tried.append(caught.value)
            other.dispose()
        return real(table, kept, connection)

    monkeypatch.setattr(copying, "_copy", copy_one)
    copying.copy(source, engine, "test")
    engine.dispose()
    assert len(tried) == 1


async def test_lines_keep_their_order(source, empty):
    copy(source, empty)
    async with store_at(f"sqlite:///{source}") as old, store_at(empty) as new:
        assert await texts(new) == await texts(old)
        await new.apply(Transaction())
