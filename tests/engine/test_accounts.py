"""An account that is down, or refuses us: one incident, one call now and then, and everything goes on by itself."""

import itertools
from datetime import timedelta

import pytest

from stackhub.contract import ConfigError, Unavailable
from stackhub.model.pipeline import Told
from stackhub.store import queries

STRIDE = timedelta(seconds=2)
MANY = """
pipeline: many
tasks:
{tasks}
"""


@pytest.fixture
def many(house):
    """Six steps of one account, one of another."""
    rows = [f"  t{n}: {{uses: tap.sync, with: {{connection: c{n}}}}}" for n in range(6)]
    rows.append("  other: {uses: mill.build, needs: []}")
    return house.instances("tap", "mill", "bell").pipeline(MANY.format(tasks="\n".join(rows)))


def circuit(hub, name="tap"):
    return hub.engine.lanes.open[name].health.circuit


async def test_an_account_that_is_down_is_one_incident_however_many_steps_wait(many):
    many["tap"].broken = Unavailable("connection refused")
    async with many.hub() as hub:
        run = await hub.trigger("many")
        await hub.until(lambda: hub.engine.incidents.open, step=STRIDE)
        await hub.told()
        assert list(hub.engine.incidents.open) == ["instance:tap"]
        (incident,) = await hub.incidents()
        assert incident.facets[Told.STALLED].title == "tap does not answer"
        assert len(many["bell"].order) == 1
        assert hub.step(run, "other") is None or (await hub.run(run)).steps["other"].state == "succeeded"


async def test_while_it_is_open_one_call_is_tried_after_each_rest(many):
    many["tap"].broken = Unavailable("connection refused")
    async with many.hub() as hub:
        await hub.trigger("many")
        await hub.until(lambda: circuit(hub).open, step=STRIDE)
        await hub.rest()
        before, began = len(many["tap"].calls), hub.house.clock.now()
        await hub.pass_time(timedelta(minutes=20), step=timedelta(seconds=10))
        tried = [(call.at - began).total_seconds() for call in many["tap"].calls[before:]]
    assert 4 <= len(tried) <= 9
    assert all(later - earlier >= 15 for earlier, later in itertools.pairwise(tried))


async def test_steps_go_on_by_themselves_once_it_answers(many):
    many["tap"].broken = Unavailable("connection refused")
    async with many.hub() as hub:
        run = await hub.trigger("many")
        await hub.until(lambda: circuit(hub).open, step=STRIDE)
        await hub.pass_time(timedelta(minutes=10), step=timedelta(seconds=10))
        many["tap"].broken = None
        back = await hub.until(lambda: not circuit(hub).open and hub.house.clock.now(), step=STRIDE)
        ended = await hub.ended(run)
        assert ended.run.ended_at - back < timedelta(seconds=20), "nobody waits for a rest that is over"
        await hub.told()
        assert hub.engine.incidents.open == {}
    assert ended.run.state == "succeeded"
    assert {step.attempt for step in ended.steps.values()} == {1}
    assert [event for _, event, _ in many["bell"].order][-1] == "resolved"


async def test_a_blink_opens_nothing(many):
    async with many.hub() as hub:
        many["tap"].will("prepare", *[Unavailable("blink")] * 6)
        ended = await hub.ended(await hub.trigger("many"))
        assert await hub.incidents() == []
    assert ended.run.state == "succeeded"


async def test_other_lanes_are_untouched(many):
    many["tap"].broken = Unavailable("connection refused")
    async with many.hub() as hub:
        run = await hub.trigger("many")
        await hub.at(run, "other", "succeeded")
        assert not circuit(hub, "mill").open


async def test_refused_credentials_open_the_incident_at_once(many):
    many["tap"].broken = ConfigError("401: the key is revoked")
    async with many.hub() as hub:
        await hub.trigger("many")
        await hub.until(lambda: hub.engine.incidents.open)
        assert circuit(hub).refused
        await hub.told()
        (incident,) = await hub.incidents()
    assert incident.key == "instance:tap"
    assert incident.facets[Told.STALLED].title == "tap cannot be used as it is configured"
    assert "the key is revoked" in incident.facets[Told.STALLED].error


async def test_mended_credentials_are_tried_at_once_however_long_a_step_was_to_wait(house):
    house.instances("tap").pipeline("pipeline: one\ntasks: {load: {uses: tap.sync, with: {connection: orders}}}\n")
    house["tap"].broken = ConfigError("401: the key is revoked")
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.pass_time(timedelta(minutes=40), step=timedelta(seconds=20))
        half = timedelta(seconds=30)
        await hub.until(lambda: hub.step(run, "load").due > house.clock.now() + half, step=timedelta(seconds=10))
        house["tap"].broken = None
        calls = len(house["tap"].calls)
        await hub.engine.apply(house.write("tap.env", "TAP_TOKEN=new\n").read())
        await hub.now_until(lambda: len(house["tap"].calls) > calls)
        assert (await hub.ended(run)).run.state == "succeeded"


async def test_one_good_call_lets_everything_go_on_however_long_it_was_to_wait(house):
    for name in ("old", "new"):
        house.instances("tap").pipeline(
            f"pipeline: {name}\ntasks: {{load: {{uses: tap.sync, with: {{connection: {name}}}}}}}\n"
        )
    house["tap"].broken = ConfigError("401: the key is revoked")
    async with house.hub() as hub:
        old = await hub.trigger("old")
        await hub.pass_time(timedelta(minutes=40), step=timedelta(seconds=20))
        due = hub.step(old, "load").due
        await hub.until(lambda: circuit(hub).trial(house.clock.now()) or house.clock.now() > due)
        house["tap"].broken = None
        hub.engine.lanes.open["tap"].health.mended()
        await hub.ended(await hub.trigger("new"))
        assert (await hub.ended(old)).run.ended_at < due


async def test_mended_credentials_are_tried_at_once(many):
    many["tap"].broken = ConfigError("401: the key is revoked")
    async with many.hub() as hub:
        run = await hub.trigger("many")
        await hub.until(lambda: circuit(hub).refused)
        await hub.pass_time(timedelta(minutes=30), step=timedelta(seconds=20))
        many["tap"].broken = None
        calls, now = len(many["tap"].calls), hub.house.clock.now()
        await hub.engine.apply(many.write("tap.env", "TAP_TOKEN=new\n").read())
        await hub.now_until(lambda: len(many["tap"].calls) > calls)
        ended = await hub.ended(run)
    assert ended.run.state == "succeeded"
    assert ended.run.ended_at - now < timedelta(seconds=20)


async def test_a_restart_tries_an_account_that_was_down_at_once(many):
    many["tap"].broken = ConfigError("401: the key is revoked")
    async with many.store() as store:
        async with many.hub(store=store) as hub:
            run = await hub.trigger("many")
            await hub.until(lambda: circuit(hub).refused)
            await hub.pass_time(timedelta(minutes=30), step=timedelta(seconds=20))
        many["tap"].broken = None
        now = many.clock.now()
        assert [incident.key for incident in await store.read(queries.open_incidents)] == ["instance:tap"]
        async with many.hub(store=store) as hub:
            ended = await hub.ended(run)
            assert hub.engine.incidents.open == {}
    assert ended.run.ended_at - now < timedelta(seconds=20)


async def test_jobs_that_run_at_an_account_that_is_down_are_not_started_again(many):
    many["tap"].hold = True
    async with many.hub() as hub:
        run = await hub.trigger("many")
        await hub.until(lambda: len(many["tap"].running()) == 6)
        many["tap"].broken = Unavailable("connection refused")
        await hub.until(lambda: circuit(hub).open, step=STRIDE)
        await hub.pass_time(timedelta(minutes=5), step=timedelta(seconds=10))
        many["tap"].broken, many["tap"].hold = None, False
        ended = await hub.ended(run, step=STRIDE)
    assert ended.run.state == "succeeded"
    assert len(many["tap"].jobs) == 6


async def test_what_stalls_for_too_long_fails(house):
    house.instances("tap").pipeline(
        "pipeline: one\ntasks: {load: {uses: tap.sync, with: {connection: orders}, timeout: 10m}}\n"
    )
    house["tap"].broken = Unavailable("connection refused")
    async with house.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"), step=timedelta(seconds=10))
    assert ended.steps["load"].state == "failed"
    assert "given up" in ended.steps["load"].error
    assert timedelta(minutes=30) <= ended.run.ended_at - ended.run.started_at <= timedelta(minutes=40)
