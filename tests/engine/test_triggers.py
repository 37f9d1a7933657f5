"""Runs that begin because data has landed: one for each set of landings, whoever brought them, whatever dies when."""

from datetime import timedelta

import pytest
from engine.house import House
from engine.lives import every_death

from stackhub.contract import Unavailable
from stackhub.store import watermarks

MINUTE = timedelta(minutes=1)
STEP = timedelta(seconds=20)
WHEN_BOTH = """
pipeline: marts
triggers: [{landed: [tap:orders, tap:stripe]}]
tasks: {build: {uses: mill.build, retries: {attempts: 1}}}
"""


def furnish(house, text=WHEN_BOTH):
    house.scheduled = True
    house.instances("tap", "mill").pipeline(text)
    house["tap"].has("orders", "stripe")
    house["tap"].land("orders")  # long before anything is configured
    return house


@pytest.fixture
def both(house):
    return furnish(house)


async def marks(hub):
    found = await hub.store.read(watermarks.marks)
    return {str(mark): mark for group in found.values() for mark in group}


async def in_force(hub):
    async def known():
        found = await marks(hub)
        return found and all(mark.connection is not None for mark in found.values())

    await hub.until(known, step=STEP)


async def looked(hub, times=1):
    """Let the account be looked at so often from now on, and what follows be decided."""
    wanted = hub["tap"].count("connections") + times
    await hub.until(lambda: hub["tap"].count("connections") >= wanted, step=STEP)
    await hub.rest()


async def ran(hub, times):
    async def so_often():
        return len(await hub.runs("marts")) >= times and not hub.engine.board.runs()

    await hub.until(so_often, step=STEP)
    assert len(await hub.runs("marts")) == times
    return (await hub.runs("marts"))[0]


async def test_a_run_begins_once_all_have_landed_and_again_when_all_have_landed_again(both):
    async with both.hub() as hub:
        await in_force(hub)
        hub["tap"].land("orders")
        await looked(hub, 2)
        assert await hub.runs() == []
        hub["tap"].land("stripe")
        run = await ran(hub, 1)
        assert (run.trigger, run.reason) == ("landed", "landed: tap:orders, tap:stripe")
        hub["tap"].land("stripe")
        await looked(hub, 2)
        hub["tap"].land("orders")
        second = await ran(hub, 2)
    assert second.interval.start == run.interval.end


async def test_one_is_enough_where_any_is_asked_for(house):
    furnish(house, WHEN_BOTH.replace("tap:stripe]", "tap:stripe], any: true"))
    async with house.hub() as hub:
        await in_force(hub)
        hub["tap"].land("orders")
        assert (await ran(hub, 1)).reason == "landed: tap:orders"
        hub["tap"].land("stripe")
        assert (await ran(hub, 2)).reason == "landed: tap:stripe"
        await looked(hub, 2)
        assert len(await hub.runs()) == 2


async def test_what_has_landed_before_begins_nothing(both):
    both["tap"].land("stripe")
    async with both.hub() as hub:
        await in_force(hub)
        await looked(hub, 2)
        assert await hub.runs() == []


async def test_what_lands_while_the_hub_is_down_begins_a_run_when_it_is_back(both):
    async with both.hub() as hub:
        await in_force(hub)
    for _ in range(3):
        both["tap"].land("orders")
        both["tap"].land("stripe")
    both.clock.pass_time(timedelta(hours=9))
    async with both.hub() as hub:
        await ran(hub, 1)
        await looked(hub, 2)
        assert len(await hub.runs()) == 1


async def test_what_lands_while_the_pipeline_is_paused_begins_a_run_when_it_is_resumed(both):
    async with both.hub() as hub:
        await in_force(hub)
        await hub.submit("pause", pipeline="marts")
        hub["tap"].land("orders")
        hub["tap"].land("stripe")
        await looked(hub, 2)
        assert await hub.runs() == []
        await hub.submit("resume", pipeline="marts")
        await ran(hub, 1)


async def test_what_lands_while_a_run_is_going_is_one_run_after_it(both):
    both["mill"].hold = True
    async with both.hub() as hub:
        await in_force(hub)
        hub["tap"].land("orders")
        hub["tap"].land("stripe")
        await hub.until(hub["mill"].running, step=STEP)
        for _ in range(2):
            hub["tap"].land("orders")
            hub["tap"].land("stripe")
            await looked(hub)
        assert len(await hub.runs()) == 1
        hub["mill"].hold = False
        await ran(hub, 2)
        await looked(hub, 2)
        assert len(await hub.runs()) == 2


async def test_what_a_run_of_the_pipeline_itself_brings_in_does_not_begin_another(house):
    furnish(
        house,
        """
pipeline: marts
triggers: [{landed: [tap:orders]}]
tasks: {load: {uses: tap.sync, with: {connection: orders}}, build: {uses: mill.build}}
""",
    )
    async with house.hub() as hub:
        await in_force(hub)
        await hub.trigger("marts")
        await ran(hub, 1)
        await looked(hub, 3)
        assert len(await hub.runs()) == 1
        hub["tap"].land("orders")
        await hub.until(lambda: hub["tap"].jobs[-1].id == 2 and not hub.engine.board.runs(), step=STEP)
        await looked(hub, 3)
        assert len(await hub.runs()) == 2


async def test_a_landing_that_a_step_of_another_pipeline_brings_in_counts_at_once(both):
    both.write("stackhub.env", "STACKHUB_GRACE=1s\nSTACKHUB_CATALOG_EVERY=10h\n")
    both.pipeline(
        "pipeline: loads\ntasks: {orders: {uses: tap.sync, with: {connection: orders}}, "
        "stripe: {uses: tap.sync, with: {connection: stripe}}}\n"
    )
    async with both.hub() as hub:
        await in_force(hub)
        await hub.trigger("loads")
        await ran(hub, 1)
        assert hub["tap"].count("connections") == 1


async def test_a_name_that_means_nothing_is_an_incident_until_it_means_something(house):
    furnish(house, WHEN_BOTH.replace("tap:stripe", "tap:strype")).instances("bell")
    async with house.hub() as hub:
        await hub.until(lambda: hub.engine.incidents.open, step=STEP)
        (incident,) = hub.engine.incidents.open.values()
        assert incident.key == "trigger:marts/tap"
        assert [facet.title for facet in incident.facets.values()] == [
            "marts: tap has no connection 'strype'; did you mean stripe?"
        ]
        hub["tap"].has("9", name="strype")
        await hub.until(lambda: not hub.engine.incidents.open, step=STEP)
        hub["tap"].land("orders")
        hub["tap"].land("9")
        await ran(hub, 1)


async def test_a_name_of_two_connections_lists_their_ids(both):
    both["tap"].has("7", "8", name="stripe")
    del both["tap"].holds["stripe"]
    async with both.hub() as hub:
        await hub.until(lambda: hub.engine.incidents.open, step=STEP)
        (incident,) = hub.engine.incidents.open.values()
        assert "name it by its id: 7, 8" in next(iter(incident.facets.values())).title


async def test_a_connection_made_anew_under_its_name_is_followed(both):
    async with both.hub() as hub:
        await in_force(hub)
        del hub["tap"].holds["stripe"]
        hub["tap"].has("new", name="stripe")
        hub["tap"].land("orders")
        hub["tap"].land("new")
        await ran(hub, 1)


async def test_a_reworded_trigger_goes_on_from_where_it_had_come_to(both):
    async with both.hub() as hub:
        await in_force(hub)
        hub["tap"].land("orders")
        await looked(hub)
        await hub.engine.apply(both.pipeline(WHEN_BOTH.replace(", tap:stripe", "")).read())
        await ran(hub, 1)
        assert list(await marks(hub)) == ["tap:orders"]


async def test_a_trigger_of_a_retired_pipeline_leaves_nothing_behind(both):
    both["tap"].holds.pop("stripe")
    async with both.hub() as hub:
        await hub.until(lambda: hub.engine.incidents.open, step=STEP)
        await hub.engine.apply(both.remove("pipelines/marts.yaml").read())
        assert await marks(hub) == {}
        assert not hub.engine.incidents.open
        calls = hub["tap"].count("connections")
        await hub.pass_time(5 * MINUTE)
        assert hub["tap"].count("connections") == calls


async def test_an_account_that_is_down_for_a_while_loses_nothing(both):
    async with both.hub() as hub:
        await in_force(hub)
        hub["tap"].broken = Unavailable("refused")
        hub["tap"].land("orders")
        hub["tap"].land("stripe")
        await looked(hub, 2)
        hub["tap"].broken = None
        await ran(hub, 1)


async def test_a_request_that_is_delivered_after_every_death_begins_one_run(tmp_path):
    async def story(hub):
        if not await hub.engine.hooks.begun("marts", "msg_1"):
            await hub.submit("trigger", pipeline="marts", trigger="webhook", hook="msg_1", params={"a": 1})
        await ran(hub, 1)

    async def check(hub):
        (run,) = await hub.runs("marts")
        assert (run.trigger, run.origin["params"]) == ("webhook", {"a": "1"})
        assert len(hub["mill"].jobs) == 1

    points = await every_death(tmp_path, lambda root: furnish(House(root)), story, check, about=("HOOK", "COMMAND"))
    assert any("HOOK" in point for point in points)


async def test_each_set_of_landings_is_one_run_whatever_dies_when(tmp_path):
    async def story(hub):
        tap = hub["tap"]
        await in_force(hub)
        if tap.holds["stripe"].last is None:
            tap.land("orders")
            tap.land("stripe")
        await ran(hub, 1)
        await looked(hub)

    async def check(hub):
        assert [run.state.value for run in await hub.runs("marts")] == ["succeeded"]
        assert len(hub["mill"].jobs) == 1
        assert not any(mark.news for mark in (await marks(hub)).values())

    about = ("MARK", "LANDING", "connections", "apply")
    points = await every_death(tmp_path, lambda root: furnish(House(root)), story, check, about=about)
    assert any("MARK_TAKEN" in point for point in points)
    assert any("MARK_BASED" in point for point in points)
