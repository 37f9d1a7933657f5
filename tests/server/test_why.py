"""Why a run, or a step of it, is as it is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.decide.circuit import Circuit
from stackhub.decide.create import new
from stackhub.model.landing import Landing
from stackhub.model.pipeline import Need, Pipeline, Task
from stackhub.model.run import Interval, OpenRun, Run, RunState, Trigger
from stackhub.model.step import StepState, Stop
from stackhub.server.why import why_view
from stackhub.store.queries import Line
from stackhub.store.shown import LaneSeen

NOW = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
SHOP = Pipeline(
    name="shop",
    max_active=3,
    tasks=(
        Task(name="orders", connector="toy", operation="load", instance="toy"),
        Task(name="refunds", connector="toy", operation="load", instance="toy"),
        Task(
            name="marts",
            connector="dbt",
            operation="build",
            instance="dbt",
            needs=(Need(task="orders"), Need(task="refunds")),
        ),
    ),
)


def a_run(state=RunState.RUNNING, run_id="01B", **steps) -> OpenRun:
    """Make a run; ``orders={"state": ..., ...}`` says how a step stands."""
    made = new(
        SHOP,
        run_id=run_id,
        trigger=Trigger.MANUAL,
        interval=Interval(start=NOW, end=NOW),
        now=NOW,
        reason="asked for by ada",
    )
    changed = {name: replace(step, **steps.get(name, {})) for name, step in made.steps.items()}
    return replace(made, run=replace(made.run, state=state), steps=changed)


def because(open_run, task=None, **given) -> list[str]:
    return why_view(open_run, task, now=NOW, **given)["because"]


def lane(**circuit) -> dict[str, LaneSeen]:
    return {"toy": LaneSeen(instance="toy", circuit=Circuit(**circuit), not_before=None)}


def other(run_id: str, state: RunState) -> Run:
    return a_run(state, run_id).run


# --- a run -----------------------------------------------------------------------------------------------------------


def test_a_queued_run_names_those_before_it_and_not_itself():
    others = [other("01A", RunState.RUNNING), other("01B", RunState.QUEUED), other("01C", RunState.QUEUED)]
    said = because(a_run(RunState.QUEUED), others=others)
    assert said == ["it waits for its turn, after 01A", "it was made because: asked for by ada"]


def test_a_running_run_says_what_moves_and_what_comes_then():
    running = {"state": StepState.RUNNING, "attempt_at": NOW - timedelta(minutes=12, seconds=5)}
    said = because(a_run(orders=running, refunds={"state": StepState.SUCCEEDED}))
    assert said[:2] == ["orders: its job is running at toy for 12m 05s", "then: marts"]


def test_a_failed_run_names_the_cause_before_what_it_blocked():
    failed = {"state": StepState.FAILED, "error": "quota exceeded"}
    said = because(a_run(RunState.FAILED, orders=failed, marts={"state": StepState.UPSTREAM_FAILED}))
    assert said[:2] == ["orders failed: quota exceeded", "not run because of that: marts"]


def test_a_retry_says_where_it_goes_on_from_and_what_it_took_over():
    made = a_run(RunState.SUCCEEDED, orders={"state": StepState.SUCCEEDED, "carried": "01A"})
    made = replace(made, run=replace(made.run, retry_of="01A"))
    assert because(made)[-1] == "it goes on from run 01A, with what was done there: orders"


def test_a_run_that_is_being_cancelled_says_so_first():
    made = a_run(orders={"state": StepState.RUNNING, "stop": Stop.CANCEL, "stop_tries": 2})
    made = replace(made, run=replace(made.run, cancel_at=NOW, cancel_reason="wrong month"))
    said = because(made)
    assert said[0] == "it is being cancelled: wrong month"
    assert "it is being stopped (cancel), asked 2 times" in said[1]


# --- a step ----------------------------------------------------------------------------------------------------------


def test_a_waiting_step_names_only_what_is_not_done():
    made = a_run(orders={"state": StepState.SUCCEEDED}, refunds={"state": StepState.RETRYING})
    assert because(made, "marts") == ["it waits for refunds (retrying)"]


def test_a_waiting_step_of_a_queued_run_waits_for_its_run():
    said = because(a_run(RunState.QUEUED), "marts", others=[other("01A", RunState.RUNNING)])
    assert said == ["its run is queued: it waits for its turn, after 01A"]


@pytest.mark.parametrize(
    ("step", "lanes", "words"),
    [
        ({"state": StepState.READY}, {}, "waits for a free place at toy (at most 3 steps of shop"),
        ({"state": StepState.READY, "due": NOW + timedelta(minutes=1)}, {}, "again at 2026-11-22 06:31 UTC"),
        (
            {"state": StepState.READY},
            lane(open_until=NOW + timedelta(minutes=5), error="503"),
            "it is ready, but toy does not answer (503); the next try is at 2026-11-22 06:35 UTC",
        ),
        (
            {"state": StepState.STARTING},
            lane(open_until=NOW, refused=True, error="401"),
            "it is being started; toy cannot be used as it is configured (401)",
        ),
        (
            {"state": StepState.READY},
            {"toy": LaneSeen(instance="toy", circuit=Circuit(), not_before=NOW + timedelta(minutes=2))},
            "toy asked for patience until 2026-11-22 06:32 UTC",
        ),
        (
            {"state": StepState.DEFERRED, "due": NOW, "note": "rate limited"},
            {},
            "toy has put it off until 2026-11-22 06:30 UTC: rate limited",
        ),
        (
            {"state": StepState.RETRYING, "attempt": 2, "error": "a blip", "due": NOW},
            {},
            "it failed and is tried again at 2026-11-22 06:30 UTC (try 2 of 3): a blip",
        ),
        ({"state": StepState.RUNNING, "done": 3, "total": 9}, {}, "3 of 9 done"),
        ({"state": StepState.RUNNING, "lost_sight": True}, {}, "nobody knows how it stands"),
        ({"state": StepState.RUNNING, "handle": {"joined": True}}, {}, "somebody else started the job"),
    ],
)
def test_an_open_step_says_what_it_is_doing_and_what_holds_it(step, lanes, words):
    [said] = because(a_run(orders=step), "orders", lanes=lanes)
    assert words in said


def test_a_step_that_was_done_elsewhere_says_where():
    said = because(a_run(orders={"state": StepState.SUCCEEDED, "carried": "01A"}), "orders")
    assert said == ["it was done in run 01A, and its result was carried over"]


def test_a_step_that_is_done_says_with_which_load():
    landing = Landing(connection="c", mark="m", ended_at=NOW)
    began = {"began_at": NOW - timedelta(hours=1)}
    said = because(a_run(orders={"state": StepState.SUCCEEDED, "landing": landing, **began}), "orders")
    assert said == [
        "its job ended well, with the load that landed 2026-11-22 06:30 UTC",
        "it began 2026-11-22 05:30 UTC; it needs nothing else",
    ]


def test_a_failure_says_whether_trying_again_would_have_helped():
    first = because(a_run(orders={"state": StepState.FAILED, "error": "no", "attempt": 1}), "orders")
    last = because(a_run(orders={"state": StepState.FAILED, "error": "no", "attempt": 3}), "orders")
    blind = because(a_run(orders={"state": StepState.FAILED, "error": "no", "may_have_run": True}), "orders")
    assert first[1] == "trying again would not help; it was try 1 of 3"
    assert last[1] == "that was the last of 3 tries"
    assert "nobody can tell whether it ran" in blind[1]


@pytest.mark.parametrize("state", [StepState.UPSTREAM_FAILED, StepState.SKIPPED, StepState.CANCELLED])
def test_a_step_that_never_ran_says_what_it_was_told(state):
    assert because(a_run(marts={"state": state, "note": "needs orders"}), "marts") == ["needs orders"]


def test_the_events_are_those_of_what_was_asked_about():
    lines = [
        Line(id=n, at=NOW, pipeline="shop", run="01B", task=task, kind="k", text="", attempt=1)
        for n, task in enumerate(("", "orders", "marts"))
    ]
    assert [event["task"] for event in why_view(a_run(), "orders", events=lines, now=NOW)["events"]] == ["orders"]
    assert [event["task"] for event in why_view(a_run(), events=lines, now=NOW)["events"]] == [""]


def test_a_task_that_is_not_there_is_a_key_error():
    with pytest.raises(KeyError):
        because(a_run(), "nothing")


STEPS = st.fixed_dictionaries(
    {"state": st.sampled_from(StepState), "attempt": st.integers(1, 4), "stop": st.sampled_from(Stop)},
    optional={
        "due": st.none() | st.just(NOW),
        "note": st.text(max_size=5),
        "error": st.text(max_size=5),
        "done": st.none() | st.integers(0, 9),
        "began_at": st.none() | st.just(NOW),
        "may_have_run": st.booleans(),
    },
)


@given(st.sampled_from(RunState), STEPS, STEPS)
def test_there_is_always_a_reason(state, orders, marts):
    made = a_run(state, orders=orders, marts=marts)
    for task in (None, *made.steps):
        shown = why_view(made, task, now=NOW)
        assert shown["because"]
        assert all(isinstance(one, str) and one for one in shown["because"])
