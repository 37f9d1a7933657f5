"""A deadline that will probably be missed is told before it is, with what holds it up; and taken back when it is not."""

from datetime import UTC, datetime, timedelta

import pytest
from engine.far_end import FAILED, OK
from engine.house import NOON

from stackhub.contract import Node, NodeState, Pending
from stackhub.model.codec import dump
from stackhub.model.pipeline import Told
from stackhub.store import transaction as tx
from stackhub.store.tables import micros
from stackhub.store.transaction import Op, Transaction

SHOP = """
pipeline: shop
schedule: {{cron: '0 13 * * *'}}
sla: {{{sla}}}
defaults: {{retries: {{attempts: 1}}}}
tasks:
  crm: {{uses: tap.sync, with: {{connection: crm}}}}
  web: {{uses: tap.sync, with: {{connection: web}}}}
  marts: {{uses: mill.build, needs: [crm, web]}}
"""
SLA = 'finish_by: "13:30"'
MINUTE = timedelta(minutes=1)


def at(hour, minute=0):
    return datetime(2026, 11, 2, hour, minute, tzinfo=UTC)


@pytest.fixture
def shop(house):
    house.scheduled = True
    house["tap"].hold = house["mill"].hold = True
    return house.instances("tap", "mill", "bell").pipeline(SHOP.format(sla=SLA))


async def remember(store, **tasks):
    for name, lasted in tasks.items():
        row = {"key": f"task:shop/{name}", "ended_at": micros(NOON), "data": dump(list(lasted))}
        instance = "mill" if name == "marts" else "tap"
        await store.apply(Transaction().add(Op(tx.DURATION, {"instance": instance, **row})))


def minutes(length, many=12):
    return [length * 60.0 + n for n in range(many)]


KNOWN = {"crm": minutes(10), "web": minutes(2), "marts": minutes(12)}


def told(hub):
    incident = hub.engine.incidents.open.get("pipeline:shop")
    return incident.facets if incident is not None else {}


def end(house, what):
    for account in (house["tap"], house["mill"]):
        for job in account.running():
            if job.what == what:
                job.end = OK


async def pass_to(hub, when):
    await hub.until(lambda: hub.house.clock.now() >= when, step=timedelta(seconds=10))
    await hub.rest()


async def begun(hub):
    await hub.reach(at(13))
    await hub.until(lambda: len(hub.house["tap"].running()) == 2)


async def test_what_will_be_late_is_told_before_with_what_it_waits_for_and_then_is_late(shop):
    async with shop.store() as store:
        await remember(store, **KNOWN)
        async with shop.hub(store=store) as hub:
            await begun(hub)
            end(shop, "web")
            await pass_to(hub, at(13, 10))
            assert told(hub) == {}, "it is still on its way to be in time"
            facet = await hub.until(lambda: told(hub).get(Told.AT_RISK), step=timedelta(seconds=10))
            assert at(13, 10) < shop.clock.now() <= at(13, 19), "eleven minutes or more before it is late"
            assert "waiting on crm" in facet.title
            assert "finish by 13:30" in facet.title
            assert ("Waiting on", facet.facts[0][1]) == facet.facts[0]
            await hub.told()
            assert any("at risk" in message.message.title for message in await hub.messages())
            await hub.until(lambda: Told.LATE in told(hub), step=timedelta(seconds=10))
            assert Told.AT_RISK not in told(hub), "it has become late"
            end(shop, "crm")
            await hub.until(shop["mill"].running, step=timedelta(seconds=10))
            end(shop, "all")
            await hub.until(lambda: not told(hub), step=timedelta(seconds=10))


async def test_a_deadline_that_has_passed_is_judged_before_anything_is_taken_back(shop):
    async with shop.store() as store:
        await remember(store, **KNOWN)
        async with shop.hub(store=store) as hub:
            await begun(hub)
            await hub.until(lambda: Told.AT_RISK in told(hub), step=timedelta(seconds=10))
            shop.clock.pass_time(at(13, 31) - shop.clock.now())
            await hub.engine.forecasts.look()
            assert told(hub), "one problem, told once"
            await hub.until(lambda: Told.LATE in told(hub))
            assert len(await hub.incidents()) == 1


async def test_what_catches_up_is_no_longer_at_risk(shop):
    shop.pipeline(SHOP.format(sla=SLA + ", at_risk: 0.6, at_risk_ends: 0.4"))
    async with shop.store() as store:
        await remember(store, **{**KNOWN, "marts": [*minutes(8, 4), *minutes(12, 4)] * 2})
        async with shop.hub(store=store) as hub:
            await begun(hub)
            end(shop, "web")
            await hub.until(lambda: Told.AT_RISK in told(hub), step=timedelta(seconds=10))
            shop["mill"].hold = False
            end(shop, "crm")
            run = hub.engine.board.runs("shop")[0].run.id
            ended = await hub.ended(run, step=timedelta(seconds=10))
            await hub.until(lambda: not told(hub))
    assert ended.run.state == "succeeded"


async def test_nothing_is_foretold_without_history(shop):
    async with shop.hub() as hub:
        await begun(hub)
        await pass_to(hub, at(13, 29))
        assert told(hub) == {}
        await hub.until(lambda: Told.LATE in told(hub), step=timedelta(seconds=10))


async def test_a_failure_takes_the_place_of_a_risk(shop):
    async with shop.store() as store:
        await remember(store, **KNOWN)
        async with shop.hub(store=store) as hub:
            await begun(hub)
            end(shop, "web")
            await hub.until(lambda: Told.AT_RISK in told(hub), step=timedelta(seconds=10))
            for job in shop["tap"].running():
                job.end = FAILED
            await hub.until(lambda: Told.FAILED in told(hub), step=timedelta(seconds=10))
            assert set(told(hub)) == {Told.FAILED}


async def test_a_run_that_is_cancelled_is_at_risk_no_more(shop):
    async with shop.store() as store:
        await remember(store, **KNOWN)
        async with shop.hub(store=store) as hub:
            await begun(hub)
            await hub.until(lambda: Told.AT_RISK in told(hub), step=timedelta(seconds=10))
            await hub.submit("cancel", run=hub.engine.board.runs("shop")[0].run.id, reason="not today")
            await hub.until(lambda: not told(hub), step=timedelta(seconds=10))


async def test_a_hub_that_comes_after_one_that_was_killed_goes_on_with_what_was_foretold(shop):
    async with shop.killed() as hub:
        await remember(hub.store, **KNOWN)
        await begun(hub)
        end(shop, "web")
        await hub.until(lambda: Told.AT_RISK in told(hub), step=timedelta(seconds=10))
    async with shop.hub() as hub:
        assert Told.AT_RISK in told(hub)
        await hub.until(lambda: Told.LATE in told(hub), step=timedelta(seconds=10))
        assert set(told(hub)) == {Told.LATE}
        assert len(await hub.incidents()) == 1


async def test_the_node_that_is_being_built_is_named(shop):
    node = Node(id="model.shop.orders", name="orders", kind="model", state=NodeState.RUNNING, started_at=at(13, 5))
    shop["mill"].pending["all"].append(Pending(nodes=(node,)))
    shop["tap"].hold = False
    async with shop.store() as store:
        await remember(store, **KNOWN)
        async with shop.hub(store=store) as hub:
            await hub.reach(at(13))
            facet = await hub.until(lambda: told(hub).get(Told.AT_RISK), step=timedelta(seconds=10))
    assert "waiting on marts" in facet.title
    assert dict(facet.facts)["Building"].startswith("orders (for ")


async def test_a_run_is_looked_at_when_it_begins_however_short_ago_the_one_before_it_was(house):
    house["tap"].hold = True
    when = SHOP.replace("schedule: {{cron: '0 13 * * *'}}\n", "")
    house.instances("tap", "mill", "bell").pipeline(when.format(sla="max_duration: 2h"))
    async with house.hub() as hub:
        await remember(hub.store, **{name: [3.0 + n / 10 for n in range(12)] for name in KNOWN})
    async with house.hub() as hub:  # which has learnt it
        first = await hub.trigger("shop")
        await hub.until(lambda: len(house["tap"].running()) == 2)
        end(house, "crm")
        end(house, "web")
        await hub.ended(first)
        await hub.engine.apply(house.pipeline(when.format(sla="max_duration: 12s")).read())
        await hub.trigger("shop")
        facets = await hub.until(lambda: told(hub))
        assert (Told.AT_RISK in facets, Told.LATE in facets) == (True, False)
