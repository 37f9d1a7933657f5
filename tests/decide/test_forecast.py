"""What a run's history says of its end: never less certain than it can be, never more."""

from dataclasses import replace as with_
from datetime import timedelta

import pytest
from decide.worlds import T0, needing, pipeline, task
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stackhub.decide import create, forecast
from stackhub.decide.history import ENOUGH
from stackhub.model.pipeline import Sla
from stackhub.model.run import Interval, Trigger
from stackhub.model.step import StepState

SHOP = pipeline(task("crm"), task("web"), needing("marts", "crm", "web"))
KNOWN = {"crm": [600.0 + at for at in range(12)], "web": [60.0] * 12, "marts": [300.0] * 12}
HISTORY = st.lists(st.floats(1, 1e4), min_size=ENOUGH, max_size=32)
HISTORIES = st.fixed_dictionaries({"crm": HISTORY, "web": HISTORY, "marts": HISTORY})


def seconds(n):
    return timedelta(seconds=n)


def run(**states):
    made = create.new(
        SHOP, run_id="R1", trigger=Trigger.MANUAL, interval=Interval(start=T0 - seconds(3600), end=T0), now=T0
    )
    steps = {name: replace(step, **states.get(name, {})) for name, step in made.steps.items()}
    return replace(made, steps=steps)


def going(at=T0, state=StepState.RUNNING, **more):
    return {"state": state, "began_at": at, "attempt_at": at, **more}


DONE = {"state": StepState.SUCCEEDED, "began_at": T0, "ended_at": T0}


def test_the_finish_is_the_longest_path_of_what_is_left():
    outlook = forecast.of_run(run(crm=going(), web=going()), KNOWN, T0)
    assert outlook.finish(0.5) - T0 == pytest.approx(seconds(905), abs=seconds(25))
    assert set(outlook.holds) == {"crm"}


def test_what_is_done_takes_no_more_time():
    outlook = forecast.of_run(run(crm=DONE, web=going()), KNOWN, T0 + seconds(30))
    assert outlook.finish(0.5) - T0 == pytest.approx(seconds(360), abs=seconds(15))
    assert outlook.waits_on(T0) == "web"


def test_what_takes_longer_than_ever_is_not_taken_to_be_nearly_done():
    late = forecast.of_run(run(crm=going(), web=DONE), KNOWN, T0 + seconds(900))
    assert min(late.ends) >= 200, "marts lies ahead, and crm has yet to end"
    assert late.finish(0.5) > T0 + seconds(900 + 320)


def test_a_run_that_has_failed_or_is_to_end_has_no_outlook():
    assert forecast.of_run(run(crm={"state": StepState.FAILED}), KNOWN, T0) is None
    cancelled = run(crm=going())
    assert forecast.of_run(replace(cancelled, run=replace(cancelled.run, cancel_at=T0)), KNOWN, T0) is None


def test_without_history_no_finish_is_named_and_only_what_is_certain_is_a_risk():
    short = {**KNOWN, "marts": [300.0] * (ENOUGH - 1)}
    outlook = forecast.of_run(run(crm=going(), web=going()), short, T0)
    assert outlook.unknown == ("marts",)
    assert outlook.finish(0.5) is None
    assert outlook.risk(T0 + seconds(700)) < 0.05, "marts may take no time at all"
    assert outlook.risk(T0 + seconds(500)) > 0.9, "crm alone takes longer"
    assert forecast.of_run(run(crm=going()), {}, T0).risk(T0 + seconds(1)) == 0


def test_what_is_put_off_is_not_done_before_it_is_taken_up_again():
    later = T0 + seconds(7200)
    put_off = run(crm=going(state=StepState.DEFERRED, deferred_at=T0 + seconds(60), due=later), web=DONE)
    outlook = forecast.of_run(put_off, KNOWN, T0 + seconds(60))
    assert outlook.risk(later) == 1.0
    assert outlook.finish(0.5) == pytest.approx(later + seconds(540 + 300), abs=seconds(30))
    failed = run(crm=going(state=StepState.RETRYING, due=later), web=DONE)
    assert forecast.of_run(failed, {}, T0).risk(later - seconds(1)) == 1.0, "certain, whatever is known"


@given(HISTORIES, st.floats(0, 2e4), st.floats(0, 2e4), st.floats(0, 4e4))
@settings(max_examples=40, deadline=None)
def test_the_risk_grows_as_time_passes_with_nothing_done(histories, one, other, ahead):
    at, made = T0 + seconds(ahead), run(crm=going(), web=going())
    early, late = sorted((one, other))
    before, after = (forecast.of_run(made, histories, T0 + seconds(now)).risk(at) for now in (early, late))
    assert 0 <= before <= after <= 1
    assert forecast.of_run(made, histories, at).risk(at) == 1
    assert forecast.of_run(made, histories, at + seconds(late)).risk(at) == 1


@given(HISTORIES, st.floats(0, 4e4), st.floats(0, 4e4))
@settings(max_examples=30, deadline=None)
def test_a_later_deadline_is_no_more_at_risk(histories, one, other):
    outlook = forecast.of_run(run(crm=going(), web=going()), histories, T0)
    early, late = sorted((one, other))
    assert outlook.risk(T0 + seconds(early)) >= outlook.risk(T0 + seconds(late))
    assert outlook.finish(0.5) <= outlook.finish(0.9)


@given(HISTORIES)
@settings(max_examples=20, deadline=None)
def test_a_tick_to_come_looks_like_a_run_that_has_just_begun(histories):
    tick = forecast.of_tick(SHOP, histories, T0)
    begun = forecast.of_run(
        run(crm={"state": StepState.READY, "due": T0}, web={"state": StepState.READY}), histories, T0
    )
    assert tick.ends == begun.ends


def test_the_same_question_has_the_same_answer():
    made = run(crm=going(), web=going())
    assert forecast.of_run(made, KNOWN, T0) == forecast.of_run(made, KNOWN, T0)


def test_one_that_is_named_stays_named_while_it_holds_up_enough():
    alike = {"crm": [600.0, 610, 590, 605, 595, 600], "web": [604.0, 596, 611, 589, 600, 603], "marts": [10.0] * 6}
    outlook = forecast.of_run(run(crm=going(), web=going()), alike, T0)
    assert {outlook.waits_on(T0, name) for name in ("crm", "web")} == {"crm", "web"}
    assert outlook.waits_on(T0, "gone") in {"crm", "web"}


def test_people_are_told_from_one_risk_on_and_until_another():
    sla = Sla(at_risk=0.5, at_risk_ends=0.2)
    assert not forecast.at_risk(0.49, sla, already=False)
    assert forecast.at_risk(0.5, sla, already=False)
    assert forecast.at_risk(0.2, sla, already=True)
    assert not forecast.at_risk(0.19, sla, already=True)
    assert forecast.at_risk(1.0, with_(sla, at_risk=1.0, at_risk_ends=1.0), already=False)
