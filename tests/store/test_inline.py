"""The writer without a thread keeps the same promises as the one with it."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest
import sqlalchemy as sa
from store.ground import SOON, count, line, locked, new_run, opened, texts, until

from stackhub.errors import StaleRun, StoreUnavailable
from stackhub.store import tables as t
from stackhub.store.inline import InlineWriter
from stackhub.store.readers import Readers
from stackhub.store.rows import run_moved
from stackhub.store.store import Store, open_store
from stackhub.store.transaction import Transaction

pytestmark = pytest.mark.anyio


class Cut(BaseException):
    """The process is gone."""


@asynccontextmanager
async def inline_at(path, **more):
    engine = opened(f"sqlite:///{path}")
    writer = InlineWriter(engine, asyncio.get_running_loop(), mark="mark", again=SOON, **more)
    yield Store(engine, writer, Readers(engine, again=SOON))
    writer.close()
    engine.dispose()


async def test_what_is_queued_in_one_turn_is_one_commit(tmp_path):
    async with inline_at(tmp_path / "hub.db") as store:
        futures = [store.writer.apply(line(str(nth))) for nth in range(600)]
        await asyncio.gather(*futures)
        assert store.writer.commits == 2, "512 at most, and the rest"
        assert await texts(store) == [str(nth) for nth in range(600)]


async def test_a_conflict_fails_only_its_own_transaction(tmp_path):
    async with inline_at(tmp_path / "hub.db") as store:
        made, transaction = new_run("R1")
        await store.apply(transaction)
        futures = [
            store.writer.apply(line("before")),
            store.writer.apply(line("never").add(run_moved(made.run, was=7))),
        ]
        futures.append(store.writer.apply(line("after")))
        found = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(one) for one in found] == [type(None), StaleRun, type(None)]
        assert (await texts(store))[-2:] == ["before", "after"]
        assert "never" not in await texts(store)


async def test_calls_keep_their_place_among_transactions(tmp_path):
    async with inline_at(tmp_path / "hub.db") as store:
        counted = sa.select(sa.func.count()).select_from(t.event)
        futures = [store.writer.apply(line("1")), store.writer.call(lambda c: c.scalar(counted))]
        futures.append(store.writer.apply(line("2")))
        assert (await asyncio.gather(*futures))[1] == 1
        assert await count(store, t.event) == 2


async def test_a_database_that_is_away_is_waited_for(tmp_path):
    async with inline_at(tmp_path / "hub.db") as store:
        other = locked(tmp_path / "hub.db")
        futures = [store.writer.apply(line(str(nth))) for nth in range(3)]
        await until(lambda: store.writer.ailing)
        futures.append(store.writer.apply(line("3")))
        assert not any(future.done() for future in futures)
        other.execute("ROLLBACK")
        await asyncio.gather(*futures)
        assert store.writer.ailing == ""
        assert await texts(store) == ["0", "1", "2", "3"]


async def test_closing_while_the_database_is_away_tells_everyone(tmp_path):
    async with inline_at(tmp_path / "hub.db") as store:
        other = locked(tmp_path / "hub.db")
        futures = [store.writer.apply(line("0"))]
        await until(lambda: store.writer.ailing)
        futures.append(store.writer.apply(line("1")))
        store.writer.close()
        futures.append(store.writer.apply(line("2")))
        found = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(one) for one in found] == [StoreUnavailable] * 3
        other.execute("ROLLBACK")


@pytest.mark.parametrize(("where", "kept"), [("before COMMIT", 0), ("after COMMIT", 1)])
async def test_a_death_around_a_commit_leaves_nobody_told(tmp_path, where, kept):
    def point(at):
        if at == where:
            raise Cut

    heard = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context))
    async with inline_at(tmp_path / "hub.db", point=point) as store:
        future = store.writer.apply(line("1"))
        await until(lambda: heard)
        assert not future.done()
        assert await count(store, t.event) == kept
        future.cancel()


async def test_a_store_opened_with_it_has_no_thread(tmp_path):
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    async with open_store(url, tmp_path, written_by="test", writer=partial(InlineWriter, mark="m")) as store:
        await store.apply(line("here"))
        assert await texts(store) == ["here"]
        query = sa.select(t.meta.c.value).where(t.meta.c.key == "commit:m")
        assert await store.read(lambda connection: connection.scalar(query)) == "1:0", "no randomness, no clock"
        assert await store.call(lambda _: 7) == 7
        await store.apply(Transaction())
