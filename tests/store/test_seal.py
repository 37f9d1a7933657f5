"""A COMMIT without an answer: what became of it is looked up before anything is done again."""

import sqlite3
import time
from threading import Thread

import anyio
import pytest
import sqlalchemy as sa
from sqlalchemy import event, exc
from store.ground import count, line, new_run, opened, store_at, texts
from store.proxy import line_to

from stackhub.store import exchange
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.committing import Committer
from stackhub.store.compiled import Compiled
from stackhub.store.seal import KEPT, Seal
from stackhub.store.work import Apply, Call


async def kept_once(store):
    """Whether what was applied is there, and once."""
    return await texts(store) == ["once"] and await count(store, t.run) == 1


async def apply_both(store):
    futures = [store.writer.apply(line("once")), store.writer.apply(new_run("R1")[1])]
    with anyio.fail_after(30):
        for future in futures:
            await future, "no conflict with itself"


def put(seal, connection, results):
    said = exchange.begin(connection, Compiled(connection.dialect))
    seal.put(connection, said, results)
    said.finish()


async def ready(store):
    """Have the writer connected, which takes a COMMIT of its own."""
    await store.call(lambda _: None)
    return store


def cutting(engine, *, came_through, meanwhile=lambda: None):
    """Have the next COMMIT fail, done or undone; returns how often that happened."""
    cuts = []

    def cut_off(connection):
        if not cuts:
            cuts.append(1)
            raw = connection.connection.dbapi_connection
            (raw.commit if came_through else raw.rollback)()
            meanwhile()
            raise exc.OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error"))

    event.listen(engine, "commit", cut_off)
    return cuts


@pytest.mark.parametrize("came_through", [True, False])
async def test_a_commit_whose_answer_is_lost_is_looked_for_before_it_is_tried_again(store, came_through):
    cuts = cutting((await ready(store)).engine, came_through=came_through)
    await apply_both(store)
    assert cuts == [1]
    assert await kept_once(store)


@pytest.mark.parametrize("came_through", [True, False])
async def test_so_is_that_of_a_function_and_its_result_comes_back(store, came_through):
    cuts = cutting((await ready(store)).engine, came_through=came_through)
    work = tx.EVENT.sql, dict(line("once").ops[0].row)
    assert await store.call(lambda c: c.execute(*work) and "done") == "done"
    assert cuts == [1]
    assert await texts(store) == ["once"]


async def test_what_another_writer_commits_meanwhile_proves_nothing_about_ours(store, url):
    other = opened(url)

    def commit_too():
        with other.begin() as connection:
            put(Seal(), connection, [])

    cuts = cutting((await ready(store)).engine, came_through=True, meanwhile=commit_too)
    await apply_both(store)
    assert cuts == [1]
    assert await kept_once(store)
    other.dispose()


async def test_what_is_committed_after_giving_up_is_not_taken_for_what_was_given_up(url):
    engine, told = opened(url), []
    committer = Committer(engine, told.extend)
    assert list(committer.carry_out([Call(lambda _: "ready", None)])) == []
    cutting(engine, came_through=True)
    tried = committer.carry_out([Apply(line("given up"), None)])
    next(tried)
    committer.give_up()
    assert list(tried) == []
    assert list(committer.carry_out([Apply(line("next"), None)])) == []
    assert [type(error) for _, error, _ in told[2:]] == [type(None)]
    with engine.connect() as connection:
        assert list(connection.scalars(sa.select(t.event.c.text).order_by(t.event.c.id))) == ["given up", "next"]
    committer.close()
    engine.dispose()


async def test_the_rows_of_writers_long_gone_are_cleared_away(store):
    now = time.time()
    old = {"commit:dead": f"77:{now - KEPT - 60:.0f}", "commit:recent": f"3:{now - 60:.0f}", "commit": "from before:1"}
    rows = [{"key": key, "value": value} for key, value in old.items()]
    await store.call(lambda c: c.execute(tx.META.sql, {"key": "commitment", "value": "kept"}))
    async with store_at(store.engine.url.render_as_string()) as other:
        await store.call(lambda c: c.execute(tx.META.sql, rows) and None)
        await other.apply(line("first"))
        left = set(await store.read(lambda c: list(c.scalars(sa.select(t.meta.c.key)))))
    assert left >= {"commit:recent", "commitment"}
    assert "commit:dead" not in left
    assert len([key for key in left if key.startswith("commit:")]) == 3, "and those of the two that are there"


# --- a server ---


@pytest.mark.postgres
@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_connection_that_is_cut_at_its_commit(postgres, server_url, cut):
    with line_to(postgres) as line_between:
        async with store_at(line_between.by_way_of(server_url)) as store:
            await store.apply(new_run("R0")[1])
            await store.call(lambda c: c.execute(sa.delete(t.run)) and None)
            line_between.cut = cut
            await apply_both(store)
            assert line_between.cuts == 1
            assert await kept_once(store)
            assert store.ailing == ""


SLOW_COMMIT = (
    "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$;"
    "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON event DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW WHEN (NEW.text = 'once') EXECUTE FUNCTION wait()"
)


@pytest.mark.postgres
async def test_a_server_that_is_left_busy_with_a_commit_is_made_to_end_it(postgres, server_url):
    """It believes its client to be there: its locks would be in the way of all that we do again, for hours."""
    name = server_url.partition("/t")[2].partition("?")[0]
    postgres.say(SLOW_COMMIT, f"t{name}")
    with postgres.connected(f"t{name}") as holder:
        holder.execute("SELECT pg_advisory_lock(42)")
        try:
            with line_to(postgres) as line_between:
                async with store_at(line_between.by_way_of(server_url)) as store:
                    await store.apply(line("before"))
                    left = await store.call(lambda c: c.exec_driver_sql("SELECT pg_backend_pid()").scalar())
                    line_between.cut = "during"
                    future = store.writer.apply(line("once"))
                    try:
                        with anyio.fail_after(30):
                            while (waits := holder.execute(WAITING).fetchone()) is None or waits == (left,):
                                await anyio.sleep(0.01)
                    finally:
                        holder.execute("SELECT pg_advisory_unlock(42)")
                    await future
                    assert line_between.cuts == 1
                    assert await texts(store) == ["before", "once"]
        finally:
            postgres.say("DROP TRIGGER slow ON event; DROP FUNCTION wait", f"t{name}")


WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory' AND query ILIKE 'commit%'"
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT%'"


@pytest.mark.postgres
def test_reading_back_waits_for_a_commit_that_is_still_under_way(postgres, server_url):
    engine, seal, found = opened(server_url), Seal(), []
    busy = engine.connect()
    transaction = busy.begin()
    put(seal, busy, ["result"])

    def read_back():
        with engine.connect() as connection:
            found.append(seal.kept(connection))

    reading = Thread(target=read_back)
    reading.start()
    while not postgres.say(BLOCKED)[0][0]:
        assert reading.is_alive()
    transaction.commit()
    reading.join(30)
    busy.close()
    engine.dispose()
    assert found == [["result"]]
