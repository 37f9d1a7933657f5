"""The nodes of a run: in which order, in pages, narrowed."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server.ground import asked_for
from server.test_why import a_run

from stackhub.contract import Finished, Outcome
from stackhub.model.node import Node, NodeState
from stackhub.server.nodes import nodes_view


def node(name, state="succeeded", seconds=None, **more):
    return Node(id=f"model.shop.{name}", name=name, kind="model", state=NodeState(state), seconds=seconds, **more)


NODES = {
    "marts": [
        node("quick", seconds=0.1),
        node("slow", "warned", seconds=9.0),
        node("left", "skipped"),
        node("at_work", "running"),
        node("odd", "unknown"),
        node("bad", "failed", seconds=1.0),
        node("worse", "failed", seconds=2.0),
    ]
}


def names(view):
    return [one["name"] for one in view["nodes"]]


def test_what_failed_comes_first_then_the_slowest_and_last_what_was_not_built():
    shown = nodes_view(a_run(), NODES)
    assert names(shown) == ["worse", "bad", "odd", "at_work", "slow", "quick", "left"]
    assert shown["counts"] == {
        "running": 1,
        "succeeded": 1,
        "warned": 1,
        "failed": 2,
        "skipped": 1,
        "unknown": 1,
    }
    assert (shown["total"], shown["next"]) == (7, None)


def test_a_node_of_a_step_that_was_carried_over_names_the_run_that_built_it():
    [shown] = nodes_view(a_run(marts={"carried": "01A"}), {"marts": [node("quick")]})["nodes"]
    assert (shown["task"], shown["run"]) == ("marts", "01A")


@given(
    st.lists(st.tuples(st.sampled_from(NodeState), st.none() | st.floats(0, 9)), max_size=9),
    st.none() | st.sampled_from(NodeState),
    st.integers(1, 4),
)
def test_the_pages_together_are_all_that_was_asked_for_once_each(made, state, limit):
    nodes = [replace(node(f"n{n}", one, seconds), rows=n) for n, (one, seconds) in enumerate(made)]
    seen, offset = [], 0
    while offset is not None:
        page = nodes_view(a_run(), {"marts": nodes}, state=state, limit=limit, offset=offset)
        assert len(page["nodes"]) <= limit
        seen += [one["rows"] for one in page["nodes"]]
        offset = page["next"]
    assert sorted(seen) == [n for n, (one, _) in enumerate(made) if state in (None, one)]


def test_of_many_nodes_a_page_is_shown_in_no_time():
    many = {"marts": [node(f"n{n}", "failed" if n % 97 == 0 else "succeeded", float(n % 31)) for n in range(5000)]}
    began = time.process_time()
    assert len(nodes_view(a_run(), many, limit=100)["nodes"]) == 100
    assert time.process_time() - began < 1


@pytest.fixture
async def built(ground, client):
    run = await asked_for(client)
    ground.toy.answers["orders"] = Finished(outcome=Outcome.OK)
    nodes = (node("a", "failed", 1.0, message="no such column", owner="finance"), node("b", seconds=7.0, rows=3))
    ground.toy.answers["marts"] = Finished(outcome=Outcome.FAILED, note="bad", retryable=False, nodes=nodes)
    await ground.until(run)
    return run


async def test_the_nodes_of_a_run_are_listed_page_by_page(client, built):
    whole = (await client.get(f"/api/v1/runs/{built}/nodes")).json()
    assert names(whole) == ["a", "b"]
    assert whole["nodes"][0] | {"message": "no such column", "owner": "finance", "task": "marts"} == whole["nodes"][0]
    page = (await client.get(f"/api/v1/runs/{built}/nodes?limit=1&task=marts")).json()
    assert (names(page), page["total"], page["next"]) == (["a"], 2, 1)
    assert names((await client.get(f"/api/v1/runs/{built}/nodes?offset=1")).json()) == ["b"]
    assert names((await client.get(f"/api/v1/runs/{built}/nodes?state=succeeded")).json()) == ["b"]
    assert names((await client.get(f"/api/v1/runs/{built}/nodes?task=orders")).json()) == []


async def test_what_there_is_not_is_404_and_a_state_there_is_not_422(client, built):
    assert (await client.get(f"/api/v1/runs/{built}/nodes?task=nix")).status_code == 404
    assert (await client.get(f"/api/v1/runs/{built}/nodes?state=nix")).status_code == 422


async def test_why_of_a_node_of_a_pipeline_and_of_a_connection(client, built):
    of_node = (await client.get("/api/v1/why?of=a")).json()
    assert (of_node["name"], of_node["state"], of_node["run"]) == ("model.shop.a", "failed", built)
    assert of_node["because"][0] == "no such column"
    assert (await client.get(f"/api/v1/runs/{built}/why?task=marts&node=a")).json() == of_node
    of_pipeline = (await client.get("/api/v1/why?of=shop")).json()
    assert (of_pipeline["subject"], of_pipeline["run"], of_pipeline["state"]) == ("run", built, "failed")
    assert (await client.get("/api/v1/why?of=toy:nothing")).status_code == 404
    assert (await client.get("/api/v1/why?of=nothing")).status_code == 404
    assert (await client.get(f"/api/v1/runs/{built}/why?node=a")).status_code == 422
    assert (await client.get(f"/api/v1/runs/{built}/why?task=marts&node=nix")).status_code == 409
