"""A task waits for what feeds it, as far as that is known of the present."""

import pytest
from engine.far_end import FAILED
from engine.press import Project, fills, settled

from stackhub.cli.found import live
from stackhub.contract import in_thread
from stackhub.engine import inference

SHOP = """
pipeline: shop
tasks:
  orders: {uses: tap.sync, with: {connection: orders}, retries: {attempts: 1}}
  users: {uses: tap.sync, with: {connection: users}, retries: {attempts: 1}}
  ads: {uses: tap.sync, with: {connection: ads}, retries: {attempts: 1}}
  marts: {uses: press.build}
"""
ALL = ["orders", "users", "ads"]


@pytest.fixture
def house(house):
    house.scheduled = True
    house.instances("tap", "press").pipeline(SHOP)
    house["press"].project = Project({"stg": ["crm.orders"], "mart": ["stg", "crm.users"]})
    for name in ALL:
        fills(house["tap"], name, name)
    return house


def waits(open_run):
    return [need.task for need in open_run.pipeline.task("marts").needs]


async def known(hub, *edges):
    """Wait until the hub has found out that marts waits for these."""
    await hub.until(lambda: [edge.extract for edge in found(hub).edges] == list(edges) if found(hub) else False)
    await hub.until(lambda: settled(hub))


def found(hub):
    return hub.engine.inference.known.get(("shop", "marts"))


async def test_a_task_waits_for_the_extracts_that_feed_it_and_the_run_keeps_why(house):
    house["tap"].outcomes["ads"].append(FAILED)
    async with house.hub() as hub:
        await known(hub, "orders", "users")
        ended = await hub.ended(await hub.trigger("shop"))
    assert waits(ended) == ["orders", "users"]
    [orders, users] = ended.pipeline.task("marts").needs
    assert (orders.why, orders.confidence) == ("loads crm.orders", "certain")
    assert (users.why, users.confidence) == ("loads crm.users", "certain")
    assert ended.steps["marts"].state == "succeeded"
    assert ended.steps["ads"].state == "failed"  # the pipeline runs it all the same


async def test_before_anything_is_known_a_task_waits_for_every_extract(house):
    house["press"].project.flaw = "no profile"
    async with house.hub() as hub:
        ended = await hub.ended(await hub.trigger("shop"))
        await hub.until(lambda: found(hub))
        later = await hub.ended(await hub.trigger("shop"))
    assert waits(ended) == waits(later) == ALL
    assert later.pipeline.task("marts").wide == "its project cannot be read: no profile"


async def test_files_that_were_changed_since_widen_it_at_once_and_narrow_it_again_once_they_are_read(house):
    async with house.hub() as hub:
        await known(hub, "orders", "users")
        house["press"].project.edit(mart=["crm.ads"])
        ended = await hub.ended(await hub.trigger("shop"))
        await known(hub, "orders", "ads")
        later = await hub.ended(await hub.trigger("shop"))
    assert (waits(ended), waits(later)) == (ALL, ["orders", "ads"])


async def test_files_that_do_not_answer_widen_it_and_hold_nobody_up(house, monkeypatch):
    monkeypatch.setattr(inference, "GLANCE", 0.02)
    async with house.hub() as hub:
        await known(hub, "orders", "users")
        house["press"].project.silent = True
        ended = await hub.ended(await hub.trigger("shop"))
        house["press"].project.silent = False
        later = await hub.ended(await hub.trigger("shop"))
    assert (waits(ended), waits(later)) == (ALL, ["orders", "users"])


async def test_a_restart_needs_neither_the_project_nor_the_vendor(house):
    async with house.killed() as hub:
        await known(hub, "orders", "users")
    house["press"].project.flaw = "dbt is gone"
    readings, calls = house["press"].project.readings, house["tap"].count("connections")
    async with house.hub() as hub:
        ended = await hub.ended(await hub.trigger("shop"))
        await hub.rest()
        assert found(hub).wide == ""
    assert waits(ended) == ["orders", "users"]
    assert house["press"].project.readings == readings
    assert house["tap"].count("connections") <= calls + 1  # one look at the account, as after every start


async def test_an_account_that_is_remembered_during_a_look_is_seen_by_the_next(house, monkeypatch):
    async with house.hub() as hub:
        await known(hub, "orders", "users")
        accounts = hub.engine.catalogue.held
        remembered, readings = dict(accounts), house["press"].project.readings

        async def slow(call, *args):
            found = await in_thread(call, *args)
            accounts.update(remembered)
            return found

        monkeypatch.setattr(inference, "in_thread", slow)
        accounts.clear()
        await hub.engine.inference.refresh()
        assert accounts == remembered
    assert house["press"].project.readings == readings


async def test_a_source_that_nobody_loads_keeps_every_extract(house):
    house["press"].project.edit(mart=["crm.unknown"])
    async with house.hub() as hub:
        await hub.until(lambda: found(hub))
        ended = await hub.ended(await hub.trigger("shop"))
    assert waits(ended) == ALL
    assert found(hub).unfed == ["crm.unknown"]


async def test_an_extract_of_which_it_is_not_known_what_it_loads_is_waited_for(house):
    house["tap"].has("ads", relations=())
    async with house.hub() as hub:
        await known(hub, *ALL)
        ended = await hub.ended(await hub.trigger("shop"))
    assert waits(ended) == ALL
    assert ended.pipeline.task("marts").needs[2].why == "tap does not say which tables it fills"


async def test_what_an_account_loads_by_now_is_found_out_again(house):
    async with house.hub() as hub:
        await known(hub, "orders", "users")
        fills(house["tap"], "ads", "ads", "orders")
        hub.engine.lanes.open["tap"].sweeper.look_now()
        await known(hub, *ALL)


async def test_with_other_options_for_one_run_nothing_is_known(house):
    async with house.hub() as hub:
        await known(hub, "orders", "users")
        ended = await hub.ended(await hub.trigger("shop", **{"with": {"marts": {"select": "mart"}}}))
    assert waits(ended) == ALL


async def test_needs_that_were_given_stay_as_they_are(house):
    house.pipeline(SHOP.replace("press.build}", "press.build, needs: [ads]}"))
    async with house.hub() as hub:
        await hub.until(lambda: found(hub))
        ended = await hub.ended(await hub.trigger("shop"))
    assert waits(ended) == ["ads"]


async def test_a_manifest_that_cannot_be_read_hides_no_other_project_from_who_asks_now(house):
    house.instances("press.odd").pipeline(SHOP.replace("shop", "odd").replace("build}", "build, instance: press.odd}"))
    house["press.odd"].project = Project({"stg": ["crm.orders"]}, flawed=b"<html>")
    configuration = house.read()
    shown, troubles = await live(configuration, {}, list(configuration.pipelines.values()))
    assert [text.partition(": ")[0] for text in troubles] == ["odd.marts"]
    assert "manifest.json cannot be read" in troubles[0]
    needs = {one.pipeline.name: [need.task for need in one.pipeline.task("marts").needs] for one in shown}
    assert needs == {"shop": ["orders", "users"], "odd": ALL}
