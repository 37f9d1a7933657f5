"""A dbt job that is tried again: what is left of it, and what it is handed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from dbt_stage import HOLDS, RECORDED, answer_to, asking, begun, built
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import Finished, NodeState, Outcome
from stackhub_dbt.resuming import hanging


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


# --- what failed for good --------------------------------------------------------------------------------------------

READS = {
    "model.shop.wrong": [],
    "model.shop.below": ["model.shop.wrong"],
    "model.shop.lost": [],
    "model.shop.both": ["model.shop.lost", "model.shop.below"],
    "model.shop.after": ["model.shop.lost"],
    "test.shop.of_lost": ["model.shop.lost"],
}


def manifest(reads=READS, **units):
    return {
        "nodes": {unique: {"depends_on": {"nodes": parents}} for unique, parents in reads.items()},
        "unit_tests": {unique: {"depends_on": {"nodes": parents}} for unique, parents in units.items()},
    }


def failed(*ids, passing=False):
    return tuple(replace(one, passing=passing) for one in built(*ids, state=NodeState.FAILED))


EARLIER = (
    *built("model.shop.fine"),
    *failed("model.shop.wrong"),
    *failed("model.shop.lost", passing=True),
    *built("model.shop.below", "model.shop.both", "model.shop.after", state=NodeState.SKIPPED),
)


async def test_what_failed_for_good_is_left_alone_with_all_that_hangs_on_it_and_told_at_the_end(stage, dbt):
    says = RECORDED / "v1_nothing.jsonl"
    stage.plays(holds=["model.shop.fine", *READS], manifest=manifest(), code=0, says=str(says))

    end = await answer_to(stage, dbt, asking(nodes=EARLIER))

    ran = stage.asked()[-1]["argv"]
    left = json.loads(Path(ran[ran.index("--state") + 1], "run_results.json").read_text())["results"]
    assert [node["unique_id"] for node in left] == ["model.shop.lost", "model.shop.after", "test.shop.of_lost"]
    assert (end.outcome, end.retryable) == (Outcome.FAILED, False)
    assert "(1 in an earlier try): model.shop.wrong" in end.note


async def test_what_ran_and_may_pass_is_tried_again_even_where_it_reads_what_failed_for_good(stage, dbt):
    reads = {"model.shop.wrong": [], "model.shop.lost": [], "test.shop.both": ["model.shop.wrong", "model.shop.lost"]}
    stage.plays(holds=list(reads), manifest=manifest(reads), code=0, says=str(RECORDED / "v1_nothing.jsonl"))
    earlier = (*built("model.shop.lost"), *failed("model.shop.wrong"), *failed("test.shop.both", passing=True))

    await answer_to(stage, dbt, asking(nodes=earlier))

    assert ids_left(stage) == ["test.shop.both"]


async def test_a_hook_that_failed_runs_with_everything_where_only_mistakes_are_left_beside_it(stage, dbt):
    stage.plays(holds=["model.shop.wrong"], manifest=manifest(), code=0, says=str(RECORDED / "v1_nothing.jsonl"))
    hook = failed("operation.shop.shop-on-run-end-0", passing=True)

    await answer_to(stage, dbt, asking(select="wrong", nodes=(*failed("model.shop.wrong"), *hook)))

    ran = stage.asked()[-1]["argv"]
    assert ran[ran.index("--select") + 1] == "wrong"


async def test_of_what_is_owed_too_what_failed_for_good_is_left_alone(stage, dbt):
    stage.plays(holds=list(READS), manifest=manifest(), code=0, says=str(RECORDED / "v1_nothing.jsonl"))
    job = replace(asking(nodes=EARLIER), only=("model.shop.wrong", "model.shop.below", "model.shop.lost"))

    await answer_to(stage, dbt, job)

    assert ids_left(stage) == ["model.shop.lost"]


def ids_left(stage):
    ran = stage.asked()[-1]["argv"]
    left = json.loads(Path(ran[ran.index("--state") + 1], "run_results.json").read_text())["results"]
    return [node["unique_id"] for node in left]


@pytest.mark.parametrize("play", [{"manifest": {"nodes": []}}, {}])
async def test_without_the_graph_what_failed_for_good_is_tried_with_the_rest(stage, dbt, play):
    stage.plays(holds=["model.shop.fine", *READS], code=0, says=str(RECORDED / "v1_nothing.jsonl"), **play)

    end = await answer_to(stage, dbt, asking(nodes=EARLIER))

    ran = stage.asked()[-1]["argv"]
    left = json.loads(Path(ran[ran.index("--state") + 1], "run_results.json").read_text())["results"]
    assert [node["unique_id"] for node in left] == list(READS)
    assert "an earlier try)" not in end.note


async def test_where_nothing_else_is_left_no_dbt_is_started_for_it(stage, dbt):
    stage.plays(holds=["model.shop.wrong", "model.shop.below"], manifest=manifest())
    job = asking(nodes=(*failed("model.shop.wrong"), *built("model.shop.below", state=NodeState.SKIPPED)))

    end = await dbt.start(job, await dbt.prepare(job), "key")

    assert isinstance(end, Finished)
    assert (end.outcome, end.retryable) == (Outcome.FAILED, False)
    assert [asked["argv"][1] for asked in stage.asked()] == ["list"]


def below(failed, reads=READS, **units):
    return hanging(json.dumps(manifest(reads, **units)).encode(), (failed,)) - {failed}


def test_a_tests_failure_stops_what_is_downstream_of_all_that_it_tests():
    reads = {
        "model.a": [],
        "model.b": [],
        "model.of_a": ["model.a"],
        "model.of_both": ["model.of_a", "model.b"],
        "test.of_a": ["model.a"],
        "test.also_of_a": ["model.a"],
        "test.of_both": ["model.a", "model.b"],
    }
    assert below("test.of_a", reads) == {"model.of_a", "model.of_both", "test.of_both"}
    assert below("test.of_both", reads) == {"model.of_both"}


def test_a_unit_tests_failure_stops_its_model_too():
    reads = {"model.a": [], "model.b": ["model.a"], "model.c": []}
    assert below("unit_test.a", reads, **{"unit_test.a": ["model.a"]}) == {"model.a", "model.b"}


GRAPHS = st.integers(2, 7).flatmap(
    lambda many: st.tuples(*(st.sets(st.integers(0, at - 1)) if at else st.just(frozenset()) for at in range(many)))
)


@given(GRAPHS, st.data())
def test_what_hangs_on_a_model_is_all_that_reads_it_however_far_and_nothing_else(graph, data):
    reads = {f"model.m{at}": [f"model.m{one}" for one in parents] for at, parents in enumerate(graph)}
    first = data.draw(st.sampled_from(sorted(reads)))
    stopped = below(first, reads) | {first}
    for unique, parents in reads.items():
        assert (unique in stopped) == (unique == first or bool(stopped & set(parents)))


@given(st.recursive(st.none() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)))
def test_a_manifest_of_another_shape_harms_nothing(shape):
    for found in (shape, {"nodes": shape}, {"nodes": {"model.a": shape}}, {"nodes": {}, "unit_tests": shape}):
        assert hanging(json.dumps(found).encode(), ("model.a",)) <= {"model.a"}
