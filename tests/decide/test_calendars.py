"""Days that a schedule keeps, and what becomes of the ticks on the others."""

import sys
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from decide.cron_oracle import cron_ticks, utc
from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub.decide.clockwork import works
from stackhub.decide.days import days_of, opened
from stackhub.decide.schedule import Verdict, fall_due, first, following, left_out, upcoming
from stackhub.errors import ConfigError
from stackhub.model.calendar import Calendar, Span
from stackhub.model.pipeline import Catchup, Schedule

ANCHOR = utc("2026-10-20T21:47:13")
GERMANY = Calendar(name="germany", country="DE", subdivision="BE")


def days(name, *written):
    return Calendar(
        name=name, spans=tuple(Span(first=date.fromisoformat(w), last=date.fromisoformat(w)) for w in written)
    )


def on(calendar, day):
    return opened(calendar).on(day)


def decided(schedule, next_at, now, calendars, *, catchup=Catchup.ALL, anchor=ANCHOR, **more):
    found = []
    while next_at is not None:
        dues, after = fall_due(
            schedule, next_at, anchor, now, catchup=catchup, paused_since=None, calendars=calendars, **more
        )
        if not dues:
            break
        found += dues
        assert after is None or after > dues[-1].tick.at
        next_at = after
    return found, next_at


def test_public_holidays_are_known_by_country_and_subdivision():
    assert on(GERMANY, date(2026, 12, 25)) == "Christmas Day"
    assert on(GERMANY, date(2026, 3, 8)) == "Women's Day"  # Berlin's own
    assert on(Calendar(name="by", country="DE", subdivision="BY"), date(2026, 3, 8)) is None
    assert on(Calendar(name="uk", country="GB", subdivision="ENG"), date(2026, 12, 28)) == "Boxing Day (observed)"


def test_a_calendar_may_list_days_beside_a_countrys():
    both = Calendar(
        name="both", country="DE", spans=(Span(first=date(2026, 12, 24), last=date(2026, 12, 31), name="closed"),)
    )
    assert on(both, date(2026, 12, 25)) == "closed"
    assert on(both, date(2026, 12, 31)) == "closed"
    assert on(both, date(2027, 1, 1)) == "New Year's Day"
    assert on(both, date(2026, 12, 23)) is None


def test_a_day_is_kept_where_an_only_calendar_has_it_and_no_except_calendar_does():
    calendars = {"a": days("a", "2026-11-02"), "b": days("b", "2026-11-03"), "c": days("c", "2026-11-03", "2026-11-04")}
    known = days_of(Schedule(cron="0 6 * * *", only=("a", "b"), without=("c",)), calendars)
    assert known.refused(date(2026, 11, 2)) == ""
    assert known.refused(date(2026, 11, 3)) == "calendar c"
    assert known.refused(date(2026, 11, 4)) == "not on calendar a or b"
    assert days_of(Schedule(cron="0 6 * * *"), calendars) is None


def test_an_unknown_calendar_or_country_is_refused():
    with pytest.raises(ConfigError, match="no calendar 'nowhere'"):
        first_run(Schedule(cron="0 6 * * *", only=("nowhere",)), {})
    with pytest.raises(ConfigError, match="XX"):
        first_run(Schedule(cron="0 6 * * *", without=("x",)), {"x": Calendar(name="x", country="XX")})


def first_run(schedule, calendars):
    return following(schedule, ANCHOR, ANCHOR, calendars)


def test_a_tick_on_a_holiday_is_a_skip_with_its_name_and_its_data_goes_to_the_next():
    schedule = Schedule(cron="0 6 * * 1-5", timezone="Europe/Berlin", without=("germany",))
    dues, _ = decided(schedule, utc("2026-12-24T05:00"), utc("2026-12-29"), {"germany": GERMANY})
    assert [(due.tick.label[:10], due.verdict.value, due.reason[:40]) for due in dues] == [
        ("2026-12-24", "run", "missed while the hub was down: catchup i"),
        ("2026-12-25", "skip", "calendar germany: Christmas Day"),
        ("2026-12-28", "run", "missed while the hub was down: catchup i"),
    ]
    assert dues[2].tick.interval.start == utc("2026-12-24T05:00")


def test_the_day_is_that_of_the_schedules_own_clock():
    calendars = {"closed": days("closed", "2026-11-03")}
    tokyo = Schedule(cron="30 0 * * *", timezone="Asia/Tokyo", without=("closed",))  # 15:30 UTC of the day before
    dues, _ = decided(tokyo, utc("2026-11-01T15:30"), utc("2026-11-03T16:00"), calendars)
    assert [due.verdict.value for due in dues] == ["run", "skip", "run"]


def test_what_is_left_out_never_stands_in_for_what_was_missed():
    schedule = Schedule(cron="0 6 * * *", without=("closed",))
    calendars = {"closed": days("closed", "2026-11-04", "2026-11-05")}
    dues, next_at = decided(schedule, utc("2026-11-02T06:00"), utc("2026-11-05T07:00"), calendars, catchup=Catchup.LAST)
    assert [(due.tick.at.day, due.verdict.value, due.reason) for due in dues] == [
        (2, "skip", "a later tick stands in for it"),
        (3, "run", "missed while the hub was down: catchup is last; stands in for 1 before it"),
        (4, "skip", "calendar closed"),
        (5, "skip", "calendar closed"),
    ]
    assert next_at == utc("2026-11-06T06:00")


def test_a_long_time_left_out_is_one_record():
    schedule = Schedule(cron="* * * * *", only=("days",))
    calendars = {"days": days("days", "2026-01-01")}
    dues, next_at = decided(
        schedule, utc("2025-12-01"), utc("2026-01-01T00:01"), calendars, most=10, catchup=Catchup.LAST
    )
    (fold, *listed) = [due for due in dues if due.verdict is Verdict.SKIP and due.reason.startswith("not on")]
    assert fold.folded + 1 + len(listed) == 31 * 1440
    assert fold.reason == (
        f"not on calendar days; {fold.folded} older ticks since 2025-12-01T00:00:00+00:00 that are left out are folded "
        "into this one"
    )
    assert [due.verdict.value for due in dues[-2:]] == ["run", "run"]
    assert next_at == utc("2026-01-01T00:02")


def test_a_schedule_whose_days_are_over_still_ticks_and_runs_nothing():
    schedule = Schedule(every=timedelta(seconds=1), only=("past",))
    calendars = {"past": days("past", "2020-01-01")}
    assert following(schedule, ANCHOR, ANCHOR, calendars) is None
    assert upcoming(schedule, ANCHOR, ANCHOR, 3, calendars) == ()
    at = first(schedule, ANCHOR)
    dues, next_at = fall_due(schedule, at, ANCHOR, at, catchup=Catchup.LAST, paused_since=None, calendars=calendars)
    assert [(due.verdict, due.reason) for due in dues] == [(Verdict.SKIP, "not on calendar past")]
    assert next_at == at + timedelta(seconds=1)


def test_a_line_that_comes_on_left_out_days_alone_ends():
    schedule = Schedule(cron="0 6 25 12 *", timezone="Europe/Berlin", without=("germany",))
    assert following(schedule, ANCHOR, ANCHOR, {"germany": GERMANY}) is None


def test_what_is_left_out_can_be_listed():
    schedule = Schedule(cron="0 6 * * *", timezone="Europe/Berlin", without=("germany",))
    found = left_out(schedule, utc("2026-12-01"), utc("2027-01-02"), ANCHOR, 9, {"germany": GERMANY})
    assert [(at.day, reason) for at, reason in found] == [
        (25, "calendar germany: Christmas Day"),
        (26, "calendar germany: Second Day of Christmas"),
        (1, "calendar germany: New Year's Day"),
    ]
    assert left_out(Schedule(cron="0 6 * * *"), utc("2026-12-01"), utc("2027-01-02"), ANCHOR, 9) == ()


def test_a_country_without_the_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(ConfigError, match=r"pip install 'stackhub\[holidays\]'"):
        on(Calendar(name="x", country="FR"), date(2031, 5, 1))


# --- against an oracle that looks at every minute ---------------------------------------------------------------------

LINES = ["0 * * * *", "30 2 * * *", "*/20 * * * *", "15,45 0,23 * * *"]
ZONES = ["Europe/Berlin", "Africa/Cairo", "Asia/Kolkata", "UTC"]
SPAN = timedelta(days=5)
some_days = st.lists(st.integers(0, 5), max_size=4).map(
    lambda n: [(ANCHOR + timedelta(days=k)).date().isoformat() for k in n]
)


@cache
def ticks_of(line, zone):
    return cron_ticks(line, zone, utc("2026-10-20T00:00"), ANCHOR + SPAN)


def expected(schedule, end):
    """Every tick of the line from before the anchor to ``end``."""
    return [at for at in ticks_of(schedule.cron, schedule.timezone) if at <= end]


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(LINES),
    st.sampled_from(ZONES),
    some_days,
    some_days,
    st.sampled_from(Catchup),
    st.lists(st.integers(60, 200_000), min_size=1, max_size=5),
    st.integers(5, 60),
)
def test_every_tick_is_decided_once_and_runs_only_on_a_kept_day(line, zone, only, without, catchup, moves, most):
    calendars = {"only": days("only", *only), "without": days("without", *without)}
    schedule = Schedule(
        cron=line, timezone=zone, only=("only",) if only else (), without=("without",) if without else ()
    )

    def kept(at):
        day = at.astimezone(ZoneInfo(zone)).date().isoformat()
        return (not only or day in only) and day not in without

    now, next_at, found = ANCHOR, first(schedule, ANCHOR), []
    for move in moves:
        now = min(now + timedelta(seconds=move), ANCHOR + SPAN)
        dues, next_at = decided(schedule, next_at, now, calendars, catchup=catchup, most=most)
        found += dues
    everything = [at for at in expected(schedule, now) if at > ANCHOR]
    assert sum(1 + due.folded for due in found) == len(everything)
    assert {due.tick.at for due in found} <= set(everything)
    assert next_at == following(Schedule(cron=line, timezone=zone), max([ANCHOR, *everything]), ANCHOR)
    for due in found:
        assert kept(due.tick.at) or due.verdict is Verdict.SKIP
        assert due.reason.startswith(("calendar", "not on")) == (not kept(due.tick.at))
    if catchup is Catchup.ALL:
        running = [due.tick for due in found if due.verdict is Verdict.RUN]
        assert [tick.at for tick in running] == [at for at in everything if kept(at)]
        assert all(one.interval.end == other.interval.start for one, other in pairwise(running))
    announced = upcoming(schedule, ANCHOR, ANCHOR, 3, calendars)
    assert [tick.at for tick in announced if tick.at <= now] == [at for at in everything if kept(at)][:3]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(ZONES), some_days, st.integers(0, 800_000), st.integers(0, 400_000), st.sampled_from([1, 1800]))
def test_both_ways_name_the_same_instants_and_count_them(zone, listed, start, length, every):
    schedule = Schedule(
        cron="" if every == 1800 else "*/20 * * * *",
        every=timedelta(seconds=every) if every == 1800 else None,
        timezone=zone,
        without=("closed",),
    )
    known = works(schedule, ANCHOR, {"closed": days("closed", *listed)})
    begin = ANCHOR + timedelta(seconds=start)
    end = begin + timedelta(seconds=length)
    forwards = []
    for at in known.kept.after(begin):
        if at > end:
            break
        forwards.append(at)
    backwards = []
    for at in known.kept.before(end + timedelta.resolution):
        if at <= begin:
            break
        backwards.append(at)
    assert forwards == backwards[::-1]
    assert known.kept.count(begin, end) == len(forwards)
    assert known.kept.count(begin, end) + known.left_out.count(begin, end) == known.every.count(begin, end)
