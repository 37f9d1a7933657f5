"""A stretch of the past, cut into intervals."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from decide.cron_oracle import cron_ticks, utc
from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub.decide.stretch import MOST, bound, by_distance, by_schedule, check_stretch
from stackhub.errors import Refused
from stackhub.model.calendar import Calendar, Span
from stackhub.model.pipeline import Schedule

NOW = utc("2026-11-22T12:00")
DAY = timedelta(days=1)
BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-03-01", "2026-02-28T23:00"),
        (" 2026-07-01 ", "2026-06-30T22:00"),
        ("2026-03-01T06:30", "2026-03-01T05:30"),
        ("2026-03-01T06:30:00Z", "2026-03-01T06:30"),
        ("2026-03-01T06:30+09:00", "2026-02-28T21:30"),
        ("2026-03-29T02:30", "2026-03-29T01:00"),  # a time that the clock leaves out
    ],
)
def test_a_bound_is_a_day_or_a_time_of_the_zone(written, at):
    assert bound(written, BERLIN, "--from") == utc(at)


@pytest.mark.parametrize("written", ["", "tomorrow", "2026-02-30", "2026-13-01T00:00", "03/01/2026"])
def test_what_is_no_time_is_refused(written):
    with pytest.raises(Refused, match=r"--to .* is no time: write 2026-03-01"):
        bound(written, BERLIN, "--to")


def test_a_stretch_has_something_in_it_and_has_begun():
    check_stretch(NOW - DAY, NOW + DAY, NOW)
    with pytest.raises(Refused, match="is not before --to"):
        check_stretch(NOW, NOW, NOW)
    with pytest.raises(Refused, match="is yet to come"):
        check_stretch(NOW, NOW + DAY, NOW)


def test_whole_days_are_days_of_the_local_clock():
    start, end = bound("2026-03-28", BERLIN, ""), bound("2026-03-31", BERLIN, "")
    found = by_distance(start, end, DAY, BERLIN)
    assert [one.end - one.start for one in found] == [DAY, timedelta(hours=23), DAY]
    assert [one.end - one.start for one in by_distance(start, end, timedelta(hours=24), "UTC")] == [
        DAY,
        DAY,
        timedelta(hours=23),
    ]


def test_the_last_one_stops_where_the_stretch_does():
    found = by_distance(utc("2026-03-01"), utc("2026-03-02T03:00"), timedelta(hours=10), "UTC")
    assert [one.end - one.start for one in found] == [timedelta(hours=10)] * 2 + [timedelta(hours=7)]


@pytest.mark.parametrize(("every", "text"), [(timedelta(0), "at least"), (timedelta(seconds=1), f"more than {MOST}")])
def test_too_many_and_too_small_are_refused(every, text):
    with pytest.raises(Refused, match=text):
        by_distance(NOW - DAY, NOW, every, "UTC")
    with pytest.raises(Refused, match="the schedule makes more than"):
        by_schedule(Schedule(cron="* * * * *"), NOW, {}, NOW - 30 * DAY, NOW, NOW)
    with pytest.raises(Refused, match="the schedule makes more than"):
        by_schedule(Schedule(every=timedelta(seconds=9)), NOW, {}, NOW - 30 * DAY, NOW, NOW)


def test_a_fixed_distance_is_followed_back_from_where_it_was_put_in_force():
    anchor = NOW - timedelta(minutes=20)
    hour = timedelta(hours=1)
    found = by_schedule(Schedule(every=6 * hour), anchor, {}, NOW - DAY, NOW - 12 * hour, NOW)
    assert [(one.start, one.end) for one in found] == [
        (anchor - 18 * hour, anchor - 12 * hour),
        (anchor - 12 * hour, anchor - 6 * hour),
    ]


def test_what_is_not_over_yet_is_left_out():
    found = by_schedule(Schedule(cron="0 * * * *"), NOW, {}, NOW - timedelta(hours=2, minutes=30), NOW + DAY, NOW)
    assert found[-1].end == NOW
    assert len(found) == 2


def test_a_day_that_a_calendar_leaves_out_belongs_to_the_interval_before():
    calendars = {
        "closed": Calendar(name="closed", spans=(Span(first=utc("2026-03-02").date(), last=utc("2026-03-02").date()),))
    }
    schedule = Schedule(cron="0 6 * * *", without=("closed",))
    found = by_schedule(schedule, NOW, calendars, utc("2026-03-01"), utc("2026-03-03"), NOW)
    assert [(one.start, one.end) for one in found] == [(utc("2026-03-01T06:00"), utc("2026-03-03T06:00"))]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([(line, zone) for line in ("0 * * * *", "30 2 * * *", "0 6 * * 1-5") for zone in (BERLIN, "UTC")]),
    st.integers(0, 100),
    st.integers(1, 100),
)
def test_the_intervals_are_those_between_the_ticks_that_begin_in_the_stretch(schedule, start, length):
    line, zone = schedule
    begin = utc("2026-10-22T00:30") + timedelta(hours=start)
    end = begin + timedelta(hours=length)
    found = by_schedule(Schedule(cron=line, timezone=zone), NOW, {}, begin, end, NOW)
    ticks = cron_ticks(line, zone, utc("2026-10-21"), utc("2026-11-06"))
    assert [(one.start, one.end) for one in found] == [
        (one, other) for one, other in pairwise(ticks) if begin <= one < end
    ]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(600, 10**6), st.sampled_from([BERLIN, "UTC"]))
def test_intervals_chain_and_cover_the_stretch(start, length, every, zone):
    begin = datetime(2026, 3, 20, tzinfo=UTC) + timedelta(seconds=start)
    end = begin + timedelta(seconds=length)
    found = by_distance(begin, end, timedelta(seconds=every), zone)
    assert (found[0].start, found[-1].end) == (begin, end)
    assert all(one.end == other.start for one, other in pairwise(found))
    assert all(one.start < one.end for one in found)
