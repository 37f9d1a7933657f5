"""When a lane next asks its account how the jobs stand. Pure.

One sweep answers for every open job, so sweeps are spent where ends are likely. With ``g`` the ends expected per second
and ``p`` the probability that anything is still open, the sweeps that find ends soonest for a given number of them have
a density proportional to ``sqrt(g / p)``: for one job, to the square root of its hazard. How many there are is the
budget: as many as an even interval of ``look`` would take, and never more than the account bears.

    no history              within ``first_look`` of the start, then at most ``look`` apart
    history                 at most ``longest`` apart while no end is likely, dense when one is, never below ``soonest``
    a history of short jobs when it is likely to be over, and no sooner than an even sweep would come
    the account's history   stands in for a job that has none; the bounds are those of no history

What is saved while nothing is likely is credit that is spent later, so the number of sweeps stays the budget's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from stackhub.contract import Limits
from stackhub.decide.history import Spread

SHARE: Final = 0.5  # of an account's rate, at most, that sweeps may take; the rest is for starts
SOONEST: Final = 1.0  # seconds between two sweeps, at least
SAVED: Final = 120.0  # sweeps of credit, at most
OWED: Final = -40.0  # sweeps that may be spent before they are earned; then it is earned anew
THRIFT: Final = 1.25  # times `look`, between sweeps while credit is earned anew
SAMPLED: Final = 24  # jobs that speak for all where there are more
POINTS: Final = 48  # of the time to come at which it is looked at more closely
HALVINGS: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Going:
    """An open job: how long it has been going, in seconds, and what is known of how long such jobs take."""

    elapsed: float
    spread: Spread | None = None
    own: bool = True  # the history is its own, or no end is to be expected; else the account's, or there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Between what the distance of two sweeps lies, in seconds."""

    soonest: float
    look: float  # the budget: so far apart are as many sweeps if they are even
    first_look: float
    longest: float


def bounds(limits: Limits, requests: int) -> Bounds:
    """Return an account's bounds; ``requests`` is what one sweep of it takes."""
    bears = max(requests, 1) / max(limits.rate * SHARE, 1e-6)
    longest = limits.longest or limits.look
    look = max(limits.look.total_seconds(), bears)
    return Bounds(
        soonest=min(max(SOONEST, bears), look),
        look=look,
        first_look=min(max(limits.first_look.total_seconds(), bears), look),
        longest=max(longest.total_seconds(), look),
    )


def earned(credit: float, elapsed: float, limit: Bounds) -> float:
    """Return the sweeps that may be made once some were open for ``elapsed`` seconds more."""
    return min(credit + elapsed / limit.look, SAVED)


def spent(credit: float) -> float:
    """Return the credit after one sweep."""
    return credit - 1.0


def first(job: Going, limit: Bounds) -> float:
    """Return the seconds from a job's start to the first look at it."""
    return following([job], limit, 0.0) if job.own and job.spread is not None else limit.first_look


def following(going: Sequence[Going], limit: Bounds, credit: float) -> float:
    """Return the seconds from one sweep to the next; ``going`` are the jobs that are open after it."""
    latest = limit.longest if all(job.own for job in going) else limit.look
    if credit <= OWED:
        return min(latest, limit.look * THRIFT)
    if all(job.spread is None for job in going):
        return latest
    cells = _cells(going)
    afford = sum(cell.open * cell.length for cell in cells) / limit.look + credit
    least, most = 1 / latest, 1 / limit.soonest
    scale = _scale(cells, afford, least, most)
    done, at = 0.0, 0.0
    for cell in cells:
        density = min(max(scale * cell.wish, least), most)
        if done + density * cell.length >= 1.0:
            return min(max(at + (1.0 - done) / density, limit.soonest), latest)
        done += density * cell.length
        at += cell.length
    return min(max(at, limit.look), latest)  # too short to afford a sweep of its own: all that is known says it is over


@dataclass(frozen=True, slots=True)
class _Cell:
    """A stretch of the time to come."""

    length: float
    open: float  # the probability that anything is still open
    wish: float  # the density of sweeps it is worth, but for a factor


def _cells(going: Sequence[Going]) -> list[_Cell]:
    known = [job for job in going if job.spread is not None]
    stride = max(len(known) / SAMPLED, 1.0)
    jobs = [known[int(at * stride)] for at in range(int(len(known) / stride))]
    weight = len(known) / len(jobs)
    levels = max(POINTS // len(jobs), 4)
    left = [job.spread.survives(job.elapsed) if job.spread is not None else 0.0 for job in jobs]
    marks = sorted(
        max(job.spread.lasts(still * (1.0 - (level + 0.5) / levels)), job.elapsed) - job.elapsed
        for job, still in zip(jobs, left, strict=True)
        if job.spread is not None
        for level in range(levels)
    )
    marks = [mark for at, mark in enumerate(marks) if mark > 0 and at % max(len(marks) // POINTS, 1) == 0]
    cells, at, before = [], 0.0, [1.0] * len(jobs)
    for mark in marks:
        if mark - at < 1e-6:  # noqa: PLR2004 - a millionth of a second is no stretch
            continue
        after = [_conditional(job, still, mark) for job, still in zip(jobs, left, strict=True)]
        length, still = mark - at, _any(before, after, weight)
        ends = max(weight * (sum(before) - sum(after)), 0.0)
        cells.append(_Cell(length, still, math.sqrt(ends / (length * still))))
        at, before = mark, after
    return cells


def _conditional(job: Going, left: float, ahead: float) -> float:
    if job.spread is None:
        return 0.0
    return job.spread.survives(job.elapsed + ahead) / max(left, 1e-12)


def _any(before: Sequence[float], after: Sequence[float], weight: float) -> float:
    """Return the probability that not all have ended by the middle of a stretch."""
    none = sum(math.log(max(1.0 - (b + a) / 2, 1e-12)) for b, a in zip(before, after, strict=True))
    return max(1.0 - math.exp(weight * none), 1e-6)


def _scale(cells: Sequence[_Cell], afford: float, least: float, most: float) -> float:
    """Return by what wishes are multiplied so that the sweeps expected are those that can be afforded."""
    wishes = [(cell.wish, cell.open * cell.length) for cell in cells]
    low, high = 1e-4, 1e4
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        takes = 0.0
        for wish, length in wishes:
            density = middle * wish
            takes += (least if density < least else min(density, most)) * length
        low, high = (middle, high) if takes < afford else (low, middle)
    return low
