"""A run is looked at again no later than people are to be told of it, and not without need before."""

from datetime import timedelta

from decide.test_forecast import DONE, HISTORIES, KNOWN, going, run, seconds
from decide.worlds import T0
from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub.decide.ahead import LATER, Ahead
from stackhub.model.pipeline import Sla


def ahead(within, histories=KNOWN, **states):
    states = states or {"crm": going(), "web": going()}
    return Ahead(at=T0 + seconds(within), open_run=run(**states), histories=histories)


def test_a_run_with_plenty_of_time_is_looked_at_now_and_then():
    assert ahead(36_000).look_again(T0) == T0 + LATER


def test_people_are_told_to_the_second():
    one = ahead(1000)  # crm takes 605 s and marts 300: from 300 s before the deadline on, it cannot be in time
    now = T0
    while not one.tells(now):
        now = one.look_again(now)
    assert not one.tells(now - seconds(2))
    assert T0 + seconds(500) < now < T0 + seconds(750)


def test_what_may_end_at_any_moment_is_given_a_tenth_of_the_time_that_is_left():
    one = ahead(1000)
    first = next(now for now in range(300, 800) if one.risk(T0 + seconds(now)) >= Sla().at_risk)
    assert not one.tells(T0 + seconds(first))
    assert one.tells(T0 + seconds(first), already=True), "those who know are not told that it is over"
    assert one.tells(T0 + seconds(first + (1000 - first) / 10))


def test_what_nothing_is_known_of_is_looked_at_when_its_deadline_passes():
    one = ahead(200, histories={})
    assert timedelta() <= one.at - one.look_again(T0) < seconds(1)


def test_a_deadline_seconds_away_is_foreseen_within_them():
    one = ahead(4, {**KNOWN, "marts": [2.0] * 12}, crm=DONE, web=DONE)
    assert T0 + seconds(2) < one.look_again(T0) < T0 + seconds(2.3)


@given(HISTORIES, st.floats(1, 4e4))
@settings(max_examples=40, deadline=None)
def test_nobody_is_told_later_than_they_could_be(histories, within):
    one, now, looks = ahead(within, histories), T0, 0
    while not one.tells(now):
        window = min(now + LATER, one.at) - now
        again = one.look_again(now)
        assert now < again <= now + window
        assert not one.tells(again - window / 128)
        now, looks = again, looks + 1
    assert looks <= within / LATER.total_seconds() + 2, "one look finds the moment"
