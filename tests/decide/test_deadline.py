"""By when a run must be done, and whether it was."""

from dataclasses import replace
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from decide.cron_oracle import cron_ticks, utc
from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub.decide.deadline import Deadline, Kind, Lateness, deadlines, has_deadline, passed
from stackhub.decide.schedule import fall_due
from stackhub.errors import ConfigError
from stackhub.model.pipeline import Catchup, Schedule, Sla
from stackhub.model.run import RUN_OPEN, Interval, Run, RunState, Trigger

TICK = utc("2026-07-01T04:00")
BERLIN = Sla(finish_by=time(7, 30), timezone="Europe/Berlin")
AT = utc("2026-07-01T05:30")
DEADLINE = Deadline(kind=Kind.FINISH_BY, at=AT, text="finish by 07:30 Europe/Berlin")
ENDED = [state for state in RunState if state not in RUN_OPEN]
BAD = [state for state in ENDED if state is not RunState.SUCCEEDED]


def due_by(sla: Sla, tick: datetime | None, *, started: datetime | None = None, created: datetime = TICK) -> datetime:
    (deadline,) = deadlines(sla, tick=tick, started_at=started, created_at=created)
    return deadline.at


def run(state: RunState, ended: datetime | None = None) -> Run:
    return Run(
        id="A",
        pipeline="revenue",
        trigger=Trigger.SCHEDULE,
        interval=Interval(start=TICK - timedelta(days=1), end=TICK),
        state=state,
        created_at=TICK,
        tick=TICK,
        ended_at=ended,
    )


def test_both_promises_are_deadlines_the_earliest_first():
    sla = replace(BERLIN, max_duration=timedelta(minutes=75))
    assert deadlines(sla, tick=TICK, started_at=None, created_at=TICK) == (
        Deadline(kind=Kind.MAX_DURATION, at=utc("2026-07-01T05:15"), text="finish within 1h15m"),
        DEADLINE,
    )
    assert deadlines(Sla(), tick=TICK, started_at=None, created_at=TICK) == ()


def test_finish_by_is_the_next_such_local_time_strictly_after_the_tick():
    assert due_by(BERLIN, AT - timedelta(microseconds=1)) == AT
    assert due_by(BERLIN, AT) == AT + timedelta(days=1)
    assert due_by(BERLIN, utc("2026-07-01T22:30")) == AT + timedelta(days=1)  # already tomorrow in Berlin
    assert due_by(BERLIN, None, created=utc("2026-07-01T05:31")) == AT + timedelta(days=1)


def test_finish_by_keeps_its_local_time_when_the_clock_changes_before_it():
    assert due_by(BERLIN, utc("2026-03-28T23:30")) == utc("2026-03-29T05:30")
    assert due_by(BERLIN, utc("2026-10-24T22:30")) == utc("2026-10-25T06:30")


@pytest.mark.parametrize(
    ("clock", "zone", "tick", "at"),
    [
        (time(2, 30), "Europe/Berlin", "2026-03-29T00:00", "2026-03-29T01:00"),  # does not exist
        (time(2, 30), "Europe/Berlin", "2026-10-25T00:00", "2026-10-25T00:30"),  # twice: the first
        (time(2, 30), "Europe/Berlin", "2026-10-25T00:40", "2026-10-26T01:30"),
        (time(0, 0), "Africa/Cairo", "2026-04-23T20:00", "2026-04-23T22:00"),
        (time(12, 0), "Pacific/Apia", "2011-12-29T23:00", "2011-12-30T10:00"),  # that day did not come
        (time(9, 0), "Pacific/Apia", "2011-12-30T10:00", "2011-12-30T19:00"),
    ],
)
def test_finish_by_where_the_clock_changes_at_that_very_time(clock, zone, tick, at):
    assert due_by(Sla(finish_by=clock, timezone=zone), utc(tick)) == utc(at)


@settings(deadline=None)
@given(
    st.times().map(lambda clock: clock.replace(second=0, microsecond=0)),
    st.sampled_from(
        [("Europe/Berlin", "2026-03-29"), ("Europe/Berlin", "2026-10-25"), ("Australia/Lord_Howe", "2026-10-04")]
    ),
    st.integers(-30 * 60, 10 * 60),
)
def test_finish_by_is_when_a_daily_cron_of_that_time_would_tick(clock, change, minutes):
    zone, day = change
    tick = utc(day) + timedelta(minutes=minutes)
    daily = cron_ticks(
        f"{clock.minute} {clock.hour} * * *", zone, utc(day) - timedelta(days=2), utc(day) + timedelta(days=3)
    )
    assert due_by(Sla(finish_by=clock, timezone=zone), tick) == min(at for at in daily if at > tick)


def test_a_duration_counts_from_the_tick_however_late_the_run_was_made_or_started():
    sla = Sla(max_duration=timedelta(hours=2))
    late = TICK + timedelta(hours=1)
    assert due_by(sla, TICK, started=late, created=late) == TICK + timedelta(hours=2)


def test_without_a_tick_a_duration_counts_from_the_start_and_until_then_from_creation():
    sla = Sla(max_duration=timedelta(hours=2))
    assert due_by(sla, None) == TICK + timedelta(hours=2)
    assert due_by(sla, None, started=TICK + timedelta(minutes=9)) == TICK + timedelta(hours=2, minutes=9)


def test_deadlines_are_utc():
    local = TICK.astimezone(ZoneInfo("Europe/Berlin"))
    sla = replace(BERLIN, max_duration=timedelta(hours=1))
    for deadline in deadlines(sla, tick=local, started_at=None, created_at=local):
        assert deadline.at.utcoffset() == timedelta()
        assert deadline.at.tzname() == "UTC"


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(seconds=90), "1m30s"),
        (timedelta(minutes=75), "1h15m"),
        (timedelta(days=1), "1d"),
        (timedelta(), "0s"),
    ],
)
def test_a_duration_is_said_as_people_write_it(duration, text):
    (deadline,) = deadlines(Sla(max_duration=duration), tick=TICK, started_at=None, created_at=TICK)
    assert deadline.text == f"finish within {text}"


def test_a_time_of_day_with_seconds_is_said_with_them():
    (deadline,) = deadlines(Sla(finish_by=time(7, 30, 15)), tick=TICK, started_at=None, created_at=TICK)
    assert (deadline.text, deadline.at) == ("finish by 07:30:15 UTC", utc("2026-07-01T07:30:15"))


def test_an_unknown_zone_is_refused():
    with pytest.raises(ConfigError, match="no such zone"):
        deadlines(replace(BERLIN, timezone="Berlin"), tick=TICK, started_at=None, created_at=TICK)


def test_a_tick_that_never_became_a_run_is_late_from_the_deadline_on():
    assert passed(DEADLINE, AT - timedelta(microseconds=1), None) is Lateness.AHEAD
    assert passed(DEADLINE, AT, None) is Lateness.LATE


@pytest.mark.parametrize("state", sorted(RUN_OPEN))
def test_a_run_still_open_is_late_from_the_deadline_on(state):
    assert passed(DEADLINE, AT - timedelta(microseconds=1), run(state)) is Lateness.AHEAD
    assert passed(DEADLINE, AT, run(state)) is Lateness.LATE


@settings(deadline=None)
@given(st.integers(-100, 0), st.integers(0, 100))
def test_success_by_the_deadline_meets_it_whenever_one_looks(early, later):
    ended = AT + timedelta(minutes=early)
    assert passed(DEADLINE, ended + timedelta(minutes=later), run(RunState.SUCCEEDED, ended)) is Lateness.MET


@settings(deadline=None)
@given(st.sampled_from(ENDED), st.integers(1, 10**9), st.integers(0, 10**9))
def test_whatever_ended_after_the_deadline_was_late(state, after, later):
    ended = AT + timedelta(microseconds=after)
    assert passed(DEADLINE, ended + timedelta(microseconds=later), run(state, ended)) is Lateness.LATE


@settings(deadline=None)
@given(st.sampled_from(BAD), st.integers(0, 600))
def test_a_run_that_ended_badly_in_time_may_be_tried_again_until_the_deadline_then_folds_into_its_incident(
    state, early
):
    ended = AT - timedelta(seconds=early)
    if early:
        assert passed(DEADLINE, ended, run(state, ended)) is Lateness.AHEAD
    assert passed(DEADLINE, AT, run(state, ended)) is Lateness.FOLDED
    assert passed(DEADLINE, AT + timedelta(hours=1), run(state, ended)) is Lateness.FOLDED


def test_a_tick_that_runs_has_a_deadline_and_one_that_catchup_skips_has_none():
    dues, _ = fall_due(
        Schedule(cron="0 * * * *"), TICK, TICK, TICK + timedelta(hours=1), catchup=Catchup.LAST, paused_since=None
    )
    assert [has_deadline(due) for due in dues] == [False, True]
