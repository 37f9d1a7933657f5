"""A run that is about to begin when its pipeline is paused, or changed, does not begin as if nothing had happened.

Before a run is made its turn is waited for, and its project's files are looked at: that may take long.
"""

import pytest
from engine import test_files, test_partial, test_required, test_triggers
from engine.far_end import FAILED
from engine.test_anew import Slow
from engine.test_files import put
from engine.test_main_path import FOLLOWS
from engine.test_required import at
from engine.test_schedules import hourly, ticked

from stackhub.errors import Refused

LINE = "pipeline: line\ntasks: {load: {uses: tap.sync, with: {connection: orders}}}\n"


class Turning:
    """What knows of what feeds what; something comes to pass when it first looks for a run of a pipeline."""

    def __init__(self, hub, name, deed):
        births = hub.engine.owing.births
        self._feeding, births._feeding = births._feeding, self
        self._name, self.meanwhile = name, deed

    async def look(self, pipelines):
        if self._name in pipelines and self.meanwhile is not None:
            deed, self.meanwhile = self.meanwhile, None
            await deed()
        await self._feeding.look(pipelines)

    def narrowed(self, pipeline):
        return self._feeding.narrowed(pipeline)


async def paused_in_its_turn(hub, name, begins):
    """Let something begin a run, and its pipeline be paused in the last moment; return the runs there are by then."""
    before = {run.id for run in await hub.runs(name)}
    turning = Turning(hub, name, lambda: hub.submit("pause", pipeline=name))
    await begins()
    await hub.until(lambda: turning.meanwhile is None)
    await hub.rest()
    return [run for run in await hub.runs(name) if run.id not in before]


async def resumed(hub, name):
    """Resume a pipeline, and return the first run that begins then."""
    before = {run.id for run in await hub.runs(name)}
    await hub.submit("resume", pipeline=name)

    async def there():
        return next((run for run in await hub.runs(name) if run.id not in before), None)

    return await hub.until(there)


async def test_a_tick_is_a_tick_of_the_pause(house):
    async with hourly(house, "catchup: last").hub() as hub:

        async def falls():
            hub.house.clock.pass_time(at(13) - hub.house.clock.now())

        assert await paused_in_its_turn(hub, "hourly", falls) == []
        assert (await resumed(hub, "hourly")).tick == at(13)


async def test_so_is_one_that_is_decided_once_more_since_the_clock_was_set_back(house):
    async with hourly(house, "catchup: last").hub() as hub:
        await hub.reach(at(13))
        await ticked(hub, at(13))
        house.clock.set_wall(at(12, 30))
        await hub.rest()
        await hub.engine.apply(house.remove("pipelines/hourly.yaml").read())
        await hub.engine.apply(hourly(house, "catchup: last").read())
        pause = Slow(hub.store, lambda: hub.submit("pause", pipeline="hourly"))
        hub.engine.scheduler._store = pause
        house.clock.pass_time(at(14) - house.clock.now())
        await hub.until(lambda: hub.engine.in_force.known["hourly"].paused_at)
        await hub.rest()
        assert [run.tick for run in await hub.runs()] == [at(13)]
        assert (await resumed(hub, "hourly")).tick == at(14)


async def test_what_has_landed_waits_for_the_end_of_the_pause(house):
    async with test_triggers.furnish(house).hub() as hub:
        await test_triggers.in_force(hub)

        async def lands():
            house["tap"].land("orders")
            house["tap"].land("stripe")

        assert await paused_in_its_turn(hub, "marts", lands) == []
        assert (await resumed(hub, "marts")).trigger == "landed"


async def test_so_do_files(house):
    async with test_files.furnish(house).hub() as hub:
        await test_files.in_force(hub)

        async def come_in():
            put(house, "a.csv")

        assert await paused_in_its_turn(hub, "marts", come_in) == []
        assert (await resumed(hub, "marts")).trigger == "file"


async def test_so_does_a_tick_that_waited_for_its_data(house):
    async with test_required.furnish(house).hub() as hub:
        await test_required.in_force(hub)
        await test_required.reach(hub, at(13, 20))

        async def lands():
            house["tap"].land("orders")

        assert await paused_in_its_turn(hub, "marts", lands) == []
        assert (await resumed(hub, "marts")).tick == at(13)


async def test_so_does_what_is_owed(house):
    test_partial.furnish(house)["tap"].outcomes["ads"].append(FAILED)
    async with house.hub() as hub:
        await test_partial.known(hub)
        await hub.ended(await hub.trigger("shop"))

        async def lands():
            await test_partial.land(hub, "ads")

        assert await paused_in_its_turn(hub, "shop", lands) == []
        assert test_partial.owed(hub) == {("stg_ads", "ads"), ("reach", "ads")}
        assert (await resumed(hub, "shop")).trigger == "owed"


async def test_a_pipeline_that_is_paused_does_not_follow(house):
    house.instances("tap", "mill").pipeline(LINE).pipeline(FOLLOWS)
    async with house.hub() as hub:

        async def succeeds():
            await hub.ended(await hub.trigger("line"))

        assert await paused_in_its_turn(hub, "reports", succeeds) == []


async def test_a_request_that_was_read_before_the_pause_is_refused_after_it(house):
    house.instances("tap").pipeline(LINE)
    async with house.hub() as hub:
        await hub.submit("pause", pipeline="line")
        with pytest.raises(Refused, match="line is paused: send it again when it is resumed"):
            await hub.submit("trigger", pipeline="line", trigger="webhook", hook="msg_1")
        assert await hub.runs() == []
        await hub.trigger("line")


async def test_a_tick_is_a_run_of_the_pipeline_as_it_is_by_then(house):
    async with hourly(house).hub() as hub:
        edited = (house.root / "pipelines/hourly.yaml").read_text().replace("orders", "users")
        Turning(hub, "hourly", lambda: hub.engine.apply(house.pipeline(edited).read()))
        await hub.reach(at(13))
        await hub.until(lambda: not hub.engine.board.runs())
        assert len(await hub.runs()) == 1
    assert [job.what for job in house["tap"].jobs] == ["users"]


async def test_so_is_what_has_landed(house):
    async with test_triggers.furnish(house).hub() as hub:
        await test_triggers.in_force(hub)
        edited = test_triggers.WHEN_BOTH.replace("mill.build,", "mill.build, with: {select: edited},")
        Turning(hub, "marts", lambda: hub.engine.apply(house.pipeline(edited).read()))
        house["tap"].land("orders")
        house["tap"].land("stripe")
        await test_triggers.ran(hub, 1)
    assert [job.what for job in house["mill"].jobs] == ["edited"]
