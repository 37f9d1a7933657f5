"""P1, by polling: how late the end of a sync is seen, beside an even interval that takes as many requests.

The hub's own decisions (`decide.cadence`, `decide.history`) look after syncs whose durations are drawn; they know only
what they have seen end. The even interval is chosen afterwards, so that it takes exactly as many sweeps.
"""

import math
import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, TypeAlias

from row import Row

from stackhub.contract import Limits
from stackhub.decide import cadence
from stackhub.decide.cadence import Going
from stackhub.decide.history import ENOUGH, fleet, learnt, spread

Draw: TypeAlias = Callable[[random.Random, float, int], float]
LIMIT: Final = cadence.bounds(
    Limits(rate=5.0, look=timedelta(seconds=15), first_look=timedelta(seconds=10), longest=timedelta(minutes=1)), 1
)
LEARNING, MEASURED, SEEDS = 20, 16, 2  # runs of every sync that are not counted, and that are
TOGETHER: Final = 12  # syncs of one account, begun within five minutes of each other
HALVINGS: Final = 40


def _scattered(share: float) -> Draw:
    return lambda rng, usual, _: usual * rng.lognormvariate(0, share)


def _two_habits(rng: random.Random, usual: float, _: int) -> float:
    return usual * (0.2 if rng.random() < 0.7 else 1.5) * rng.lognormvariate(0, 0.05)


SHAPES: Final[Mapping[str, Draw]] = {
    "log-normal, 3 %": _scattered(0.03),
    "log-normal, 5 %": _scattered(0.05),
    "log-normal, 10 %": _scattered(0.1),
    "log-normal, 20 %": _scattered(0.2),
    "log-normal, 40 %": _scattered(0.4),
    "bimodal (1 : 7.5), 5 % each": _two_habits,
    "drifting, + 1 % a run, 5 %": lambda rng, usual, nth: usual * 1.01**nth * rng.lognormvariate(0, 0.05),
    "half as long again from one day on, 5 %": lambda rng, usual, nth: (
        usual * (1.5 if nth > LEARNING + MEASURED // 2 else 1) * rng.lognormvariate(0, 0.05)
    ),
}


def detection() -> list[Row]:
    """Measure every shape, for a sync alone and for an account of several."""
    rows = []
    for name, draw in SHAPES.items():
        for many in (1, TOGETHER):
            lives = [_life(random.Random(seed), draw, many) for seed in range(SEEDS)]
            what = f"{name}; {'one sync' if many == 1 else f'{many} syncs'}"
            floor = _floor(draw) if many == 1 else None
            even = [mine / _even(nights, sweeps) for mine, sweeps, nights in lives]
            rows.append(Row("P1", f"{what}: late, of an even sweep", "times", even, floor, "all known", "1/5"))
            if many > 1:
                singly = [mine / _singly(nights, sweeps) for mine, sweeps, nights in lives]
                rows.append(Row("P1", f"{what}: late, of a poll for each", "times", singly, None, "", "1/5"))
            rows.append(Row("P1", f"{what}: late", "s", [mine for mine, _, _ in lives]))
    return rows


Night: TypeAlias = list[tuple[float, float]]  # of each sync: when it began and ended


def _life(rng: random.Random, draw: Draw, many: int) -> tuple[float, int, list[Night]]:
    """Return the mean delay, the sweeps it took, and the nights that were measured."""
    usual = [600.0 * rng.lognormvariate(0, 0.5) for _ in range(many)] if many > 1 else [600.0]
    known: list[tuple[float, ...]] = [() for _ in usual]
    nights, delays, sweeps, credit = [], [], 0, 0.0
    for nth in range(LEARNING + MEASURED):
        begun = [rng.uniform(0, 300) if many > 1 else 0.0 for _ in usual]
        night = [(at, at + draw(rng, length, nth)) for at, length in zip(begun, usual, strict=True)]
        found, took, credit = _night(night, known, credit)
        if nth >= LEARNING:
            nights.append(night)
            delays += found
            sweeps += took
        known = [learnt(history, end - at) for history, (at, end) in zip(known, night, strict=True)]
    return sum(delays) / len(delays), sweeps, nights


def _night(night: Night, known: list[tuple[float, ...]], credit: float) -> tuple[list[float], int, float]:
    together, delays, sweeps = fleet(known), [], 0
    left = dict(enumerate(night))
    now, counted = min(at for at, _ in night), min(at for at, _ in night)
    due = math.inf

    def going(sync: int, at: float) -> Going:
        history = known[sync]
        own = len(history) >= ENOUGH
        return Going(elapsed=max(now - at, 0.0), spread=spread(history) if own else together, own=own)

    starts = sorted((at, sync) for sync, (at, _) in left.items())
    while left:
        if starts and starts[0][0] <= due:  # the next thing is a start
            now, sync = starts.pop(0)
            due = min(due, now + cadence.first(going(sync, now), LIMIT))
            continue
        now, sweeps = due, sweeps + 1
        credit, counted = cadence.spent(cadence.earned(credit, now - counted, LIMIT)), now
        delays += [now - end for _, end in left.values() if end <= now]
        left = {sync: span for sync, span in left.items() if span[1] > now}
        open_now = [going(sync, at) for sync, (at, _) in left.items() if at <= now]
        due = now + cadence.following(open_now, LIMIT, credit) if open_now else math.inf
    return delays, sweeps, credit


def _even(nights: list[Night], sweeps: int) -> float:
    """Return the mean delay of even sweeps of the whole account, as many as there were."""

    def even(every: float) -> tuple[float, int]:
        took, late = 0, []
        for night in nights:
            begun, open_until = min(at for at, _ in night), 0.0
            for _, end in night:
                seen = begun + math.ceil((end - begun) / every) * every
                late.append(seen - end)
                open_until = max(open_until, seen)
            took += round((open_until - begun) / every)
        return sum(late) / len(late), took

    low, high = 0.1, 1000.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if even(middle)[1] > sweeps else (low, middle)
    return even(high)[0]


def _singly(nights: list[Night], sweeps: int) -> float:
    """Return the mean delay of one even poll for each sync, as many requests as there were sweeps in all."""
    return sum(end - at for night in nights for at, end in night) / sweeps / 2


def _floor(draw: Draw) -> float:
    """Return what no way to spend sweeps gets below, had it known the distribution: ``(∫ sqrt(f S))² / E``."""
    rng, width = random.Random(0), 1.0
    drawn = sorted(draw(rng, 600.0, LEARNING + MEASURED // 4) for _ in range(40_000))
    counts: dict[int, int] = {}
    for lasted in drawn:
        counts[int(lasted / width)] = counts.get(int(lasted / width), 0) + 1
    left, root = len(drawn), 0.0
    for at in sorted(counts):
        root += math.sqrt(counts[at] / len(drawn) / width * (left - counts[at] / 2) / len(drawn)) * width
        left -= counts[at]
    return root**2 / (sum(drawn) / len(drawn))
