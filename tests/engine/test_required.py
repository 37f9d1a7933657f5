"""Ticks that wait for data: each is a run or a recorded skip all the same, once, whatever dies when."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from engine.house import House
from engine.lives import every_death
from engine.test_triggers import in_force, looked, marks

from stackhub.model.pipeline import Told
from stackhub.store import tables as t

MINUTE = timedelta(minutes=1)
STEP = timedelta(seconds=20)


def furnish(house, schedule="not_later_than: '14:00'", top=""):
    house.scheduled = True
    house.instances("tap", "mill", "bell").pipeline(
        f"pipeline: marts\nschedule: {{cron: '0 13 * * *', require: [tap:orders], {schedule}}}\n{top}\n"
        "tasks: {build: {uses: mill.build, retries: {attempts: 1}}}\n"
    )
    house["tap"].has("orders")
    house["tap"].land("orders")
    return house


def at(hour, minute=0, day=2):
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


async def ticks(hub):
    def rows(connection):
        query = sa.select(t.tick.c.at, t.tick.c.verdict, t.tick.c.reason, t.tick.c.run).order_by(t.tick.c.at)
        return [(t.instant(row.at), row.verdict, row.reason, bool(row.run)) for row in connection.execute(query)]

    return await hub.store.read(rows)


async def reach(hub, instant, *, step=MINUTE):
    """Let time pass up to an instant, everything seeing it."""
    await hub.until(lambda: hub.house.clock.now() >= instant, step=step)
    await hub.rest()


async def decided(hub, verdict="run", many=1):
    async def so():
        found = [one for one in await ticks(hub) if one[1] == verdict]
        return len(found) >= many and not hub.engine.board.runs()

    await hub.until(so, step=STEP)


async def test_a_tick_whose_data_is_in_runs_at_once(house):
    async with furnish(house).hub() as hub:
        await in_force(hub)
        house["tap"].land("orders")
        await looked(hub)
        await reach(hub, at(13, 1))
        await decided(hub)
        (run,) = await hub.runs()
    assert (run.trigger, run.tick, run.interval.end) == ("schedule", at(13), at(13))
    assert run.created_at < at(13, 2)


async def test_a_tick_waits_until_its_data_is_in(house):
    async with furnish(house).hub() as hub:
        await in_force(hub)
        await reach(hub, at(13, 20))
        assert [(when, verdict, why) for when, verdict, why, _ in await ticks(hub)] == [
            (at(13), "wait", "waits for tap:orders to land")
        ]
        house["tap"].land("orders")
        await decided(hub)
        (run,) = await hub.runs()
        assert run.tick == at(13)
        assert at(13, 20) <= run.created_at < at(13, 30)
        assert run.reason == "scheduled for 2026-11-02T13:00+00:00[UTC]: tap:orders landed"
        await reach(hub, at(13, 5, day=3), step=20 * MINUTE)
        assert [one[1] for one in await ticks(hub)] == ["run", "wait"]


@pytest.mark.parametrize(
    ("otherwise", "verdict", "runs", "told"),
    [("run", "run", 1, 0), ("skip", "skip", 0, 0), ("alert", "wait", 0, 1)],
)
async def test_what_a_tick_does_when_its_time_is_up(house, otherwise, verdict, runs, told):
    furnish(house, f"not_later_than: '14:00', otherwise: {otherwise}")
    async with house.hub() as hub:
        await in_force(hub)
        await reach(hub, at(13, 55))
        assert [one[1] for one in await ticks(hub)] == ["wait"]
        await reach(hub, at(14, 2))
        await hub.until(lambda: not hub.engine.board.runs(), step=STEP)
        (tick,) = await ticks(hub)
        assert tick[1] == verdict
        assert tick[3] == bool(runs)
        assert "tap:orders to land" in tick[2]
        assert len(await hub.runs()) == runs
        assert len(hub.engine.incidents.open) == told


async def test_who_was_alerted_sees_it_end_when_the_data_is_in_after_all(house):
    async with furnish(house, "not_later_than: '14:00', otherwise: alert").hub() as hub:
        await in_force(hub)
        await hub.until(lambda: hub.engine.incidents.open, step=MINUTE)
        (incident,) = hub.engine.incidents.open.values()
        assert incident.key == "pipeline:marts"
        assert incident.facets[Told.LATE].title == "marts is late: waits for tap:orders to land"
        await hub.pass_time(30 * MINUTE, step=MINUTE)
        await hub.told()
        assert hub["bell"].order == [("root", "opened", incident.facets[Told.LATE].title)]
        house["tap"].land("orders")
        await decided(hub)
        await hub.until(lambda: not hub.engine.incidents.open, step=STEP)


async def test_its_deadline_counts_while_it_waits_and_once(house):
    async with furnish(house, "timezone: UTC", "sla: {finish_by: '13:30'}").hub() as hub:
        await in_force(hub)
        await hub.until(lambda: hub.engine.incidents.open, step=MINUTE)
        (incident,) = hub.engine.incidents.open.values()
        assert incident.facets[Told.LATE].title == "marts is late: finish by 13:30 UTC"
        house["tap"].land("orders")
        await decided(hub)

        def kept(connection):
            return connection.scalar(sa.select(sa.func.count()).select_from(t.deadline))

        assert await hub.store.read(kept) == 1


async def test_a_later_tick_stands_in_for_one_that_still_waits(house):
    async with furnish(house, "timezone: UTC").hub() as hub:
        await in_force(hub)
        await reach(hub, at(13, 5))
        await reach(hub, at(13, 5, day=3), step=20 * MINUTE)
        assert [one[1] for one in await ticks(hub)] == ["skip", "wait"]
        house["tap"].land("orders")
        await decided(hub)
        assert [one[1] for one in await ticks(hub)] == ["skip", "run"]


async def test_a_waiting_tick_outlives_the_hub_and_a_pause(house):
    async with furnish(house, "timezone: UTC").killed() as hub:
        await in_force(hub)
        await reach(hub, at(13, 5))
        assert [one[1] for one in await ticks(hub)] == ["wait"]
    house["tap"].land("orders")
    async with house.hub() as hub:
        await decided(hub)


async def test_a_waiting_tick_of_a_schedule_that_is_taken_away_is_a_recorded_skip(house):
    async with furnish(house, "timezone: UTC").hub() as hub:
        await in_force(hub)
        await reach(hub, at(13, 5))
        await hub.engine.apply(house.remove("pipelines/marts.yaml").read())
        (tick,) = await ticks(hub)
        assert tick[1:3] == ("skip", "its schedule was changed or taken away before it was decided")


async def test_a_run_that_is_still_going_is_met_as_overlap_says(house):
    async with furnish(house, "timezone: UTC").hub() as hub:
        await in_force(hub)
        house["mill"].hold = True
        await hub.trigger("marts")
        house["tap"].land("orders")
        await reach(hub, at(13, 2))
        (tick,) = await ticks(hub)
        assert tick[1] == "skip"
        assert tick[2].endswith("is still going: overlap is skip")


async def test_each_waiting_tick_is_one_run_whatever_dies_when(tmp_path):
    async def story(hub):
        await in_force(hub)
        await hub.until(lambda: hub.house.clock.now() >= at(13, 5), step=MINUTE)
        await hub.ticked()
        if len(hub["tap"].calls) and hub["tap"].holds["orders"].last.ended_at < at(13):
            hub["tap"].land("orders")
        await decided(hub)

    async def check(hub):
        assert [one[1] for one in await ticks(hub)] == ["run"]
        assert len(await hub.runs("marts")) == 1
        assert len(hub["mill"].jobs) == 1
        assert not any(mark.news for mark in (await marks(hub)).values())

    about = ("MARK", "LANDING", "TICK")
    points = await every_death(tmp_path, lambda root: furnish(House(root)), story, check, about=about)
    assert any("TICK_DECIDED" in point for point in points)
