"""A distribution of durations says what was seen, and leaves room for what was not."""

import itertools
import math
import random

import pytest
from decide.worlds import task
from hypothesis import given
from hypothesis import strategies as st

from stackhub.decide.history import KEPT, fleet, job_key, learnt, spread

LASTED = st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=KEPT)
SECONDS = st.floats(0, 1e7)


@given(LASTED, SECONDS, SECONDS)
def test_what_survives_is_a_share_and_never_grows(durations, one, other):
    found = spread(durations)
    early, late = sorted((one, other))
    assert 0 <= found.survives(late) <= found.survives(early) <= 1
    assert found.survives(0) == 1


@given(LASTED, st.floats(0.001, 0.999), SECONDS, SECONDS)
def test_the_longer_it_has_taken_the_longer_it_takes(durations, part, one, other):
    found = spread(durations)
    early, late = sorted((one, other))
    sooner, later = (found.quantile(part, elapsed=elapsed) for elapsed in (early, late))
    assert later >= late
    assert sooner <= later * (1 + 1e-9)


@given(LASTED, st.floats(0.01, 0.99))
def test_a_quantile_is_the_other_way_round_of_what_survives(durations, part):
    found = spread(durations)
    assert found.survives(found.quantile(part)) == pytest.approx(1 - part, abs=1e-6)


def test_two_habits_stay_two():
    found = spread([120, 121, 900, 119, 122, 905, 118, 120, 895, 121, 120, 910])
    assert found.survives(150) - found.survives(700) < 0.05, "nothing ends in between"
    assert 0.2 < found.survives(700) < 0.5


def test_newer_durations_weigh_more():
    assert spread([100.0] * 16 + [200.0] * 16).survives(150) > 0.6


def test_what_grows_steadily_is_expected_to_go_on():
    grown = [300 * 1.01**at for at in range(32)]
    assert spread(grown).lasts(0.5) == pytest.approx(grown[-1], rel=0.02)
    mixed = random.Random(1).sample(grown, len(grown))
    assert spread(mixed).lasts(0.5) < grown[-1] * 0.95, "the same durations in any order are no trend"


def test_a_history_is_bounded_and_the_oldest_goes():
    history = ()
    for lasted in range(KEPT * 3):
        history = learnt(history, float(lasted))
    assert history == tuple(float(lasted) for lasted in range(KEPT * 2, KEPT * 3))


def test_a_fleet_takes_every_kind_of_work_for_one_of_many():
    found = fleet([[10.0] * 32, [1000.0]])
    assert 0.1 < found.survives(500) < 0.5
    assert fleet([]) is None


def test_the_same_work_has_the_same_name_whichever_pipeline_asks_for_it():
    one = task("orders", options={"connection": "c1"})
    assert job_key(one) == job_key(task("other", options={"connection": "c1"}))
    keys = {
        job_key(one),
        job_key(task("orders", options={"connection": "c2"})),
        job_key(task("orders", options={"select": "a"})),
        job_key(task("orders", options={"select": "b"})),
    }
    assert len(keys) == 4


def test_what_was_never_seen_keeps_a_small_share_on_both_sides():
    found = spread([600.0] * 32)
    assert 0 < 1 - found.survives(60) < 0.02
    assert 0 < found.survives(1800) < 0.02
    assert math.isclose(found.quantile(0.5), 600, rel_tol=0.02)


def test_knots_grow_and_what_is_left_falls():
    found = spread([random.Random(2).lognormvariate(6, 1) for _ in range(KEPT)])
    assert all(a < b for a, b in itertools.pairwise(found.knots))
    assert all(a > b for a, b in itertools.pairwise(found.left))
    assert len(found.knots) <= 200
