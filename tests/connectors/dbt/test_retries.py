"""A dbt job that is tried again: what is left of it, and what it is handed."""

import json
from pathlib import Path

import pytest
from dbt_stage import HOLDS, answer_to, asking, begun, built

from stackhub.contract import (
    NodeState,
)


async def test_a_retry_runs_what_the_selection_holds_less_what_was_built(stage, dbt):
    stage.plays(holds=HOLDS)
    earlier = (*built("model.shop.orders"), *built("model.shop.feed", state=NodeState.FAILED))

    await answer_to(stage, dbt, asking(select="+tag:revenue", exclude="slow", nodes=earlier))

    listed, ran = (asked["argv"] for asked in stage.asked())
    assert listed[listed.index("--select") + 1] == "+tag:revenue"
    assert listed[listed.index("--exclude") + 1] == "slow"
    assert ran[ran.index("--select") + 1] == "result:error"
    assert ran[ran.index("--indirect-selection") + 1] == "empty"
    assert "--exclude" not in ran
    left = json.loads(Path(ran[ran.index("--state") + 1], "run_results.json").read_text())["results"]
    assert [node["unique_id"] for node in left] == ["model.shop.feed", "test.shop.unique_orders_id.1360ecc70e"]
    assert {node["status"] for node in left} == {"error"}


@pytest.mark.parametrize(
    ("why", "nodes", "play"),
    [
        ("nothing was built", built("model.shop.orders", state=NodeState.FAILED), {"holds": HOLDS}),
        ("everything was built", built(*HOLDS), {"holds": HOLDS}),
        ("the listing failed", built("model.shop.orders"), {"holds": HOLDS, "list_code": 2}),
    ],
)
async def test_a_retry_runs_everything_selected_when(stage, dbt, why, nodes, play):
    stage.plays(**play)

    await answer_to(stage, dbt, asking(select="orders", nodes=nodes))

    ran = stage.asked()[-1]["argv"]
    assert ran[ran.index("--select") + 1] == "orders", why


async def test_a_check_of_sources_is_made_again_whole(stage, dbt):
    await answer_to(stage, dbt, asking("source_freshness", nodes=built("source.shop.shop.raw_orders")))

    assert [asked["argv"][:2] for asked in stage.asked()] == [["source", "freshness"]]


async def test_a_start_repeated_does_not_ask_dbt_again(stage, dbt):
    stage.plays(holds=HOLDS)
    job = asking(nodes=built("model.shop.orders"))
    first = await begun(stage, dbt, job)

    assert await dbt.start(job, {}, "key") == first
    assert len(stage.asked()) == 2
