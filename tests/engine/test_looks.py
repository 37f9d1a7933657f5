"""A lane asks after its jobs as their history says, and learns from each end."""

from datetime import timedelta

import pytest
from engine.far_end import OK
from engine.house import NOON

from stackhub.model.codec import dump
from stackhub.store import queries
from stackhub.store import transaction as tx
from stackhub.store.tables import micros
from stackhub.store.transaction import Op, Transaction

ENV = "TAP_LOOK=15\nTAP_FIRST_LOOK=10\nTAP_LONGEST=60\n"
SHOP = "pipeline: shop\ntasks:\n  orders: {uses: tap.sync, with: {connection: c1}}\n"
SECOND = timedelta(seconds=1)


@pytest.fixture
def shop(house):
    return house.write("tap.env", ENV).pipeline(SHOP)


async def life_of_a_job(hub, lasts):
    """Run the pipeline, its job ending after so many seconds; return when it was asked after, and how late it was seen."""
    house = hub.house
    account, asked = house["tap"], house["tap"].count("poll")
    account.hold = True
    began, run = house.clock.now(), await hub.trigger("shop")
    await hub.at(run, "orders", "running", step=timedelta())
    ends = began + timedelta(seconds=lasts)
    await hub.until(lambda: house.clock.now() >= ends, step=SECOND)
    account.hold = False
    account.jobs[-1].end = OK
    ended = (await hub.ended(run, step=SECOND)).run.ended_at
    polls = [(call.at - began).total_seconds() for call in account.calls if call.verb == "poll"][asked:]
    return polls, (ended - ends).total_seconds()


def gaps(polls):
    return [later - earlier for earlier, later in zip([0.0, *polls], polls, strict=False)]


async def remember(store, *lasted):
    row = {"instance": "tap", "key": "job:sync:c1", "ended_at": micros(NOON), "data": dump(list(lasted))}
    await store.apply(Transaction().add(Op(tx.DURATION, row)))


async def durations(hub):
    return await hub.store.read(lambda connection: queries.durations(connection, "tap"))


async def test_without_history_a_job_is_looked_at_early_and_then_evenly(shop):
    async with shop.hub() as hub:
        polls, _ = await life_of_a_job(hub, 100)
    assert gaps(polls)[0] <= 10 + 2
    assert all(gap <= 15 + 2 for gap in gaps(polls))


async def test_with_history_looks_are_few_early_and_many_when_the_end_is_near(shop):
    async with shop.store() as store:
        await remember(store, *(298.0 + at * 3 % 5 for at in range(24)))
        async with shop.hub(store=store) as hub:
            polls, late = await life_of_a_job(hub, 300)
    assert len([at for at in polls if at < 240]) <= 10, "sixteen, were they even"
    assert late <= 6
    assert all(gap <= 60 + 2 for gap in gaps(polls))


async def test_what_was_learnt_outlives_the_hub(shop):
    async with shop.hub() as hub:
        for _ in range(6):
            await life_of_a_job(hub, 100)
        before = await durations(hub)
    async with shop.hub() as hub:
        polls, _ = await life_of_a_job(hub, 100)
        after = await durations(hub)
    assert len(before["job:sync:c1"]) == 6
    assert after["job:sync:c1"][:6] == before["job:sync:c1"]
    assert all(lasted == pytest.approx(100, abs=20) for lasted in after["task:shop/orders"])
    assert max(gaps(polls)) > 17


async def test_a_job_that_somebody_else_had_begun_teaches_nothing_about_how_long_it_takes(shop):
    account = shop["tap"]
    account.hold = True
    async with shop.hub() as hub:
        account.begin("c1", "somebody's")
        run = await hub.trigger("shop")
        await hub.at(run, "orders", "running")
        account.hold = False
        await hub.ended(run)
        known = await durations(hub)
    assert "job:sync:c1" not in known
    assert shop.clock.now() > NOON


async def test_a_job_that_somebody_else_had_begun_is_looked_at_evenly_whatever_is_known_of_its_kind(shop):
    account = shop["tap"]
    account.hold = True
    async with shop.store() as store:
        await remember(store, *[300.0] * 9)
        async with shop.hub(store=store) as hub:
            account.begin("c1", "somebody's")
            run = await hub.trigger("shop")
            await hub.at(run, "orders", "running", step=timedelta())
            before = account.count("poll")
            await hub.pass_time(timedelta(seconds=120), step=SECOND)
            assert account.count("poll") - before >= 7
            assert hub.step(run, "orders").joined


async def test_a_webhook_wakes_the_lane_however_long_it_would_have_waited(shop):
    async with shop.store() as store, shop.hub(store=store) as hub:
        await remember(store, *[300.0] * 9)
        await hub.engine.lanes.open["tap"].lane.looks.durations.load("tap")
        shop["tap"].hold = True
        run = await hub.trigger("shop")
        await hub.at(run, "orders", "running", step=timedelta())
        shop["tap"].hold = False
        shop["tap"].jobs[-1].end = OK
        before = shop.clock.now()
        hub.engine.lanes.open["tap"].lane.look_now()
        assert (await hub.ended(run, step=timedelta())).run.ended_at == before
