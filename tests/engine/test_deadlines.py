"""What was promised by when: judged when it falls due, whether or not anything was ever started."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from engine.far_end import FAILED

from stackhub.contract import Unavailable
from stackhub.model.pipeline import Told
from stackhub.store import tables as t


def at(hour, minute=0):
    return datetime(2026, 11, 2, hour, minute, tzinfo=UTC)


def promised(house, sla, top="schedule: {cron: '0 13 * * *'}"):
    house.scheduled = True
    return house.instances("tap", "bell").pipeline(
        f"pipeline: shop\n{top}\nsla: {{{sla}}}\n"
        "tasks: {load: {uses: tap.sync, with: {connection: orders}, retries: {attempts: 1}}}\n"
    )


async def judged(hub):
    query = sa.select(t.deadline.c.kind, t.deadline.c.state).order_by(t.deadline.c.at)
    return await hub.store.read(lambda connection: [tuple(row) for row in connection.execute(query)])


async def open_deadlines(hub):
    return [kind for kind, state in await judged(hub) if state == "open"]


async def reach(hub, when):
    await hub.reach(when)
    await all_judged(hub)


async def settled(hub):
    await all_judged(hub)
    return await judged(hub)


async def all_judged(hub):
    """Wait until every deadline that is due has been judged."""
    late = (t.deadline.c.state == "open", t.deadline.c.at <= t.micros(hub.house.clock.now()))

    async def none_left():
        return await hub.store.read(lambda connection: connection.scalar(sa.select(sa.func.count()).where(*late))) == 0

    await hub.now_until(none_left)


async def test_a_run_in_time_has_kept_its_promise(house):
    async with promised(house, 'finish_by: "13:30"').hub() as hub:
        await reach(hub, at(13))
        await hub.until(lambda: not hub.engine.board.runs())
        await reach(hub, at(13, 31))
        assert await settled(hub) == [("finish_by", "met")]
        assert await hub.incidents() == []


async def test_a_run_that_is_still_going_is_late_and_its_success_ends_that(house):
    house["tap"].hold = True
    async with promised(house, 'finish_by: "13:30"').hub() as hub:
        await reach(hub, at(13))
        await hub.until(house["tap"].running)
        await reach(hub, at(13, 30))
        assert await settled(hub) == [("finish_by", "late")]
        await hub.told()
        (incident,) = await hub.incidents()
        facet = incident.facets[Told.LATE]
        assert facet.title == "shop is late: finish by 13:30 UTC"
        assert "load (running" in dict(facet.facts)["Waiting on"]
        house["tap"].end("orders")
        await hub.until(lambda: not hub.engine.incidents.open)
        await hub.told()
    assert [event for _, event, _ in house["bell"].order] == ["opened", "resolved", "resolved"]


async def test_a_run_that_never_started_is_late_as_well(house):
    house["tap"].broken = Unavailable("down")
    async with promised(house, "max_duration: 20m").hub() as hub:
        await reach(hub, at(13))
        await reach(hub, at(13, 20))
        assert await settled(hub) == [("max_duration", "late")]
        assert Told.LATE in hub.engine.incidents.open["pipeline:shop"].facets


async def test_a_tick_that_gave_way_has_a_promise_too(house):
    house["tap"].hold = True
    promised(house, "max_duration: 20m", "schedule: {cron: '0 * * * *'}")
    async with house.hub() as hub:
        await reach(hub, at(13))
        await hub.until(house["tap"].running)
        await reach(hub, at(13, 20))
        await reach(hub, at(14))
        assert len(await hub.runs()) == 1
        await reach(hub, at(14, 20))
        assert await settled(hub) == [("max_duration", "late")] * 2
        assert len(await hub.incidents()) == 1


async def test_a_deadline_that_fell_while_the_hub_was_down_is_judged_by_the_next(house):
    house["tap"].hold = True
    promised(house, 'finish_by: "13:30"')
    async with house.killed() as hub:
        await reach(hub, at(13))
        await hub.until(house["tap"].running)
    house.clock.pass_time(timedelta(hours=3))
    async with house.hub() as hub:
        await hub.until(lambda: "pipeline:shop" in hub.engine.incidents.open)
        assert await settled(hub) == [("finish_by", "late")]


async def test_a_tick_missed_altogether_is_late_by_the_hub_that_decides_it(house):
    promised(house, 'finish_by: "13:30"')
    async with house.hub():
        pass
    house["tap"].hold = True
    house.clock.pass_time(timedelta(hours=4))
    async with house.hub() as hub:
        await hub.until(lambda: "pipeline:shop" in hub.engine.incidents.open)
        assert [run.tick for run in await hub.runs()] == [at(13)]


async def test_a_run_that_failed_in_time_takes_the_lateness_into_its_incident(house):
    house["tap"].outcomes["orders"].append(FAILED)
    async with promised(house, 'finish_by: "13:30"').hub() as hub:
        await reach(hub, at(13))
        await hub.until(lambda: not hub.engine.board.runs())
        await reach(hub, at(13, 30))
        assert await settled(hub) == [("finish_by", "folded")]
        (incident,) = await hub.incidents()
        assert set(incident.facets) == {Told.FAILED, Told.LATE}


async def test_a_retry_in_time_keeps_the_promise(house):
    house["tap"].outcomes["orders"].append(FAILED)
    async with promised(house, 'finish_by: "13:30"').hub() as hub:
        await reach(hub, at(13))
        await hub.until(lambda: not hub.engine.board.runs())
        (failed,) = await hub.runs()
        again = await hub.submit("retry", run=failed.id)
        await hub.ended(again["run"])
        await reach(hub, at(13, 30))
        assert await settled(hub) == [("finish_by", "met")]
        assert hub.engine.incidents.open == {}


async def test_a_part_of_the_pipeline_keeps_no_promise(house):
    house["tap"].outcomes["orders"].append(FAILED)
    async with promised(house, 'finish_by: "13:30"').hub() as hub:
        await reach(hub, at(13))
        await hub.until(lambda: not hub.engine.board.runs())
        await hub.ended(await hub.trigger("shop", only=["load"]))
        await reach(hub, at(13, 30))
        assert await settled(hub) == [("finish_by", "folded")]


async def test_a_run_somebody_asked_for_has_until_its_start_and_the_longest_duration(house):
    house["tap"].hold = True
    async with promised(house, "max_duration: 20m", "").hub() as hub:
        first = await hub.trigger("shop")
        await hub.until(house["tap"].running)
        second = await hub.trigger("shop")
        await hub.pass_time(timedelta(minutes=15), step=timedelta(minutes=1))
        house["tap"].end("orders")
        await hub.ended(first)
        await hub.until(lambda: hub.engine.board.get(second).run.state == "running")
        await hub.pass_time(timedelta(minutes=10), step=timedelta(minutes=1))
        await all_judged(hub)
        assert len(await open_deadlines(hub)) == 1, "it has waited for 15 minutes, and run for 10"
        await hub.pass_time(timedelta(minutes=11), step=timedelta(minutes=1))
        await all_judged(hub)
        assert await settled(hub) == [("max_duration", "met"), ("max_duration", "late")]


@pytest.mark.parametrize("sla", ['finish_by: "13:30"'])
async def test_a_retired_pipeline_is_nobodys_lateness(house, sla):
    house["tap"].hold = True
    async with promised(house, sla).hub() as hub:
        await reach(hub, at(13))
        await hub.until(house["tap"].running)
        await hub.engine.apply(house.remove("pipelines/shop.yaml").read())
        await reach(hub, at(13, 31))
        assert await hub.incidents() == []
