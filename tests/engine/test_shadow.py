"""A pipeline in shadow: it goes by what really lands, starts nothing, and tells nobody."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from engine.conftest import PAIR
from engine.house import House
from engine.lives import every_death

from stackhub.contract import ConfigError, Health, Rejected
from stackhub.errors import Refused
from stackhub.server.metrics import Metrics
from stackhub.store import queries
from stackhub.store import tables as t

LOOKS = {"prepare", "poll", "find", "connections"}
MINUTE = timedelta(minutes=1)
SHADOW = PAIR.strip() + "\nmode: shadow\n"
ONE = "pipeline: one\nmode: shadow\ntasks: {orders: {uses: tap.sync, with: {connection: orders}}, marts: {uses: mill.build}}\n"
HOURLY = "\nschedule: {cron: '0 * * * *'}\n"


def furnish(house, text=SHADOW):
    for name in ("orders", "stripe"):
        house["tap"].land(name)  # long before anything is configured
    return house.instances("tap", "mill", "bell", "horn").pipeline(text)


@pytest.fixture
def shadow(house):
    return furnish(house)


def more_than_looks(house):
    """Return every call that reached a vendor, or a person, and was more than a look."""
    accounts = getattr(house, "house", house).world.accounts
    return [(name, call.verb) for name, one in accounts.items() for call in one.calls if call.verb not in LOOKS]


async def waiting(hub, run):
    """Wait until a run watches for both loads."""
    await hub.at(run, "orders", "running")
    await hub.at(run, "stripe", "running")


async def over(hub, run=None, fails=False):
    """Let a run in shadow end: both loads come, or one of them is refused."""
    if fails:
        hub["tap"].will("prepare", Rejected("it is paused"), what="orders")
    run = run or await hub.trigger("shop")
    if fails:
        await hub.at(run, "stripe", "running")
    else:
        await waiting(hub, run)
        hub["tap"].land("orders")
    hub["tap"].land("stripe")
    return await hub.ended(run)


async def rows(hub, table):
    return await hub.store.read(lambda connection: connection.execute(sa.select(table)).all())


async def apply(hub):
    return await hub.engine.apply(hub.house.read())


# --- a run -----------------------------------------------------------------------------------------------------------


async def test_it_ends_with_what_really_lands_and_starts_nothing(shadow):
    async with shadow.hub() as hub:
        run = await hub.trigger("shop")
        await waiting(hub, run)
        hub["tap"].land("orders")
        await hub.at(run, "orders", "succeeded")
        assert hub.step(run, "marts").state == "waiting"
        hub["tap"].land("stripe")
        ended = await hub.ended(run)
    assert (ended.run.state, ended.run.mode) == ("succeeded", "shadow")
    assert ended.steps["marts"].note == "shadow: would have started mill.build"
    assert ended.steps["orders"].note.startswith("shadow: would have started tap.sync; it has landed by itself")
    assert more_than_looks(shadow) == []
    assert shadow["mill"].calls == []
    assert shadow["tap"].jobs == []


async def test_it_waits_for_a_load_that_is_newer_than_its_beginning(shadow):
    async with shadow.hub() as hub:
        first = await over(hub)
        hub["tap"].land("orders")
        hub["tap"].land("stripe")
        second = await hub.trigger("shop")
        await waiting(hub, second)
        await hub.pass_time(5 * MINUTE)
        assert hub.step(second, "orders").state == "running", "what came between two runs is no load of the second"
        await over(hub, second)
        assert (await hub.run(second)).steps["orders"].landing.mark > first.steps["orders"].landing.mark


@pytest.mark.slow
async def test_a_death_at_any_point_changes_nothing_of_it(tmp_path):
    before: dict[str, str] = {}

    def furnished(root):
        house = furnish(House(root), ONE)
        before.setdefault("orders", house["tap"].landed["orders"].mark)
        return house

    async def story(hub):
        if not await hub.runs():
            await hub.trigger("one")
        run = (await hub.runs())[0].id
        await hub.until(lambda: (step := hub.step(run, "orders")) is None or step.state in {"running", "succeeded"})
        if hub["tap"].landed["orders"].mark == before["orders"]:
            hub["tap"].land("orders")
        await hub.ended(run)

    async def check(hub):
        [run] = await hub.runs()
        assert (run.state, run.mode) == ("succeeded", "shadow")
        assert more_than_looks(hub) == []
        assert hub["tap"].jobs == hub["mill"].jobs == []
        assert (await hub.incidents(), await hub.messages()) == ([], [])

    died = await every_death(tmp_path, furnished, story, check, about=("tap", "RUN_MOVED"))
    assert len(died) > 6


async def test_a_person_may_end_it_and_nothing_is_asked_of_a_vendor(shadow):
    async with shadow.hub() as hub:
        run = await hub.trigger("shop")
        await waiting(hub, run)
        await hub.submit("cancel", run=run, reason="enough")
        ended = await hub.ended(run)
    assert ended.run.state == "cancelled"
    assert more_than_looks(shadow) == []


async def test_it_takes_no_place_from_a_live_run(house):
    furnish(house)
    house.pipeline(SHADOW.replace("mode: shadow", "max_active: 1").replace("pipeline: shop", "pipeline: other"))
    house.pipeline(SHADOW + "max_active: 1\n")
    house.write("tap.env", "TAP_MAX_ACTIVE=2\n")
    house["tap"].hold = True
    async with house.hub() as hub:
        await waiting(hub, await hub.trigger("shop"))  # both at once, though one at a time would be started
        house.pipeline(PAIR.strip() + "\nmax_active: 2\n")
        await apply(hub)
        await hub.trigger("shop")
        await hub.until(lambda: len(hub["tap"].running()) == 2)


# --- nobody is told --------------------------------------------------------------------------------------------------


async def test_what_would_be_told_is_kept_with_its_routes_and_is_never_sent(shadow):
    async with shadow.hub() as hub:
        await over(hub, fails=True)
        await hub.pass_time(30 * MINUTE)
        [incident] = await hub.incidents()
        assert (incident.key, incident.shadow, sorted(incident.routes)) == ("shadow:shop", True, ["bell", "horn"])
        assert {(one.route, one.state) for one in await hub.messages()} == {("bell", "shadow"), ("horn", "shadow")}
        await over(hub)
        [incident] = await hub.incidents()
        assert incident.resolved_at is not None
        await hub.pass_time(30 * MINUTE)
        assert {one.state for one in await hub.messages()} == {"shadow"}
        assert {one.message.event for one in await hub.messages()} == {"opened", "resolved"}
    assert (shadow["bell"].calls, shadow["horn"].calls) == ([], [])


async def test_a_late_tick_is_kept_from_people_too(house):
    house.scheduled = True
    furnish(house, SHADOW + HOURLY + "sla: {max_duration: 30m}\n")
    async with house.hub() as hub:
        await hub.reach(datetime(2026, 11, 2, 13, tzinfo=UTC))
        await hub.pass_time(40 * MINUTE)
        [incident] = await hub.until(hub.incidents)
        assert (incident.key, incident.shadow) == ("shadow:shop", True)
    assert (house["bell"].calls, house["horn"].calls) == ([], [])


async def test_an_account_that_refuses_is_told_by_a_live_hub(shadow):
    shadow["tap"].broken = ConfigError("no such key")
    async with shadow.hub() as hub:
        await hub.trigger("shop")
        await hub.until(lambda: shadow["bell"].order)
    assert [title for _, _, title in shadow["bell"].order][:1] == ["tap cannot be used as it is configured"]


async def test_a_hub_in_shadow_tells_nothing_until_it_is_live_and_then_what_lasts(shadow):
    shadow["tap"].broken = ConfigError("no such key")
    shadow.write("stackhub.env", "STACKHUB_GRACE=1s\nSTACKHUB_MODE=shadow\n")
    async with shadow.hub() as hub:
        await hub.trigger("shop")
        await hub.until(lambda: "instance:tap" in hub.engine.incidents.open)
        await hub.pass_time(30 * MINUTE)
        assert shadow["bell"].calls == []
        shadow.write("stackhub.env", "STACKHUB_GRACE=1s\n")
        await apply(hub)
        await hub.until(lambda: shadow["bell"].order)
        assert [(part, event) for part, event, _ in shadow["bell"].order] == [("root", "opened")]
        assert not hub.engine.incidents.open["instance:tap"].shadow


async def test_a_connection_that_only_pipelines_in_shadow_use_is_shown_and_not_told(house):
    house.environ = {"STACKHUB_WATCH": "5m"}
    house.thorough = True
    house["tap"].has("orders", "stripe")
    furnish(house)
    async with house.hub() as hub:
        house["tap"].has("orders", health=Health.PAUSED)
        await hub.until(lambda: "connection:tap/orders" in hub.engine.incidents.open, step=MINUTE)
        assert hub.engine.incidents.open["connection:tap/orders"].shadow
        await hub.pass_time(30 * MINUTE)
        assert house["bell"].calls == []
        house.pipeline(PAIR)
        await apply(hub)
        await hub.until(lambda: house["bell"].order)


# --- beside live ones ------------------------------------------------------------------------------------------------


async def test_it_begins_pipelines_in_shadow_and_no_live_one(shadow):
    shadow.pipeline(
        "pipeline: live\ntriggers: [{pipeline: shop}]\ntasks: {go: {uses: mill.sync, with: {connection: x}}}\n"
    )
    shadow.pipeline(
        "pipeline: after\nmode: shadow\ntriggers: [{pipeline: shop}]\ntasks: {go: {uses: mill.sync, with: {connection: x}}}\n"
    )
    async with shadow.hub() as hub:
        await over(hub)
        await hub.until(lambda: hub.runs("after"))
        await hub.rest()
        assert await hub.runs("live") == []
    assert more_than_looks(shadow) == []


async def test_it_teaches_nothing_of_how_long_work_takes(shadow):
    async with shadow.hub() as hub:
        await over(hub)
        assert await rows(hub, t.duration) == []
        assert await hub.store.read(lambda connection: queries.usual(connection, "shop")) == {}


async def test_it_is_in_no_number_that_somebody_is_woken_for(shadow):
    async with shadow.hub() as hub:
        metrics = Metrics(shadow.clock)
        hub.engine.board.on_moved.append(metrics.moved)
        first = await hub.trigger("shop")
        await waiting(hub, first)
        going = (await metrics.text(hub.engine, named=True)).decode()
        await hub.submit("cancel", run=first)
        await over(hub, fails=True)
        ended = (await metrics.text(hub.engine, named=True)).decode()
    assert 'pipeline="shop"' not in going + ended
    assert "stackhub_steps{" not in going
    assert "stackhub_incidents 0.0" in ended


async def test_its_loads_are_nobodys(shadow):
    async with shadow.hub() as hub:
        await over(hub)
        assert {row.run for row in await rows(hub, t.landing)} == {None}


async def test_a_retry_a_backfill_and_a_skip_are_refused(shadow):
    async with shadow.hub() as hub:
        ended = await over(hub, fails=True)
        for kind, args in (
            ("retry", {"run": ended.run.id}),
            ("skip", {"run": ended.run.id, "task": "orders", "reason": "enough"}),
            ("backfill", {"pipeline": "shop", "from": "2026-10-01", "to": "2026-10-03", "every": 86400.0}),
        ):
            with pytest.raises(Refused, match="in shadow"):
                await hub.submit(kind, **args)
