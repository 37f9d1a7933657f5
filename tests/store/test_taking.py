"""What triggers have taken, on each kind of database: of two who take the same, one does."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

import anyio
import pytest
from decide.worlds import T0, pipeline, task

from stackhub.contract import Connection, File, Health, Relation
from stackhub.engine.hooks import _run_of
from stackhub.engine.retention import forget_hooks
from stackhub.errors import StaleRun
from stackhub.model.landing import Landing
from stackhub.model.pipeline import Files, Landed, Schedule, Watched
from stackhub.store import configure, connections, filed, watermarks
from stackhub.store import transaction as tx
from stackhub.store.rows import landed
from stackhub.store.tables import micros
from stackhub.store.transaction import Op, Transaction
from stackhub.store.waiting import WAIT, waiting

ORDERS, STRIPE = (Watched(instance="tap", connection=name) for name in ("orders", "stripe"))
BOTH = Landed(connections=(ORDERS, STRIPE))
SPEC = watermarks.spec(BOTH)
INBOX = Files(url="in/*")
DAILY = Schedule(cron="0 6 * * *", require=(ORDERS,))


async def put_in_force(store, *pipelines):
    named = {one.name: one for one in pipelines}
    await store.call(lambda connection: configure.apply(connection, named, T0))


def shop(*landed, **more):
    return replace(pipeline(task("orders")), landed=landed, **more)


def landing(number, connection="c1"):
    return Landing(connection=connection, mark=f"m{number}", ended_at=T0 + timedelta(minutes=number))


async def marks(store, trigger=SPEC):
    return (await store.read(watermarks.marks)).get(("shop", trigger), [])


async def keep(store, *ops):
    await store.apply(Transaction().add(*ops))


async def test_a_mark_is_put_in_force_once_and_shows_what_is_newest(store):
    await put_in_force(store, shop(BOTH))
    assert [(str(mark), mark.connection, mark.news) for mark in await marks(store)] == [
        ("tap:orders", None, False),
        ("tap:stripe", None, False),
    ]
    await keep(store, landed("tap", landing(1), None, T0), watermarks.based("tap", "orders", "c1", landing(1)))
    await keep(store, watermarks.based("tap", "orders", "c9", None))
    orders, stripe = await marks(store)
    assert (orders.connection, orders.mark, orders.news, stripe.connection) == ("c1", "m1", False, None)
    for number in (3, 2):  # as vendors say, not in the order in which they were seen
        await keep(store, landed("tap", landing(number), None, T0))
    orders, _ = await marks(store)
    assert (orders.newest, orders.news) == (landing(3), True)


async def test_of_two_who_take_the_same_landings_one_does(store):
    await put_in_force(store, shop(BOTH))
    for name, connection in (("orders", "c1"), ("stripe", "c2")):
        await keep(store, watermarks.based("tap", name, connection, None))
        await keep(store, landed("tap", landing(1, connection), None, T0))
    news = await marks(store)
    won = []

    async def take(run):
        try:
            await keep(store, *watermarks.taken("shop", SPEC, news, run))
        except StaleRun:
            return
        won.append(run)

    async with anyio.create_task_group() as group:
        for run in ("R1", "R2", "R3"):
            group.start_soon(take, run)
    assert len(won) == 1
    assert not any(mark.news for mark in await marks(store))


async def test_what_a_run_of_its_own_has_brought_is_no_news_and_an_older_one_takes_nothing_back(store):
    await put_in_force(store, shop(BOTH))
    await keep(store, watermarks.based("tap", "orders", "c1", None))
    await keep(store, landed("tap", landing(5), "R1", T0), watermarks.own("shop", "tap", landing(5), "R1"))
    await keep(store, watermarks.own("shop", "tap", landing(4), "R0"), watermarks.own("else", "tap", landing(9), "R9"))
    orders, _ = await marks(store)
    assert (orders.mark, orders.news) == ("m5", False)


async def test_a_name_that_means_another_connection_begins_anew(store):
    await put_in_force(store, shop(BOTH))
    await keep(store, watermarks.based("tap", "orders", "c1", landing(5)), landed("tap", landing(1, "new"), None, T0))
    await keep(store, watermarks.moved("tap", "orders", "new", "c1"))
    orders, _ = await marks(store)
    assert (orders.connection, orders.news) == ("new", True)


async def test_a_reworded_trigger_and_a_requirement_go_on_from_what_was_taken(store):
    await put_in_force(store, shop(BOTH))
    await keep(store, watermarks.based("tap", "orders", "c1", landing(5)))
    await put_in_force(store, shop(Landed(connections=(ORDERS,)), schedules=(DAILY,)))
    found = await store.read(watermarks.marks)
    assert {trigger: [(mark.connection, mark.mark) for mark in group] for (_, trigger), group in found.items()} == {
        watermarks.spec(Landed(connections=(ORDERS,))): [("c1", "m5")],
        watermarks.spec(DAILY): [("c1", "m5")],
    }
    await put_in_force(store)
    assert await store.read(watermarks.marks) == {}


async def test_what_accounts_hold_is_kept_changed_and_forgotten(store):
    one = Connection(id="c1", name="orders", health=Health.OK, relations=(Relation("db", "shop", "orders"),))
    other = Connection(id="c2", name="stripe", health=Health.PAUSED, last=landing(1, "c2"))
    before = {}
    for after in ({"c1": one, "c2": other}, {"c1": replace(one, last=landing(2)), "c2": other}, {"c2": other}):
        await keep(store, *connections.seen("tap", before, after, T0))
        assert (await store.read(connections.connections))["tap"] == after
        assert connections.seen("tap", after, after, T0) == []
        before = after
    assert await store.read(connections.accounts) == {"tap"}
    await store.call(partial(connections.forget, instances={"tap"}))
    assert await store.read(connections.connections) == {}


async def test_of_two_who_take_the_same_files_one_does(store):
    await put_in_force(store, shop(files=(INBOX,)))
    trigger = filed.spec(INBOX)
    await keep(store, *filed.take("shop", trigger, None, [File(path="old", mark="1")], ()))
    won = 0
    for run in ("R1", "R2"):
        try:
            await keep(store, *filed.take("shop", trigger, "0", [File(path="new", mark="1")], ["old"], run))
        except StaleRun:
            continue
        won += 1
    assert won == 1
    assert await store.read(partial(filed.taken, pipeline="shop", trigger=trigger)) == {"": "1", "new": "1"}
    await put_in_force(store, shop())
    assert await store.read(partial(filed.taken, pipeline="shop", trigger=trigger)) == {}


async def test_a_request_is_kept_once_and_for_a_while(store):
    row = {"pipeline": "shop", "id": "msg", "run": "R1", "at": micros(T0)}
    await keep(store, Op(tx.HOOK, row))
    with pytest.raises(StaleRun):
        await keep(store, Op(tx.HOOK, {**row, "run": "R2"}))
    assert await store.read(partial(_run_of, pipeline="shop", id_="msg")) == "R1"
    await store.call(partial(forget_hooks, before=T0 + timedelta(seconds=1)))
    assert await store.read(partial(_run_of, pipeline="shop", id_="msg")) == ""


async def test_a_tick_that_waits_is_decided_once(store):
    await put_in_force(store, shop(schedules=(DAILY,)))
    row = {"pipeline": "shop", "spec": watermarks.spec(DAILY), "label": "", "verdict": WAIT, "reason": "", "run": None}
    await keep(store, Op(tx.TICK, {**row, "at": micros(T0), "start": micros(T0), "until": micros(T0)}))
    (one,) = await store.read(waiting)
    assert (one.schedule, one.until) == (DAILY, T0)
    await keep(store, one.noted("waits", None))
    (one,) = await store.read(waiting)
    assert (one.reason, one.until) == ("waits", None)
    await keep(store, one.decided("run", "landed", "R1"))
    with pytest.raises(StaleRun):
        await keep(store, one.decided("skip", "too late"))
    assert await store.read(waiting) == []
