"""Cron lines where clocks change, against a walk over every minute."""

from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from decide.cron_oracle import cron_ticks, utc
from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub.decide.cron import instant, problem, read, zone
from stackhub.errors import ConfigError

CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),  # half an hour
    ("Australia/Lord_Howe", "2026-10-04"),
    ("America/Sao_Paulo", "2018-02-18"),  # midnight comes twice
    ("America/Sao_Paulo", "2018-11-04"),  # midnight does not come
    ("Africa/Cairo", "2026-04-24"),
    ("Africa/Cairo", "2026-10-30"),
    ("America/Havana", "2026-11-01"),  # the hour after midnight comes twice
    ("Antarctica/Troll", "2026-03-29"),  # two hours
    ("Antarctica/Troll", "2026-10-25"),
    ("Asia/Kolkata", "2026-03-29"),  # never changes, half an hour off
    ("Pacific/Apia", "2011-12-30"),  # a day that did not come
]
LINES = [
    "30 2 * * *",
    "0,30 2 * * *",
    "15 2,3 * * *",
    "0 1-3 * * *",
    "45 1 * * *",
    "0 0 * * *",
    "59 23 * * *",
    "5 0 * * 0",
    "0 0 1 * 0",
    "0 6 * * 1-5",
    "15,45 0-23 * * *",
    "* * * * 6",
    "0 * * * *",
    "45 * * * *",
    "*/15 * * * *",
    "*/10 2 * * *",
    "*/10 3 * * *",
    "30 */2 * * *",
    "0 */12 * * *",
    "*/20 0 * * 0,5",
]


def around(day: str) -> tuple[datetime, datetime]:
    middle = utc(day)
    return middle - timedelta(hours=30), middle + timedelta(hours=30)


@pytest.mark.parametrize(("name", "day"), CHANGES)
@pytest.mark.parametrize("cron", LINES)
def test_a_line_names_what_a_walk_over_every_minute_finds_forwards_and_backwards(cron, name, day):
    start, end = around(day)
    expected = cron_ticks(cron, name, start, end)
    line = read(cron, name)
    assert list(takewhile(lambda at: at <= end, line.after(start - timedelta(seconds=1)))) == expected
    assert list(takewhile(lambda at: at >= start, line.before(end + timedelta(seconds=1)))) == expected[::-1]
    assert line.count(start - timedelta(seconds=1), end) == len(expected)


@pytest.mark.parametrize(("name", "day"), CHANGES)
@pytest.mark.parametrize("cron", LINES)
def test_what_comes_next_does_not_depend_on_where_one_sets_out(cron, name, day):
    start, end = around(day)
    expected = cron_ticks(cron, name, start, end)
    line = read(cron, name)
    at = start
    while at < end:
        ahead, behind = bisect_right(expected, at), bisect_left(expected, at)
        if ahead < len(expected):
            assert next(line.after(at)) == expected[ahead]
        if behind:
            assert next(line.before(at)) == expected[behind - 1]
        at += timedelta(minutes=47, seconds=30)
    near = [at for at in expected if abs(at - utc(day)) < timedelta(hours=4)]
    for one, other in pairwise(near):
        assert next(line.after(one)) == other
        assert next(line.before(other)) == one


numbers = {0: (0, 59), 1: (0, 23), 2: (1, 31), 3: (1, 12), 4: (0, 7)}


@st.composite
def crons(draw):
    fields = []
    for low, high in numbers.values():
        number = st.integers(low, high)
        span = st.tuples(number, number).map(lambda pair: "{}-{}".format(*sorted(pair)))
        step = st.integers(1, high).map("*/{}".format)
        few = st.lists(number, min_size=1, max_size=3).map(lambda some: ",".join(map(str, some)))
        fields.append(draw(st.one_of(st.just("*"), few, span, step)))
    return " ".join(fields)


@settings(deadline=None, max_examples=150)
@given(crons(), st.sampled_from(CHANGES))
def test_any_line_names_what_a_walk_over_every_minute_finds(cron, change):
    name, day = change
    start, end = around(day)
    expected = cron_ticks(cron, name, start, end)
    line = read(cron, name)
    assert list(takewhile(lambda at: at <= end, line.after(start - timedelta(seconds=1)))) == expected
    assert list(takewhile(lambda at: at >= start, line.before(end + timedelta(seconds=1)))) == expected[::-1]


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "UTC"])
@pytest.mark.parametrize(
    "cron", ["30 2 * * *", "0 * * * *", "*/30 * * * *", "0 */2 * * *", "0 0 * * MON#2", "0 0 LW * *"]
)
def test_where_the_clock_moves_by_whole_hours_in_the_night_a_line_names_what_cronsim_names(cron, name):
    start = datetime(2026, 1, 1, tzinfo=ZoneInfo(name))
    theirs = [at.astimezone(UTC) for at in islice(CronSim(cron, start), 400)]
    assert list(islice(read(cron, name).after(start), 400)) == theirs


def test_a_daily_time_that_does_not_exist_comes_once_after_the_gap_and_one_that_exists_twice_comes_once():
    spring = islice(read("30 2 * * *", "Europe/Berlin").after(utc("2026-03-28T12:00")), 2)
    assert list(spring) == [utc("2026-03-29T01:00"), utc("2026-03-30T00:30")]
    autumn = islice(read("30 2 * * *", "Europe/Berlin").after(utc("2026-10-24T12:00")), 2)
    assert list(autumn) == [utc("2026-10-25T00:30"), utc("2026-10-26T01:30")]


def test_the_29th_of_february_is_found_over_a_century_without_one():
    assert next(read("0 0 29 2 *", "UTC").after(utc("2096-03-01"))) == utc("2104-02-29")
    assert next(read("0 0 29 2 *", "UTC").before(utc("2104-02-29"))) == utc("2096-02-29")


@pytest.mark.parametrize(
    ("cron", "field"),
    [
        ("60 * * * *", "minute: cannot read '60'; it takes 0-59"),
        ("*/0 * * * *", "minute: cannot read '*/0'"),
        ("1" * 5000 + " * * * *", "minute: "),
        ("0 24 * * *", "hour: cannot read '24'; it takes 0-23"),
        ("0 0 32 * *", "day of month: cannot read '32'"),
        ("0 0 ? * *", "day of month: cannot read '?'"),
        ("0 0 * 13 *", "month: cannot read '13'; it takes 1-12 or JAN-DEC"),
        ("0 0 * * 8", "day of week: cannot read '8'"),
        ("0 0 * * FRI-MON", "day of week: cannot read 'FRI-MON'"),
        ("0 0 30 2 *", "day of month: '30' never comes in month '2'"),
        ("0 0 */28 2 1#2", "day of month: '*/28' never comes in month '2' on day of week '1#2'"),
        ("@daily", "'@daily' has 1 fields; a cron line has five: minute, hour"),
        ("0 0 6 * * *", "'0 0 6 * * *' has 6 fields"),
        ("", "'' has 0 fields"),
    ],
)
def test_a_problem_names_the_field(cron, field):
    said = problem(cron)
    assert said is not None
    assert said.startswith(field)


@pytest.mark.parametrize(
    "cron", ["0 6 * * 1-5", "*/5 * * * *", "0 0 L * *", "0 0 * jan,dec mon", "0 0 29 2 1#5", " 0  6 * * * "]
)
def test_a_good_line_has_no_problem(cron):
    assert problem(cron) is None


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        st.text(max_size=30),
        st.lists(st.text("0123456789*/-,#LWAPRMON?²", min_size=1, max_size=6), min_size=5, max_size=5).map(" ".join),
    )
)
def test_a_line_either_has_a_problem_or_comes_round(cron):
    if problem(cron) is None:
        assert next(read(cron, "Europe/Berlin").after(utc("2026-01-01"))) > utc("2026-01-01")


def test_a_line_with_a_problem_is_refused_but_one_that_never_comes_round_names_nothing():
    with pytest.raises(ConfigError, match="hour: cannot read '24'"):
        read("0 24 * * *", "UTC")
    assert list(read("0 0 30 2 *", "UTC").after(utc("2026-01-01"))) == []


@pytest.mark.parametrize("name", ["", "Europe", "Europe/Atlantis", "../zone", "/etc/passwd", "a\0b", "CEST"])
def test_an_unknown_zone_is_refused_with_the_way_out(name):
    with pytest.raises(ConfigError, match="no such zone; write an IANA name"):
        zone(name)


@pytest.mark.parametrize(
    ("name", "wall", "moment"),
    [
        ("Europe/Berlin", "2026-07-01T07:30", "2026-07-01T05:30"),
        ("Europe/Berlin", "2026-03-29T02:00", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-03-29T02:59:59", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-03-29T03:00", "2026-03-29T01:00"),
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30"),
        ("Europe/Berlin", "2026-10-25T03:00", "2026-10-25T02:00"),
        ("Australia/Lord_Howe", "2026-10-04T02:10", "2026-10-03T15:30"),
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00"),
    ],
)
def test_a_local_time_is_its_first_moment_or_the_end_of_the_gap(name, wall, moment):
    assert instant(datetime.fromisoformat(wall), ZoneInfo(name)) == utc(moment)
