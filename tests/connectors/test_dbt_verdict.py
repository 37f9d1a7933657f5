"""What dbt's end amounts to, on recorded ends of 1.11.16 and 2.0.0-alpha.4."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import DONE, Node, NodeState, Outcome
from stackhub.launch import Ended
from stackhub_dbt.events import Story
from stackhub_dbt.results import read_results, reconcile, results_in
from stackhub_dbt.verdict import NOTHING, Facts, given_up, judge, lost

RECORDED = Path(__file__).parent / "dbt_events"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def told(name):
    story = Story()
    story.feed((RECORDED / name).read_bytes())
    return story


def results(name):
    return results_in(json.loads((RECORDED / name).read_text()))


def ended(code=None, signal=None, **changes):
    return Facts(**{"ended": Ended(code, signal, NOON, NOON), "operation": "build"} | changes)


def nodes_of(story, found=()):
    return reconcile(story.nodes, frozenset(story.ended), tuple(found))


def a_node(state=NodeState.SUCCEEDED, unique="model.shop.orders", **changes):
    return Node(**{"id": unique, "name": "orders", "kind": "model", "state": state} | changes)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_failed_build_says_how_many_failed_which_and_why(version):
    story = told(f"{version}_failing.jsonl")
    nodes = nodes_of(story, results(f"{version}_failing.results.json"))

    verdict = judge(ended(1), story, nodes)

    assert verdict.outcome is Outcome.FAILED
    assert verdict.retryable
    assert verdict.note.startswith("2 of 8 nodes failed: model.shop.feed: ")
    assert 'IO Error: No files found that match the pattern "/feeds/feed.csv"' in verdict.note
    assert verdict.note.endswith("(and test.shop.no_order_is_free)")
    assert verdict.nodes == nodes
    assert verdict.result["exit_code"] == 1
    assert (verdict.result["failed"], verdict.result["succeeded"], verdict.result["warned"]) == (2, 4, 1)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_refused_configuration_is_not_tried_again(version):
    story = told(f"{version}_no_target.jsonl")

    verdict = judge(ended(2 if version == "v1" else 1), story, ())

    assert (verdict.outcome, verdict.retryable) == (Outcome.FAILED, False)
    assert "nope" in verdict.note


def test_a_usage_error_is_told_in_dbts_words_and_not_tried_again():
    verdict = judge(ended(2), told("v1_usage.txt"), ())

    assert (verdict.outcome, verdict.retryable) == (Outcome.FAILED, False)
    assert "No such option '--nonsense'" in verdict.note


def test_an_error_after_the_plan_is_the_warehouses_and_is_tried_again():
    story = told("v1_nothing.jsonl")
    story.feed(b'{"info": {"name": "ConcurrencyLine"}, "data": {"node_count": 3}}\n')
    story.feed(b'{"info": {"name": "MainEncounteredError"}, "data": {"exc": "Database Error\\n  no route to host"}}\n')

    verdict = judge(ended(2), story, ())

    assert (verdict.outcome, verdict.retryable) == (Outcome.FAILED, True)
    assert "no route to host" in verdict.note


def failed(name, passing, message="broken"):
    return a_node(NodeState.FAILED, unique=f"model.shop.{name}", message=message, passing=passing)


@pytest.mark.parametrize(
    ("nodes", "again"),
    [
        ((failed("a", False),), False),
        ((failed("a", False), a_node(NodeState.SKIPPED)), False),
        ((failed("a", True),), True),
        ((failed("a", None),), True),
        ((failed("a", False), failed("b", True)), True),
        ((failed("a", False), a_node(NodeState.UNKNOWN)), True),
    ],
)
def test_a_build_is_tried_again_when_another_try_may_help(nodes, again):
    assert judge(ended(1), Story(), nodes).retryable is again


def test_what_failed_for_good_is_told_before_what_may_pass():
    nodes = (failed("lost", True, "connection reset by peer"), failed("wrong", False, "no such column"))
    assert judge(ended(1), Story(), nodes).note == (
        "2 of 2 nodes failed: model.shop.wrong: no such column (and model.shop.lost, which may pass)"
    )


def test_a_try_that_left_alone_what_failed_for_good_has_failed_all_the_same():
    settled = (failed("wrong", False, "no such column"),)

    well = judge(ended(0, rest=True, settled=settled), Story(), (a_node(),))
    assert (well.outcome, well.retryable, well.nodes) == (Outcome.FAILED, False, (a_node(),))
    assert well.note == "1 of 2 nodes failed (1 in an earlier try): model.shop.wrong: no such column"

    again = judge(ended(1, rest=True, settled=settled), Story(), (failed("lost", True),))
    assert again.retryable
    assert again.note.startswith("2 of 2 nodes failed (1 in an earlier try): model.shop.wrong: no such column (and ")


def test_where_nothing_is_left_that_another_try_would_help_that_is_the_end():
    end = given_up((failed("wrong", False, "no such column"),))
    assert (end.outcome, end.retryable) == (Outcome.FAILED, False)
    assert end.note.endswith("model.shop.wrong: no such column")


@pytest.mark.parametrize(
    ("planned", "words", "again"),
    [
        (True, "IO Error: Could not set lock on file", True),
        (False, "IO Error: Could not set lock on file", True),
        (True, "FATAL:  password authentication failed for user", False),
        (False, "something else", False),
    ],
)
def test_an_error_of_the_whole_run_is_judged_by_its_words(planned, words, again):
    story = Story()
    if planned:
        story.feed(b'{"info": {"name": "ConcurrencyLine"}, "data": {"node_count": 3}}\n')
    story.feed(json.dumps({"info": {"name": "MainEncounteredError"}, "data": {"exc": words}}).encode() + b"\n")

    assert judge(ended(2), story, ()).retryable is again


def test_a_program_that_cannot_be_run_is_not_tried_again():
    verdict = judge(ended(127), told("v1_usage.txt"), ())

    assert not verdict.retryable


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_build_of_nothing_is_well_and_says_so(version):
    verdict = judge(ended(0), told(f"{version}_nothing.jsonl"), ())

    assert (verdict.outcome, verdict.warning) == (Outcome.OK, NOTHING)


def test_docs_of_no_node_are_well():
    assert judge(ended(0, operation="docs"), told("v2_nothing.jsonl"), ()).warning == ""


def test_a_retry_that_finds_nothing_of_what_was_left_is_no_success():
    verdict = judge(ended(0, rest=True), told("v2_nothing.jsonl"), ())

    assert verdict.outcome is Outcome.FAILED


@pytest.mark.parametrize(("version", "code"), [("v1", 2), ("v2", 1)])
def test_what_we_stopped_is_cancelled_and_keeps_what_was_built(version, code):
    story = told(f"{version}_cancelled.jsonl")

    verdict = judge(ended(code, cancelled=True), story, nodes_of(story))

    assert verdict.outcome is Outcome.CANCELLED
    assert "SIGINT" in verdict.note
    assert {node.id for node in verdict.nodes if node.state in DONE} >= {"model.shop.orders", "seed.shop.raw_orders"}


def test_what_had_to_be_killed_says_so():
    assert "SIGKILL" in judge(ended(signal=9, cancelled=True), Story(), ()).note


def test_what_ended_well_before_the_signal_came_is_well():
    assert judge(ended(0, cancelled=True), Story(), (a_node(),)).outcome is Outcome.OK


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_what_somebody_else_killed_is_tried_again(version):
    story = Story()
    story.feed((RECORDED / f"{version}_failing.jsonl").read_bytes().partition(b'"model.shop.feed_by_day"')[0])
    nodes = nodes_of(story)

    for verdict in (judge(ended(signal=9), story, nodes), lost("the machine went down", nodes)):
        assert (verdict.outcome, verdict.retryable) == (Outcome.FAILED, True)
        assert verdict.nodes == nodes


def test_a_node_whose_end_was_not_told_is_never_done():
    story = Story()
    story.feed((RECORDED / "v1_failing.jsonl").read_bytes().partition(b'"LogModelResult"')[0])

    states = {node.id: node.state for node in nodes_of(story)}

    assert states == {"model.shop.feed": NodeState.UNKNOWN, "seed.shop.raw_orders": NodeState.UNKNOWN}


def test_dbts_own_zero_does_not_make_a_node_that_failed_a_success():
    assert judge(ended(0), Story(), (a_node(NodeState.FAILED),)).outcome is Outcome.FAILED


def test_an_unknown_end_of_a_node_is_told_and_not_counted():
    verdict = judge(ended(0), Story(), (a_node(NodeState.UNKNOWN, status="levitated"),))

    assert "model.shop.orders" in verdict.warning
    assert "levitated" in verdict.warning
    assert verdict.note.startswith("0 of 1")


@given(
    code=st.integers(-1, 300) | st.none(),
    states=st.lists(st.sampled_from(NodeState), max_size=5),
    cancelled=st.booleans(),
    rest=st.booleans(),
    operation=st.sampled_from(["build", "docs"]),
)
def test_only_a_zero_without_failures_is_well(code, states, cancelled, rest, operation):
    nodes = tuple(a_node(state, unique=f"model.shop.m{n}") for n, state in enumerate(states))
    facts = ended(code, None if code is not None else 9, cancelled=cancelled, rest=rest, operation=operation)

    verdict = judge(facts, Story(), nodes)

    assert (verdict.outcome is Outcome.OK) <= (code == 0 and NodeState.FAILED not in states)
    assert (verdict.outcome is Outcome.CANCELLED) <= cancelled
    assert verdict.note
    if verdict.outcome is Outcome.OK and (not nodes or NodeState.UNKNOWN in states):
        assert verdict.warning or operation == "docs"


def test_the_results_give_words_rows_and_times_where_the_log_is_silent():
    story = told("v1_failing.jsonl")
    nodes = {node.id: node for node in nodes_of(story, results("v1_failing.results.json"))}

    assert nodes["seed.shop.raw_orders"].rows == 3
    assert story.nodes["seed.shop.raw_orders"].rows is None
    assert nodes["test.shop.no_order_is_large"].message == "Got 1 result, configured to warn if != 0"


def test_the_results_name_nodes_that_the_log_has_lost():
    nodes = reconcile({}, frozenset(), results("v1_failing.results.json"))

    states = {node.id: node.state for node in nodes}
    assert states["model.shop.feed"] is NodeState.FAILED
    assert states["model.shop.orders"] is NodeState.SUCCEEDED
    assert {node.id: (node.kind, node.name) for node in nodes}["model.shop.orders"] == ("model", "orders")


def test_the_results_do_not_overrule_the_log():
    """v2, interrupted, writes that every node failed."""
    found = results("v2_cancelled.results.json")
    assert {result.state for result in found} == {NodeState.FAILED}, "or the recording proves nothing"

    story = told("v2_cancelled.jsonl")
    nodes = {node.id: node for node in nodes_of(story, found)}

    assert nodes["model.shop.orders"].state is NodeState.SUCCEEDED
    assert nodes["model.shop.orders"].message == ""


def test_the_results_decide_where_the_log_was_cut():
    story = Story()
    story.feed((RECORDED / "v1_failing.jsonl").read_bytes().partition(b'"LogModelResult"')[0])
    assert "model.shop.orders" not in story.ended

    nodes = {node.id: node for node in nodes_of(story, results("v1_failing.results.json"))}

    assert nodes["model.shop.orders"].state is NodeState.SUCCEEDED


def test_a_source_that_is_old_says_since_when():
    [result] = results("v1_freshness.sources.json")

    assert result.state is NodeState.WARNED
    assert result.message == "last loaded at 2020-01-01T00:00:00+00:00"


def test_rows_that_v2_did_not_count_are_no_rows():
    rows = {result.id: result.rows for result in results("v2_failing.results.json")}

    assert rows["seed.shop.raw_orders"] == 3
    assert rows["model.shop.orders"] is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"results": {"a": 1}}', b'{"results": [1, {"a": 2}]}'])
def test_results_that_are_none_are_none(tmp_path, body):
    (tmp_path / "run_results.json").write_bytes(body)

    assert read_results(tmp_path) == ()


@given(
    ended_ids=st.sets(st.integers(0, 5)),
    told_states=st.dictionaries(st.integers(0, 5), st.sampled_from(NodeState)),
    left_states=st.dictionaries(st.integers(0, 5), st.sampled_from(["success", "error", "skipped", "pass", "odd"])),
)
def test_a_node_is_done_only_on_the_word_of_its_end(ended_ids, told_states, left_states):
    log = {f"model.s.m{n}": a_node(state, unique=f"model.s.m{n}") for n, state in told_states.items()}
    over = frozenset(f"model.s.m{n}" for n in ended_ids)
    found = results_in({"results": [{"unique_id": f"model.s.m{n}", "status": s} for n, s in left_states.items()]})

    nodes = reconcile(log, over, found)

    assert len({node.id for node in nodes}) == len(nodes) == len(told_states.keys() | left_states.keys())
    for node in nodes:
        by_log = node.id in over and node.id in log and log[node.id].state in DONE
        by_results = any(r.id == node.id and r.state in DONE for r in found) and not (
            node.id in over and node.id in log
        )
        assert (node.state in DONE) == (by_log or by_results)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["unique_id", "status", "timing", "execution_time", "adapter_response", "message", "failures", "error"]


@given(entries=st.lists(st.dictionaries(st.sampled_from([*FIELDS, "max_loaded_at", "relation_name"]), json_values)))
def test_a_field_of_another_shape_than_today_harms_nothing(entries):
    for result in results_in({"results": entries, "metadata": None}):
        assert result.state not in DONE


def test_reconciling_twice_changes_nothing_more():
    story = told("v2_failing.jsonl")
    once = nodes_of(story, results("v2_failing.results.json"))

    again = reconcile(
        {node.id: replace(node) for node in once}, frozenset(n.id for n in once), results("v2_failing.results.json")
    )

    assert again == once
