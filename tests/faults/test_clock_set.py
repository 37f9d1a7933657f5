"""A wall clock that somebody sets: nothing waits longer for it, nothing is over at once because of it."""

from datetime import timedelta

import pytest
from engine.far_end import BROKEN, FAILED, Lost
from engine.house import NOON

from stackhub.contract import Deferred, Unavailable, Unsure
from stackhub.model.run import RunState

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BACK, FORWARD = -HOUR, DAY
SECOND = timedelta(seconds=1)
ONE = """
pipeline: one
tasks:
  load: {{uses: tap.{operation}, with: {{connection: orders}}, timeout: 30m, {retries}}}
"""


def one(house, *notifiers, operation="sync", retries="retries: {attempts: 1}"):
    house.thorough = True
    return house.instances("tap", *notifiers).pipeline(ONE.format(operation=operation, retries=retries))


async def set_by(hub, by) -> None:
    """Set the wall clock alone, and wait until that has been noticed."""
    now = hub.house.clock.now() + by
    hub.house.clock.set_wall(now)
    await hub.now_until(lambda: hub.engine.clock.now() == now)
    await hub.rest()


def steadily(hub):
    """Return a function that says how long it has been, whatever the wall clock was set to."""
    began = hub.house.clock.since_boot()
    return lambda: timedelta(seconds=hub.house.clock.since_boot() - began)


@pytest.mark.parametrize("by", [BACK, FORWARD])
async def test_a_wait_before_another_try_is_as_long_as_it_was(house, by):
    one(house, retries="retries: {attempts: 2, wait: 10m}")
    house["tap"].outcomes["orders"].append(BROKEN)
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.at(run, "load", "retrying")
        waited = steadily(hub)
        await set_by(hub, by)
        done = await hub.ended(run, step=SECOND * 5)
        assert timedelta(minutes=9) < waited() < timedelta(minutes=13)
        assert done.run.state is RunState.SUCCEEDED


@pytest.mark.parametrize("by", [BACK, FORWARD])
async def test_a_job_has_its_whole_timeout_and_no_more(house, by):
    one(house)
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.at(run, "load", "running")
        waited = steadily(hub)
        await set_by(hub, by)
        await hub.pass_time(timedelta(minutes=20), step=SECOND * 20)
        assert house["tap"].job("orders").cancelled == 0
        await hub.until(lambda: house["tap"].job("orders").cancelled, step=SECOND * 5)
        assert timedelta(minutes=29) < waited() < timedelta(minutes=32)


@pytest.mark.parametrize("by", [BACK, FORWARD])
async def test_a_start_without_an_answer_is_settled_in_its_time(house, by):
    one(house, operation="marked")
    house["tap"].will("start", Unsure("cut"))
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.until(lambda: house["tap"].count("find"))
        waited = steadily(hub)
        await set_by(hub, by)
        await hub.ended(run)
        assert house["tap"].count("start") == 2
        assert timedelta(seconds=5) < waited() < timedelta(minutes=1)


@pytest.mark.parametrize("by", [BACK, FORWARD])
async def test_an_account_is_left_alone_for_as_long_as_it_asked(house, by):
    one(house)
    house["tap"].will("start", Unavailable("429", retry_after=timedelta(minutes=5)))
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.until(lambda: house["tap"].count("start") == 1)
        await hub.rest()
        waited = steadily(hub)
        await set_by(hub, by)
        await hub.ended(run, step=SECOND * 2)
        assert timedelta(minutes=5) <= waited() < timedelta(minutes=7)


@pytest.mark.parametrize("by", [BACK, FORWARD])
async def test_an_account_that_was_down_is_tried_again_in_its_time(house, by):
    one(house)
    house["tap"].broken = Unavailable("503")
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.until(lambda: hub.engine.lanes.open["tap"].health.circuit.open, step=SECOND * 2)
        await set_by(hub, by)
        house["tap"].broken = None
        waited = steadily(hub)
        await hub.ended(run, step=SECOND * 2)
        assert waited() < timedelta(minutes=8)


@pytest.mark.parametrize("by", [BACK, FORWARD])
async def test_a_message_waits_no_longer_and_is_not_given_up(house, by):
    one(house, "bell")
    house["tap"].outcomes["orders"].append(FAILED)
    house["bell"].will("deliver", *[Unavailable("503")] * 5)
    async with house.hub() as hub:
        await hub.ended(await hub.trigger("one"))
        await hub.until(lambda: house["bell"].count("deliver") == 4, step=SECOND)
        waited = steadily(hub)
        await set_by(hub, by)
        await hub.until(lambda: house["bell"].order, step=SECOND)
        assert waited() < timedelta(minutes=3)
        await hub.told()
        (message,) = await hub.messages()
        assert message.state == "sent"


async def test_a_time_that_the_vendor_named_stays_what_it_is(house):
    one(house)
    house["tap"].hold = True
    at = NOON + timedelta(hours=3)
    house["tap"].pending["orders"].append(Deferred(until=at, must_start_again=False))
    house["tap"].pending["orders"].extend([Deferred(until=at, must_start_again=False)] * 3)
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.at(run, "load", "deferred")
        await set_by(hub, BACK)
        assert hub.step(run, "load").due == at


async def test_what_a_dead_hub_kept_waits_no_longer_for_a_clock_set_back_since(house):
    one(house, "bell", retries="retries: {attempts: 2, wait: 10m}")
    house.pipeline("pipeline: other\ntasks: {load: {uses: tap.sync, with: {connection: x}, retries: {attempts: 1}}}\n")
    house["tap"].outcomes["orders"].append(BROKEN)
    house["tap"].outcomes["x"].append(FAILED)
    house["bell"].will("deliver", *[Unavailable("503")] * 7)
    async with house.killed() as hub:
        await hub.ended(await hub.trigger("other"))
        await hub.until(lambda: house["bell"].count("deliver") == 7, step=SECOND)
        run = await hub.trigger("one")
        await hub.at(run, "load", "retrying")
        house["tap"].will("prepare", Unavailable("429", retry_after=timedelta(minutes=3)))
        await hub.trigger("other")
        await hub.until(lambda: hub.engine.lanes.open["tap"].gate.rest() > timedelta())
        await hub.rest()
    house.clock.set_wall(house.clock.now() - 5 * HOUR)
    async with house.hub() as hub:
        waited = steadily(hub)
        calls = house["tap"].count("start")
        await hub.until(lambda: house["tap"].count("start") > calls, step=SECOND)
        assert timedelta(minutes=2) < waited() <= timedelta(minutes=5), "the account's patience"
        await hub.until(lambda: house["bell"].order, step=SECOND)
        assert waited() < timedelta(minutes=7)
        assert (await hub.ended(run, step=SECOND * 5)).run.state is RunState.SUCCEEDED
        assert waited() < timedelta(minutes=13)


async def test_a_start_cut_by_a_death_is_still_looked_for_after_the_clock_was_set_back(house):
    one(house, operation="marked")
    house["tap"].will("start", Lost(Unsure("cut")))
    house["tap"].will("find", *[Unavailable("503")] * 3)
    async with house.killed() as hub:
        run = await hub.trigger("one")
        await hub.until(lambda: house["tap"].count("find") == 1)
    house.clock.set_wall(house.clock.now() - HOUR)
    async with house.hub() as hub:
        assert (await hub.ended(run)).run.state is RunState.SUCCEEDED
    assert house["tap"].count("start") == 1


async def test_it_is_said_once_and_ready_stays_ready(house, logged):
    one(house, "bell")
    async with house.hub() as hub:
        await hub.rest()
        await set_by(hub, FORWARD)
        assert hub.engine.unready() == ""
        await set_by(hub, -FORWARD)
        assert hub.engine.unready() == ""
        await hub.pass_time(timedelta(minutes=1))
    said = [one["by"] for one in logged if one["event"] == "the clock was set"]
    assert said == ["1 day, 0:00:00", "-1 day, 0:00:00"]
