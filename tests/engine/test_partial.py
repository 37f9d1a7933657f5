"""The part whose inputs have landed is built; the rest is owed, and built as soon as its inputs land."""

import json
from datetime import timedelta

import pytest
from engine.far_end import FAILED
from engine.press import Project, fills

from stackhub.cli import owed as listing
from stackhub.cli.where import Where
from stackhub.server.views import owed_view
from stackhub.store import debts

ONCE = "retries: {attempts: 1}"
SHOP = f"""
pipeline: shop
alerts: [{{to: bell}}]
tasks:
  orders: {{uses: tap.sync, with: {{connection: orders}}, {ONCE}}}
  users: {{uses: tap.sync, with: {{connection: users}}, {ONCE}}}
  ads: {{uses: tap.sync, with: {{connection: ads}}, {ONCE}}}
  marts: {{uses: press.build, with: {{partial: true}}, {ONCE}}}
  told: {{uses: mill.build, needs: [marts]}}
"""
WAIT = SHOP.replace("partial: true", "partial: {wait: 10m}")
LATER = timedelta(minutes=20)


def furnish(house):
    house.scheduled = True
    house.instances("tap", "press", "mill", "bell").pipeline(SHOP)
    house["press"].project = Project(
        {
            "stg_orders": ["crm.orders"],
            "stg_users": ["crm.users"],
            "stg_ads": ["crm.ads"],
            "revenue": ["stg_orders", "stg_users"],
            "reach": ["stg_users", "stg_ads"],
            "static": [],
        }
    )
    for name in ("orders", "users", "ads"):
        fills(house["tap"], name, name)
    return house


@pytest.fixture
def house(house):
    return furnish(house)


def built(house):
    return [set(one) for one in house["press"].__dict__.get("built", ())]


async def known(hub):
    await hub.until(lambda: (one := hub.engine.inference.known.get(("shop", "marts"))) and one.feeds)


async def newest(hub, trigger):
    """Wait for a run that came of something, and for its end."""

    async def there():
        return next((run for run in await hub.runs("shop") if run.trigger == trigger), None)

    return await hub.ended((await hub.until(there)).id)


def owed(hub):
    return {(debt.node.split(".")[-1], debt.extract) for debt in hub.engine.owing.ledger.values()}


async def land(hub, name):
    """Let the vendor load by its own schedule, and the account be looked at."""
    hub.house.clock.pass_time(timedelta(minutes=1))
    hub["tap"].land(name)
    hub.engine.lanes.open["tap"].sweeper.look_now()


EVERYTHING = {"stg_orders", "stg_users", "stg_ads", "revenue", "reach", "static"}


async def test_a_failed_extract_costs_what_is_downstream_of_it_and_that_is_built_once_it_has_landed(house):
    house["tap"].outcomes["ads"].append(FAILED)
    async with house.hub() as hub:
        await known(hub)
        ended = await hub.ended(await hub.trigger("shop"))
        assert ended.steps["marts"].state == ended.run.state == "partial"
        assert ended.steps["told"].state == "succeeded"  # what is downstream of a partial step runs
        assert built(house) == [EVERYTHING - {"stg_ads", "reach"}]
        assert owed(hub) == {("stg_ads", "ads"), ("reach", "ads")}
        [incident] = await hub.incidents()
        [facet] = incident.facets.values()
        assert (facet.kind, facet.title) == ("failed", "shop is built in part: without ads")
        assert dict(facet.facts)["Owed"] == "2 nodes of marts"
        await hub.pass_time(LATER)
        assert [run.trigger for run in await hub.runs("shop")] == ["manual"]  # nothing has landed
        await land(hub, "ads")
        paid = await newest(hub, "owed")
        assert built(house)[1:] == [{"stg_ads", "reach"}]
        assert (paid.run.state, list(paid.steps)) == ("succeeded", ["marts"])
        assert paid.run.interval == ended.run.interval
        assert owed(hub) == set()
        [incident] = await hub.incidents()
        assert incident.resolved_at is not None
        await hub.pass_time(LATER)
        assert len(await hub.runs("shop")) == 2


async def test_what_needs_a_task_whole_does_not_run_on_a_part_of_it_though_the_part_is_built_and_the_rest_owed(house):
    house.pipeline(SHOP.replace("needs: [marts]", "needs: [{task: marts, complete: true}]"))
    house["tap"].outcomes["ads"].append(FAILED)
    async with house.hub() as hub:
        await known(hub)
        ended = await hub.ended(await hub.trigger("shop"))
        assert {name: step.state for name, step in ended.steps.items() if name in ("marts", "told")} == {
            "marts": "partial",
            "told": "upstream_failed",
        }
        assert (ended.steps["told"].note, ended.run.state) == ("needs marts", "failed")
        assert built(house) == [EVERYTHING - {"stg_ads", "reach"}]
        await land(hub, "ads")
        paid = await newest(hub, "owed")
        assert built(house)[1:] == [{"stg_ads", "reach"}]
        assert (list(paid.steps), owed(hub)) == (["marts"], set())
        [incident] = await hub.incidents()
        assert incident.resolved_at is None, "what needed it whole has not run"
        again = await hub.ended((await hub.submit("retry", run=ended.run.id))["run"])
        assert (again.steps["marts"].state, again.steps["told"].state) == ("succeeded", "succeeded")
        [incident] = await hub.incidents()
        assert incident.resolved_at is not None


async def test_paying_what_is_owed_does_not_end_what_else_has_failed(house):
    house["tap"].outcomes["ads"].append(FAILED)
    house["mill"].outcomes["all"].append(FAILED)
    async with house.hub() as hub:
        await known(hub)
        ended = await hub.ended(await hub.trigger("shop"))
        assert (ended.steps["marts"].state, ended.steps["told"].state) == ("partial", "failed")
        await land(hub, "ads")
        assert (await newest(hub, "owed")).run.state == "succeeded"
        [incident] = await hub.incidents()
        assert (owed(hub), incident.resolved_at) == (set(), None)
        await hub.ended(await hub.trigger("shop"))
        [incident] = await hub.incidents()
        assert incident.resolved_at is not None


async def test_a_node_that_waits_for_two_inputs_is_built_when_both_have_landed(house):
    for name in ("ads", "users"):
        house["tap"].outcomes[name].append(FAILED)
    async with house.hub() as hub:
        await known(hub)
        await hub.ended(await hub.trigger("shop"))
        assert built(house) == [{"stg_orders", "static"}]
        await land(hub, "ads")
        first = await newest(hub, "owed")
        assert built(house)[1:] == [{"stg_ads"}]
        assert first.run.origin["only"] == ["marts"]
        assert owed(hub) == {("stg_users", "users"), ("revenue", "users"), ("reach", "users"), ("reach", "ads")}
        [incident] = await hub.incidents()
        assert incident.resolved_at is None
        await land(hub, "users")
        await hub.until(lambda: not owed(hub))
        assert built(house)[2:] == [{"stg_users", "revenue", "reach"}]
        [incident] = await hub.incidents()
        assert incident.resolved_at is not None


async def test_a_normal_run_that_builds_it_pays_the_debt(house):
    house["tap"].outcomes["ads"].append(FAILED)
    async with house.hub() as hub:
        await known(hub)
        await hub.ended(await hub.trigger("shop"))
        house.clock.pass_time(LATER)
        again = await hub.ended(await hub.trigger("shop"))
        assert again.run.state == "succeeded"
        assert owed(hub) == set()
        await hub.pass_time(LATER)
        assert built(house)[1:] == [EVERYTHING]
        [incident] = await hub.incidents()
        assert incident.resolved_at is not None


async def test_an_extract_that_is_late_is_left_out_once_the_others_have_waited_and_built_when_it_lands(house):
    house.pipeline(WAIT)
    house["tap"].hold = True
    async with house.hub() as hub:
        await known(hub)
        run = await hub.trigger("shop")
        await hub.until(lambda: len(hub["tap"].running()) == 3)
        for name in ("orders", "users"):
            hub["tap"].end(name)
        await hub.at(run, "users", "succeeded")
        await hub.pass_time(timedelta(minutes=8))
        assert hub.step(run, "marts").state == "waiting"
        await hub.at(run, "marts", "partial")
        assert hub.step(run, "marts").without == ("ads",)
        assert built(house) == [EVERYTHING - {"stg_ads", "reach"}]
        hub["tap"].end("ads")
        ended = await hub.ended(run)
        assert ended.run.state == "partial"
        paid = await newest(hub, "owed")
        assert (paid.run.state, built(house)[1:]) == ("succeeded", [{"stg_ads", "reach"}])
        assert owed(hub) == set()


async def test_without_a_wait_one_that_is_late_is_waited_for(house):
    house["tap"].hold = True
    async with house.hub() as hub:
        await known(hub)
        run = await hub.trigger("shop")
        await hub.until(lambda: len(hub["tap"].running()) == 3)
        for name in ("orders", "users"):
            hub["tap"].end(name)
        await hub.at(run, "users", "succeeded")
        await hub.pass_time(timedelta(minutes=60))
        assert hub.step(run, "marts").state == "waiting"
        hub["tap"].end("ads")
        assert (await hub.ended(run)).run.state == "succeeded"
        assert built(house) == [EVERYTHING]


@pytest.mark.parametrize("said", ["project", "task"])
async def test_where_stale_data_will_do_all_is_built_and_nothing_is_owed(house, said):
    if said == "project":
        house["press"].project.given["crm.ads"] = {"rule": "optional"}
    else:
        house.pipeline(SHOP.replace("partial: true", 'partial: {rules: {"crm.a*": optional}}'))
    house["tap"].outcomes["ads"].append(FAILED)
    async with house.hub() as hub:
        await known(hub)
        ended = await hub.ended(await hub.trigger("shop"))
        assert built(house) == [EVERYTHING]
        assert (ended.steps["marts"].state, ended.run.state) == ("succeeded", "partial")
        assert "stale data of crm.ads" in ended.steps["marts"].warning
        assert owed(hub) == set()


async def test_where_everything_is_missing_nothing_runs_and_all_of_it_is_owed(house):
    house["press"].project.models = {"stg_ads": ["crm.ads"]}
    house["tap"].outcomes["ads"].append(FAILED)
    async with house.hub() as hub:
        await known(hub)
        ended = await hub.ended(await hub.trigger("shop"))
        assert (ended.steps["marts"].state, ended.run.state) == ("upstream_failed", "failed")
        assert built(house) == []
        await land(hub, "ads")
        assert (await newest(hub, "owed")).run.state == "succeeded"
        assert built(house) == [{"stg_ads"}]


async def test_a_landing_that_was_there_before_the_failure_pays_nothing(house):
    house["tap"].land("ads")
    house["tap"].outcomes["ads"].append(FAILED)
    async with house.hub() as hub:
        await known(hub)
        house.clock.pass_time(timedelta(minutes=1))
        await hub.ended(await hub.trigger("shop"))
        hub.engine.lanes.open["tap"].sweeper.look_now()
        await hub.pass_time(LATER)
        assert [run.trigger for run in await hub.runs("shop")] == ["manual"]


async def test_an_owed_run_that_fails_is_not_made_again_before_its_input_lands_again(house):
    house["tap"].outcomes["ads"].append(FAILED)
    async with house.hub() as hub:
        await known(hub)
        await hub.ended(await hub.trigger("shop"))
        house["press"].outcomes["all"].append(FAILED)
        await land(hub, "ads")
        failed = await newest(hub, "owed")
        assert failed.run.state == "failed"
        await hub.pass_time(LATER)
        assert len(await hub.runs("shop")) == 2
        assert owed(hub) == {("stg_ads", "ads"), ("reach", "ads")}
        await land(hub, "ads")
        await hub.until(lambda: not owed(hub))
        assert built(house)[2:] == [{"stg_ads", "reach"}]


async def test_a_retry_of_the_partial_run_pays(house):
    house["tap"].outcomes["ads"].append(FAILED)
    async with house.hub() as hub:
        await known(hub)
        ended = await hub.ended(await hub.trigger("shop"))
        house.clock.pass_time(LATER)
        again = await hub.ended((await hub.submit("retry", run=ended.run.id))["run"])
        assert (again.run.state, owed(hub)) == ("succeeded", set())


async def test_what_is_owed_outlives_the_hub_at_every_moment(house):
    house["tap"].outcomes["ads"].append(FAILED)
    async with house.killed() as hub:
        await known(hub)
        run = await hub.trigger("shop")
        await hub.at(run, "ads", "failed")
    async with house.killed() as hub:
        await hub.until(lambda: owed(hub))
    async with house.killed() as hub:
        await hub.until(lambda: not hub.engine.board.runs("shop"))
        assert owed(hub) == {("stg_ads", "ads"), ("reach", "ads")}
        await land(hub, "ads")
        await hub.until(lambda: any(debt.landed_at for debt in hub.engine.owing.ledger.values()))
    async with house.hub() as hub:
        paid = await newest(hub, "owed")
        assert (paid.run.state, owed(hub)) == ("succeeded", set())
        assert len([one for one in await hub.runs("shop") if one.trigger == "owed"]) == 1


async def test_what_its_project_does_not_hold_any_more_is_written_off(house):
    house["tap"].outcomes["ads"].append(FAILED)
    async with house.hub() as hub:
        await known(hub)
        await hub.ended(await hub.trigger("shop"))
        house["press"].project.models.pop("reach")
        house["press"].project.edit()
        await hub.until(lambda: owed(hub) == {("stg_ads", "ads")})


async def test_what_is_owed_is_listed_by_the_command_line_and_over_http(house, capsys):
    house["tap"].outcomes["ads"].append(FAILED)
    async with house.hub() as hub:
        await known(hub)
        ended = await hub.ended(await hub.trigger("shop"))
        found = await hub.store.read(debts.unpaid)
    where = Where(directory=house.root, environ={})
    assert listing.owed(where, "", as_json=True) == 0
    views = json.loads(capsys.readouterr().out)
    assert views == [owed_view(debt) for debt in found]
    assert [(one["node"], one["extract"], one["connection"]) for one in views] == [
        ("model.shop.reach", "ads", "tap/ads"),
        ("model.shop.stg_ads", "ads", "tap/ads"),
    ]
    assert listing.owed(where, "", as_json=False) == 0
    said = capsys.readouterr().out
    first, second = said.splitlines()
    assert first.startswith("shop.marts  ads waits for tap:ads  for ")
    assert first.endswith(f"left by {ended.run.id}")
    assert second.strip() == "2 nodes: reach, stg_ads"
