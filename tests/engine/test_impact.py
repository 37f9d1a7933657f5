"""An incident says whom it reaches: models, dashboards and owners downstream, and as of when their data is."""

import json
from datetime import timedelta

import pytest
from engine.far_end import FAILED, OK
from engine.press import Project, fills, settled

from stackhub.contract import Finished, Health, Node, NodeState, Outcome
from stackhub.store import projects

SHOP = """
pipeline: shop
owner: data
sla: {max_duration: 30m}
defaults: {retries: {attempts: 1}}
tasks:
  orders: {uses: tap.sync, with: {connection: orders}}
  users: {uses: tap.sync, with: {connection: users}}
  marts: {uses: press.build}
alerts:
  - {to: bell}
  - {to: post, owner: cfo}
  - {to: horn, owner: growth}
"""


class Board(Project):
    """A project with dashboards: of revenue, which reads orders, and of growth, which reads users."""

    def manifest(self):
        found = json.loads(super().manifest())
        found["exposures"] = {
            f"exposure.shop.{name}": {
                "name": name,
                "owner": {"name": owner},
                "depends_on": {"nodes": [f"model.shop.{model}"]},
            }
            for name, owner, model in (("revenue", "cfo", "fct_orders"), ("signups", "growth", "dim_users"))
        }
        return json.dumps(found).encode()


@pytest.fixture
def house(house):
    house.scheduled = True
    house.environ = {"STACKHUB_WATCH": "5m"}
    house.instances("tap", "press", "bell", "post", "horn").pipeline(SHOP)
    models = {"stg": ["crm.orders"], "fct_orders": ["stg"], "dim_users": ["crm.users"]}
    house["press"].project = Board(models)
    for name in ("orders", "users"):
        fills(house["tap"], name, name)
    return house


async def known(hub):
    """Wait until the project was read and what the account loads is known as well."""

    def matched():
        found = hub.engine.inference.known.get(("shop", "marts"))
        return found is not None and found.reads and all(read.loaders for read in found.reads)

    await hub.until(matched)
    await hub.until(lambda: settled(hub))


async def fail(hub):
    await hub.ended(await hub.trigger("shop"))
    await hub.told()
    return facts(hub)


def facts(hub, key="pipeline:shop"):
    [facet] = hub.engine.incidents.open[key].facets.values()
    return dict(facet.facts)


def heard(house):
    return [name for name in ("bell", "post", "horn") if house[name].order]


async def test_a_failed_extract_says_what_hangs_on_it_and_as_of_when_it_is(house):
    async with house.hub() as hub:
        await known(hub)
        good = await hub.ended(await hub.trigger("shop"))
        house["tap"].outcomes["orders"].append(FAILED)
        said = await fail(hub)
    landed = good.steps["orders"].landing.ended_at
    assert said["Reaches"] == "revenue (cfo), signups (growth); 3 models", "all of marts was not built"
    assert said["Concerns"] == "cfo, growth"
    assert said["Data as of"].startswith("the last good run: 2026-11-02")
    assert f"orders: {landed:%Y-%m-%d %H:%M}" in said["Data as of"]
    assert heard(house) == ["bell", "post", "horn"]


async def test_a_failed_model_says_what_hangs_on_it_and_its_owners_alone_hear(house):
    bad = Node(id="model.shop.fct_orders", name="fct_orders", kind="model", state=NodeState.FAILED)
    async with house.hub() as hub:
        await known(hub)
        house["press"].outcomes["all"].append(
            Finished(outcome=Outcome.FAILED, note="a model failed", retryable=False, nodes=(bad,))
        )
        said = await fail(hub)
    assert (said["Reaches"], said["Concerns"]) == ("revenue (cfo); 1 model", "cfo")
    assert said["Data as of"] == "the last good run: never"
    assert heard(house) == ["bell", "post"]


async def test_what_hangs_on_what_is_known_after_a_restart_without_dbt(house):
    async with house.killed() as hub:
        await known(hub)
    house["press"].project.flaw = "dbt is gone"
    house["tap"].outcomes["users"].append(FAILED)
    async with house.hub() as hub:
        assert (await fail(hub))["Reaches"].startswith("revenue (cfo), signups (growth)")
        house.remove("press.env")
        house.pipeline("pipeline: shop\ntasks: {orders: {uses: tap.sync, with: {connection: orders}}}\n")
        await hub.engine.apply(house.read())
        assert await hub.store.read(lambda connection: projects.newer(connection, {})) == {}


async def test_a_connection_in_trouble_says_what_hangs_on_it(house):
    async with house.hub() as hub:
        await known(hub)
        house["tap"].has("users", health=Health.PAUSED)
        hub.engine.lanes.open["tap"].sweeper.look_now()
        await hub.until(lambda: "connection:tap/users" in hub.engine.incidents.open)
        await hub.told()
        said = facts(hub, "connection:tap/users")
    assert (said["Reaches"], said["Used by"]) == ("signups (growth); 1 model", "shop.users")
    assert heard(house) == ["bell", "horn"]


async def test_a_late_run_says_what_is_not_there(house):
    house["tap"].hold = True
    async with house.hub() as hub:
        await known(hub)
        await hub.trigger("shop")
        await hub.until(lambda: "pipeline:shop" in hub.engine.incidents.open, step=timedelta(minutes=1))
        assert facts(hub)["Reaches"] == "revenue (cfo), signups (growth); 3 models"
        house["tap"].end("orders", OK)
        house["tap"].end("users", OK)


async def test_nothing_is_said_where_nothing_is_known(house):
    house["press"].project.flaw = "no profile"
    house["tap"].outcomes["orders"].append(FAILED)
    async with house.hub() as hub:
        said = await fail(hub)
    assert "Reaches" not in said
    assert heard(house) == ["bell"]
