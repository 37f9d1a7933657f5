"""Why, of each kind of thing, on what a real engine has kept."""

from datetime import timedelta
from functools import partial

import pytest
from engine.far_end import FAILED
from engine.press import Project, fills
from engine.test_partial import SHOP, known, land
from engine.test_required import at, furnish, reach
from engine.test_triggers import in_force

from stackhub.contract import Unavailable
from stackhub.errors import Refused
from stackhub.model.run import RunState
from stackhub.server.why_asked import about, about_run
from stackhub.store import nodes, shown


async def why(hub, name):
    found = await hub.store.read(partial(about, name=name, now=hub.house.clock.now()))
    return found and (found["subject"], found["state"], found["because"])


async def why_step(hub, run, task):
    found = await hub.run(run)
    return await hub.store.read(partial(about_run, open_run=found, task=task, now=hub.house.clock.now()))


@pytest.fixture
def shop(house):
    house.scheduled = True
    house.instances("tap", "press", "mill", "bell").pipeline(SHOP)
    house["press"].project = Project({"stg_orders": ["crm.orders"], "stg_ads": ["crm.ads"], "reach": ["stg_ads"]})
    for name in ("orders", "users", "ads"):
        fills(house["tap"], name, name)
    return house


async def test_what_is_owed_says_so_as_model_as_step_as_connection_and_as_pipeline(shop):
    shop["tap"].outcomes["ads"].append(FAILED)
    async with shop.hub() as hub:
        await known(hub)
        run = await hub.trigger("shop")
        await hub.ended(run)
        subject, state, because = await why(hub, "reach")
        assert (subject, state) == ("node", "owed")
        assert len(because) == 1
        assert because[0].startswith("model.shop.reach is owed since 2026-")
        owed = f"when run {run} went on without ads; built as soon as ads lands"
        assert because[0].endswith(owed)
        [of_step] = [said for said in (await why_step(hub, run, "marts"))["because"] if said.endswith(owed)]
        assert of_step.startswith("2 nodes are owed since ")
        assert of_step in (await why(hub, "tap:ads"))[2]
        _, _, connection = await why(hub, "tap:ads")
        assert any(said.startswith(f"shop.ads in run {run} is failed: ") for said in connection)
        assert any(said.startswith("shop.marts reads crm.ads from it, since ") for said in connection)
        assert any(said.startswith("2 nodes are owed since ") for said in (await why(hub, "shop"))[2])
        assert (await why(hub, "stg_orders"))[:2] == ("node", "succeeded")

        await land(hub, "ads")
        await hub.until(lambda: not hub.engine.owing.ledger and not hub.engine.board.runs())
        subject, state, because = await why(hub, "reach")
        assert (subject, state) == ("node", "succeeded")
        assert because[0].startswith("marts built it")
        assert because[-1].startswith("its run: it was made because: ads")


async def test_a_step_says_why_it_needs_what_nobody_has_written(shop):
    shop["tap"].hold = True
    async with shop.hub() as hub:
        await known(hub)
        run = await hub.trigger("shop")
        await hub.at(run, "orders", "running")
        said = (await why_step(hub, run, "marts"))["because"]
        assert said[0].startswith("it waits for orders (running)")
        reasons = [one for one in said if one.startswith("it needs orders, since ")]
        assert reasons
        assert "crm.orders" in reasons[0]
        shop["tap"].hold = False
        for name in ("orders", "users", "ads"):
            shop["tap"].end(name)
        await hub.ended(run)


async def test_an_account_that_is_down_is_the_nearest_cause_of_its_connection(shop):
    async with shop.hub() as hub:
        await known(hub)
        for _ in range(20):
            shop["tap"].will("prepare", Unavailable("503 Service Unavailable"))
        run = await hub.trigger("shop")

        async def down():
            return (await hub.store.read(shown.lanes))["tap"].circuit.open

        await hub.until(down, step=timedelta(seconds=10))
        _, _, because = await why(hub, "tap:orders")
        assert because[0].startswith("tap does not answer (503 Service Unavailable); the next try is at ")
        await hub.submit("cancel", run=run, reason="enough")


async def test_a_tick_that_waits_for_data_is_told_of_its_pipeline_and_of_the_connection(house):
    async with furnish(house).hub() as hub:
        await in_force(hub)
        await reach(hub, at(13, 20))
        subject, state, because = await why(hub, "marts")
        assert (subject, state) == ("pipeline", "idle")
        [waits] = [said for said in because if said.startswith("the tick of ")]
        assert "orders" in waits
        assert waits.endswith(", until 2026-11-02 14:00 UTC at the latest")
        assert any(said.startswith("marts's tick of ") for said in (await why(hub, "tap:orders"))[2])


async def test_a_pipeline_says_that_it_is_paused_muted_and_what_its_calendars_left_out(house):
    house.scheduled = True
    house.instances("tap", "bell").pipeline(
        "pipeline: daily\nschedule: {cron: '0 13 * * *', except: [closed]}\n"
        "calendars: {closed: [2026-11-01..2026-11-02 Stock-taking]}\n"
        "tasks: {load: {uses: tap.sync, with: {connection: orders}}}\n"
    )
    async with house.hub() as hub:
        await reach(hub, at(13, 2))
        until = (house.clock.now() + timedelta(hours=3)).isoformat()
        await hub.submit("mute", target="daily", until=until, reason="stock-taking")
        await hub.submit("pause", pipeline="daily", reason="closed for good")
        _, state, because = await why(hub, "daily")
        assert state == "idle"
        assert because[0].startswith("it is paused since 2026-11-02 13:0")
        assert because[0].endswith(": closed for good")
        assert any("calendar closed: Stock-taking" in said for said in because)
        assert because[-1].startswith("nobody is told of it until 2026-11-02 16:0")
        assert because[-1].endswith(": stock-taking (ada)")


async def test_what_means_nothing_is_none_and_what_means_several_is_refused(shop):
    async with shop.hub() as hub:
        await known(hub)
        assert await why(hub, "nix") is None
        assert await why(hub, "tap:nix") is None
        run = await hub.ended(await hub.trigger("shop"))
        assert run.run.state is RunState.SUCCEEDED
        with pytest.raises(Refused, match=r"has no node 'nix'"):
            await why_step(hub, run.run.id, "marts.nix")
        assert (await why_step(hub, run.run.id, "marts.reach"))["name"] == "model.shop.reach"


async def test_a_node_whose_job_does_not_say_it_is_whose_the_projects_graph_says(shop):
    shop["press"].project.owners = {"reach": "ada"}
    async with shop.hub() as hub:
        await known(hub)
        ended = await hub.ended(await hub.trigger("shop"))
        found = await hub.store.read(partial(nodes.shown, open_run=ended))
        assert {node.name.rpartition(".")[2]: node.owner for node in found["marts"]} == {
            "stg_orders": "",
            "stg_ads": "",
            "reach": "ada",
        }
        assert "it belongs to ada" in (await why(hub, "reach"))[2]
