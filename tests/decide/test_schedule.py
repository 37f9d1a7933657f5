"""Which ticks fall due, and which run."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from decide.cron_oracle import cron_ticks, utc
from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub.decide.schedule import (
    PROMPT,
    Verdict,
    fall_due,
    first,
    following,
    problem,
    upcoming,
)
from stackhub.errors import ConfigError
from stackhub.model.pipeline import Catchup, Schedule
from stackhub.model.run import Interval

ANCHOR = utc("2026-10-24T21:47:13")
HOURLY = Schedule(cron="0 * * * *", timezone="Europe/Berlin")
DAILY = Schedule(cron="30 2 * * *", timezone="Europe/Berlin")
SPAN = timedelta(hours=80)


def expected_ticks(schedule: Schedule, anchor: datetime, end: datetime) -> list[datetime]:
    """Every tick in (anchor, end], the first preceded by the one before it; found without the code under test."""
    if schedule.every is not None:
        return [anchor + schedule.every * k for k in range((end - anchor) // schedule.every + 1)]
    start = (anchor - timedelta(days=2)).replace(second=0, microsecond=0)
    ticks = cron_ticks(schedule.cron, schedule.timezone, start, end)
    return [max(at for at in ticks if at <= anchor), *(at for at in ticks if at > anchor)]


def decide(schedule, next_at, now, *, anchor=ANCHOR, **options):
    """Ask until nothing is due any more, as the scheduler does."""
    decided = []
    while next_at is not None:
        dues, after = fall_due(schedule, next_at, anchor, now, **{"paused_since": None, **options})
        assert after is None or after >= next_at, "next_at only grows"
        assert len(dues) <= options.get("most", 1000)
        if not dues:
            assert after == next_at
            break
        decided += dues
        next_at = after
    return decided, next_at


schedules = st.one_of(
    st.sampled_from(
        [
            HOURLY,
            DAILY,
            Schedule(cron="*/10 1-3 * * *", timezone="Australia/Lord_Howe"),
            Schedule(cron="15,45 0 * * *", timezone="Africa/Cairo"),
            Schedule(cron="*/20 * * * *"),
        ]
    ),
    st.integers(20, 5000).map(lambda seconds: Schedule(every=timedelta(seconds=seconds), timezone="Asia/Kolkata")),
)
anchors = st.sampled_from(["2026-10-24T21:47:13", "2026-10-25T00:59:59.5", "2026-10-03T14:00", "2026-04-23T20:00"]).map(
    utc
)
catchups = st.sampled_from(Catchup)
seconds = st.integers(-20_000, 40_000) | st.integers(0, 90)


@settings(deadline=None, max_examples=120)
@given(schedules, anchors, catchups, st.lists(seconds, min_size=1, max_size=12), st.integers(1, 9))
def test_no_tick_is_lost_or_doubled_however_the_clock_moves(schedule, anchor, catchup, moves, most):
    now = furthest = anchor
    next_at, decided = first(schedule, anchor), []
    for move in moves:
        now = min(now + timedelta(seconds=move), anchor + SPAN)
        furthest = max(furthest, now)
        dues, next_at = decide(schedule, next_at, now, anchor=anchor, catchup=catchup, most=most)
        decided += dues
    before, *expected = expected_ticks(schedule, anchor, furthest)
    place = -1
    for due in decided:
        place += 1 + due.folded
        assert due.tick.at == expected[place]
    assert place == len(expected) - 1
    assert next_at > furthest
    starts = [before, *(due.tick.at for due in decided)]
    assert [(due.tick.interval.start, due.tick.interval.end) for due in decided] == list(pairwise(starts))


@settings(deadline=None, max_examples=120)
@given(schedules, anchors, catchups, st.integers(0, 80_000), st.integers(0, 300))
def test_each_tick_runs_or_not_as_the_catchup_says(schedule, anchor, catchup, since, late):
    next_at = first(schedule, anchor + timedelta(seconds=since)) if schedule.cron else first(schedule, anchor)
    now = next_at + timedelta(seconds=late)
    dues, _ = decide(schedule, next_at, now, anchor=anchor, catchup=catchup, most=10_000)
    missed = [due for due in dues if now - due.tick.at > PROMPT]
    assert [due for due in dues if due.missed] == missed
    match catchup:
        case Catchup.ALL:
            running = dues
        case Catchup.NONE:
            running = [due for due in dues if due not in missed]
        case Catchup.LAST:
            running = dues[-1:] if missed else dues
    assert [due for due in dues if due.verdict is Verdict.RUN] == running


@settings(deadline=None, max_examples=120)
@given(schedules, catchups, st.integers(0, 100_000), st.integers(1, 6), st.booleans())
def test_folding_never_changes_what_runs(schedule, catchup, gap, most, paused):
    next_at = first(schedule, ANCHOR)
    now = next_at + timedelta(seconds=gap)
    options = {"catchup": catchup}
    if paused:
        options |= {
            "paused_since": next_at + timedelta(seconds=gap * 0.4),
            "resumed_at": next_at + timedelta(seconds=gap * 0.9),
        }
    whole, end = decide(schedule, next_at, now, most=1_000_000, **options)
    few, same_end = decide(schedule, next_at, now, most=most, **options)
    assert [due.tick for due in few if due.verdict is Verdict.RUN] == [
        due.tick for due in whole if due.verdict is Verdict.RUN
    ]
    assert sum(1 + due.folded for due in few) == len(whole)
    assert all(due.folded == 0 for due in whole)
    assert same_end == end


@settings(deadline=None, max_examples=60)
@given(schedules, anchors, st.integers(1, 12))
def test_what_is_announced_is_what_falls_due(schedule, anchor, n):
    announced = upcoming(schedule, anchor, anchor, n)
    assert len(announced) == n
    dues, next_at = decide(schedule, announced[0].at, announced[-1].at, anchor=anchor, catchup=Catchup.ALL)
    assert tuple(due.tick for due in dues) == announced
    assert next_at == following(schedule, announced[-1].at, anchor)
    assert first(schedule, anchor) == announced[0].at


def test_a_tick_says_its_local_time_with_offset_and_zone():
    ticks = upcoming(HOURLY, utc("2026-10-24T23:30"), ANCHOR, 3)
    assert [tick.label for tick in ticks] == [
        "2026-10-25T02:00+02:00[Europe/Berlin]",
        "2026-10-25T02:00+01:00[Europe/Berlin]",
        "2026-10-25T03:00+01:00[Europe/Berlin]",
    ]
    every = upcoming(Schedule(every=timedelta(minutes=15)), ANCHOR, ANCHOR, 1)
    assert every[0].label == "2026-10-24T22:02:13+00:00[UTC]"


def test_ticks_are_utc_whatever_zone_the_clock_speaks():
    east = timezone(timedelta(hours=9))
    schedule = Schedule(every=timedelta(hours=1))
    dues, next_at = decide(
        schedule,
        first(schedule, ANCHOR.astimezone(east)).astimezone(east),
        (ANCHOR + timedelta(hours=1)).astimezone(east),
        anchor=ANCHOR.astimezone(east),
        catchup=Catchup.ALL,
    )
    assert dues[0].tick.at.tzinfo is UTC
    assert dues[0].tick.interval == Interval(start=ANCHOR, end=ANCHOR + timedelta(hours=1))
    assert dues[0].tick.interval.start.tzinfo is UTC
    assert next_at.tzinfo is UTC


def test_the_first_tick_of_a_distance_is_one_distance_after_the_anchor():
    schedule = Schedule(every=timedelta(minutes=90))
    assert first(schedule, ANCHOR) == ANCHOR + timedelta(minutes=90)
    assert following(schedule, ANCHOR - timedelta(days=3), ANCHOR) == ANCHOR + timedelta(minutes=90)
    assert following(schedule, ANCHOR + timedelta(minutes=100), ANCHOR) == ANCHOR + timedelta(minutes=180)
    assert upcoming(schedule, ANCHOR, ANCHOR, 1)[0].interval == Interval(
        start=ANCHOR, end=ANCHOR + timedelta(minutes=90)
    )


def test_a_schedule_put_in_force_at_the_very_tick_begins_with_the_next():
    assert first(HOURLY, utc("2026-07-01T06:00")) == utc("2026-07-01T07:00")


def test_no_tick_is_announced_from_before_the_schedule_was_in_force():
    anchor = utc("2026-07-01T06:30")
    assert [tick.at for tick in upcoming(HOURLY, utc("2026-06-01"), anchor, 1)] == [utc("2026-07-01T07:00")]


def test_a_cron_that_never_comes_round_has_no_ticks():
    never = Schedule(cron="0 0 30 2 *")
    assert first(never, ANCHOR) is None
    assert following(never, ANCHOR, ANCHOR) is None
    assert upcoming(never, ANCHOR, ANCHOR, 3) == ()
    assert problem(never.cron) is not None


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (Schedule(), "either cron or every"),
        (Schedule(cron="0 0 * * *", every=timedelta(hours=1)), "either cron or every"),
        (Schedule(every=timedelta()), "every takes"),
        (Schedule(every=timedelta(days=-1)), "every takes"),
        (Schedule(every=timedelta(days=9999)), "every takes"),
        (Schedule(cron="0 25 * * *"), "hour: cannot read '25'"),
        (Schedule(cron="0 5 * * *", timezone="Mars/Olympus"), "no such zone"),
    ],
)
def test_a_schedule_that_cannot_be_read_is_refused(schedule, text):
    with pytest.raises(ConfigError, match=text):
        first(schedule, ANCHOR)


def test_nothing_is_decided_before_it_is_due():
    assert fall_due(
        HOURLY, utc("2026-07-01T06:00"), ANCHOR, utc("2026-07-01T05:59:59"), catchup=Catchup.ALL, paused_since=None
    ) == (
        (),
        utc("2026-07-01T06:00"),
    )


def test_a_tick_is_on_time_for_a_minute():
    at = utc("2026-07-01T06:00")
    for late, reason in ((timedelta(), "on time"), (PROMPT, "on time"), (PROMPT + timedelta(microseconds=1), "missed")):
        dues, next_at = fall_due(HOURLY, at, ANCHOR, at + late, catchup=Catchup.NONE, paused_since=None)
        assert [due.tick.at for due in dues] == [at]
        assert dues[0].reason.startswith(reason)
        assert next_at == utc("2026-07-01T07:00")


def reasons(catchup, *, now="2026-07-01T09:00:30", **options):
    dues, _ = decide(HOURLY, utc("2026-07-01T06:00"), utc(now), catchup=catchup, **options)
    return [(due.verdict.value, due.reason) for due in dues]


def test_downtime_is_told_with_its_reasons():
    down = "missed while the hub was down"
    stood = "a later tick stands in for it"
    assert reasons(Catchup.NONE) == [("skip", f"{down}: catchup is none")] * 3 + [("run", "on time")]
    assert reasons(Catchup.LAST) == [("skip", stood)] * 3 + [("run", "on time; stands in for 3 before it")]
    assert reasons(Catchup.ALL) == [("run", f"{down}: catchup is all")] * 3 + [("run", "on time")]
    assert reasons(Catchup.LAST, now="2026-07-01T07:59") == [
        ("skip", stood),
        ("run", f"{down}: catchup is last; stands in for 1 before it"),
    ]
    assert reasons(Catchup.LAST, now="2026-07-01T06:59") == [("run", f"{down}: catchup is last")]


def test_while_a_pipeline_is_paused_its_ticks_wait():
    next_at = utc("2026-07-01T06:00")
    assert fall_due(
        HOURLY, next_at, ANCHOR, utc("2026-07-02"), catchup=Catchup.ALL, paused_since=utc("2026-07-01T05:00")
    ) == (
        (),
        next_at,
    )


def test_ticks_of_a_pause_are_the_catchups_business_on_resume_even_the_latest():
    pause = {"paused_since": utc("2026-07-01T06:30"), "resumed_at": utc("2026-07-01T08:00:10")}
    down = "missed while the hub was down"
    now = "2026-07-01T08:00:10"
    assert reasons(Catchup.NONE, now=now, **pause) == [
        ("skip", f"{down}: catchup is none"),
        ("skip", "paused: catchup is none"),
        ("skip", "paused: catchup is none"),
    ]
    assert reasons(Catchup.LAST, now=now, **pause) == [
        ("skip", "a later tick stands in for it"),
        ("skip", "a later tick stands in for it"),
        ("run", "paused: catchup is last; stands in for 2 before it"),
    ]
    assert reasons(Catchup.ALL, now=now, **pause) == [
        ("run", f"{down}: catchup is all"),
        ("run", "paused: catchup is all"),
        ("run", "paused: catchup is all"),
    ]


def test_a_tick_at_the_moment_of_the_pause_is_of_it_and_one_at_the_moment_of_resumption_is_not():
    pause = {"paused_since": utc("2026-07-01T06:00"), "resumed_at": utc("2026-07-01T07:00")}
    assert reasons(Catchup.NONE, now="2026-07-01T07:00", **pause) == [
        ("skip", "paused: catchup is none"),
        ("run", "on time"),
    ]


def test_a_short_pause_between_two_ticks_on_time_touches_neither():
    schedule = Schedule(every=timedelta(seconds=20))
    at = [ANCHOR + timedelta(seconds=20 * k) for k in range(5)]
    pause = {"paused_since": at[1] + timedelta(seconds=1), "resumed_at": at[2] - timedelta(seconds=1)}
    for catchup in Catchup:
        dues, _ = decide(schedule, at[1], at[2], catchup=catchup, **pause)
        assert [(due.tick.at, due.reason) for due in dues] == [(at[1], "on time"), (at[2], "on time")]
    pause = {"paused_since": at[1] + timedelta(seconds=1), "resumed_at": at[2] + timedelta(seconds=1)}
    dues, _ = decide(schedule, at[1], at[3], catchup=Catchup.NONE, **pause)
    assert [due.verdict.value for due in dues] == ["run", "skip", "run"]
    dues, _ = decide(schedule, at[1], at[3], catchup=Catchup.LAST, **pause)
    assert [due.verdict.value for due in dues] == ["skip", "skip", "run"]


def test_a_year_of_minutes_is_one_record_and_what_runs():
    minutely = Schedule(cron="* * * * *")
    start, now = utc("2025-01-01"), utc("2026-01-01T00:00:30")
    (fold, *listed), next_at = fall_due(minutely, start, start, now, catchup=Catchup.LAST, paused_since=None, most=100)
    assert len(listed) == 99
    assert fold.folded == 525_600 + 1 - 100
    assert fold.reason == (
        "a later tick stands in for it; 525501 older ticks since 2025-01-01T00:00:00+00:00 are folded into this one"
    )
    assert fold.tick.interval == Interval(start=utc("2024-12-31T23:59"), end=fold.tick.at)
    assert (listed[-1].verdict, listed[-1].tick.at) == (Verdict.RUN, utc("2026-01-01"))
    assert listed[-1].reason == "on time; stands in for 525600 before it"
    assert next_at == utc("2026-01-01T00:01")


def test_a_fold_over_a_pause_and_downtime_names_both():
    now = utc("2026-07-03T06:30")
    pause = {"paused_since": utc("2026-07-02T06:30"), "resumed_at": now}
    dues, _ = decide(HOURLY, utc("2026-07-01T06:00"), now, catchup=Catchup.NONE, most=2, **pause)
    assert [due.folded for due in dues] == [47, 0]
    assert dues[0].reason.startswith("paused, or missed while the hub was down: catchup is none; 47 older ticks since")
    assert dues[1].reason == "paused: catchup is none"
    pause = {"paused_since": utc("2026-07-03T06:00"), "resumed_at": now}
    dues, _ = decide(HOURLY, utc("2026-07-01T06:00"), now, catchup=Catchup.NONE, most=1, **pause)
    assert dues[0].reason.startswith("paused, or missed while the hub was down: catchup is none; 48 older ticks since")
    pause = {"paused_since": utc("2026-07-03T06:10"), "resumed_at": now}
    dues, _ = decide(HOURLY, utc("2026-07-01T06:00"), now, catchup=Catchup.NONE, most=1, **pause)
    assert dues[0].reason.startswith("missed while the hub was down: catchup is none; 48 older ticks since")
    pause = {"paused_since": utc("2026-06-01"), "resumed_at": utc("2026-07-01T06:00")}
    dues, _ = decide(HOURLY, utc("2026-07-01T06:00"), now, catchup=Catchup.NONE, most=1, **pause)
    assert dues[0].reason.startswith("missed while the hub was down: catchup is none; 48 older ticks since")


def test_too_many_runs_come_page_by_page_oldest_first():
    now = utc("2026-07-01T10:00")
    dues, next_at = fall_due(
        HOURLY, utc("2026-07-01T06:00"), ANCHOR, now, catchup=Catchup.ALL, paused_since=None, most=2
    )
    assert [due.tick.at for due in dues] == [utc("2026-07-01T06:00"), utc("2026-07-01T07:00")]
    assert next_at == utc("2026-07-01T08:00")


@pytest.mark.parametrize("catchup", Catchup)
def test_a_tick_that_was_announced_stands_though_the_zone_has_changed_its_rules(catchup):
    announced = utc("2026-07-01T06:17")  # no longer on the line
    dues, next_at = decide(HOURLY, announced, utc("2026-07-01T07:00"), catchup=catchup)
    assert [due.tick.at for due in dues] == [announced, utc("2026-07-01T07:00")]
    assert dues[1].tick.interval == Interval(start=announced, end=utc("2026-07-01T07:00"))
    alone, next_at = decide(HOURLY, announced, utc("2026-07-01T06:30"), catchup=catchup)
    assert [due.tick.at for due in alone] == [announced]
    assert next_at == utc("2026-07-01T07:00")
