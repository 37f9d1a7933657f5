"""What dbt's log says, on lines recorded from 1.11.16 and 2.0.0-alpha.4."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import DONE, NodeState
from stackhub_dbt.events import Story, plain, state_of
from stackhub_dbt.log import render

RECORDED = Path(__file__).parent / "dbt_events"
FAILING = {
    "seed.shop.raw_orders": NodeState.SUCCEEDED,
    "model.shop.orders": NodeState.SUCCEEDED,
    "model.shop.feed": NodeState.FAILED,
    "model.shop.feed_by_day": NodeState.SKIPPED,
    "test.shop.no_order_is_free": NodeState.FAILED,
    "test.shop.no_order_is_large": NodeState.WARNED,
    "test.shop.not_null_orders_id.84ef11d8fe": NodeState.SUCCEEDED,
    "test.shop.unique_orders_id.1360ecc70e": NodeState.SUCCEEDED,
}
FEED_FAILED = 'IO Error: No files found that match the pattern "/feeds/feed.csv"'


def recorded(name):
    return (RECORDED / name).read_bytes()


def told(data):
    story = Story()
    story.feed(data)
    return story


def line(name, level="info", msg="", **data):
    return json.dumps({"info": {"name": name, "level": level, "msg": msg}, "data": data}).encode() + b"\n"


def node_info(**changes):
    return {"unique_id": "model.shop.orders", "node_name": "orders", "resource_type": "model"} | changes


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_every_node_is_left_as_its_end_was_told(version):
    story = told(recorded(f"{version}_failing.jsonl"))

    assert {node.id: node.state for node in story.nodes.values()} == FAILING
    assert story.ended == set(FAILING)
    assert story.done == 8


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_failure_keeps_its_own_words(version):
    nodes = told(recorded(f"{version}_failing.jsonl")).nodes

    assert FEED_FAILED in nodes["model.shop.feed"].message
    assert nodes["test.shop.no_order_is_free"].message.startswith("Got 2 results")
    assert "<unknown>" not in nodes["model.shop.feed"].message, "v2 appends a backtrace"
    assert not [node for node in nodes.values() if node.state is NodeState.SUCCEEDED and node.message]


def test_a_node_says_what_it_is_when_it_began_how_long_it_took_and_whose_it_is():
    node = told(recorded("v1_failing.jsonl")).nodes["model.shop.orders"]

    assert (node.name, node.kind, node.status) == ("orders", "model", "success")
    assert node.relation == '"shop"."main"."orders"'
    assert node.owner == "Finance data"
    assert node.started_at is not None
    assert node.started_at.tzinfo is not None
    assert 0 < node.seconds < 60


def test_v1_says_how_many_nodes_there_will_be_before_the_first_and_v2_never():
    v1, v2 = Story(), Story()
    v1.feed(recorded("v1_failing.jsonl").partition(b'"LogStartLine"')[0])
    v2.feed(recorded("v2_failing.jsonl"))

    assert (v1.total, len(v1.nodes), v1.planned) == (8, 0, True)
    assert (v2.total, v2.planned) == (None, True)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_refused_configuration_is_told_before_anything_was_planned(version):
    story = told(recorded(f"{version}_no_target.jsonl"))

    assert not story.planned
    assert not story.nodes
    assert "target" in story.errors[0]
    assert "nope" in story.errors[0]


def test_what_is_no_event_is_kept_as_text():
    story = told(recorded("v1_usage.txt"))

    assert story.text[-1] == "Error: No such option '--nonsense'. Did you mean '--no-defer'?"
    assert not story.planned


def test_a_node_that_was_interrupted_has_failed_and_what_was_built_stays_built():
    for version in ("v1", "v2"):
        nodes = told(recorded(f"{version}_cancelled.jsonl")).nodes
        assert nodes["model.shop.slow"].state is NodeState.FAILED
        assert nodes["model.shop.orders"].state in DONE


def summary(story):
    return story.nodes, story.ended, story.total, story.planned, story.errors, story.text


@pytest.mark.parametrize("name", ["v1_failing.jsonl", "v2_cancelled.jsonl", "v1_usage.txt"])
@given(cuts=st.lists(st.integers(0, 40_000), max_size=20))
def test_the_log_may_be_cut_anywhere(name, cuts):
    data = recorded(name)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    story = Story()
    for start, end in itertools.pairwise(edges):
        story.feed(data[start:end])

    assert summary(story) == summary(told(data))


@given(cuts=st.lists(st.integers(0, 40_000), max_size=20))
def test_the_changes_add_up_to_the_whole(cuts):
    data = recorded("v1_failing.jsonl")
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    story, seen = Story(), {}
    for start, end in itertools.pairwise(edges):
        changed = story.feed(data[start:end])
        assert len({node.id for node in changed}) == len(changed)
        assert all(seen.get(node.id) != node for node in changed), "what has not changed is not told again"
        seen.update((node.id, node) for node in changed)

    assert seen == story.nodes


@given(data=st.binary(max_size=2000))
def test_no_bytes_whatever_make_it_fail_or_count_a_node_as_done(data):
    assert told(data + b"\n").nodes == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    name=st.sampled_from(
        ["NodeStart", "NodeFinished", "LogModelResult", "ConcurrencyLine", "Generic", "MainReportVersion"]
    ),
    data=st.dictionaries(
        st.sampled_from(["node_info", "run_result", "status", "total", "group", "num_failures", "msg", "node_count"]),
        json_values
        | st.dictionaries(
            st.sampled_from(["unique_id", "status", "node_status", "message", "execution_time", "adapter_response"]),
            json_values,
        ),
    ),
)
def test_a_field_of_another_shape_than_today_harms_nothing(name, data):
    story = told(line(name, level="error", **data))

    known = {"success", "pass", "no-op", "reused", "warn"}
    for node in story.nodes.values():
        assert node.state not in DONE or node.status.lower().replace("_", " ").replace(" ", "-") in known | {"no-op"}


@given(word=st.text(max_size=20))
def test_a_status_nobody_has_heard_of_is_never_done(word):
    known = {
        "success",
        "pass",
        "warn",
        "no-op",
        "reused",
        "error",
        "fail",
        "skipped",
        "runtime error",
        "partial success",
    }
    known |= {"started", "compiling", "executing"}
    if word.lower().replace("_", " ") not in known and word.lower() not in known:
        assert state_of(word) is NodeState.UNKNOWN


@pytest.mark.parametrize("word", ["success", "pass", "warn", "no-op", "reused"])
def test_these_words_are_done(word):
    assert state_of(word) in DONE


@pytest.mark.parametrize("word", ["error", "fail", "runtime error", "runtime_error", "partial success", "skipped", ""])
def test_these_words_are_not_done(word):
    assert state_of(word) not in DONE


def test_what_the_adapter_answered_is_no_status():
    story = told(line("LogModelResult", status="SELECT 5", node_info=node_info(node_status="success")))

    assert story.nodes["model.shop.orders"].state is NodeState.SUCCEEDED


def test_an_unknown_event_means_nothing_though_it_names_a_node():
    assert told(line("LogBatchResult", status="success", node_info=node_info())).nodes == {}


def test_a_beginning_that_comes_after_the_end_changes_nothing():
    story = told(line("NodeFinished", node_info=node_info(), run_result={"status": "success"}))

    assert story.feed(line("LogStartLine", node_info=node_info(node_status="started"))) == ()
    assert story.nodes["model.shop.orders"].state is NodeState.SUCCEEDED


def test_an_end_without_a_known_end_is_none():
    story = told(line("NodeFinished", node_info=node_info(node_status="executing"), run_result={}))

    assert story.nodes["model.shop.orders"].state is NodeState.UNKNOWN


def test_what_v2_says_twice_is_told_once():
    story, told_of = Story(), []
    for said in recorded("v2_failing.jsonl").splitlines(keepends=True):
        told_of += [(node.id, node.state) for node in story.feed(said)]

    assert told_of.count(("seed.shop.raw_orders", NodeState.RUNNING)) == 1
    assert told_of.count(("seed.shop.raw_orders", NodeState.SUCCEEDED)) == 1


@pytest.mark.parametrize(
    ("meta", "owner"),
    [
        ({"owner": "ann", "stackhub": {"owner": "bob"}}, "bob"),
        ({"owner": {"name": "Ann", "email": "ann@example.com"}}, "Ann"),
        ({"stackhub": "odd"}, "Finance"),
        ({}, "Finance"),
    ],
)
def test_a_node_is_whose_its_meta_says_first_for_stackhub_else_its_groups_owners(meta, owner):
    group = {"name": "finance", "owner": {"name": "Finance"}}
    story = told(line("LogModelResult", node_info=node_info(meta=meta), group=group, status="success"))
    assert story.nodes["model.shop.orders"].owner == owner


def test_rows_and_owner_are_read_where_dbt_says_them():
    result = {"status": "success", "adapter_response": {"rows_affected": 12.0, "_message": "SELECT 12"}}
    info = node_info(meta={"owner": "@ann"})

    node = told(line("NodeFinished", node_info=info, run_result=result)).nodes["model.shop.orders"]

    assert (node.rows, node.owner) == (12, "@ann")


def test_a_hook_is_a_node_that_is_not_counted():
    info = node_info(unique_id="operation.shop.shop-on-run-start-0", resource_type="operation")
    story = told(line("LogHookEndLine", node_info=info, status="success", total=1))

    assert (story.done, story.total, len(story.nodes)) == (0, None, 1)


def test_a_secret_is_hidden_in_every_word_that_is_kept():
    story = Story(hide=lambda text: text.replace("hunter22", "***"))
    info = node_info()
    story.feed(line("LogStartLine", node_info=info))
    story.feed(line("MainEncounteredError", exc="password hunter22 refused"))
    story.feed(line("RunResultError", node_info=info, msg="cannot connect with hunter22 at all"))
    story.feed(b"plain hunter22\n")

    assert "hunter22" not in repr(summary(story))
    assert story.errors == ["password *** refused"]
    assert story.nodes["model.shop.orders"].message == "cannot connect with *** at all"


def test_colours_tags_and_backtraces_are_not_for_people():
    said = "\x1b[31m[error] [InvalidConfig (dbt1005)]: no target\n   0: <unknown>\n  12: start_thread\n\x1b[0m"

    assert plain(said) == "[InvalidConfig (dbt1005)]: no target"


def test_the_log_for_people_is_a_line_for_each_event_with_its_time():
    text, size = render(recorded("v1_failing.jsonl"), whole=False)

    assert size == len(recorded("v1_failing.jsonl"))
    assert "  Concurrency: 2 threads (target='dev')\n" in text
    assert FEED_FAILED in text
    assert "{" not in text
    assert all(row[2] == ":" for row in text.splitlines() if "START" in row)


def test_v2_does_not_say_each_thing_twice_in_it():
    text, _ = render(recorded("v2_failing.jsonl"), whole=False)

    assert text.count("Started model main.orders") == 1


@given(cut=st.integers(0, 28_000))
def test_the_log_for_people_waits_for_the_end_of_a_line(cut):
    data = recorded("v1_failing.jsonl")

    first, size = render(data[:cut], whole=False)
    second, _ = render(data[size:], whole=False)

    assert first + second == render(data, whole=False)[0]


def test_a_last_line_without_its_end_is_shown_when_nothing_more_will_come():
    assert render(b"one\nkill", whole=False) == ("one\n", 4)
    assert render(b"one\nkill", whole=True) == ("one\nkill\n", 8)
