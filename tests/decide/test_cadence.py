"""When a lane looks: dense where ends are likely, never beyond the budget, never too seldom."""

import random
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub.contract import Limits
from stackhub.decide import cadence
from stackhub.decide.cadence import OWED, SAVED, Bounds, Going, bounds, following
from stackhub.decide.history import spread

LIMIT = Bounds(soonest=1.0, look=15.0, first_look=10.0, longest=60.0)
KNOWN = spread([600.0 + at * 17 % 61 - 30 for at in range(20)])
SPREADS = st.sampled_from([None, KNOWN, spread([20.0] * 9), spread([100, 900] * 8), spread([5.0, 5e4])])
JOBS = st.lists(st.builds(Going, elapsed=st.floats(0, 1e5), spread=SPREADS, own=st.booleans()), min_size=1, max_size=12)
CREDIT = st.floats(OWED, SAVED)


@given(JOBS, CREDIT)
@settings(max_examples=60, deadline=None)
def test_two_looks_are_never_too_near_and_never_too_far_apart(going, credit):
    gap = following(going, LIMIT, credit)
    assert LIMIT.soonest <= gap <= LIMIT.longest
    if not all(job.own for job in going):
        assert gap <= LIMIT.look * (cadence.THRIFT if credit <= OWED else 1), "a job without history is not starved"


def test_a_job_without_history_is_looked_at_as_ever():
    stranger = Going(elapsed=0.0, own=False)
    assert cadence.first(stranger, LIMIT) == LIMIT.first_look
    assert following([stranger], LIMIT, 0.0) == LIMIT.look


def test_looks_are_sparse_early_and_dense_where_an_end_is_likely():
    saved = (0.0, 25.0, 0.0)  # while nothing was likely
    early, likely, beyond = (
        following([Going(elapsed=at, spread=KNOWN)], LIMIT, credit)
        for at, credit in zip((60, 597, 1500), saved, strict=True)
    )
    assert early > 40
    assert likely < 3
    assert beyond > 2 * likely, "nobody knows any more when it ends"


def test_the_end_of_a_short_job_is_seen_no_later_than_by_even_looks():
    for length in (0.5, 7.0, 14.0):
        short = Going(elapsed=0.0, spread=spread([length] * 9))
        assert cadence.first(short, LIMIT) <= LIMIT.look, "one that cannot pay for a look of its own"


def test_what_is_likely_for_one_is_looked_for_though_others_are_far_from_their_end():
    going = [Going(elapsed=float(at), spread=KNOWN) for at in range(0, 300, 30)]
    assert following([*going, Going(elapsed=590.0, spread=KNOWN)], LIMIT, 25.0) < 8 < following(going, LIMIT, 25.0)


def test_the_accounts_history_stands_in_within_the_bounds_of_none():
    stranger = Going(elapsed=10.0, spread=KNOWN, own=False)
    assert following([stranger], LIMIT, 0.0) == LIMIT.look
    assert following([Going(elapsed=597.0, spread=KNOWN, own=False)], LIMIT, 25.0) < 3


def life(rng, durations, *, jobs, seconds, limit=LIMIT):
    """Look after ``jobs`` at a time, each begun anew at its end, and return the sweeps and how late ends were seen."""
    known = [spread(durations[at::3]) for at in range(3)]
    going = [(0.0, rng.choice(durations), rng.choice(known)) for _ in range(jobs)]
    now, credit, sweeps, delays = 0.0, 0.0, 0, []
    while now < seconds:
        gap = following([Going(elapsed=elapsed, spread=s) for elapsed, _, s in going], limit, credit)
        now, sweeps = now + gap, sweeps + 1
        credit = cadence.spent(cadence.earned(credit, gap, limit))
        going = [(elapsed + gap, lasts, s) for elapsed, lasts, s in going]
        delays += [elapsed - lasts for elapsed, lasts, _ in going if elapsed >= lasts]
        going = [job if job[0] < job[1] else (0.0, rng.choice(durations), rng.choice(known)) for job in going]
    return sweeps, delays


@given(st.integers(0, 1000), st.integers(1, 3), st.lists(st.floats(5, 5000), min_size=6, max_size=12))
@settings(max_examples=6, deadline=None)
def test_the_budget_holds_over_any_time_whatever_ends_when(seed, jobs, durations):
    while_it_lasts = 1200.0
    sweeps, delays = life(random.Random(seed), durations, jobs=jobs, seconds=while_it_lasts)
    assert sweeps <= while_it_lasts / LIMIT.look - OWED + 1
    assert all(delay <= LIMIT.longest for delay in delays)


def test_an_account_with_many_pages_is_asked_less_often():
    limits = Limits(rate=1.0, look=timedelta(seconds=15), longest=timedelta(minutes=1))
    small, large = bounds(limits, 1), bounds(limits, 30)
    assert (small.soonest, small.look) == (2.0, 15.0)
    assert large.soonest == large.look == 60.0, "thirty requests a sweep, and half of the rate is for starts"
    assert large.longest >= large.look


def test_even_looks_stay_even_where_the_connector_says_no_more():
    limit = bounds(Limits(rate=5.0, look=timedelta(seconds=1)), 1)
    assert limit.longest == limit.look == 1.0


def test_ends_are_seen_sooner_than_by_even_looks_at_the_same_cost():
    rng = random.Random(5)
    durations = [rng.lognormvariate(6.2, 0.05) for _ in range(48)]
    sweeps, delays = life(rng, durations, jobs=1, seconds=15_000.0)
    even = 15_000.0 / sweeps / 2
    assert sum(delays) / len(delays) < even * 0.4
