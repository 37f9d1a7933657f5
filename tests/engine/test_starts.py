"""Starts that fail, that have no answer, that were asked to wait; and what a bug in a connector costs."""

from datetime import timedelta

import anyio
import pytest
import sqlalchemy as sa
from engine.far_end import Lost, Say, Stuck
from engine.house import House

from stackhub.contract import (
    Absent,
    ConfigError,
    Rejected,
    Unavailable,
    Unclear,
    Unsure,
)
from stackhub.store import tables as t


def one(house, operation, more="") -> House:
    return house.instances("tap").pipeline(
        f"pipeline: one\ntasks: {{load: {{uses: tap.{operation}, with: {{connection: orders}}{more}}}}}\n"
    )


@pytest.fixture
def sync(house):
    return one(house, "sync")


def starts(house, what=None):
    return [call.at for call in house["tap"].calls if call.verb == "start" and what in (None, call.what)]


# --- nothing happened there ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["prepare", "start"])
async def test_what_did_not_get_through_is_tried_again_without_using_up_a_try(house, verb):
    one(house, "sync", ", retries: {attempts: 1}")
    house["tap"].will(verb, Unavailable("no route"), Unavailable("no route"))
    async with house.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"))
    assert (ended.steps["load"].state, ended.steps["load"].attempt) == ("succeeded", 1)
    assert house["tap"].count(verb) == 3
    assert len(house["tap"].jobs) == 1


async def test_a_refusal_of_a_start_ends_the_step(sync):
    sync["tap"].will("start", Rejected("paused: unpause it first"))
    async with sync.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"))
    assert ended.steps["load"].state == "failed"
    assert ended.steps["load"].error == "paused: unpause it first"
    assert sync["tap"].count("start") == 1


async def test_no_call_is_made_before_the_vendors_patience_has_ended(sync):
    sync["tap"].will("prepare", Unavailable("429", retry_after=timedelta(seconds=90)))
    async with sync.hub() as hub:
        await hub.ended(await hub.trigger("one"))
    first, second, *_ = [call.at for call in sync["tap"].calls]
    assert second - first >= timedelta(seconds=90)


async def test_nor_by_the_hub_that_comes_after_one_that_died(sync):
    sync["tap"].will("prepare", Unavailable("429", retry_after=timedelta(seconds=90)))
    async with sync.killed() as hub:
        run = await hub.trigger("one")
        await hub.now_until(lambda: hub.step(run, "load").stalls == 1)
    sync.clock.pass_time(timedelta(seconds=10))
    async with sync.hub() as hub:
        await hub.pass_time(timedelta(seconds=70))
        assert len(sync["tap"].calls) == 1
        await hub.ended(run)
    first, second, *_ = [call.at for call in sync["tap"].calls]
    assert timedelta(seconds=90) <= second - first < timedelta(seconds=120)


async def test_patience_asked_for_by_one_answer_holds_for_every_step_of_the_account(house):
    house.instances("tap").pipeline(
        """
        pipeline: many
        tasks:
          a: {uses: tap.sync, with: {connection: a}}
          b: {uses: tap.sync, with: {connection: b}}
        """
    )
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("many")
        await hub.until(lambda: len(hub["tap"].running()) == 2)
        house["tap"].will("poll", Unavailable("429", retry_after=timedelta(minutes=5)))
        seen = house["tap"].count("poll")
        await hub.until(lambda: house["tap"].count("poll") == seen + 1)
        await hub.rest()
        await hub.pass_time(timedelta(minutes=4))
        assert house["tap"].count("poll") == seen + 1
        house["tap"].hold = False
        assert (await hub.ended(run)).run.state == "succeeded"


# --- it may have happened --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["sync", "marked", "hasty"])
async def test_a_start_whose_answer_was_lost_is_found_and_not_repeated(house, operation):
    one(house, operation)
    house["tap"].will("start", Lost())
    async with house.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"))
    assert ended.run.state == "succeeded"
    assert len(house["tap"].jobs) == 1
    assert house["tap"].count("start") == 1


async def test_absence_is_believed_only_after_settle(sync):
    sync["tap"].will("start", Unsure("cut"))
    async with sync.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"))
    first, second = starts(sync)
    assert second - first >= timedelta(seconds=5 + 10)  # of the call, and of settling
    assert ended.run.state == "succeeded"
    assert sync["tap"].count("find") >= 2


async def test_a_job_that_shows_up_before_settle_is_believed_at_once(sync):
    sync["tap"].will("start", Unsure("cut"))
    sync["tap"].will("find", Absent())
    async with sync.hub() as hub:
        run = await hub.trigger("one")
        await hub.until(lambda: hub["tap"].count("find") == 1)
        sync["tap"].begin("orders", "late")
        ended = await hub.ended(run)
    assert ended.run.state == "succeeded"
    assert len(starts(sync)) == 1


async def test_a_look_that_cannot_tell_is_repeated_when_it_says(sync):
    sync["tap"].will("start", Lost())
    sync["tap"].will("find", Say(Unclear(look_again=timedelta(seconds=40), note="the list is cut")))
    async with sync.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"))
    first, second = [call.at for call in sync["tap"].calls if call.verb == "find"]
    assert second - first >= timedelta(seconds=40)
    assert ended.run.state == "succeeded"


async def test_a_look_that_never_tells_is_a_job_that_may_have_run(house):
    one(house, "sync", ", timeout: 5m")
    house["tap"].will("start", Lost())
    house["tap"].will("find", *[Say(Unclear(look_again=timedelta(seconds=60)))] * 50)
    async with house.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"), step=timedelta(seconds=5))
    assert ended.steps["load"].may_have_run
    assert ended.steps["load"].state == "failed"
    assert len(house["tap"].jobs) == 1


async def test_a_blind_start_is_never_repeated(house):
    one(house, "blind").instances("bell")
    house["tap"].will("start", Unsure("cut"))
    async with house.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"))
        await hub.told()
        (incident,) = await hub.incidents()
    step = ended.steps["load"]
    assert step.state == "failed"
    assert step.may_have_run
    assert len(starts(house)) == 1
    assert "It may have run: look there first" in next(iter(incident.facets.values())).summary


async def test_a_call_without_an_answer_in_its_time_is_looked_for(house):
    one(house, "hasty")
    house["tap"].will("start", Stuck())
    async with house.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"))
    assert ended.run.state == "succeeded"
    assert house["tap"].count("find") >= 1


async def test_a_start_cut_by_a_death_is_looked_for_at_once_by_the_next_hub(sync):
    stuck = sync["tap"].will("start", Stuck())
    async with sync.killed() as hub:
        run = await hub.trigger("one")
        await hub.until(stuck.reached.is_set)
    sync["tap"].begin("orders", "it got through")
    async with sync.hub() as hub:
        ended = await hub.ended(run)
    assert ended.run.state == "succeeded"
    assert len(starts(sync)) == 1
    assert len(sync["tap"].jobs) == 1


async def test_a_hub_that_leaves_waits_for_the_answer_to_a_start(house):
    import anyio

    one(house, "blind")
    stuck = house["tap"].will("start", Stuck())
    async with house.store() as store:
        async with anyio.create_task_group() as group, house.hub(store=store) as hub:
            run = await hub.trigger("one")
            await hub.until(stuck.reached.is_set)
            group.start_soon(_later, stuck.go)
        async with house.hub(store=store) as hub:
            ended = await hub.ended(run)
    assert ended.run.state == "succeeded"
    assert not ended.steps["load"].may_have_run


async def _later(event):
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    event.set()


# --- a lane that is not ours any more ---------------------------------------------------------------------------------


async def test_what_a_lost_lane_holds_is_dropped_and_nothing_more_is_called(sync):
    sync["tap"].hold = True
    async with sync.hub() as hub:
        run = await hub.trigger("one")
        await hub.until(hub["tap"].running)
        await hub.at(run, "load", "running")
        await hub.store.call(lambda connection: connection.execute(sa.update(t.lane).values(epoch=99)))
        sync["tap"].end("orders")
        await hub.until(lambda: hub.engine.lanes.open["tap"].gate.lost)
        calls = len(sync["tap"].calls)
        await hub.pass_time(timedelta(minutes=5))
        assert len(sync["tap"].calls) == calls
        assert hub.step(run, "load").state == "running"
        hub.engine.beat = hub.house.clock.now()
        assert "is lost" in hub.engine.unready()
    async with sync.hub() as hub:
        assert (await hub.ended(run)).run.state == "succeeded"


async def test_configuration_errors_of_a_call_stall_its_step(sync):
    sync["tap"].will("start", ConfigError("401"))
    async with sync.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"))
    assert ended.run.state == "succeeded"
    assert len(starts(sync)) == 2


# --- calls that must not be made any more ----------------------------------------------------------------------------


async def test_a_hub_that_leaves_starts_nothing_more_while_it_waits_for_answers(house):
    one(house, "sync").write("tap.env", "TAP_RATE=1\nTAP_BURST=2\n")
    house.pipeline("pipeline: two\ntasks: {load: {uses: tap.sync, with: {connection: second}}}\n")
    house["tap"].gated = True
    stuck = house["tap"].will("start", Stuck())
    async with house.store() as store:
        async with anyio.create_task_group() as group, house.hub(store=store) as hub:
            await hub.trigger("one")
            await hub.until(stuck.reached.is_set)
            second = await hub.trigger("two")
            lane = hub.engine.lanes.open["tap"]
            await hub.until(lane.gate._queue.locked, step=timedelta())
            hub.engine.lanes.stop_claiming()
            house.clock.pass_time(timedelta(seconds=10))
            await hub.rest(20)
            group.start_soon(_later, stuck.go)
        assert house["tap"].count("start") == 1
        async with house.hub(store=store) as hub:
            assert (await hub.ended(second)).run.state == "succeeded"


class Slow:
    """A store whose commits of an intent take a minute."""

    def __init__(self, store, clock):
        self._store, self._clock = store, clock
        self.engine, self.writer, self.read, self.call = store.engine, store.writer, store.read, store.call
        self.alone, self.name = store.alone, store.name
        self.slow = 1

    async def apply(self, transaction):
        await self._store.apply(transaction)
        if self.slow and any('"starting"' in str(op.row.get("n_data")) for op in transaction.ops):
            self.slow -= 1
            self._clock.pass_time(timedelta(minutes=1))


async def test_an_intent_that_was_kept_too_late_is_not_acted_on(sync):
    async with sync.store() as store, sync.hub(store=Slow(store, sync.clock)) as hub:
        began = sync.clock.now()
        ended = await hub.ended(await hub.trigger("one"))
    (start,) = starts(sync)
    assert start - began >= timedelta(seconds=65), "a minute, and the wait after a start that could not be made"
    assert ended.run.state == "succeeded"
    assert ended.steps["load"].attempt == 1


# --- after a death ---------------------------------------------------------------------------------------------------


async def test_the_next_hub_believes_absence_once_settled_since_the_death(sync):
    stuck = sync["tap"].will("start", Stuck())
    async with sync.killed() as hub:
        run = await hub.trigger("one")
        await hub.until(stuck.reached.is_set)
    began = sync.clock.now()
    async with sync.hub() as hub:
        await hub.now_until(lambda: sync["tap"].count("find") == 1)
        await hub.ended(run)
    second = starts(sync)[-1]
    assert timedelta(seconds=10) <= second - began < timedelta(seconds=12), "of settling; the call died with its hub"


async def test_the_next_hub_asks_at_once_after_what_runs(house):
    one(house, "sync").write("tap.env", "TAP_LOOK=1000\nTAP_FIRST_LOOK=1000\n")
    house["tap"].hold = True
    async with house.killed() as hub:
        run = await hub.trigger("one")
        await hub.at(run, "load", "running")
    house["tap"].end("orders")
    async with house.hub() as hub:
        await hub.now_until(lambda: hub.engine.board.get(run) is None)
