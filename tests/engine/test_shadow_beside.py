"""What a pipeline owed, or was filling in, when it went into shadow: it waits; and shadow adds nothing to it."""

from datetime import timedelta

import pytest
from engine.far_end import FAILED
from engine.past import ask, over, shop, states
from engine.press import Project, fills

from stackhub.contract import Rejected

ONCE = "retries: {attempts: 1}"
PARTS = f"""
pipeline: shop
tasks:
  orders: {{uses: tap.sync, with: {{connection: orders}}, {ONCE}}}
  ads: {{uses: tap.sync, with: {{connection: ads}}, {ONCE}}}
  marts: {{uses: press.build, with: {{partial: true}}, {ONCE}}}
"""
LATER = timedelta(minutes=20)
SHADOW = "mode: shadow\n"


@pytest.fixture
def parts(house):
    house.scheduled = True
    house.instances("tap", "press").pipeline(PARTS)
    house["press"].project = Project({"stg_orders": ["crm.orders"], "stg_ads": ["crm.ads"]})
    for name in ("orders", "ads"):
        fills(house["tap"], name, name)
        house["tap"].land(name)
    return house


async def known(hub):
    await hub.until(lambda: (one := hub.engine.inference.known.get(("shop", "marts"))) and one.feeds)


def owed(hub):
    return {debt.node.split(".")[-1] for debt in hub.engine.owing.ledger.values()}


async def apply(hub, text):
    hub.house.pipeline(text)
    await hub.engine.apply(hub.house.read())


async def land(hub, name):
    hub.house.clock.pass_time(timedelta(minutes=1))
    hub["tap"].land(name)
    hub.engine.lanes.open["tap"].sweeper.look_now()


async def test_a_part_that_would_be_built_is_shown_and_nothing_is_owed(parts):
    parts.pipeline(PARTS + SHADOW)
    async with parts.hub() as hub:
        await known(hub)
        hub["tap"].will("prepare", Rejected("it is paused"), what="ads")
        run = await hub.trigger("shop")
        await hub.at(run, "orders", "running")
        hub["tap"].land("orders")
        ended = await hub.ended(run)
        marts = ended.steps["marts"]
        assert (ended.run.state, marts.state) == ("partial", "partial")
        assert marts.note.startswith("shadow: would have started press.build; 1 of 2 nodes are owed until ads")
        assert owed(hub) == set()
        [incident] = await hub.incidents()
        assert (incident.key, incident.shadow) == ("shadow:shop", True)
    assert parts["press"].count("start") == 0


async def test_what_is_owed_waits_in_shadow_and_is_built_once_live(parts):
    parts["tap"].outcomes["ads"].append(FAILED)
    async with parts.hub() as hub:
        await known(hub)
        await hub.ended(await hub.trigger("shop"))
        assert owed(hub) == {"stg_ads"}
        await apply(hub, PARTS + SHADOW)
        run = await hub.trigger("shop")
        await hub.at(run, "orders", "running")
        await hub.at(run, "ads", "running")
        await land(hub, "ads")
        await land(hub, "orders")
        assert (await hub.ended(run)).run.state == "succeeded"
        await hub.pass_time(LATER)
        assert owed(hub) == {"stg_ads"}, "a run in shadow builds nothing, so it pays nothing"
        assert parts["press"].count("start") == 1
        await apply(hub, PARTS)
        await hub.until(lambda: not owed(hub))
    assert parts["press"].count("start") == 2


async def test_a_backfill_that_is_going_begins_no_interval_while_its_pipeline_is_in_shadow(house):
    house["mill"].hold = True
    async with shop(house).hub() as hub:
        asked = await ask(hub)
        await hub.until(house["mill"].running)
        text = (house.root / "pipelines" / "shop.yaml").read_text()
        await apply(hub, text + SHADOW)
        house["mill"].hold = False
        await hub.until(lambda: not hub.engine.board.runs())
        await hub.pass_time(LATER)
        assert await states(hub, asked["backfill"]) == ["succeeded", "waiting", "waiting"]
        await apply(hub, text)
        assert await over(hub, asked["backfill"]) == "succeeded"
    assert len(house["mill"].jobs) == 3
