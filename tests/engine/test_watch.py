"""Connections that will not load are told before the sync that will not come: once, with who uses them."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from engine.house import House
from engine.lives import every_death

from stackhub.contract import Connection, Health, Unavailable
from stackhub.errors import Refused
from stackhub.store import tables as t

MINUTE = timedelta(minutes=1)
STRIDE = 20 * timedelta(seconds=1)
SHOP = """
pipeline: shop
owner: finance
tasks:
  orders: {uses: tap.sync, with: {connection: orders}}
  stripe: {uses: tap.sync, with: {connection: "${STRIPE}"}}
"""
OTHER = """
pipeline: other
tasks: {load: {uses: tap.sync, with: {connection: orders}}}
alerts: [{to: horn, on: [upstream]}]
"""


def furnish(root) -> House:
    house = House(root)
    house.environ = {"STACKHUB_WATCH": "5m", "STRIPE": "stripe"}
    house.instances("tap", "bell", "horn").pipeline(SHOP)
    house.write("stackhub.env", "STACKHUB_GRACE=1s\nSTACKHUB_ALERTS=bell\n")
    house.thorough = True
    house["tap"].has("orders", "stripe", "unused", schedule="every 6 h")
    return house


@pytest.fixture
def watched(tmp_path):
    return furnish(tmp_path)


def told(house, name="bell"):
    return [(event, title) for part, event, title in house[name].order if part == "root"]


async def looked(hub, times=1):
    """Wait until the account has been looked at so often from now on; a look under way may have seen less."""
    seen, sweeper = [], hub.engine.lanes.open["tap"].sweeper
    times += len(sweeper.busy)
    hub.engine.catalogue.on_swept.append(seen.append)
    sweeper.look_now()
    await hub.until(lambda: len(seen) >= times, step=STRIDE)
    hub.engine.catalogue.on_swept.remove(seen.append)


async def lines(hub):
    def read(connection):
        rows = connection.execute(sa.select(t.event).where(t.event.c.kind == "connection").order_by(t.event.c.id))
        return [(row.pipeline, row.task, row.text) for row in rows]

    return await hub.store.read(read)


async def test_a_connection_that_is_paused_is_told_once_and_resolved_when_it_is_well(watched):
    async with watched.hub() as hub:
        await looked(hub)
        watched["tap"].has("orders", health=Health.PAUSED, note="paused by eve")
        await looked(hub, 3)
        await hub.told()
        assert told(watched) == [("opened", "tap/orders is paused")]
        [incident] = await hub.incidents()
        assert (incident.key, incident.concerns) == ("connection:tap/orders", ("shop",))
        [facet] = incident.facets.values()
        assert (facet.error, facet.owners, dict(facet.facts)["Used by"]) == (
            "paused by eve",
            ("finance",),
            "shop.orders",
        )
        watched["tap"].has("orders", health=Health.OK, note="")
        await looked(hub)
        await hub.told()
    assert told(watched) == [("opened", "tap/orders is paused"), ("resolved", "tap/orders is paused")]


async def test_it_is_noticed_within_a_sweep(watched):
    async with watched.hub() as hub:
        await looked(hub)
        watched["tap"].has("orders", health=Health.BROKEN)
        before = watched.clock.now()
        await hub.until(hub.incidents, step=STRIDE)
        [incident] = await hub.incidents()
        assert incident.opened_at - before <= 6 * MINUTE


async def test_who_uses_a_connection_hears_of_it_and_nobody_of_one_that_nobody_uses(watched):
    watched.pipeline(OTHER)
    watched["tap"].has("unused", health=Health.BROKEN)
    watched["tap"].has("stripe", health=Health.BROKEN)
    async with watched.hub() as hub:
        await looked(hub)
        await hub.told()
        assert told(watched) == [("opened", "tap/stripe is broken")]
        assert told(watched, "horn") == []
        watched["tap"].has("orders", health=Health.BLOCKED)
        await looked(hub)
        await hub.told()
    assert told(watched, "horn") == [("opened", "tap/orders is blocked")]
    assert told(watched)[1:] == [("opened", "tap/orders is blocked")]


async def test_one_that_is_deleted_is_gone_until_one_of_its_name_is_there(watched):
    async with watched.hub() as hub:
        await looked(hub)
        del watched["tap"].holds["orders"]
        await looked(hub, 3)
        await hub.told()
        assert told(watched) == [("opened", "tap/orders is gone")]
        watched["tap"].holds["anew"] = Connection(id="anew", name="orders", health=Health.OK)
        await looked(hub)
        await hub.told()
    assert told(watched)[1:] == [("resolved", "tap/orders is gone")]


async def test_one_that_is_gone_is_remembered_by_the_next_hub(watched):
    async with watched.hub() as hub:
        await looked(hub)
        del watched["tap"].holds["orders"]
        await looked(hub)
        await hub.told()
    async with watched.hub() as hub:
        await looked(hub, 2)
        assert list(hub.engine.incidents.open) == ["connection:tap/orders"]
        watched["tap"].has("orders")
        await looked(hub)
        await hub.told()
    assert told(watched) == [("opened", "tap/orders is gone"), ("resolved", "tap/orders is gone")]


async def test_a_listing_that_fails_says_nothing_about_any_connection(watched):
    async with watched.hub() as hub:
        await looked(hub)
        watched["tap"].will("connections", Unavailable("cut"), Unavailable("cut"))
        await looked(hub)
        assert watched["tap"].count("connections") >= 4
        assert hub.engine.incidents.open == {}


async def test_an_account_whose_connections_all_go_bad_is_one_problem(watched):
    tasks = "\n".join(f"  t{n}: {{uses: tap.sync, with: {{connection: c{n}}}}}" for n in range(9))
    watched.pipeline(f"pipeline: wide\ntasks:\n{tasks}\n")
    names = [f"c{n}" for n in range(9)]
    watched["tap"].has(*names)
    async with watched.hub() as hub:
        await looked(hub)
        watched["tap"].has("c0", health=Health.PAUSED)
        await looked(hub)
        watched["tap"].has(*names, health=Health.PAUSED)
        await looked(hub, 2)
        await hub.told()
        assert told(watched) == [("opened", "tap/c0 is paused"), ("opened", "8 connections at tap are paused")]
        assert set(hub.engine.incidents.open) == {"connection:tap/c0", "connection:tap/*"}
        watched["tap"].has(*names, health=Health.OK)
        await looked(hub)
        await hub.told()
        assert hub.engine.incidents.open == {}


async def test_what_changes_and_is_no_problem_is_a_line_of_history_for_who_uses_it(watched):
    watched.pipeline(OTHER)
    async with watched.hub() as hub:
        await looked(hub)
        watched["tap"].has("orders", "unused", schedule="manual")
        await looked(hub, 2)
        assert await hub.messages() == []
        said = "tap/orders: its schedule is manual, and was every 6 h"
        assert await lines(hub) == [("other", "load", said), ("shop", "orders", said)]


async def test_a_sync_that_somebody_else_starts_is_said_and_none_of_ours(watched):
    watched["tap"].has("orders", schedule="manual", syncing=False)
    async with watched.hub() as hub:
        await looked(hub)
        await hub.ended(await hub.trigger("shop"))
        await looked(hub, 2)
        assert await lines(hub) == [], "that was ours"
        watched["tap"].has("orders", syncing=True)
        await looked(hub, 2)
        watched["tap"].has("orders", syncing=False)
        watched["tap"].land("orders")
        await looked(hub)
        [(_, _, going)] = await lines(hub)
        assert going == "tap/orders: a sync is going on that somebody else has started"
        watched["tap"].land("orders")
        await looked(hub)
        assert "a sync that somebody else started landed at" in (await lines(hub))[1][2]


async def test_what_no_pipeline_uses_any_more_is_closed(watched):
    watched["tap"].has("orders", health=Health.BROKEN)
    async with watched.hub() as hub:
        await looked(hub)
        assert list(hub.engine.incidents.open) == ["connection:tap/orders"]
        watched.pipeline("pipeline: shop\ntasks: {stripe: {uses: tap.sync, with: {connection: stripe}}}\n")
        await hub.engine.apply(watched.read())
        await looked(hub)
        [incident] = await hub.incidents()
        assert incident.resolution == "no pipeline uses tap/orders any more"
        watched["tap"].has("stripe", health=Health.BROKEN)
        await looked(hub)
        watched.remove("pipelines/shop.yaml")
        await hub.engine.apply(watched.read())
        assert hub.engine.incidents.open == {}


async def test_nobody_is_asked_where_the_watch_is_off(watched):
    watched.environ["STACKHUB_WATCH"] = "0s"
    async with watched.hub() as hub:
        await hub.pass_time(20 * MINUTE, step=MINUTE)
        assert watched["tap"].count("connections") == 0


async def test_a_connection_can_be_muted_by_its_name(watched):
    async with watched.hub() as hub:
        await looked(hub)
        until = (watched.clock.now() + timedelta(hours=1)).isoformat()
        muted = await hub.submit("mute", target="tap/orders", until=until, reason="it moves")
        assert muted["key"] == "connection:tap/orders"
        with pytest.raises(Refused, match="no pipeline, instance or connection"):
            await hub.submit("mute", target="tap/nothing", until=until, reason="it moves")
        watched["tap"].has("orders", "stripe", health=Health.PAUSED)
        await looked(hub)
        await hub.told()
    assert told(watched) == [("opened", "tap/stripe is paused")]


async def test_whatever_dies_it_is_told_once_and_resolved(tmp_path):
    """A connection is deleted, and comes back; between any two steps of that the hub may die."""

    async def story(hub):
        tap = hub["tap"]
        await looked(hub)  # what a hub sees at its start may open it
        done = {incident.resolved_at is not None for incident in await hub.incidents()}
        if True not in done:
            if not done:
                tap.has("orders")
                await looked(hub)
                del tap.holds["orders"]
                await looked(hub)
                await hub.told()
            tap.has("orders")
            await looked(hub)
        await hub.told()

    async def check(hub):
        found = await hub.incidents()
        assert [incident.resolved_at is not None for incident in found] == [True]
        await hub.until(
            lambda: ("resolved", "tap/orders is gone") in told(hub.house)
        )  # after its patience with a doubt
        await hub.told()
        assert told(hub.house) in (
            [("opened", "tap/orders is gone"), ("resolved", "tap/orders is gone")],
            [("resolved", "tap/orders is gone")],
        )

    died = await every_death(
        tmp_path, furnish, story, check, about=("CONNECTION", "connections", "deliver", "INCIDENT")
    )
    assert any("CONNECTION_GONE" in where for where in died)
