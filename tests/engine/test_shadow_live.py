"""Pipelines that go into shadow, and out of it: what belongs to which, and what is left to whom."""

from datetime import UTC, datetime, timedelta

import pytest
from engine.conftest import PAIR
from engine.far_end import FAILED
from engine.test_shadow import HOURLY, MINUTE, SHADOW, apply, furnish, over, waiting

from stackhub.contract import Health
from stackhub.errors import Refused

ONE_PM = datetime(2026, 11, 2, 13, tzinfo=UTC)


@pytest.fixture
def shadow(house):
    return furnish(house)


async def test_a_run_that_began_in_shadow_ends_so_and_the_next_is_live_and_waits_for_nobody(house):
    house.scheduled = True
    furnish(house, SHADOW + HOURLY)
    async with house.hub() as hub:
        await hub.reach(ONE_PM)
        [old] = await hub.runs()
        await waiting(hub, old.id)
        house.pipeline(PAIR.strip() + HOURLY)
        await apply(hub)
        await hub.reach(ONE_PM + timedelta(hours=1))
        live, shadow = await hub.runs()
        assert (live.mode, shadow.mode) == ("live", "shadow")
        assert (await hub.ended(live.id)).run.state == "succeeded"
        ended = await hub.ended(old.id)
        assert ended.steps["marts"].note == "shadow: would have started mill.build"
    assert [job.what for job in house["mill"].jobs] != []
    assert live.interval.start == shadow.interval.end


async def test_what_it_brings_in_once_its_pipeline_is_live_is_news_to_that(house):
    house.scheduled = True
    text = SHADOW + "triggers: [{landed: [tap:orders]}]\n"
    house["tap"].has("orders", "stripe")
    furnish(house, text)
    async with house.hub() as hub:
        old = await hub.trigger("shop")
        await waiting(hub, old)
        await hub.pass_time(5 * MINUTE)
        house.pipeline(text.replace("mode: shadow", "mode: live"))
        await apply(hub)
        hub["tap"].land("orders")
        hub.engine.lanes.open["tap"].lane.look_now()  # so that the run in shadow is the first that sees it
        await hub.now_until(lambda: hub.step(old, "orders").state == "succeeded")
        runs = await hub.until(lambda: _more(hub, 1))
        assert (runs[0].mode, runs[0].trigger) == ("live", "landed")


async def _more(hub, than):
    found = await hub.runs()
    return found if len(found) > than else None


async def test_what_was_wrong_in_shadow_is_over_once_it_is_live_and_nobody_hears_of_it(shadow):
    async with shadow.hub() as hub:
        await over(hub, fails=True)
        shadow.pipeline(PAIR)
        await apply(hub)
        [incident] = await hub.incidents()
        assert incident.resolution == "the pipeline is live now; it was in shadow"
        await hub.pass_time(30 * MINUTE)
    assert shadow["bell"].calls == []


async def test_what_was_wrong_before_it_went_into_shadow_is_over_and_told_so(shop):
    shop["tap"].outcomes["orders"].append(FAILED)
    async with shop.hub() as hub:
        failed = await hub.ended(await hub.trigger("shop"))
        await hub.told()
        shop.pipeline(SHADOW)
        await apply(hub)
        await hub.until(lambda: shop["bell"].order[-1][1] == "resolved")
        with pytest.raises(Refused, match="mode: live"):
            await hub.submit("retry", run=failed.run.id)


async def test_it_is_kept_waiting_by_no_live_run(house):
    furnish(house, PAIR.strip() + "\nmax_active: 1\n").write("tap.env", "TAP_MAX_ACTIVE=1\n")
    house["tap"].hold = True
    async with house.hub() as hub:
        await hub.trigger("shop")
        await hub.until(house["tap"].running)
        house.pipeline(SHADOW + "max_active: 1\n")
        await apply(hub)
        await waiting(hub, await hub.trigger("shop"))
        assert len(house["tap"].jobs) == 1


async def test_a_run_in_shadow_keeps_no_promise_of_a_live_one(house):
    house.scheduled = True
    text = HOURLY + "sla: {max_duration: 30m}\n"
    furnish(house, PAIR.strip() + text)
    house["tap"].hold = True
    async with house.hub() as hub:
        await hub.reach(ONE_PM)
        await hub.until(lambda: len(house["tap"].running()) == 2)
        house.pipeline(SHADOW + text)
        await apply(hub)
        await over(hub)
        await hub.until(lambda: house["bell"].order, step=MINUTE)
        assert house.clock.now() >= ONE_PM + timedelta(minutes=30)
        assert [(one.key, one.shadow) for one in hub.engine.incidents.open.values()] == [("pipeline:shop", False)]


async def test_the_first_live_run_goes_on_where_shadow_has_ended_and_later_ones_where_a_live_one_has(house):
    furnish(house)
    async with house.hub() as hub:
        shadow = await over(hub)
        await hub.pass_time(5 * MINUTE)
        house.pipeline(PAIR)
        await apply(hub)
        first = await hub.ended(await hub.trigger("shop"))
        assert first.run.interval.start == shadow.run.interval.end
        house.pipeline(SHADOW)
        await apply(hub)
        await over(hub)
        await hub.pass_time(5 * MINUTE)
        house.pipeline(PAIR)
        await apply(hub)
        second = await hub.ended(await hub.trigger("shop"))
        assert second.run.interval.start == first.run.interval.end


async def test_of_a_connection_that_a_live_pipeline_uses_as_well_that_one_is_told_alone(house):
    house.environ = {"STACKHUB_WATCH": "5m"}
    house.thorough = True
    house["tap"].has("orders", "stripe")
    furnish(house, SHADOW + "alerts: [{to: bell}]\n")
    house.pipeline(
        "pipeline: other\ntasks: {load: {uses: tap.sync, with: {connection: orders}}}\nalerts: [{to: horn, on: [upstream]}]\n"
    )
    async with house.hub() as hub:
        house["tap"].has("orders", health=Health.PAUSED)
        await hub.until(lambda: house["horn"].order, step=MINUTE)
        await hub.pass_time(30 * MINUTE)
    assert house["bell"].calls == []
