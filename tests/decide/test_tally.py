"""Sums over a part of history, by hand; and what a run in shadow would have done too early."""

from datetime import UTC, datetime, timedelta

import pytest

from stackhub.decide.deeds import Asked, Twins, deeds
from stackhub.decide.shadowed import sums, told
from stackhub.decide.tally import Ended, Facts, Judged, Ready, Said, Warned, fates, promises, tally
from stackhub.model.landing import Landing
from stackhub.model.pipeline import Mode, Need, Pipeline, Task
from stackhub.model.run import Interval, OpenRun, Run, RunState, Trigger
from stackhub.model.step import Step, StepState

T = datetime(2026, 3, 2, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def at(minutes):
    return T + minutes * MINUTE


def judged(run, minutes, met, **more):
    more = {"pipeline": "p", "kind": "finish_by", "text": "", "covers": at(minutes - 90), **more}
    return Judged(run=run, at=at(minutes), met=met, **more)


def warned(run, minutes):
    return Warned(pipeline="p", run=run, at=at(minutes))


def said(to="slack #data", part="root", event="opened", *, sent=True):
    return Said(to=to, part=part, event=event, title="", sent=sent, at=T)


def test_a_warning_is_right_where_the_deadline_was_missed_and_came_before_it():
    facts = Facts(
        deadlines=(judged("a", 90, met=False), judged("b", 190, met=True), judged("c", 290, met=False)),
        warnings=(warned("a", 60), warned("a", 70), warned("b", 170), warned("c", 295)),
    )
    found = tally(facts)
    assert (found.deadlines, found.missed, found.warned, found.right) == (3, 2, 2, 1)
    assert (found.precision, found.recall, found.lead) == (0.5, 0.5, timedelta(minutes=30))


def test_where_nothing_was_told_or_missed_there_is_no_share():
    found = tally(Facts(deadlines=(judged("a", 90, met=True),)))
    assert (found.precision, found.recall, found.lead, found.ready_median) == (None, None, None, None)


def test_messages_are_counted_by_place_and_problems_once_however_they_are_told():
    facts = Facts(
        messages=(
            said(),
            said(part="entry"),
            said(event="updated"),
            said(event="resolved"),
            said(sent=False),
            said(to="pagerduty"),
        )
    )
    heard = tally(facts).heard
    assert {place: (one.messages, one.problems) for place, one in heard.items()} == {
        "slack #data": (4, 1),
        "pagerduty": (1, 1),
    }


def test_the_middle_and_the_end_of_what_a_build_took():
    facts = Facts(ready=tuple(Ready(run=str(n), seconds=float(n)) for n in range(1, 101)))
    assert (tally(facts).ready_median, tally(facts).ready_p95) == (timedelta(seconds=50.5), timedelta(seconds=96))


def test_promises_differ_where_one_of_two_tellings_misses_them():
    kept, lost = judged("a", 90, met=True), judged("x", 90, met=False)
    assert promises(Facts(deadlines=(kept,)), Facts(deadlines=(kept,))) == []
    [found] = promises(Facts(deadlines=(kept,)), Facts(deadlines=(lost,)))
    assert (found.before, found.after, found.deadline) == (True, False, lost)
    [new] = promises(Facts(), Facts(deadlines=(lost,)))
    assert (new.before, new.after) == (None, False)
    assert promises(Facts(deadlines=(kept,)), Facts()) == []


def ended(run, state="succeeded", minutes=0):
    return Ended(id=run, pipeline="p", trigger="schedule", at=at(minutes), state=state, ended_at=None)


def test_runs_are_the_same_by_what_they_repeat_and_else_by_their_times():
    before = Facts(runs=(ended("a"), ended("b", "failed", 60)))
    after = Facts(runs=(ended("a"), ended("b", "succeeded", 60), ended("", "succeeded", 120)))
    assert [(one.before, one.after) for one in fates(before, after)] == [("failed", "succeeded"), ("", "succeeded")]
    assert fates(after, after) == []


# --- which run repeats which -------------------------------------------------------------------------------------------


def run(id_, trigger=Trigger.SCHEDULE, minutes=0, **more):
    interval = Interval(start=T, end=at(minutes))
    return Run(id=id_, pipeline="p", trigger=trigger, interval=interval, created_at=at(minutes), **more)


def test_a_tick_repeats_its_run_and_not_the_retry_of_it():
    twins = Twins([run("a", tick=T), run("r", Trigger.RETRY, 9, tick=T, retry_of="a")])
    assert twins.find(run("x", tick=T)) == "a"
    assert twins.find(run("y", tick=at(1))) == ""
    twins.asking("r")
    assert twins.find(run("z", Trigger.RETRY, 9, tick=T, retry_of="x")) == "r"
    assert (twins.played("a"), twins.played("none")) == ("x", "")


def test_a_run_behind_another_repeats_the_one_behind_the_same():
    twins = Twins([run("a", tick=T), run("b", Trigger.PIPELINE, 5, origin={"upstream": "a"})])
    twins.find(run("x", tick=T))
    assert twins.find(run("y", Trigger.PIPELINE, 6, origin={"upstream": "x"})) == "b"
    assert twins.find(run("z", Trigger.PIPELINE, 6, origin={"upstream": "other"})) == ""


def test_what_began_by_a_load_repeats_the_nearest_that_is_left_within_an_hour():
    twins = Twins([run("a", Trigger.LANDED, 10), run("b", Trigger.LANDED, 20)])
    found = [twins.find(run(name, Trigger.LANDED, minute)) for name, minute in (("x", 11), ("y", 12), ("z", 500))]
    assert found == ["a", "b", ""]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked(id="a", kind="trigger", args={"pipeline": "p", "hook": "h"}, by="ada", at=at(1)), [("trigger", at(0))]),
        (Asked(id="gone", kind="trigger", args={"pipeline": "p"}, by="ada", at=at(1)), []),
        (Asked(id="c", kind="cancel", args={"run": "a"}, by="ada", at=at(3)), [("cancel", at(3))]),
        (Asked(id="c", kind="cancel", args={"run": "gone"}, by="ada", at=at(3)), []),
        (Asked(id="c", kind="pause", args={"pipeline": "p"}, by="ada", at=at(-900)), [("pause", at(-5))]),
        (Asked(id="c", kind="backfill", args={"pipeline": "p"}, by="ada", at=at(3)), []),
    ],
)
def test_what_people_did_is_done_again_at_its_time(asked, expected):
    found = deeds([asked], [run("a", Trigger.MANUAL)], at(-5))
    assert [(one.kind, one.at) for one in found] == expected
    assert all("hook" not in one.args for one in found)


def test_what_files_began_is_asked_for():
    [found] = deeds([], [run("f", Trigger.FILE, 7, origin={"params": {"files": "a.csv"}})], T)
    assert (found.at, found.makes, found.args["params"]) == (at(7), "f", {"files": "a.csv"})


# --- in shadow ---------------------------------------------------------------------------------------------------------


def shadowed(landed, began, state=StepState.SUCCEEDED, **more):
    extract = Task(name="crm", connector="fivetran", operation="wait", stands_for="sync", instance="f", extract=True)
    between = Task(name="mid", connector="shell", operation="run", instance="shell", needs=(Need(task="crm"),))
    build = Task(name="marts", connector="dbt", operation="build", instance="dbt", needs=(Need(task="mid"),))
    landing = Landing(connection="id", mark="m", ended_at=at(landed)) if landed is not None else None
    steps = {
        "crm": Step(run="r", task="crm", instance="f", state=state, began_at=T, ended_at=at(50), landing=landing),
        "mid": Step(run="r", task="mid", instance="shell", state=StepState.SKIPPED, ended_at=T),
        "marts": Step(run="r", task="marts", instance="dbt", state=StepState.SUCCEEDED, began_at=at(began), **more),
    }
    made = run("r", tick=T, mode=Mode.SHADOW, state=RunState.SUCCEEDED)
    return told(OpenRun(run=made, pipeline=Pipeline(name="p", tasks=(extract, between, build)), steps=steps))


@pytest.mark.parametrize(
    ("landed", "began", "more", "early"),
    [
        (5, 6, {}, ()),
        (5, 5, {}, ()),
        (7, 6, {}, ("crm",)),
        (5, 6, {"state": StepState.FAILED}, ("crm",)),
        (None, 60, {}, ()),
        (None, 40, {}, ("crm",)),
    ],
)
def test_a_build_that_would_have_begun_before_its_data_was_in_is_told(landed, began, more, early):
    found = shadowed(landed, began, **more)
    assert [(step.task, step.began_at is not None, step.early) for step in found.steps] == [
        ("crm", True, ()),
        ("mid", False, ()),
        ("marts", True, early),
    ]
    assert found.steps[0].what == "fivetran.sync"
    assert (sums([found]).builds, sums([found]).early) == (1, len(early))


def test_a_run_that_was_live_is_no_shadow():
    live = OpenRun(run=run("r", tick=T), pipeline=Pipeline(name="p"), steps={})
    assert told(live) is None
