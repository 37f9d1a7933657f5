"""What a further try is told of the nodes that earlier ones have left: from the hub's own record, across runs and deaths."""

from contextlib import asynccontextmanager

from stackhub.contract import Finished, Outcome, Pending
from stackhub.model.node import Node, NodeState

WAIT = "retries: {attempts: 2, wait: 1s}"


def one(house, more="retries: {attempts: 1}"):
    seen = []
    house.instances("tap").pipeline(
        f"pipeline: one\ntasks: {{load: {{uses: tap.sync, with: {{connection: orders}}, {more}}}}}\n"
    )
    house["tap"].spy = lambda job: seen.append({node.name: node.state.value for node in job.nodes})
    return seen


def node(name, state):
    return Node(id=f"model.shop.{name}", name=name, kind="model", state=NodeState(state))


def failed(**states):
    nodes = tuple(node(name, state) for name, state in states.items())
    return Finished(outcome=Outcome.FAILED, note="broken", nodes=nodes)


async def test_a_run_goes_on_from_what_all_runs_before_it_have_built(house):
    seen = one(house, WAIT)
    house["tap"].outcomes["orders"].extend(
        [
            *[failed(a="succeeded", b="failed", c="skipped", d="warned")] * 2,
            *[failed(b="succeeded", c="failed")] * 2,
        ]
    )
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.ended(run)
        for _ in range(2):
            run = (await hub.submit("retry", run=run))["run"]
            ended = await hub.ended(run)
    assert ended.run.state == "succeeded"
    assert seen == [
        {},
        {"a": "succeeded", "b": "failed", "c": "skipped", "d": "warned"},
        {"a": "succeeded", "d": "warned"},  # what failed before is what somebody has asked for: nobody has judged it
        {"a": "succeeded", "d": "warned", "b": "succeeded", "c": "failed"},
        {"a": "succeeded", "d": "warned", "b": "succeeded"},
    ]


async def test_from_the_start_means_that_nothing_before_it_counts(house):
    seen = one(house)
    house["tap"].outcomes["orders"].extend([failed(a="succeeded", b="failed"), failed(a="failed", b="succeeded")])
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.ended(run)
        anew = (await hub.submit("retry", run=run, from_start=True))["run"]
        await hub.ended(anew)
        await hub.ended((await hub.submit("retry", run=anew))["run"])
    assert seen == [{}, {}, {"b": "succeeded"}]


async def test_a_node_that_was_built_and_then_failed_is_not_built(house):
    seen = one(house)
    house["tap"].outcomes["orders"].extend([failed(a="succeeded", b="failed"), failed(a="failed", b="failed")])
    async with house.hub() as hub:
        run = await hub.trigger("one")
        for _ in range(2):
            await hub.ended(run)
            run = (await hub.submit("retry", run=run))["run"]
        await hub.ended(run)
    assert seen[-1] == {}


@asynccontextmanager
async def at_work(house):
    """A hub with a run whose job has told of two nodes, and goes on."""
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.until(hub["tap"].running)
        told = (node("a", "succeeded"), node("b", "running"))
        house["tap"].job("orders").answers.append(Pending(nodes=told))
        await hub.until(lambda: hub.step(run, "load") and not house["tap"].job("orders").answers)
        yield hub, run


async def test_what_a_hub_that_is_gone_has_heard_counts_for_the_next(house):
    seen = one(house, WAIT)
    house["tap"].hold = True
    async with at_work(house) as (_, run):
        pass
    async with house.hub() as hub:
        house["tap"].job("orders").end = Finished(outcome=Outcome.FAILED, note="dbt was killed by SIGKILL")
        house["tap"].hold = False
        ended = await hub.ended(run)
        assert ended.run.state == "succeeded"
    assert seen[-1] == {"a": "succeeded", "b": "running"}
