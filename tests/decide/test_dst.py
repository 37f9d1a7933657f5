"""What schedules do around the days on which a clock is turned, as it is told to people."""

from datetime import timedelta

import pytest
from decide.cron_oracle import utc

from stackhub.decide.clockwork import works
from stackhub.decide.dst import around, dropped, turns
from stackhub.model.pipeline import Schedule

NOW = utc("2026-11-22T12:00")


def told(cron, zone="Europe/Berlin", nth=0, n=2):
    schedule = Schedule(cron=cron, timezone=zone)
    one = turns(zone, NOW, 2)[nth]
    found = around(schedule, works(schedule, NOW, {}), one, n)
    return [(tick.label[:22], tick.note) for tick in found]


def test_the_next_turns_of_a_clock_are_found():
    assert [(turn.at, turn.text) for turn in turns("Europe/Berlin", NOW, 2)] == [
        (utc("2027-03-28T01:00"), "2027-03-28: the clock goes from 02:00 on to 03:00"),
        (utc("2027-10-31T01:00"), "2027-10-31: the clock goes from 03:00 back to 02:00"),
    ]
    assert [turn.text for turn in turns("Australia/Lord_Howe", NOW, 1)] == [
        "2027-04-04: the clock goes from 02:00 back to 01:30"
    ]
    assert turns("Asia/Tokyo", NOW, 2) == []


def test_a_time_that_the_clock_leaves_out_runs_once_after_the_gap():
    assert told("30 2 * * *") == [
        ("2027-03-26T02:30+01:00", ""),
        ("2027-03-27T02:30+01:00", ""),
        ("2027-03-28T03:00+02:00", "stands for 02:30, which the clock leaves out"),
        ("2027-03-29T02:30+02:00", ""),
    ]


def test_several_times_in_the_gap_run_once_together():
    assert told("15,45 2 * * *", n=1)[1] == (
        "2027-03-28T03:00+02:00",
        "stands for 02:15, 02:45, which the clock leaves out",
    )


def test_a_time_that_comes_twice_runs_the_first_time():
    assert told("30 2 * * *", nth=1) == [
        ("2027-10-30T02:30+02:00", ""),
        ("2027-10-31T02:30+02:00", "02:30 comes twice: the first"),
        ("2027-11-01T02:30+01:00", ""),
        ("2027-11-02T02:30+01:00", ""),
    ]


def test_a_stepping_line_follows_the_real_clock():
    assert told("*/30 * * * *", nth=1) == [
        ("2027-10-31T02:00+02:00", "02:00 comes twice: the first"),
        ("2027-10-31T02:30+02:00", "02:30 comes twice: the first"),
        ("2027-10-31T02:00+01:00", "02:00 comes twice: the second"),
        ("2027-10-31T02:30+01:00", "02:30 comes twice: the second"),
    ]
    one = turns("Europe/Berlin", NOW, 1)[0]
    assert dropped(Schedule(cron="*/30 * * * *", timezone="Europe/Berlin"), one) == ("02:00", "02:30")
    assert dropped(Schedule(cron="30 2 * * *", timezone="Europe/Berlin"), one) == ()
    assert dropped(Schedule(every=timedelta(hours=1), timezone="Europe/Berlin"), one) == ()


@pytest.mark.parametrize("nth", [0, 1])
def test_a_line_that_does_not_fall_into_the_turn_has_nothing_to_tell(nth):
    assert {note for _, note in told("0 12 * * *", nth=nth)} == {""}


def test_a_fixed_distance_knows_no_clock():
    schedule = Schedule(every=timedelta(hours=1), timezone="Europe/Berlin")
    one = turns("Europe/Berlin", NOW, 1)[0]
    ticks = around(schedule, works(schedule, NOW, {}), one, 2)
    assert [tick.at for tick in ticks] == [one.at + timedelta(hours=k) for k in (-2, -1, 0, 1)]
    assert {tick.note for tick in ticks} == {""}
