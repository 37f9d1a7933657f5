"""A server that goes away is waited for, and nothing is lost or done twice; what it was asked wrongly is told at once."""

import asyncio
from itertools import count
from threading import Barrier, Event

import anyio
import anyio.to_thread
import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from store.ground import line, new_run, store_at, texts, until
from structlog.testing import capture_logs

from stackhub.errors import StoreUnavailable
from stackhub.store import committing, database, exchange, faults
from stackhub.store import transaction as tx
from stackhub.store.committing import Committer
from stackhub.store.work import Apply

pytestmark = pytest.mark.postgres
OURS = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE 'stackhub%'"
HOLDING = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'stackhub %' AND state = 'idle in transaction'"
PATIENCE = 60


@pytest.fixture
def stopping(postgres):
    """The server, which is started again whatever happens."""
    yield postgres
    postgres.start()


def levels(logs):
    return [one["log_level"] for one in logs]


# --- stopped and started ---


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_a_server_stopped_in_the_midst_of_writing_is_waited_for(stopping, server_store, mode):
    store, kept, stopped, seen = server_store, [], anyio.Event(), anyio.Event()

    async def write(nth):
        for turn in count():
            if turn >= 20 and seen.is_set():  # however long it takes the server to go
                return
            await store.apply(line(f"{nth}.{turn}"))
            kept.append(f"{nth}.{turn}")
            if turn == 5:
                stopped.set()

    with capture_logs() as logs, anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for nth in range(40):
                group.start_soon(write, nth)
            await stopped.wait()
            await anyio.to_thread.run_sync(stopping.stop, mode)
            await until(lambda: store.writer.ailing)
            assert store.ailing == store.writer.ailing != ""
            seen.set()
            there = list(kept)
            await anyio.to_thread.run_sync(stopping.start)
            assert set(there) <= set(await texts(store)), "what was acknowledged before"
    assert len(kept) >= 800
    assert sorted(await texts(store)) == sorted(kept), "each once"
    assert store.ailing == ""
    writer = [one for one in logs if " read" not in one["event"]]
    assert [one["event"] for one in writer] == ["the database is away, waiting for it", "the database is back"]


async def test_a_server_stopped_in_the_midst_of_a_transaction_has_it_carried_out_once(stopping, server_store):
    store, begun, go, turns = server_store, Event(), Event(), []

    def work(connection):
        turns.append(1)
        connection.execute(tx.EVENT.sql, dict(line("mine").ops[0].row))
        begun.set()
        go.wait(PATIENCE)
        connection.execute(tx.META.sql, {"key": "mine", "value": "1"})
        return len(turns)

    future = store.writer.call(work)
    behind = store.writer.apply(line("behind"))
    await anyio.to_thread.run_sync(begun.wait)
    await anyio.to_thread.run_sync(stopping.stop)
    go.set()
    await until(lambda: store.ailing)
    assert not behind.done()
    await anyio.to_thread.run_sync(stopping.start)
    with anyio.fail_after(PATIENCE):
        assert await future == 2
        await behind
    assert await texts(store) == ["mine", "behind"]


async def test_what_is_read_waits_as_well(stopping, server_store):
    await server_store.apply(line("before"))
    await texts(server_store)
    await anyio.to_thread.run_sync(stopping.stop)
    read = []

    async def look():
        read.extend(await texts(server_store))

    with capture_logs() as logs, anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            group.start_soon(look)
            await until(lambda: server_store.read.ailing)
            assert server_store.ailing
            await anyio.to_thread.run_sync(stopping.start)
    assert read == ["before"]
    assert server_store.ailing == ""
    assert levels(logs) == ["error", "info"]


async def test_closing_while_the_server_is_away_tells_everyone_who_waits(stopping, server_url):
    async with store_at(server_url) as store:
        await store.apply(line("kept"))
        await anyio.to_thread.run_sync(stopping.stop)
        futures = [store.writer.apply(line(str(nth))) for nth in range(5)]
        futures += [store.writer.call(lambda _: None)]
        await until(lambda: store.writer.ailing)
        await anyio.to_thread.run_sync(store.writer.close)
        for future in futures:
            with pytest.raises(StoreUnavailable):
                await future
    await anyio.to_thread.run_sync(stopping.start)
    async with store_at(server_url) as store:
        assert await texts(store) == ["kept"]


# --- a connection alone ---


async def test_a_connection_that_is_cut_while_nobody_uses_it_is_no_outage(postgres, server_store):
    """Firewalls and administrators do it."""
    store = server_store
    await store.apply(line("before"))
    await texts(store)
    with capture_logs() as logs:
        postgres.say(OURS)
        futures = [store.writer.apply(line(str(nth))) for nth in range(5)]
        assert await texts(store) in (["before"], ["before", *"01234"])
        for future in futures:
            await future
    assert await texts(store) == ["before", *"01234"]
    assert [one["event"] for one in logs] == ["the database was asked once more"]


async def test_a_transaction_that_the_server_ends_for_idling_is_tried_again_at_once(postgres, server_store):
    turns = []

    def work(connection):
        turns.append(1)
        connection.execute(tx.EVENT.sql, dict(line("once").ops[0].row))
        if len(turns) == 1:
            pid = connection.scalar(sa.text("SELECT pg_backend_pid()"))
            connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 1"))
            while postgres.say(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"):
                pass
        connection.execute(tx.META.sql, {"key": "mine", "value": "1"})

    await server_store.call(lambda _: None)
    with capture_logs() as logs, anyio.fail_after(PATIENCE):
        await server_store.call(work)
    assert turns == [1, 1]
    assert await texts(server_store) == ["once"]
    assert levels(logs) == ["info"]


@pytest.mark.parametrize(("idle", "whole"), [("100ms", "30s"), ("0", "100ms")])
async def test_a_writer_that_is_stopped_right_before_its_commit_keeps_its_rows_for_a_while_alone(
    postgres, server_url, monkeypatch, idle, whole
):
    """A server counts that only if nothing comes behind what ends a pipeline; and what is in its midst, by the whole."""
    monkeypatch.setattr(database, "SESSION", database.SESSION.replace("'10s'", f"'{idle}'"))
    monkeypatch.setattr(exchange, "IN_TIME", exchange.IN_TIME.replace("'30s'", f"'{whole}'"))
    points, told = [], []

    def stop(point):
        points.append(point)
        while len(points) == 3 and postgres.say(HOLDING):
            pass

    engine = database.engine(server_url)
    committer = Committer(engine, told.extend, point=stop)
    future = asyncio.get_running_loop().create_future()

    def commit():
        for text in ("first", "second"):
            for _ in committer.carry_out([Apply(line(text), future)]):
                pytest.fail("the database is not away")

    with anyio.fail_after(PATIENCE), capture_logs() as logs:
        await anyio.to_thread.run_sync(commit, abandon_on_cancel=True)
    committer.close()
    engine.dispose()
    assert points == [*("before COMMIT", "after COMMIT"), *("before COMMIT",) * 2, "after COMMIT"]
    assert told == [(future, None, None)] * 2
    assert [one["event"] for one in logs] == ["the database was asked once more"]


async def test_two_transactions_that_wait_for_each_other_both_come_through(server_store, server_url):
    async with store_at(server_url) as other:
        together, turns = Barrier(2), []

        def crossing(first, second):
            def work(connection):
                turns.append(first)
                connection.execute(sa.text("SET LOCAL deadlock_timeout = '20ms'"))
                connection.execute(tx.META.sql, {"key": first, "value": first})
                if len(turns) <= 2:
                    together.wait(PATIENCE)
                connection.execute(tx.META.sql, {"key": second, "value": first})

            return work

        with capture_logs() as logs, anyio.fail_after(PATIENCE):
            mine = server_store.writer.call(crossing("a", "b"))
            theirs = other.writer.call(crossing("b", "a"))
            await mine
            await theirs
        kept = sa.text("SELECT DISTINCT value FROM meta WHERE key IN ('a', 'b')")
        assert len(await server_store.read(lambda connection: connection.scalars(kept).all())) == 1
        assert len(turns) > 2, "one came back, or met the other once more where it was very quick"
        assert set(levels(logs)) == {"info"}


# --- a server that answers, and not as we need it ---


async def test_a_server_that_may_only_be_read_is_waited_for(postgres, server_store):
    """As one that has become a standby."""
    store = server_store
    await store.apply(line("before"))
    name = store.engine.url.database
    postgres.say(f"ALTER DATABASE {name} SET default_transaction_read_only = on; {OURS}")
    try:
        future = store.writer.apply(line("after"))
        await until(lambda: store.writer.ailing)
        assert "read-only transaction" in store.ailing
        assert await texts(store) == ["before"], "looking goes on"
    finally:
        postgres.say(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    with anyio.fail_after(PATIENCE):
        await future
    assert await texts(store) == ["before", "after"]


async def test_a_server_that_does_not_answer_is_said_to_be_ailing(server_store, postgres, monkeypatch):
    monkeypatch.setattr(committing, "SILENCE", 0.05)
    with postgres.connected(server_store.engine.url.database) as other:
        other.autocommit = False
        other.execute("LOCK TABLE event")
        future = server_store.writer.apply(line("late"))
        await until(lambda: server_store.ailing)
        assert "has not answered for" in server_store.ailing
    with anyio.fail_after(PATIENCE):
        await future
    assert server_store.ailing == ""


AWAY = ["08006", "25006", "25P03", "40P01", "53100", "53300", "55P03", "57014", "57P01", "58030", "XX001"]
ASKED_WRONGLY = ["0A000", "22001", "22P05", "23502", "23505", "25P02", "42501", "42P01", "54000", "P0001"]


@pytest.mark.parametrize(("code", "away"), [*((c, True) for c in AWAY), *((c, False) for c in ASKED_WRONGLY)])
def test_what_a_server_says_is_told_apart_by_its_code(server_url, code, away):
    engine = database.engine(server_url)
    with engine.connect() as connection, pytest.raises(exc.DBAPIError) as caught:
        connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'boom' USING ERRCODE = '{code}'; END $$")
    engine.dispose()
    assert faults.away(caught.value) == away
    assert faults.collided(caught.value) == (code == "40P01")


REAL = [
    ("SELECT * FROM nowhere", False),
    ("SELECT 1 / 0", False),
    ("INSERT INTO meta SELECT string_agg(md5(n::text), ''), '' FROM generate_series(1, 1000) AS n", False),
    ("SET statement_timeout = 1; SELECT pg_sleep(60)", True),
    ("SET TRANSACTION READ ONLY; DELETE FROM meta", True),
    ("SELECT pg_terminate_backend(pg_backend_pid())", True),
]


@pytest.mark.parametrize(("sql", "away"), REAL)
async def test_what_is_wrong_with_a_question_is_told_and_what_is_wrong_with_the_server_waited_for(
    server_url, sql, away
):
    engine = database.engine(server_url)
    with engine.connect() as connection, pytest.raises(exc.DBAPIError) as caught:
        connection.exec_driver_sql(sql)
    engine.dispose()
    assert faults.away(caught.value) == away
    assert faults.cut(caught.value) == ("terminate" in sql)


# --- how connections are made ---


async def test_every_connection_is_made_durable_impatient_and_named(postgres, server_url):
    postgres.say("ALTER ROLE postgres SET synchronous_commit = off")
    try:
        async with store_at(server_url) as store:
            shown = (
                "SELECT current_setting('synchronous_commit'), current_setting('idle_in_transaction_session_timeout'),"
                " current_setting('application_name')"
            )
            durable, idle, name = await store.call(lambda c: tuple(c.exec_driver_sql(shown).one()))
            assert (durable, idle) == ("on", "10s")
            assert name.startswith("stackhub ")
            read = await store.read(lambda c: tuple(c.exec_driver_sql(shown).one()))
            assert read == ("on", "10s", "stackhub")
    finally:
        postgres.say("ALTER ROLE postgres RESET synchronous_commit")


def test_what_a_url_says_of_patience_counts(server_url):
    with database.engine(f"{server_url}&connect_timeout=3&application_name=mine").connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, psycopg.Connection)
        found = raw.info.get_parameters()
    connection.engine.dispose()
    assert (found["connect_timeout"], found["application_name"]) == ("3", "mine")
    assert (found["keepalives_idle"], found["tcp_user_timeout"]) == ("10", "20000")


async def test_what_is_read_is_one_moment_s_view(server_store):
    """A run that is forgotten between two questions of one reader would be half there."""
    store, asked, gone = server_store, Event(), Event()
    await store.apply(new_run("R1")[1])

    def look(connection):
        first = connection.execute(sa.text("SELECT id FROM run")).scalars().all()
        asked.set()
        gone.wait(PATIENCE)
        return first, connection.execute(sa.text("SELECT run FROM step")).scalars().all()

    async with anyio.create_task_group() as group:
        found = []

        async def read():
            found.extend(await store.read(look))

        group.start_soon(read)
        await anyio.to_thread.run_sync(asked.wait)
        await store.call(lambda c: [c.execute(sa.text(f"DELETE FROM {name}")) for name in ("step", "run")] and None)
        gone.set()
    runs, steps = found
    assert runs == ["R1"]
    assert set(steps) == {"R1"}
