"""Backfills: a run for each interval, whatever else goes on and whatever dies when."""

from datetime import timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa
from engine.far_end import FAILED, OK
from engine.past import AFTER, SHOP, ask, day, one, over, shop, states

from stackhub.errors import Refused
from stackhub.model.pipeline import Told
from stackhub.store import asof, queries
from stackhub.store import backfills as rows
from stackhub.store import tables as t


async def test_each_interval_is_a_run_oldest_first_one_after_the_other(house):
    async with shop(house).hub() as hub:
        asked = await ask(hub)
        assert (asked["intervals"], asked["state"]) == (3, "running")
        assert await over(hub, asked["backfill"]) == "succeeded"
        runs = (await hub.runs())[::-1]
        assert await states(hub, asked["backfill"]) == ["succeeded"] * 3
    assert [run.trigger for run in runs] == ["backfill"] * 3
    assert [(run.interval.start, run.interval.end) for run in runs] == [(day(n), day(n + 1)) for n in (1, 2, 3)]
    assert [job.what for job in house["mill"].jobs] == ["2026-10-01", "2026-10-02", "2026-10-03"]
    assert all(before.ended_at <= after.started_at for before, after in pairwise(runs))
    assert runs[1].reason == f"backfill {asked['backfill']}: interval 2 of 3"


async def test_the_newest_first_and_several_at_once(house):
    house["mill"].hold = True
    async with shop(house, max_active=5).hub() as hub:
        asked = await ask(hub, newest_first=True, parallel=2)
        await hub.until(lambda: len(house["mill"].running()) == 2)
        await hub.rest()
        assert sorted(job.what for job in house["mill"].jobs) == ["2026-10-02", "2026-10-03"]
        house["mill"].hold = False
        assert await over(hub, asked["backfill"]) == "succeeded"
    assert house["mill"].jobs[2].what == "2026-10-01"


async def test_extracts_are_skipped_unless_they_are_asked_for(house):
    async with shop(house).hub() as hub:
        asked = await ask(hub)
        await over(hub, asked["backfill"])
        run = await hub.run((await hub.runs())[0].id)
        assert (run.steps["orders"].state, house["tap"].count("start")) == ("skipped", 0)
        assert run.steps["orders"].note.startswith("skipped: a backfill loads nothing")
        again = await ask(hub, extracts=True)
        await over(hub, again["backfill"])
    assert house["tap"].count("start") == 3


async def test_everything_is_loaded_anew_once_before(house):
    async with shop(house).hub() as hub:
        asked = await ask(hub, resync_first=True)
        await over(hub, asked["backfill"])
        first, *others = (await hub.runs())[::-1]
        loaded = await hub.run(first.id)
        consumed = await hub.store.read(lambda c: c.scalar(sa.select(sa.func.count()).select_from(t.consumed)))
        landings = await hub.store.read(lambda c: c.scalar(sa.select(sa.func.count()).select_from(t.landing)))
    assert {name: task.operation for name, task in [(x.name, x) for x in loaded.pipeline.tasks]} == {"orders": "anew"}
    assert (first.interval.start, first.interval.end) == (day(1), day(4))
    assert len(others) == 3
    assert all(run.started_at >= first.ended_at for run in others)
    assert [(call.verb, call.what) for call in house["tap"].calls if call.verb == "start"] == [("start", "orders")]
    assert (landings, consumed) == (1, 0)  # a landing like any other, but nobody's watermark


async def test_what_has_failed_stops_it_opens_one_incident_and_the_same_command_goes_on(house):
    house["mill"].outcomes["2026-10-02"].append(FAILED)
    async with shop(house).hub() as hub:
        asked = await ask(hub)
        assert await over(hub, asked["backfill"]) == "failed"
        assert await states(hub, asked["backfill"]) == ["succeeded", "failed", "waiting"]
        (incident,) = await hub.incidents()
        assert incident.key == f"backfill:{asked['backfill']}"
        await hub.told()
        assert [title for part, event, title in house["bell"].order if part == "root"] == [
            "backfill of shop failed: marts"
        ]
        found = await one(hub, asked["backfill"])
        assert found.reason == "1 failed, 1 of 3 intervals are done; the same command goes on"
        again = await ask(hub, parallel=2)
        assert (again["backfill"], again["by_state"]) == (asked["backfill"], {"succeeded": 1, "waiting": 2})
        assert await over(hub, asked["backfill"]) == "succeeded"
        (incident,) = await hub.incidents()
        assert incident.resolution == f"backfill {asked['backfill']}: every interval is done"
        assert (await ask(hub))["already"] is True
        assert (await ask(hub, again=True))["by_state"] == {"waiting": 3}
        assert await over(hub, asked["backfill"]) == "succeeded"
    assert [job.what[-2:] for job in house["mill"].jobs] == ["01", "02", "02", "03", "01", "02", "03"]


async def test_it_may_keep_going_and_a_retry_completes_it(house):
    house["mill"].outcomes["2026-10-01"].append(FAILED)
    async with shop(house).hub() as hub:
        asked = await ask(hub, keep_going=True)
        assert await over(hub, asked["backfill"]) == "failed"
        assert await states(hub, asked["backfill"]) == ["failed", "succeeded", "succeeded"]
        failed = next(run for run in await hub.runs() if run.state == "failed")
        retry = (await hub.submit("retry", run=failed.id))["run"]
        await hub.ended(retry)
        await hub.until(lambda: not hub.engine.incidents.open)
        assert (await one(hub, asked["backfill"])).state == "succeeded"


async def test_a_cancelled_one_begins_nothing_more_and_the_same_command_goes_on(house):
    house["mill"].hold = True
    async with shop(house).hub() as hub:
        asked = await ask(hub)
        await hub.until(house["mill"].running)
        cancelled = await hub.submit("cancel_backfill", backfill=asked["backfill"], reason="wrong month")
        assert cancelled == {"backfill": asked["backfill"], "state": "cancelling"}
        with pytest.raises(Refused, match="is being cancelled"):
            await ask(hub)
        assert await over(hub, asked["backfill"]) == "cancelled"
        assert (await one(hub, asked["backfill"])).reason == "cancelled: wrong month"
        assert await states(hub, asked["backfill"]) == ["cancelled", "waiting", "waiting"]
        assert await hub.incidents() == []
        with pytest.raises(Refused, match="is cancelled already"):
            await hub.submit("cancel_backfill", backfill=asked["backfill"])
        house["mill"].hold = False
        await ask(hub)
        assert await over(hub, asked["backfill"]) == "succeeded"


async def test_it_has_no_deadline_starts_nobody_and_says_nothing_of_the_pipeline(house):
    house.pipeline(AFTER)
    house["mill"].outcomes["2026-11-02"].append(FAILED)
    async with shop(house, "sla: {max_duration: 1h}").hub() as hub:
        by_hand = await hub.trigger("shop")
        await hub.ended(by_hand)
        asked = await ask(hub)
        assert await over(hub, asked["backfill"]) == "succeeded"
        deadlines = await hub.store.read(lambda c: c.execute(sa.select(t.deadline.c.run)).scalars().all())
        assert deadlines == [by_hand]
        assert set(hub.engine.incidents.open) == {"pipeline:shop"}  # a success for another time ends nothing here
        assert await hub.runs("after") == []
        last = await hub.store.read(lambda connection: queries.last_run(connection, pipeline="shop"))
        assert last.id == by_hand


async def test_how_long_its_intervals_take_says_nothing_of_the_next_run(house):
    async with shop(house).hub() as hub:
        asked = await ask(hub, extracts=True)
        assert await over(hub, asked["backfill"]) == "succeeded"
        pipeline = hub.engine.in_force.known["shop"].pipeline
        assert await hub.store.read(lambda connection: queries.usual(connection, "shop")) == {}
        assert await hub.store.read(lambda connection: queries.histories(connection, pipeline)) == {}
        assert await hub.store.read(lambda connection: asof.last_good(connection, "shop")) is None


async def test_a_ticks_run_begins_beside_it_and_goes_before_the_next_interval(house):
    house["mill"].hold = True
    async with shop(house, "schedule: {cron: '0 * * * *'}", max_active=1).hub() as hub:
        asked = await ask(hub)
        await hub.until(house["mill"].running)
        await hub.reach(day(2, 11, 13))
        tick = next(run for run in await hub.runs() if run.trigger == "schedule")
        assert tick.state == "running"
        await hub.until(lambda: hub.step(tick.id, "orders").state == "succeeded")
        house["mill"].end("2026-10-01")
        await hub.until(lambda: len(house["mill"].jobs) == 2)
        assert house["mill"].jobs[1].what == "2026-11-02"  # the tick's: the second interval waits
        await hub.rest()
        assert await states(hub, asked["backfill"]) == ["succeeded", "waiting", "waiting"]
        house["mill"].hold = False
        assert await over(hub, asked["backfill"]) == "succeeded"
        seen = (await hub.run(tick.id)).run
        runs = sorted((run for run in await hub.runs() if run.trigger == "backfill"), key=lambda run: run.id)
    assert runs[1].created_at >= seen.ended_at


async def test_its_steps_come_after_all_others_of_a_lane(house):
    house["mill"].hold = True
    other = "pipeline: other\ntasks: {x: {uses: mill.build, with: {select: other}}}\n"
    async with shop(house.pipeline(other), max_active=1).hub() as hub:
        asked = await ask(hub, parallel=3)
        await hub.until(house["mill"].running)
        run = await hub.trigger("other")
        await hub.until(lambda: hub.step(run, "x").state == "ready")
        house["mill"].end(house["mill"].running()[0].what)
        await hub.until(lambda: len(house["mill"].jobs) == 2)
        assert house["mill"].jobs[1].what == "other"
        house["mill"].end("other")
        house["mill"].hold = False
        assert await over(hub, asked["backfill"]) == "succeeded"


async def test_a_place_of_its_pipeline_is_for_others_first_whatever_the_lane(house):
    house["mill"].hold = True
    async with shop(house, "max_active: 1").hub() as hub:
        asked = await ask(hub, parallel=3)
        await hub.until(house["mill"].running)
        run = await hub.trigger("shop")
        await hub.until(lambda: hub.step(run, "orders").state == "ready")
        house["mill"].end(house["mill"].running()[0].what)
        await hub.until(lambda: hub.step(run, "orders").state == "succeeded")
        assert len(house["mill"].jobs) == 1  # of the three intervals that could have had the place
        house["mill"].hold = False
        assert await over(hub, asked["backfill"]) == "succeeded"


async def test_a_retry_completes_it_even_if_the_hub_died_before_it_looked(house):
    house["mill"].outcomes["2026-10-03"].append(FAILED)
    async with shop(house).killed() as hub:
        asked = await ask(hub)
        assert await over(hub, asked["backfill"]) == "failed"
        hub.engine.board.on_moved.remove(hub.engine.backfills.moved)
        failed = next(run for run in await hub.runs() if run.state == "failed")
        await hub.ended((await hub.submit("retry", run=failed.id))["run"])
        assert (await one(hub, asked["backfill"])).state == "failed"
    async with house.hub() as hub:
        await hub.until(lambda: not hub.engine.incidents.open)
        assert (await one(hub, asked["backfill"])).state == "succeeded"


async def test_an_interval_whose_retry_is_open_is_not_done_a_second_time(house):
    house["mill"].outcomes["2026-10-03"].append(FAILED)
    async with shop(house, max_active=5).hub() as hub:
        asked = await ask(hub)
        assert await over(hub, asked["backfill"]) == "failed"
        house["mill"].hold = True
        failed = next(run for run in await hub.runs() if run.state == "failed")
        await hub.submit("retry", run=failed.id)
        await hub.until(house["mill"].running)
        assert (await ask(hub))["by_state"] == {"succeeded": 2, "running": 1}
        await hub.rest()
        house["mill"].hold = False
        await hub.until(lambda: not hub.engine.incidents.open)
        await hub.rest()
        assert (await one(hub, asked["backfill"])).state == "succeeded"
    assert [job.what[-2:] for job in house["mill"].jobs] == ["01", "02", "03", "03"]


async def test_an_old_run_of_an_interval_is_not_retried_beside_the_backfill(house):
    house["mill"].outcomes["2026-10-02"].append(FAILED)
    async with shop(house).hub() as hub:
        asked = await ask(hub, newest_first=True)
        assert await over(hub, asked["backfill"]) == "failed"
        failed = next(run for run in await hub.runs() if run.state == "failed")
        house["mill"].hold = True
        await ask(hub, newest_first=False)
        await hub.until(house["mill"].running)
        with pytest.raises(Refused, match=r"interval 2 of backfill .* waits for its turn"):
            await hub.submit("retry", run=failed.id)
        house["mill"].job("2026-10-01").end = OK
        await hub.until(lambda: house["mill"].job("2026-10-02").end is None)
        with pytest.raises(Refused, match="is being done by run"):
            await hub.submit("retry", run=failed.id)
        house["mill"].hold = False
        assert await over(hub, asked["backfill"]) == "succeeded"
        with pytest.raises(Refused, match=r"was done by run .* --again"):
            await hub.submit("retry", run=failed.id)
    assert [job.what[-2:] for job in house["mill"].jobs] == ["03", "02", "01", "02"]


async def test_a_pipeline_that_is_gone_ends_it(house):
    house.pipeline(AFTER.replace("triggers: [{pipeline: shop}]", ""))
    house["mill"].hold = True
    async with shop(house).hub() as hub:
        asked = await ask(hub)
        await hub.until(house["mill"].running)
        await hub.engine.apply(house.remove("pipelines/shop.yaml").read())
        assert await over(hub, asked["backfill"]) == "cancelled"
        assert (await one(hub, asked["backfill"])).reason == "its pipeline is not configured any more"


async def test_what_it_was_asked_for_may_fit_the_pipeline_no_longer(house):
    house["mill"].hold = True
    async with shop(house).hub() as hub:
        asked = await ask(hub, only=["marts"])
        await hub.until(house["mill"].running)
        await hub.engine.apply(house.pipeline(SHOP.format(top="").replace("marts", "built")).read())
        house["mill"].hold = False
        assert await over(hub, asked["backfill"]) == "failed"
        assert "no task 'marts'" in (await one(hub, asked["backfill"])).reason
        await hub.told()
        (told,) = hub.engine.incidents.open.values()
        assert "no task 'marts'" in told.facets[Told.FAILED].error
        assert any("backfill of shop failed" in message.message.title for message in await hub.messages())
        await hub.engine.apply(house.pipeline(SHOP.format(top="")).read())
        assert await ask(hub, only=["marts"])
        assert await over(hub, asked["backfill"]) == "succeeded"
        await hub.until(lambda: not hub.engine.incidents.open)


async def test_a_pipeline_that_has_only_extracts_by_now_ends_it(house):
    """A run of nothing is over before it has begun: its interval was under way for ever, and could not be cancelled."""
    house["mill"].hold = True
    async with shop(house).hub() as hub:
        asked = await ask(hub)
        await hub.until(house["mill"].running)
        edited = SHOP.format(top="").partition("  marts:")[0]
        await hub.engine.apply(house.pipeline(edited).read())
        house["mill"].hold = False
        assert await over(hub, asked["backfill"]) == "failed"
        assert "shop has only extracts" in (await one(hub, asked["backfill"])).reason
        assert await states(hub, asked["backfill"]) == ["succeeded", "waiting", "waiting"]


async def test_intervals_are_the_schedules_own(house):
    top = "schedule: {cron: '0 6 * * 1-5', timezone: Europe/Berlin}"
    async with shop(house, top).hub() as hub:
        asked = await hub.submit("backfill", pipeline="shop", **{"from": "2026-10-22", "to": "2026-10-28"})
        await over(hub, asked["backfill"])
        runs = [run for run in (await hub.runs())[::-1] if run.trigger == "backfill"]
    assert [(run.interval.start, run.interval.end) for run in runs] == [
        (day(22, hour=4), day(23, hour=4)),
        (day(23, hour=4), day(26, hour=5)),  # over the weekend on which the clock is turned
        (day(26, hour=5), day(27, hour=5)),
        (day(27, hour=5), day(28, hour=5)),
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"pipeline": "shup"}, "no pipeline 'shup'; there are: shop"),
        ({"from": "yesterday"}, "--from 'yesterday' is no time"),
        ({"to": "2026-10-01"}, "is not before --to"),
        ({"from": "2027-10-01", "to": "2027-10-04"}, "is yet to come"),
        ({"every": 0.5}, "--every should be 1s at least"),
        ({"every": 1}, "more than 10000 intervals"),
        ({"every": None, "schedule": 2}, "--schedule 2: shop has 0 schedules"),
        ({"schedule": 1}, "--every and --schedule: give one"),
        ({"only": ["mart"]}, "no task 'mart'"),
        ({"with": {"marts": {"selct": "x"}}}, "selct"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(house, change, text):
    async with shop(house).hub() as hub:
        with pytest.raises(Refused, match=text):
            await ask(hub, **change)
        assert await hub.store.read(rows.backfills) == []


async def test_extracts_alone_are_nothing_to_backfill_and_not_every_one_can_load_anew(house):
    only = "pipeline: shop\ntasks: {orders: {uses: tap.sync, with: {connection: orders}}}\n"
    house.scheduled = True
    async with house.instances("tap", "mill").pipeline(only).hub() as hub:
        with pytest.raises(Refused, match="only extracts"):
            await ask(hub)
        await over(hub, (await ask(hub, extracts=True))["backfill"])
        await hub.engine.apply(house.pipeline("pipeline: shop\ntasks: {m: {uses: mill.build}}\n").read())
        with pytest.raises(Refused, match="no extract that can load everything anew"):
            await ask(hub, resync_first=True)


async def test_what_is_left_of_it_is_forgotten_with_its_runs(house):
    from stackhub.engine import retention

    async with shop(house).hub() as hub:
        asked = await ask(hub)
        await over(hub, asked["backfill"])
        await retention.sweep(hub.store, hub.house.clock.now() + timedelta(days=1))
        assert await one(hub, asked["backfill"]) is None
        assert await states(hub, asked["backfill"]) == []
