"""What is remembered of jobs, and how sure it is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import Landing, Outcome
from stackhub.decide.past import NEVER, How, Memory, Moved, Shore, Tried, tries
from stackhub.model.pipeline import Pipeline, Retries, Task
from stackhub.model.run import Interval, OpenRun, Run, Trigger
from stackhub.model.step import Step, StepState, Stop

T = datetime(2026, 3, 2, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def at(minutes):
    return T + minutes * MINUTE


def tried(run="r1", task="crm", number=1, began=T, seconds=60.0, outcome=Outcome.OK, **more):
    more = {"pipeline": "p", "instance": "fivetran", "job": "job:sync:salesforce", **more}
    return Tried(run=run, task=task, number=number, began_at=began, seconds=seconds, outcome=outcome, **more)


def recall(memory, run="", task="crm", number=1, now=T, **more):
    more = {"pipeline": "p", "instance": "fivetran", "job": "job:sync:salesforce", "assumed": 7.0, **more}
    return memory.recall(run=run, task=task, number=number, now=now, **more)


def test_a_recorded_try_goes_as_it_went():
    memory = Memory([tried(seconds=60.0), tried(run="r2", began=at(10), seconds=90.0)])
    found = recall(memory, run="r1", now=at(10))
    assert (found.seconds, found.how) == (60.0, How.RECORDED)


def test_after_the_last_try_what_was_last_seen_happens_again():
    memory = Memory([tried(outcome=Outcome.FAILED), tried(number=2, began=at(2), seconds=5.0, outcome=Outcome.FAILED)])
    found = recall(memory, run="r1", number=3)
    assert (found.seconds, found.outcome, found.how) == (5.0, Outcome.FAILED, How.NEAREST)


@pytest.mark.parametrize(("now", "seconds"), [(at(-50), 1.0), (at(40), 1.0), (at(60), 2.0), (at(999), 2.0)])
def test_at_another_hour_the_nearest_try_of_the_task_is_taken(now, seconds):
    memory = Memory([tried(seconds=1.0), tried(run="r2", began=at(100), seconds=2.0)])
    found = recall(memory, now=now)
    assert (found.seconds, found.how) == (seconds, How.NEAREST)


def test_a_guess_goes_on_with_the_tries_of_the_run_it_took_the_first_from():
    memory = Memory(
        [
            tried(outcome=Outcome.FAILED, seconds=1.0, again=True),
            tried(number=2, began=at(30), seconds=2.0),
            tried(run="r2", began=at(40), seconds=3.0),
        ]
    )
    assert recall(memory, now=at(1)).outcome is Outcome.FAILED
    assert recall(memory, number=2, now=at(15)).seconds == 2.0


def test_a_new_task_takes_what_is_known_of_its_work_then_of_its_account_then_nothing():
    memory = Memory([tried(seconds=10.0), tried(run="r2", began=at(5), seconds=30.0, job="job:sync:other")])
    assert recall(memory, task="new") == recall(memory, task="newer")
    assert (recall(memory, task="new").seconds, recall(memory, task="new").how) == (10.0, How.SAME_JOB)
    usual = recall(memory, task="new", job="job:sync:unheard")
    assert (usual.seconds, usual.how) == (20.0, How.USUAL)
    unheard = recall(memory, task="new", job="job:x", instance="airbyte")
    assert (unheard.seconds, unheard.how, unheard.outcome) == (7.0, How.ASSUMED, Outcome.OK)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 900)), min_size=1, max_size=30), st.integers(-100, 700))
def test_the_nearest_is_the_nearest(known, now):
    memory = Memory([tried(run=f"r{n}", began=at(began), seconds=float(s)) for n, (began, s) in enumerate(known)])
    found = recall(memory, now=at(now))
    nearest = min(abs(began - now) for began, _ in known)
    assert found.seconds in {float(s) for began, s in known if abs(began - now) == nearest}


# --- out of what is recorded -------------------------------------------------------------------------------------------

TASK = Task(
    name="crm", connector="fivetran", operation="sync", instance="fivetran", options={"connection": "salesforce"}
)


def of(step, *lines, attempts=3):
    pipeline = Pipeline(name="p", tasks=(Task(**{**_fields(TASK), "retries": Retries(attempts=attempts)}),))
    run = Run(id="r1", pipeline="p", trigger=Trigger.SCHEDULE, interval=Interval(start=T, end=T), created_at=T)
    moved = [Moved(at=at(minute), kind=kind, text=text) for minute, kind, text in lines]
    return tries(OpenRun(run=run, pipeline=pipeline, steps={"crm": step}), {"crm": moved})


def _fields(task):
    return {name: getattr(task, name) for name in task.__slots__}


def step(state, **more):
    return Step(run="r1", task="crm", instance="fivetran", state=state, **more)


def test_each_try_is_read_from_its_lines_and_the_last_ends_when_its_load_was_in():
    landing = Landing(connection="id", mark="m", ended_at=at(9), rows=5)
    found = of(
        step(StepState.SUCCEEDED, ended_at=at(10), attempt=2, landing=landing),
        (0, "ready", ""),
        (1, "starting", ""),
        (1, "running", ""),
        (3, "retrying", "quota"),
        (4, "ready", ""),
        (4, "starting", ""),
        (4, "running", ""),
        (10, "succeeded", ""),
    )
    assert [(one.number, one.began_at, one.seconds, one.outcome, one.note) for one in found] == [
        (1, at(1), 120.0, Outcome.FAILED, "quota"),
        (2, at(4), 300.0, Outcome.OK, ""),
    ]
    assert [one.again for one in found] == [True, False]
    assert found[-1].rows == 5


def test_a_failure_that_was_not_tried_again_though_it_could_have_been_was_not_worth_it():
    lines = [(1, "starting", ""), (2, "failed", "no such table")]
    failed = step(StepState.FAILED, ended_at=at(2), error="no such table")
    assert [one.again for one in of(failed, *lines)] == [False]
    assert [one.again for one in of(failed, *lines, attempts=1)] == [True]  # nobody knows


def test_what_was_refused_before_it_began_fails_at_once():
    [found] = of(step(StepState.FAILED, ended_at=at(2), error="paused"), (1, "ready", ""), (2, "failed", "paused"))
    assert (found.seconds, found.outcome, found.note) == (0.0, Outcome.FAILED, "paused")


@pytest.mark.parametrize(
    ("state", "more", "lines"),
    [
        (StepState.CANCELLED, {"stop": Stop.CANCEL, "ended_at": at(5)}, [(5, "cancelled", "enough")]),
        (StepState.FAILED, {"ended_at": at(5)}, [(5, "failed", "timed out after 4m; cancelled")]),
        (StepState.RUNNING, {}, []),
    ],
)
def test_of_a_job_that_was_stopped_or_has_not_ended_only_the_least_is_known(state, more, lines):
    [found] = of(step(state, **more), (1, "starting", ""), (1, "running", ""), *lines)
    assert found.seconds == NEVER


def test_what_was_carried_over_from_another_run_was_not_tried():
    assert of(step(StepState.SUCCEEDED, ended_at=T, carried="r0"), (1, "starting", ""), (2, "succeeded", "")) == []


def test_what_has_landed_is_seen_from_its_time_on():
    shore = Shore()
    late, early = (Landing(connection="id", mark=mark, ended_at=at(m)) for mark, m in (("b", 5), ("a", 1)))
    shore.add("fivetran", late)
    shore.add("fivetran", early)
    assert [shore.newest("fivetran", "id", at(m)) for m in (0, 1, 4, 5)] == [None, early, early, late]
    assert shore.after("fivetran", "id", "a", at(4)) is None
    assert shore.after("fivetran", "id", "a", at(5)) == late
    assert shore.newest("airbyte", "id", at(9)) is None
