"""Ticks: each is a run or a recorded skip, once, whatever happens to the hub, its clock or its configuration."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from engine.house import House
from engine.lives import every_death

from stackhub.store import tables as t

HOUR = timedelta(hours=1)


def hourly(house, top="", name="hourly"):
    house.scheduled = True
    return house.instances("tap").pipeline(
        f"pipeline: {name}\nschedule: {{cron: '0 * * * *'}}\n{top}\n"
        "tasks: {load: {uses: tap.sync, with: {connection: orders}}}\n"
    )


async def ticks(hub):
    def rows(connection):
        query = sa.select(t.tick.c.at, t.tick.c.verdict, t.tick.c.run).order_by(t.tick.c.at)
        return [(t.instant(row.at), row.verdict, row.run) for row in connection.execute(query)]

    return await hub.store.read(rows)


def at(hour, minute=0, day=2):
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


async def test_each_tick_is_a_run_for_the_interval_before_it(house):
    async with hourly(house).hub() as hub:
        for hour in (13, 14, 15):
            await hub.reach(at(hour))
            await hub.until(lambda: not hub.engine.board.runs())
        runs = (await hub.runs())[::-1]
    assert [run.tick for run in runs] == [at(13), at(14), at(15)]
    assert [(run.interval.start, run.interval.end) for run in runs] == [
        (at(12), at(13)),
        (at(13), at(14)),
        (at(14), at(15)),
    ]
    assert {run.trigger for run in runs} == {"schedule"}


async def test_nothing_starts_by_itself_when_that_is_not_wanted(house):
    async with hourly(house).hub(schedule=False) as hub:
        await hub.pass_time(3 * HOUR, step=HOUR)
        assert await hub.runs() == []


@pytest.mark.parametrize(
    ("overlap", "states"),
    [
        ("skip", ["running"]),
        ("queue", ["running", "queued", "queued"]),
        ("cancel", ["cancelled", "cancelled", "running"]),
    ],
)
async def test_what_a_tick_does_while_a_run_is_still_going(house, overlap, states):
    hourly(house, f"overlap: {overlap}")
    house["tap"].hold = True
    async with house.hub() as hub:
        for hour in (13, 14, 15):
            await hub.reach(at(hour))
        await hub.until(lambda: len(hub.engine.board.runs()) == sum(one in ("running", "queued") for one in states))
        await hub.until(lambda: hub.engine.board.runs()[0].run.state == "running")
        found = [run.state.value for run in (await hub.runs())[::-1]]
        seen = await ticks(hub)
    assert found == states
    assert [tick for tick, _, _ in seen] == [at(13), at(14), at(15)]
    assert [verdict for _, verdict, _ in seen] == (["run", "skip", "skip"] if overlap == "skip" else ["run"] * 3)


async def test_queued_runs_go_in_their_order(house):
    hourly(house, "overlap: queue")
    house["tap"].hold = True
    async with house.hub() as hub:
        for hour in (13, 14):
            await hub.reach(at(hour))
        house["tap"].hold = False
        await hub.until(lambda: not hub.engine.board.runs())
        first, second = (await hub.runs())[::-1]
    assert first.ended_at <= second.started_at


async def test_runs_that_were_to_give_way_do_so_even_if_the_hub_died_before_it_asked_them(house):
    hourly(house, "overlap: cancel")
    house["tap"].hold = True
    async with house.killed() as hub:
        await hub.reach(at(13))
        old = hub.engine.board.runs()[0].run.id
        await hub.at(old, "load", "running")
        hub.engine.scheduler._cancel = _nobody
        await hub.reach(at(14))
        assert len(hub.engine.board.runs()) == 2
    async with house.hub() as hub:
        assert (await hub.ended(old)).run.state == "cancelled"
        await hub.until(lambda: hub.engine.board.runs()[0].run.state == "running")


async def _nobody(runs):
    pass


@pytest.mark.parametrize(
    ("catchup", "runs"), [("none", []), ("last", [at(16)]), ("all", [at(13), at(14), at(15), at(16)])]
)
async def test_ticks_that_fell_while_the_hub_was_down_are_the_catchups(house, catchup, runs):
    hourly(house, f"catchup: {catchup}")
    async with house.hub():
        pass
    house.clock.pass_time(4 * HOUR + HOUR / 2)
    async with house.hub() as hub:
        await hub.rest()
        await hub.until(lambda: not hub.engine.board.runs())
        found = (await hub.runs())[::-1]
        assert [run.tick for run in found] == runs
        assert [tick for tick, _, _ in await ticks(hub)] == [at(13), at(14), at(15), at(16)]


@pytest.mark.parametrize(("catchup", "runs"), [("none", []), ("last", [at(16)])])
async def test_ticks_of_a_pause_are_the_catchups(house, catchup, runs):
    hourly(house, f"catchup: {catchup}")
    async with house.hub() as hub:
        await hub.submit("pause", pipeline="hourly", reason="a migration")
        assert hub.engine.scheduler.following("hourly") is None
        await hub.reach(at(16, 5))
        assert await hub.runs() == []
        await hub.submit("resume", pipeline="hourly")
        await hub.until(lambda: not hub.engine.board.runs())
        assert [run.tick for run in await hub.runs()] == runs
        assert [verdict for _, verdict, _ in await ticks(hub)].count("skip") == 4 - len(runs)
        await hub.reach(at(17))
        assert (await hub.runs())[0].tick == at(17)


async def test_a_run_that_waits_for_its_turn_gets_it_though_its_pipeline_is_paused_since(house):
    house["tap"].hold = True
    async with hourly(house, "overlap: queue").hub() as hub:
        await hub.reach(at(13))
        await hub.reach(at(14))
        await hub.submit("pause", pipeline="hourly")
        house["tap"].hold = False
        house["tap"].end("orders")
        await hub.until(lambda: not hub.engine.board.runs())
        assert [run.state for run in await hub.runs()] == ["succeeded", "succeeded"]


async def test_a_pause_outlives_the_hub(house):
    hourly(house)
    async with house.hub() as hub:
        await hub.submit("pause", pipeline="hourly")
    async with house.hub() as hub:
        await hub.reach(at(15))
        assert await hub.runs() == []


async def test_a_clock_set_back_repeats_no_tick(house):
    async with hourly(house).hub() as hub:
        for hour in (13, 14):
            await hub.reach(at(hour))
            await hub.until(lambda: not hub.engine.board.runs())
        house.clock.set_wall(at(12, 30))
        await hub.rest()
        for hour in (13, 14, 15):
            await hub.reach(at(hour))
            await ticked(hub, at(hour))
        assert [run.tick for run in (await hub.runs())[::-1]] == [at(13), at(14), at(15)]


async def test_a_schedule_put_in_force_again_after_the_clock_was_set_back_repeats_no_tick(house):
    async with hourly(house).hub() as hub:
        for hour in (13, 14):
            await hub.reach(at(hour))
            await hub.until(lambda: not hub.engine.board.runs())
        house.clock.set_wall(at(12, 30))
        await hub.rest()
        await hub.engine.apply(house.remove("pipelines/hourly.yaml").read())
        await hub.engine.apply(hourly(house).read())
        for hour in (13, 14, 15):
            await hub.reach(at(hour))
            await ticked(hub, at(hour))
        assert [run.tick for run in (await hub.runs())[::-1]] == [at(13), at(14), at(15)]


async def ticked(hub, instant):
    """Wait until a tick has been decided, and the run it made has ended."""
    await hub.until(lambda: hub.engine.scheduler.following("hourly") > instant)
    await hub.until(lambda: not hub.engine.board.runs())


async def test_a_changed_schedule_ticks_from_now_and_never_for_the_past(house):
    async with hourly(house).hub() as hub:
        await hub.reach(at(13))
        await ticked(hub, at(13))
        await hub.reach(at(13, 30))
        text = (house.root / "pipelines/hourly.yaml").read_text().replace("0 * * * *", "*/20 * * * *")
        await hub.engine.apply(house.pipeline(text).read())
        assert hub.engine.scheduler.following("hourly") == at(13, 40)
        for minute in (40, 60):
            await hub.reach(at(13) + timedelta(minutes=minute))
            await ticked(hub, at(13) + timedelta(minutes=minute))
        assert [run.tick for run in (await hub.runs())[::-1]] == [at(13), at(13, 40), at(14)]


async def test_an_edit_elsewhere_leaves_the_schedule_as_it_is(house):
    async with hourly(house).hub() as hub:
        await hub.reach(at(12, 30))
        await hub.engine.apply(hourly(house, "description: new words").read())
        assert hub.engine.scheduler.following("hourly") == at(13)


async def test_a_tick_and_a_wish_at_the_same_moment_do_not_run_side_by_side(house):
    import anyio

    hourly(house, "overlap: queue")
    house["tap"].hold = True
    async with house.hub() as hub:
        await hub.reach(at(12, 59))
        house.clock.pass_time(timedelta(minutes=1))
        async with anyio.create_task_group() as group:
            hub.ring()
            for _ in range(3):
                group.start_soon(hub.trigger, "hourly")
        await hub.until(lambda: len(hub.engine.board.runs()) == 4)
        assert sorted(one.run.state.value for one in hub.engine.board.runs()) == ["queued"] * 3 + ["running"]


async def test_a_run_that_gives_way_lets_go_of_a_job_that_another_holds(house):
    hourly(house, "overlap: cancel").pipeline(
        "pipeline: other\ntasks: {load: {uses: tap.sync, with: {connection: orders}}}\n"
    )
    house["tap"].hold = True
    async with house.hub() as hub:
        await hub.reach(at(13))
        (first,) = hub.engine.board.runs("hourly")
        await hub.at(first.run.id, "load", "running")
        other = await hub.trigger("other")
        assert (await hub.at(other, "load", "running")).joined
        await hub.reach(at(14))
        assert (await hub.ended(first.run.id)).run.state == "cancelled"
        assert house["tap"].count("cancel") == 0


async def test_each_tick_is_one_run_and_gives_way_once_whatever_dies_when(tmp_path):
    def furnish(root):
        house = hourly(House(root), "overlap: cancel")
        house["tap"].hold = True
        return house

    async def two_ticks(hub):
        for hour in (13, 14):
            if hub.house.clock.now() < at(hour):
                hub.house.clock.pass_time(at(hour) - hub.house.clock.now())
            await hub.ticked()
            if hour == 13:
                await hub.until(lambda: hub["tap"].jobs, step=timedelta(milliseconds=100))
        (first,) = [run.id for run in await hub.runs() if run.tick == at(13)]
        await hub.ended(first, step=timedelta(seconds=1))
        hub["tap"].hold = False
        await hub.until(lambda: not hub.engine.board.runs(), step=timedelta(seconds=1))

    async def check(hub):
        runs = await hub.runs()
        assert [verdict for _, verdict, _ in await ticks(hub)] == ["run", "run"]
        assert sorted((run.tick.hour, run.state.value) for run in runs) == [(13, "cancelled"), (14, "succeeded")]
        assert len(hub["tap"].jobs) == 2

    points = await every_death(tmp_path, furnish, two_ticks, check, about=("TICK", "RUN_MOVED", "cancel", "start"))
    assert any("TICK" in point for point in points)


# --- calendars -------------------------------------------------------------------------------------------------------


async def reasons(hub):
    def rows(connection):
        query = sa.select(t.tick.c.verdict, t.tick.c.reason).order_by(t.tick.c.at)
        return [(row.verdict, row.reason) for row in connection.execute(query)]

    return await hub.store.read(rows)


def every_day(house, days):
    house.scheduled = True
    return house.instances("tap").pipeline(
        "pipeline: daily\nschedule: {cron: '0 6 * * *', except: [closed]}\n"
        f"calendars: {{closed: [{days}]}}\nsla: {{finish_by: '07:30'}}\n"
        "tasks: {load: {uses: tap.sync, with: {connection: orders}}}\n"
    )


async def test_a_tick_on_a_day_left_out_is_a_recorded_skip_and_late_for_nobody(house):
    async with every_day(house, "2026-11-03..2026-11-04 Stock-taking").hub() as hub:
        for day in (3, 4, 5):
            await hub.reach(at(6, day=day))
            await hub.until(lambda: not hub.engine.board.runs())
            await hub.reach(at(7, 31, day=day))
        assert await hub.incidents() == []
        [run] = await hub.runs()
        found = await reasons(hub)
        assert hub.engine.scheduler.following("daily") == at(6, day=6)
    assert found == [("skip", "calendar closed: Stock-taking")] * 2 + [("run", "on time")]
    assert (run.interval.start, run.interval.end) == (at(6), at(6, day=5))  # with what the days before had left


async def test_an_edited_calendar_holds_for_the_next_tick_and_moves_no_schedule(house):
    async with every_day(house, "2026-11-03").hub() as hub:
        await hub.reach(at(6, day=3))
        assert hub.engine.scheduler.following("daily") == at(6, day=4)
        every_day(house, "2026-11-04")
        await hub.engine.apply(house.read())
        await hub.reach(at(6, day=4))
        assert hub.engine.scheduler.following("daily") == at(6, day=5)
        found = await reasons(hub)
    assert found == [("skip", "calendar closed")] * 2


async def test_days_left_out_while_the_hub_was_down_are_recorded_when_it_is_back(house):
    every_day(house, "2026-11-03, 2026-11-05")
    async with house.hub():
        pass
    house.clock.pass_time(at(7, day=5) - house.clock.now())
    async with house.hub() as hub:
        await hub.ticked()
        await hub.until(lambda: not hub.engine.board.runs())
        found = await reasons(hub)
    assert found == [
        ("skip", "calendar closed"),
        ("run", "missed while the hub was down: catchup is last"),
        ("skip", "calendar closed"),
    ]


async def test_a_schedule_with_calendars_that_is_taken_away_while_the_hub_is_down_keeps_no_hub_from_starting(house):
    """What had fallen by then was to be judged by calendars that are gone with it."""
    every_day(house, "2026-11-03")
    async with house.hub():
        pass
    house.clock.pass_time(at(7, day=4) - house.clock.now())
    house.pipeline("pipeline: daily\ntasks: {load: {uses: tap.sync, with: {connection: orders}}}\n")
    async with house.hub() as hub:
        found = await reasons(hub)
        assert await hub.runs() == []
    assert [verdict for verdict, _ in found] == ["skip", "skip"]
    assert all(why.startswith("its schedule was changed or taken away before it was decided") for _, why in found)
