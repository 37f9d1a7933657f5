"""An attempt that takes too long, and jobs that their vendor puts off."""

from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from engine.house import NOON

from stackhub.contract import Deferred, Finished, Landing, Missing, Outcome, Pending, Rejected, Unavailable, Unknown
from stackhub.decide import create
from stackhub.decide.step import Heard, Verb
from stackhub.engine.keeper import node_rows
from stackhub.model.node import Node, NodeState
from stackhub.model.pipeline import Pipeline, Task
from stackhub.model.run import Interval, Trigger
from stackhub.store import queries

STRIDE = timedelta(seconds=5)


def one(house, more="", operation="sync"):
    return house.instances("tap").pipeline(
        f"pipeline: one\ntasks: {{load: {{uses: tap.{operation}, with: {{connection: orders}}, {more}}}}}\n"
    )


@asynccontextmanager
async def under_way(house):
    """A run whose job goes on until it is told to end."""
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.until(hub["tap"].running)
        yield hub, run


async def lose_sight(hub, run):
    """Let the vendor say of the job what makes no sense."""
    hub["tap"].stumbles["orders"] = Unknown(raw="quiescing")
    return await hub.until(lambda: (step := hub.step(run, "load")).lost_sight and step, step=STRIDE)


async def test_a_job_that_takes_too_long_is_asked_to_stop_and_tried_again(house):
    one(house, "timeout: 10m, retries: {attempts: 2, wait: 30s}")
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("one")
        began = hub.house.clock.now()
        await hub.until(lambda: hub["tap"].count("cancel"), step=STRIDE)
        assert timedelta(minutes=10) <= hub.house.clock.now() - began <= timedelta(minutes=10, seconds=15)
        house["tap"].hold = False
        ended = await hub.ended(run, step=STRIDE)
    assert ended.steps["load"].attempt == 2
    assert ended.steps["load"].state == "succeeded"
    assert [job.cancelled for job in house["tap"].jobs] == [1, 0]


async def test_the_last_attempt_that_takes_too_long_fails_when_its_job_has_stopped(house):
    one(house, "timeout: 10m, retries: {attempts: 1}")
    house["tap"].hold = True
    async with house.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"), step=STRIDE)
    assert ended.steps["load"].state == "failed"
    assert ended.steps["load"].error == "timed out after 10m; cancelled"


async def test_at_the_deadline_one_more_look_decides(house):
    one(house, "timeout: 10m")
    async with under_way(house) as (hub, run):
        start = await hub.at(run, "load", "running")
        deadline = start.attempt_at + timedelta(minutes=10)
        await hub.pass_time(deadline - timedelta(seconds=2) - hub.house.clock.now(), step=timedelta(seconds=20))
        house["tap"].end("orders")
        ended = await hub.ended(run, step=timedelta(seconds=3))
    assert ended.run.state == "succeeded"
    assert house["tap"].count("cancel") == 0


async def test_a_look_is_taken_right_at_the_deadline(house):
    one(house, "timeout: 10m").write("tap.env", "TAP_LOOK=250\n")
    async with under_way(house) as (hub, run):
        start = await hub.at(run, "load", "running")
        await hub.until(lambda: hub["tap"].count("cancel"), step=timedelta(seconds=2))
        late = hub.house.clock.now() - start.attempt_at - timedelta(minutes=10)
    assert timedelta() <= late <= timedelta(seconds=4)


async def test_a_job_that_does_not_stop_is_let_go_and_never_started_beside_itself(house):
    one(house, "timeout: 10m, retries: {attempts: 3}")
    async with under_way(house) as (hub, run):
        hub["tap"].job("orders").stubborn = True
        ended = await hub.ended(run, step=STRIDE)
    assert ended.steps["load"].state == "failed"
    assert "it did not stop within" in ended.steps["load"].error
    assert len(house["tap"].jobs) == 1


@pytest.mark.parametrize(("more", "operation"), [("on_timeout: let_go,", "sync"), ("", "endless")])
async def test_a_job_that_is_let_go_is_watched_on_by_the_next_attempt(house, more, operation):
    one(house, f"{more} timeout: 10m, retries: {{attempts: 3, wait: 30s}}", operation)
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.until(lambda: (step := hub.step(run, "load")) and step.attempt == 2, step=STRIDE)
        await hub.at(run, "load", "running", step=STRIDE)
        house["tap"].end("orders")
        ended = await hub.ended(run)
    assert ended.steps["load"].state == "succeeded"
    assert len(house["tap"].jobs) == 1
    assert house["tap"].count("cancel") == 0


async def test_let_go_attempts_come_to_an_end(house):
    one(house, "on_timeout: let_go, timeout: 10m, retries: {attempts: 2, wait: 30s}")
    house["tap"].hold = True
    async with house.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"), step=STRIDE)
    assert ended.steps["load"].state == "failed"
    assert "let go" in ended.steps["load"].error
    assert len(house["tap"].jobs) == 1


async def test_a_run_that_is_cancelled_between_two_looks_at_a_job_let_go_stops_the_job(house):
    one(house, "on_timeout: let_go, timeout: 10m, retries: {attempts: 3, wait: 10m}")
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.at(run, "load", "retrying", step=STRIDE)
        await hub.submit("cancel", run=run)
        ended = await hub.ended(run)
    assert ended.run.state == "cancelled"
    assert house["tap"].job("orders").cancelled == 1


async def test_what_gives_no_answer_that_makes_sense_is_shown_told_and_given_up(house):
    one(house, "timeout: 10m").instances("bell")
    async with under_way(house) as (hub, run):
        lost = await lose_sight(hub, run)
        assert lost.state == "running"
        assert "'quiescing'" in lost.note
        await hub.told()
        (incident,) = await hub.incidents()
        assert next(iter(incident.facets.values())).title == "one: lost sight of load"
        house["tap"].stumbles["orders"] = Missing()
        ended = await hub.ended(run, step=STRIDE)
    assert ended.steps["load"].state == "failed"
    assert len(house["tap"].jobs) == 1


async def test_what_cannot_be_asked_after_is_given_up_after_three_timeouts(house):
    one(house, "timeout: 10m")
    async with under_way(house) as (hub, run):
        house["tap"].broken = Unavailable("down")
        ended = await hub.ended(run, step=timedelta(seconds=20))
    step = ended.steps["load"]
    assert step.state == "failed"
    assert timedelta(minutes=30) <= step.ended_at - step.attempt_at <= timedelta(minutes=36)
    assert "given up" in step.error
    assert len(house["tap"].jobs) == 1


async def test_a_job_that_is_seen_again_ends_the_stall(house):
    one(house).instances("bell")
    async with under_way(house) as (hub, run):
        await lose_sight(hub, run)
        del house["tap"].stumbles["orders"]
        await hub.until(lambda: not hub.step(run, "load").lost_sight)
        assert hub.engine.incidents.open == {}


async def test_a_cancelled_run_takes_its_stall_with_it(house):
    one(house, operation="endless").instances("bell")
    async with under_way(house) as (hub, run):
        await lose_sight(hub, run)
        await hub.submit("cancel", run=run)
        await hub.ended(run)
        assert hub.engine.incidents.open == {}


async def test_a_look_that_fails_says_nothing_about_the_job(house):
    one(house, "timeout: 10m, retries: {attempts: 1}")
    async with under_way(house) as (hub, run):
        before = await hub.at(run, "load", "running")
        house["tap"].will("poll", Unavailable("502"), Unavailable("502"))
        polls = house["tap"].count("poll")
        await hub.until(lambda: house["tap"].count("poll") > polls + 2)
        assert hub.step(run, "load") == before


async def test_a_load_that_was_already_going_is_waited_for_and_one_more_is_started(house):
    one(house, "freshness: require_new")
    house["tap"].hold = True
    house["tap"].begin("orders", "the tool's own schedule")
    async with house.hub() as hub:
        run = await hub.trigger("one")
        assert (await hub.at(run, "load", "running")).joined
        house["tap"].end("orders")
        await hub.until(lambda: len(house["tap"].jobs) == 2)
        house["tap"].end("orders")
        ended = await hub.ended(run)
    assert ended.steps["load"].state == "succeeded"
    assert ended.steps["load"].attempt == 1
    assert ended.steps["load"].landing.mark == house["tap"].jobs[1].end.landing.mark


async def test_a_load_that_was_already_going_will_do(house):
    one(house)
    house["tap"].begin("orders", "the tool's own schedule")
    async with house.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"))
    assert ended.run.state == "succeeded"
    assert len(house["tap"].jobs) == 1


async def test_a_job_put_off_is_started_again_when_its_vendor_will_not(house):
    one(house, "retries: {attempts: 1}")
    until = house.clock.now() + timedelta(minutes=20)
    house["tap"].pending["orders"].extend([Deferred(until=until, must_start_again=True)] * 200)
    async with house.hub() as hub:
        run = await hub.trigger("one")
        waiting = await hub.at(run, "load", "deferred")
        assert until <= waiting.due <= until + timedelta(seconds=5)
        await hub.until(lambda: house["tap"].count("start") == 2, step=timedelta(seconds=10))
        assert hub.house.clock.now() >= until
        house["tap"].job("orders").answers.clear()
        ended = await hub.ended(run)
    assert ended.run.state == "succeeded"


async def test_looks_at_a_job_put_off_that_fail_do_not_run_wild(house):
    one(house)
    until = house.clock.now() + timedelta(minutes=2)
    house["tap"].pending["orders"].append(Deferred(until=until, must_start_again=True))
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.at(run, "load", "deferred")
        house["tap"].will("poll", *[Rejected("403")] * 1000)
        before = house["tap"].count("poll")
        await hub.pass_time(timedelta(minutes=2, seconds=10), step=timedelta(seconds=10))
        await hub.rest(20)
        assert house["tap"].count("poll") - before < 40


async def test_time_put_off_does_not_count_as_timeout(house):
    one(house, "timeout: 10m, retries: {attempts: 1}")
    later = house.clock.now() + timedelta(hours=2)
    house["tap"].pending["orders"].append(Deferred(until=later, note="over its budget"))
    house["tap"].hold = True
    house["tap"].stumbles["orders"] = Deferred(until=later, note="over its budget")
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.at(run, "load", "deferred")
        await hub.pass_time(timedelta(hours=1), step=timedelta(minutes=1))
        assert hub.step(run, "load").state == "deferred"
        del house["tap"].stumbles["orders"]
        await hub.at(run, "load", "running")
        await hub.pass_time(timedelta(minutes=5), step=timedelta(seconds=30))
        assert hub.step(run, "load").state == "running"
        house["tap"].end("orders")
        assert (await hub.ended(run)).run.state == "succeeded"


async def test_a_landing_is_kept_and_handed_to_the_next_run_as_consumed(house):
    one(house)
    mark = Landing(connection="orders", mark="m1", ended_at=house.clock.now(), rows=7)
    house["tap"].outcomes["orders"].append(Finished(outcome=Outcome.OK, landing=mark))
    seen = []
    async with house.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"))
        house["tap"].spy = seen.append
        await hub.ended(await hub.trigger("one"))
    assert ended.steps["load"].landing == mark
    assert seen[0].consumed == {"orders": "m1"}


async def test_nodes_that_come_with_nothing_else_are_kept_all_the_same(house):
    one(house)
    node = Node(id="model.shop.orders", name="orders", kind="model", state=NodeState.RUNNING)
    async with under_way(house) as (hub, run):
        await hub.at(run, "load", "running")
        await hub.until(lambda: house["tap"].count("poll") > 1)
        house["tap"].job("orders").answers.append(Pending(nodes=(node,)))
        found = await hub.until(lambda: hub.store.read(lambda connection: queries.nodes(connection, run)))
    assert [one.id for one in found["load"]] == ["model.shop.orders"]


async def test_a_job_that_another_run_holds_is_not_stopped_at_the_timeout_of_one(house):
    one(house, "timeout: 10m, retries: {attempts: 1}").pipeline(
        "pipeline: two\ntasks: {load: {uses: tap.sync, with: {connection: orders}}}\n"
    )
    house["tap"].hold = True
    async with house.hub() as hub:
        first = await hub.trigger("one")
        await hub.at(first, "load", "running")
        second = await hub.trigger("two")
        assert (await hub.at(second, "load", "running")).joined
        ended = await hub.ended(first, step=STRIDE)
        assert "another step holds the job" in ended.steps["load"].error
        assert house["tap"].count("cancel") == 0
        house["tap"].end("orders")
        assert (await hub.ended(second)).run.state == "succeeded"


def test_nodes_of_a_job_that_is_over_are_not_kept():
    node = Node(id="model.shop.orders", name="orders", kind="model", state=NodeState.RUNNING)
    made = create.new(
        Pipeline(name="one", tasks=(Task(name="load", connector="tap", operation="sync", instance="tap"),)),
        run_id="r",
        trigger=Trigger.MANUAL,
        interval=Interval(start=NOON, end=NOON),
        now=NOON,
    )
    told = [
        Heard(task="load", key=key, verb=Verb.POLL, answer=Pending(nodes=(node,))) for key in ("r.load.0", "r.load.1")
    ]
    assert len(node_rows(made, told)) == 1
