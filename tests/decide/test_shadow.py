"""What a run in shadow is made of, and how its steps end."""

from dataclasses import replace

import pytest
from decide.worlds import T0, World, needing, pipeline, rule, task
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import Finished, Landing, Outcome
from stackhub.decide import create, shadow
from stackhub.decide.run import Begin, decide
from stackhub.decide.step import Claim, Heard, Verb
from stackhub.errors import Refused
from stackhub.model.pipeline import Freshness, Mode, Need
from stackhub.model.run import RunState
from stackhub.model.step import AT_WORK, TERMINAL, StepState

ORDERS = replace(task("orders"), extract=True, watch="wait", freshness=Freshness.REQUIRE_NEW)
SHOP = replace(pipeline(ORDERS, needing("marts", "orders"), needing("told", "marts")), mode=Mode.SHADOW)
LANDED = Finished(outcome=Outcome.OK, landing=Landing(connection="c", mark="7", ended_at=T0))


def run_of(shop=SHOP):
    return World(pipeline=shop, rules={}).run("R1", T0)


def begun(shop=SHOP):
    made = run_of(shop)
    return decide(made, [Begin()], {one.name: rule() for one in shop.tasks}, T0).open


def heard(open_run, name, verb, answer):
    key = open_run.steps[name].key
    rules = {one: rule(cancellable=False) for one in open_run.steps}
    return decide(open_run, [Heard(task=name, key=key, verb=verb, answer=answer)], rules, T0).open


def test_an_extract_becomes_what_waits_for_its_load_and_takes_the_one_that_is_going():
    orders = run_of().pipeline.task("orders")
    assert (orders.operation, orders.stands_for, orders.freshness) == ("wait", ORDERS.operation, Freshness.ATTACH)


def test_a_run_keeps_the_mode_that_its_pipeline_had():
    assert run_of().run.mode is Mode.SHADOW
    assert run_of(replace(SHOP, mode=Mode.LIVE)).run.mode is Mode.LIVE


def test_a_live_pipeline_is_left_as_it_is():
    live = replace(SHOP, mode=Mode.LIVE)
    assert shadow.compiled(live) is live


def test_what_is_compiled_stays_so():
    once = shadow.compiled(SHOP)
    assert shadow.compiled(once) == once


def test_what_would_be_started_has_ended_once_its_inputs_have_really_landed():
    at_work = begun()
    assert {name: step.state for name, step in at_work.steps.items()} == {
        "orders": StepState.READY,
        "marts": StepState.WAITING,
        "told": StepState.WAITING,
    }
    baseline = Claim(baseline={}, call_deadline=T0)
    started = heard(heard(at_work, "orders", Verb.CLAIM, baseline), "orders", Verb.START, {"after": "6"})
    over = heard(started, "orders", Verb.POLL, LANDED)
    assert over.run.state is RunState.SUCCEEDED
    assert over.steps["marts"].note == "shadow: would have started fivetran.sync"
    assert over.steps["orders"].note.startswith("shadow: would have started fivetran.sync; it has landed")


def test_a_load_that_does_not_come_blocks_what_a_live_run_would_not_start_either():
    at_work = begun()
    gone = Finished(outcome=Outcome.FAILED, note="it is not connected", retryable=False)
    claimed = heard(at_work, "orders", Verb.CLAIM, Claim(baseline={}, call_deadline=T0))
    over = heard(claimed, "orders", Verb.START, gone)
    assert over.run.state is RunState.FAILED
    assert over.steps["marts"].state is StepState.UPSTREAM_FAILED


def test_a_retry_is_refused_with_the_way_out():
    run = run_of()
    over = replace(run, run=replace(run.run, state=RunState.FAILED, ended_at=T0), steps={})
    with pytest.raises(Refused, match=r"it has started nothing.*stackhub trigger"):
        create.check_retry(over)


@given(st.data())
def test_no_step_that_would_start_something_is_ever_to_be_started(data):
    names = [f"t{at}" for at in range(data.draw(st.integers(1, 6)))]
    tasks = []
    for at, name in enumerate(names):
        needs = data.draw(st.lists(st.sampled_from(names[:at]), unique=True)) if at else []
        watch = data.draw(st.sampled_from(["", "wait"]))
        tasks.append(replace(task(name), watch=watch, needs=tuple(Need(task=need) for need in needs)))
    open_run = begun(replace(pipeline(*tasks), mode=Mode.SHADOW))
    for _ in names:
        for name, step in open_run.steps.items():
            assert open_run.pipeline.task(name).watch or step.state in TERMINAL | {StepState.WAITING}
            assert step.state not in AT_WORK
        ready = [name for name, step in open_run.steps.items() if step.state is StepState.READY]
        if not ready:
            break
        claimed = heard(open_run, ready[0], Verb.CLAIM, Claim(baseline={}, call_deadline=T0))
        open_run = heard(claimed, ready[0], Verb.START, LANDED)
    assert open_run.run.state is RunState.SUCCEEDED
