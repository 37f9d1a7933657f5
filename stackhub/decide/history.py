"""How long work takes, learnt from how long it took: the last durations, and the distribution they make. Pure.

Each duration is blurred in proportion to how far its neighbours are, so that two habits (a small load, a full one) stay
two, and newer ones weigh more, so that what drifts is followed. A small share is kept for what was never seen: a job
that dies at once, one that takes ten times as long. Beyond everything, the longer it has taken, the longer it may.

All lengths of time in here are seconds.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from operator import neg
from typing import Any, Final

from stackhub.model.codec import dump
from stackhub.model.pipeline import Task

TREND: Final = 12  # durations, from which on a trend is looked for
TRENDING: Final = 3.0  # times what they scatter: what it must have made of them over all to be one
KEPT: Final = 32  # durations of one piece of work
ENOUGH: Final = 5  # durations, from which on it is said to be known
FLEET: Final = 64  # durations, at most, that stand for a whole account
HALF: Final = 16.0  # durations, after which an older one counts half
SHARPEST: Final = 0.01  # of a duration; nothing is known more exactly
GRAIN: Final = 0.25  # seconds; nor than this
BLUR: Final = 1.5  # times the distance to the nearest neighbours
BLUREST: Final = 0.25  # in natural logarithms; what has few neighbours is not taken for everything
UNSEEN: Final = 0.3  # of one duration: what all that was never seen weighs
WIDE: Final = 1.2  # how far that lies apart, in natural logarithms
TAIL: Final = 2.0  # beyond the last knot what is left falls with this power of time
FINEST: Final = 1 / 80  # of all, between two knots
APART: Final = 1.5  # times, at most, between two knots
LEAST: Final = 1e-3  # seconds; a duration is not shorter
_ROOT: Final = math.sqrt(2)
_erfc = math.erfc
_Z: Final = (-2.5, -1.5, -0.75, 0.0, 0.75, 1.5, 2.5)
_WIDE_Z: Final = tuple(z / 2 for z in range(-6, 7))


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution of durations: at each of growing ``knots``, the share that lasts longer; straight in between."""

    knots: tuple[float, ...]
    left: tuple[float, ...]

    def survives(self, elapsed: float) -> float:
        """Return the share that lasts longer than this."""
        knots, left = self.knots, self.left
        if elapsed <= knots[0]:
            return 1.0
        at = bisect_right(knots, elapsed)
        if at == len(knots):
            return left[-1] * math.pow(knots[-1] / elapsed, TAIL)
        share = (elapsed - knots[at - 1]) / (knots[at] - knots[at - 1])
        return left[at - 1] + share * (left[at] - left[at - 1])

    def lasts(self, left: float) -> float:
        """Return the duration that a share ``left`` outlasts: the other way round of `survives`."""
        if left <= self.left[-1]:
            return self.knots[-1] * math.pow(self.left[-1] / max(left, 1e-12), 1 / TAIL)
        high = max(bisect_left(self.left, -left, key=neg), 1)  # ``left`` falls
        low = high - 1
        share = (self.left[low] - left) / (self.left[low] - self.left[high])
        return self.knots[low] + share * (self.knots[high] - self.knots[low])

    def quantile(self, part: float, *, elapsed: float = 0.0) -> float:
        """Return the duration within which a ``part`` of those end that have lasted ``elapsed``. Never below that."""
        return max(self.lasts(self.survives(elapsed) * (1.0 - part)), elapsed)

    def quantiles(self, parts: Sequence[float], *, elapsed: float = 0.0) -> tuple[float, ...]:
        """Return the `quantile` of each of these parts."""
        left, lasts = self.survives(elapsed), self.lasts
        return tuple([max(lasts(left * (1.0 - part)), elapsed) for part in parts])


def spread(durations: Sequence[float]) -> Spread | None:
    """Return the distribution that these durations make, the newest last; None of none."""
    return _spread(tuple(durations)) if durations else None


def fleet(histories: Sequence[Sequence[float]]) -> Spread | None:
    """Return the distribution over all the work of an account, for work of it that has no history of its own."""
    found = [lasted for history in histories for lasted in history[-3:]]
    step = max(len(found) / FLEET, 1.0)
    return spread([found[int(at * step)] for at in range(int(len(found) / step))])


def learnt(durations: Sequence[float], lasted: float) -> tuple[float, ...]:
    """Return a history with one duration more; it stays bounded."""
    return (*durations[-(KEPT - 1) :], round(max(lasted, 0.0), 3))


def job_key(task: Task) -> str:
    """Name what a task runs at its account: the same work, whichever pipeline asks for it."""
    subject = task.options.get("connection")
    named = subject if isinstance(subject, str) else _digest(task.options)
    return f"job:{task.operation}:{named}"


def task_key(pipeline: str, task: str) -> str:
    """Name a task of a pipeline."""
    return f"task:{pipeline}/{task}"


def _digest(options: Mapping[str, Any]) -> str:
    return blake2b(dump(dict(options)).encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=512)
def _spread(durations: tuple[float, ...]) -> Spread:
    known = _brought_on([max(lasted, LEAST) for lasted in durations])
    weights = [0.5 ** ((len(known) - 1 - at) / HALF) for at in range(len(known))]
    blurs = _blurs(known)
    middle = sorted(known)[len(known) // 2]
    unseen = UNSEEN / (len(known) + UNSEEN)
    whole = sum(weights)
    parts = [
        (math.log(x), b * _ROOT, w / whole * (1 - unseen) * 0.5) for x, b, w in zip(known, blurs, weights, strict=True)
    ]
    parts.append((math.log(middle), WIDE * _ROOT, unseen * 0.5))
    at = {x * math.exp(z * b) for x, b in zip(known, blurs, strict=True) for z in _Z}
    at |= {middle * math.exp(z * WIDE) for z in _WIDE_Z}
    knots, left = [0.0], [1.0]
    for t in sorted(at):
        survives = _left(math.log(t), parts)
        if left[-1] - survives >= FINEST or t >= knots[-1] * APART:
            if survives >= left[-1] or survives <= 0:
                continue
            knots.append(t)
            left.append(survives)
    return Spread(tuple(knots), tuple(left))


def _brought_on(known: Sequence[float]) -> list[float]:
    """Bring older durations to what they would be now, where they have grown or shrunk steadily.

    The trend is the middle one of those between any two (Theil and Sen), so that a few odd ones make none; it counts
    where it is far more than the durations scatter: a chance trend would be worse than none.
    """
    logs = [math.log(x) for x in known]
    pairs = [(b - a) / (j - i) for j, b in enumerate(logs) for i, a in enumerate(logs[:j])]
    if len(logs) < TREND:
        return list(known)
    slope = _middle(pairs)
    last = len(logs) - 1
    level = [log + slope * (last - at) for at, log in enumerate(logs)]
    centre = _middle(level)
    scatter = _middle([abs(log - centre) for log in level])
    if abs(slope) * last < TRENDING * scatter:
        return list(known)
    return [math.exp(log) for log in level]


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _left(log: float, parts: Sequence[tuple[float, float, float]]) -> float:
    """Return the share beyond; ``parts`` are the middle of each, its width times the root of two, half its weight."""
    found = [w * _erfc((log - x) / b) for x, b, w in parts]  # a list: most of a month that is played again goes here
    return sum(found)


def _blurs(known: Sequence[float]) -> list[float]:
    """Return how far each duration is blurred, in natural logarithms, by the distance to its nearest neighbours."""
    logs = sorted(math.log(x) for x in known)
    near = max(round(math.sqrt(len(known))), 1)
    found = []
    for x in known:
        distances = sorted(abs(math.log(x) - other) for other in logs)
        reach = distances[min(near, len(distances) - 1)] if len(distances) > 1 else BLUREST
        found.append(max(min(BLUR * reach, BLUREST), SHARPEST, min(GRAIN / x, WIDE)))
    return found
