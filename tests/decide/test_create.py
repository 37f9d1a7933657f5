"""New runs, and retries: what is carried over, and what is done again."""

from dataclasses import replace

import pytest
from decide.steps import S
from decide.worlds import T0, World, needing, pipeline, rule, task
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import Landing
from stackhub.decide import create
from stackhub.decide.run import Begin, decide
from stackhub.errors import Refused
from stackhub.model.pipeline import Need
from stackhub.model.run import RunState, Trigger
from stackhub.model.step import TERMINAL

SHOP = pipeline(task("orders"), task("users"), needing("marts", "orders", "users"))
LANDING = Landing(connection="c", mark="7", ended_at=T0)
ENDED = {"orders": S.SUCCEEDED, "users": S.FAILED, "marts": S.UPSTREAM_FAILED}


def ended(shop=SHOP, origin=None, **states):
    run = World(pipeline=shop, rules={}).run("R1", T0)
    steps = {
        name: replace(step, state=states[name], ended_at=T0, landing=LANDING, result={"rows": 3}, warning="hm")
        for name, step in run.steps.items()
    }
    over = replace(run.run, state=RunState.FAILED, ended_at=T0, origin=origin or {}, tick=T0)
    return replace(run, run=over, steps=steps)


def retry(old, **how):
    return create.retry(old, run_id="R2", now=T0, reason="asked for", **how)


def states(open_run):
    return {name: step.state for name, step in open_run.steps.items()}


def test_a_new_run_waits_with_every_step():
    run = World(pipeline=SHOP, rules={}).run("R1", T0)
    assert (run.run.state, run.run.version, set(states(run).values())) == (RunState.QUEUED, 0, {S.WAITING})
    assert {step.run for step in run.steps.values()} == {"R1"}


def test_a_retry_is_a_new_run_of_the_same_interval_and_pipeline_that_carries_what_succeeded():
    old = ended(**ENDED)
    new = retry(old)
    assert (new.run.trigger, new.run.retry_of, new.run.state) == (Trigger.RETRY, "R1", RunState.QUEUED)
    assert (new.run.interval, new.run.tick, new.pipeline) == (old.run.interval, T0, SHOP)
    assert states(new) == {"orders": S.SUCCEEDED, "users": S.WAITING, "marts": S.WAITING}
    carried = new.steps["orders"]
    assert (carried.landing, carried.result, carried.warning) == (LANDING, {"rows": 3}, "hm")
    assert (carried.run, carried.carried) == ("R2", "R1")
    assert (carried.ended_at, carried.note) == (T0, "carried over from R1")
    assert new.run.reason == "asked for"


def test_what_is_carried_over_twice_names_the_run_that_did_it():
    again = create.retry(
        replace(retry(ended(**ENDED)), run=ended(**ENDED).run), run_id="R3", now=T0, reason="once more"
    )
    assert again.steps["orders"].carried == "R1"
    assert again.steps["orders"].note == "carried over from R1"


def test_from_the_start_nothing_is_carried_and_a_retry_of_that_carries_again():
    new = retry(ended(**ENDED), from_start=True)
    assert set(states(new).values()) == {S.WAITING}
    assert new.run.origin["from_start"] is True
    again = retry(ended(origin=new.run.origin, **ENDED))
    assert "from_start" not in again.run.origin
    assert states(again)["orders"] is S.SUCCEEDED


def test_what_was_skipped_stays_skipped():
    assert states(retry(ended(orders=S.SKIPPED, users=S.FAILED, marts=S.UPSTREAM_FAILED)))["orders"] is S.SKIPPED


def test_a_partial_step_owes_something_so_it_is_done_again_with_all_that_was_made_of_it():
    old = ended(orders=S.PARTIAL, users=S.SUCCEEDED, marts=S.SUCCEEDED)
    assert states(retry(old)) == {"orders": S.WAITING, "users": S.SUCCEEDED, "marts": S.WAITING}


def test_a_retry_may_go_on_without_a_task():
    new = retry(ended(**ENDED), skip={"users": "broken at the vendor (ada)"})
    assert states(new) == {"orders": S.SUCCEEDED, "users": S.SKIPPED, "marts": S.WAITING}
    assert new.steps["users"].note == "skipped: broken at the vendor (ada)"
    assert new.steps["users"].ended_at == T0
    begun = decide(new, [Begin()], {name: rule() for name in new.steps}, T0)
    assert states(begun.open)["marts"] is S.READY


@pytest.mark.parametrize(
    "change", [{"options": {"a": 1}}, {"operation": "resync"}, {"instance": "fivetran.eu"}, {"connector": "airbyte"}]
)
def test_with_today_s_definition_a_task_that_does_something_else_now_is_done_again(change):
    old = ended(orders=S.SUCCEEDED, users=S.SUCCEEDED, marts=S.FAILED)
    today = replace(SHOP, tasks=(replace(SHOP.tasks[0], **change), *SHOP.tasks[1:]))
    assert states(retry(old, latest=today)) == {"orders": S.WAITING, "users": S.SUCCEEDED, "marts": S.WAITING}


def test_with_today_s_definition_what_needs_a_new_task_is_done_after_it():
    old = ended(orders=S.SUCCEEDED, users=S.SUCCEEDED, marts=S.SUCCEEDED)
    today = pipeline(*SHOP.tasks[:2], task("new"), needing("marts", "orders", "new"))
    new = retry(old, latest=today)
    assert new.pipeline == today
    assert states(new) == {"orders": S.SUCCEEDED, "users": S.SUCCEEDED, "new": S.WAITING, "marts": S.WAITING}


@given(st.data())
def test_a_retry_carries_exactly_what_succeeded_or_was_skipped(data):
    """Over every way in which a run without partial steps can have ended."""
    found = {}
    for name, needs in (("orders", []), ("users", []), ("marts", ["orders", "users"])):
        done = all(found[need] in {S.SUCCEEDED, S.SKIPPED} for need in needs)
        ends = [S.SUCCEEDED, S.SKIPPED, S.FAILED, S.CANCELLED] if done else [S.UPSTREAM_FAILED, S.CANCELLED]
        found[name] = data.draw(st.sampled_from(ends), label=name)
    new = retry(ended(**found))
    for name, state in found.items():
        kept = state in {S.SUCCEEDED, S.SKIPPED}
        assert states(new)[name] is (state if kept else S.WAITING)
        assert (new.steps[name].state in TERMINAL) == bool(new.steps[name].carried) == kept


def test_a_run_that_is_still_going_is_not_retried():
    with pytest.raises(Refused, match="still going"):
        create.check_retry(World(pipeline=SHOP, rules={}).run("R1", T0))
    over = ended(**ENDED)
    create.check_retry(over)
    half = replace(over, steps={**over.steps, "users": replace(over.steps["users"], state=S.RUNNING)})
    with pytest.raises(Refused, match="still going"):
        create.check_retry(half)


def test_only_some_tasks_take_what_they_need_from_others_as_given():
    part = create.only(SHOP, ("users", "marts"))
    assert [one.name for one in part.tasks] == ["users", "marts"]
    assert part.task("marts").needs == (Need(task="users"),)
    assert create.only(SHOP, ("marts",)).tasks[0].needs == ()


def test_options_are_replaced_for_once():
    changed = create.with_options(
        pipeline(task("orders", options={"a": 1, "b": 2}), task("users")), {"orders": {"b": 3}}
    )
    assert changed.task("orders").options == {"a": 1, "b": 3}
    assert changed.task("users").options == {}


@pytest.mark.parametrize("ask", [lambda: create.only(SHOP, ("mart",)), lambda: create.with_options(SHOP, {"mart": {}})])
def test_a_task_that_is_not_there_is_named_with_those_that_are(ask):
    with pytest.raises(Refused, match="no task 'mart'; there are: orders, users, marts"):
        ask()
