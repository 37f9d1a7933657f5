"""One look at each account, for all who want to know: kept under its lane, once, within its rate."""

from datetime import timedelta

import pytest
from engine.house import House
from engine.lives import every_death

from stackhub.contract import Connection, Health, Relation, Unavailable
from stackhub.store import connections, transaction
from stackhub.store.rows import happened

MINUTE = timedelta(minutes=1)
ORDERS = Relation("db", "shop", "orders")


@pytest.fixture
def watched(house):
    """An account with two connections, of which something wants to know."""
    house.instances("tap")
    house["tap"].has("orders", "stripe")
    return house


def want(hub, every=MINUTE):
    hub.engine.catalogue.wants.append(lambda name: every if name == "tap" else None)
    hub.engine.lanes.open["tap"].sweeper.look_now()


async def kept(hub):
    return (await hub.store.read(connections.connections)).get("tap", {})


async def landings(hub):
    def rows(connection):
        table = transaction.t.landing
        return [(row.connection, row.mark, row.run) for row in connection.execute(table.select())]

    return sorted(await hub.store.read(rows))


async def test_nobody_is_asked_for_what_nobody_wants_to_know(watched):
    async with watched.hub() as hub:
        await hub.pass_time(5 * MINUTE)
        assert hub["tap"].calls == []


async def test_what_an_account_holds_is_kept_with_its_newest_landing(watched):
    watched["tap"].has("orders", relations=(ORDERS,), schedule="every 6 h")
    landing = watched["tap"].land("orders", rows=7)
    async with watched.hub() as hub:
        want(hub)
        await hub.until(lambda: "tap" in hub.engine.catalogue.swept_at)
        found = await kept(hub)
        seen = await landings(hub)
    assert found["orders"] == Connection(
        id="orders", name="orders", health=Health.OK, schedule="every 6 h", relations=(ORDERS,), last=landing
    )
    assert found["stripe"].last is None
    assert seen == [("orders", landing.mark, None)]


async def test_it_is_looked_at_as_often_as_the_most_curious_wants(watched):
    async with watched.hub() as hub:
        want(hub, 10 * MINUTE)
        want(hub, 2 * MINUTE)
        await hub.until(lambda: hub["tap"].count("connections") == 1, step=timedelta())
        await hub.pass_time(8 * MINUTE, step=MINUTE / 4)
        assert 4 <= hub["tap"].count("connections") <= 5


async def test_a_look_that_brings_nothing_new_commits_nothing(watched):
    async with watched.hub() as hub:
        want(hub)
        await hub.until(lambda: "tap" in hub.engine.catalogue.swept_at)
        before = hub.store.writer.commits
        swept = []
        hub.engine.catalogue.on_swept.append(swept.append)
        await hub.until(lambda: len(swept) == 3, step=MINUTE / 4)
        assert hub.store.writer.commits == before
        assert all(one.before == one.after for one in swept)


async def test_what_is_gone_from_the_listing_is_forgotten_and_a_broken_listing_forgets_nothing(watched):
    async with watched.hub() as hub:
        want(hub)
        await hub.until(lambda: "tap" in hub.engine.catalogue.swept_at)
        del hub["tap"].holds["stripe"]
        hub["tap"].will("connections", Unavailable("cut off"))
        await hub.until(lambda: hub["tap"].count("connections") == 2, step=MINUTE / 4)
        assert set(await kept(hub)) == {"orders", "stripe"}
        await hub.until(lambda: "stripe" not in hub.engine.catalogue.held["tap"], step=MINUTE / 4)
        assert set(await kept(hub)) == {"orders"}


async def test_an_account_that_is_down_is_tried_now_and_then_and_told_of_once(watched):
    watched.instances("bell")
    async with watched.hub() as hub:
        want(hub, timedelta(seconds=2))
        await hub.until(lambda: "tap" in hub.engine.catalogue.swept_at)
        hub["tap"].broken = Unavailable("connection refused")
        await hub.until(lambda: hub.engine.incidents.open, step=timedelta(seconds=1))
        assert list(hub.engine.incidents.open) == ["instance:tap"]
        calls = hub["tap"].count("connections")
        await hub.pass_time(timedelta(seconds=20), step=timedelta(seconds=2))
        assert hub["tap"].count("connections") - calls < 6
        hub["tap"].broken = None
        await hub.until(lambda: not hub.engine.incidents.open, step=timedelta(seconds=5))


async def test_a_vendor_that_wants_patience_is_left_alone(watched):
    async with watched.hub() as hub:
        hub["tap"].will("connections", Unavailable("slow down", retry_after=10 * MINUTE))
        want(hub, timedelta(seconds=5))
        await hub.until(lambda: hub["tap"].count("connections") == 1, step=timedelta())
        await hub.pass_time(9 * MINUTE, step=MINUTE)
        assert hub["tap"].count("connections") == 1
        await hub.until(lambda: hub["tap"].count("connections") == 2, step=MINUTE / 2)


async def test_an_answer_that_makes_no_sense_costs_only_itself(watched, logged):
    from engine.far_end import Say

    async with watched.hub() as hub:
        hub["tap"].will("connections", Say("what?"))
        want(hub)
        await hub.until(lambda: "tap" in hub.engine.catalogue.swept_at, step=MINUTE / 4)
        assert hub["tap"].count("connections") == 2
    assert [one["verb"] for one in logged if one["event"] == "bug in a connector"] == ["connections"]


async def test_what_was_seen_of_an_account_goes_with_its_instance(watched):
    async with watched.hub() as hub:
        want(hub)
        await hub.until(lambda: "tap" in hub.engine.catalogue.swept_at)
        await hub.engine.apply(watched.remove("tap.env").read())
        assert await kept(hub) == {}
        assert "tap" not in hub.engine.catalogue.held


class Diarist:
    """Writes down what has changed, beside the change itself."""

    async def prepare(self, instance):
        pass

    def keys(self, swept):
        return []

    def follow(self, swept, transaction):
        for id_, one in swept.after.items():
            was = swept.before.get(id_)
            if was is not None and was.health is not one.health:
                transaction.add(happened(swept.at, "health", text=f"{id_}: {was.health} to {one.health}"))
        return []


async def test_what_follows_from_a_look_is_kept_with_it_or_not_at_all_whatever_dies_when(tmp_path):
    def furnish(root):
        house = House(root).instances("tap")
        house["tap"].has("orders", "stripe")
        return house

    async def story(hub):
        hub.engine.catalogue.followers.append(Diarist())
        want(hub)
        await hub.until(lambda: "tap" in hub.engine.catalogue.swept_at)
        hub["tap"].has("orders", health=Health.BROKEN)
        await hub.until(lambda: hub.engine.catalogue.held["tap"]["orders"].health is Health.BROKEN, step=MINUTE / 4)
        if hub["tap"].holds["stripe"].last is None:
            hub["tap"].land("stripe")
        await hub.until(lambda: hub.engine.catalogue.held["tap"]["stripe"].last is not None, step=MINUTE / 4)

    async def check(hub):
        def lines(connection):
            table = transaction.t.event
            return list(
                connection.scalars(table.select().with_only_columns(table.c.text).where(table.c.kind == "health"))
            )

        assert await hub.store.read(lines) == ["orders: ok to broken"]
        assert [(one, run) for one, _, run in await landings(hub)] == [("stripe", None)]

    points = await every_death(tmp_path, furnish, story, check, about=("CONNECTION", "LANDING", "connections"))
    assert any("LANDING" in point for point in points)
