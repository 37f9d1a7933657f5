"""When the wall clock is believed."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from stackhub.clock import JUMP, Believed, WallClock

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


class Clocks:
    """Two clocks that go as a test says."""

    def __init__(self):
        self.wall, self.boot = NOON, 1000.0
        self.stopped = timedelta()  # for so long between reading the one and the other, once

    def now(self):
        return self.wall

    def since_boot(self):
        stopped, self.stopped = self.stopped, timedelta()
        self.wall += stopped
        self.boot += stopped.total_seconds()
        return self.boot

    def between_looks(self, seconds):
        return seconds

    def pass_time(self, by, *, wall=timedelta()):
        self.wall += by + wall
        self.boot += by.total_seconds()


def test_a_jump_is_not_believed_until_it_is_said_to_be():
    clocks = Clocks()
    clock = Believed(clocks)
    clocks.pass_time(SECOND, wall=-HOUR)
    assert clock.now() == NOON + SECOND
    clocks.pass_time(SECOND)
    assert clock.now() == NOON + 2 * SECOND
    assert clock.believe() == -HOUR
    assert clock.now() == NOON + 2 * SECOND - HOUR
    assert clock.believe() == timedelta()


@given(st.lists(st.floats(-4.9, 4.9), max_size=30))
def test_a_clock_that_is_slewed_is_followed(drifts):
    clocks = Clocks()
    clock = Believed(clocks)
    for drift in drifts:
        clocks.pass_time(SECOND, wall=timedelta(seconds=drift))
        assert clock.now() == clocks.wall
        assert clock.believe() == timedelta()


@given(st.timedeltas(timedelta(days=-400), timedelta(days=400)).filter(lambda by: abs(by) > JUMP))
def test_whatever_the_jump_time_goes_on_evenly_until_it_is_believed(by):
    clocks = Clocks()
    clock = Believed(clocks)
    clocks.pass_time(timedelta(), wall=by)
    for second in range(5):
        assert clock.now() == NOON + second * SECOND
        clocks.pass_time(SECOND)
    assert clock.believe() == by
    assert clock.now() == clocks.wall


def test_a_process_stopped_between_reading_both_clocks_has_seen_no_jump():
    clocks = Clocks()
    clock = Believed(clocks)
    clocks.stopped = timedelta(minutes=1)
    assert clock.believe() == timedelta()
    assert clock.now() == clocks.wall


def test_the_machines_own_clocks_agree_with_themselves():
    clock = Believed(WallClock())
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.believe() == timedelta()
