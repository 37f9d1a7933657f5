"""What resuming a pipeline would do is told before it is done."""

from datetime import timedelta

import pytest
from decide.cron_oracle import utc

from stackhub.decide.preview import InForce, resumed
from stackhub.model.calendar import Calendar, Span
from stackhub.model.pipeline import Catchup, Overlap, Pipeline, Schedule
from stackhub.model.run import Interval, Run, RunState, Trigger

START = utc("2026-07-01T00:00")
HOURLY = InForce(schedule=Schedule(cron="0 * * * *"), anchor=START, next_at=utc("2026-07-01T06:00"))
NOW = utc("2026-07-01T08:00:10")
PAUSED = utc("2026-07-01T05:30")


def fates(pipeline, *schedules, going=()):
    found = resumed(pipeline, schedules or (HOURLY,), going, NOW, PAUSED)
    return [(fate.due.tick.at.hour, fate.meeting.value) for fate in found]


@pytest.mark.parametrize(
    ("catchup", "expected"),
    [
        (Catchup.NONE, [(6, "skip"), (7, "skip"), (8, "skip")]),
        (Catchup.LAST, [(6, "skip"), (7, "skip"), (8, "run")]),
        (Catchup.ALL, [(6, "run"), (7, "queue"), (8, "queue")]),
    ],
)
def test_the_catchup_says_what_becomes_of_each(catchup, expected):
    assert fates(Pipeline(name="shop", catchup=catchup)) == expected


@pytest.mark.parametrize(
    ("overlap", "last"), [(Overlap.SKIP, "skip"), (Overlap.QUEUE, "queue"), (Overlap.CANCEL, "cancel")]
)
def test_a_run_that_still_goes_is_met_as_overlap_says(overlap, last):
    run = Run(
        id="01",
        pipeline="shop",
        trigger=Trigger.MANUAL,
        interval=Interval(start=START, end=START),
        state=RunState.RUNNING,
        created_at=START,
    )
    assert fates(Pipeline(name="shop", overlap=overlap), going=[run])[-1] == (8, last)


def test_two_schedules_meet_each_other():
    other = InForce(schedule=Schedule(cron="0 8 * * *"), anchor=START, next_at=utc("2026-07-01T08:00"))
    assert fates(Pipeline(name="shop"), HOURLY, other)[-2:] == [(8, "run"), (8, "skip")]


def test_a_calendar_and_a_schedule_that_is_over_are_known():
    closed = Calendar(name="closed", spans=(Span(first=NOW.date(), last=NOW.date()),))
    kept = Schedule(cron="0 * * * *", without=("closed",))
    pipeline = Pipeline(name="shop", calendars={"closed": closed})
    one = InForce(schedule=kept, anchor=START, next_at=HOURLY.next_at)
    found = resumed(pipeline, (one, InForce(schedule=kept, anchor=START, next_at=None)), (), NOW, PAUSED)
    assert [(fate.meeting.value, fate.reason) for fate in found] == [("skip", "calendar closed")] * 3
    assert found[0].due.tick.interval.end - found[0].due.tick.at == timedelta()
