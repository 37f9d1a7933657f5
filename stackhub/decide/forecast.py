"""When a run will be done, and how likely it is to miss a deadline: its remaining critical path, from history. Pure.

Each task's time is a distribution (`decide.history`), of what is still open given how long it has gone already. Through
the graph they are carried by scenarios: in each, every task takes one of its quantiles, paired by fixed permutations,
so that the same question always has the same answer, and every quantile of every task is asked once. Tasks are taken
to be independent.

    done              takes no time any more
    at work           at least as long as it has taken
    put off, failed   from when it is taken up again
    waiting           from when the last of what it needs is done
    no history        takes no time: what is said then is the least that is certain, and no finish is named

As time passes and nothing is done, no scenario ends sooner, so the risk never falls.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from operator import add
from typing import Final

from stackhub.decide.history import ENOUGH, spread
from stackhub.model.pipeline import Pipeline, Sla, Task
from stackhub.model.run import OpenRun
from stackhub.model.step import DONE, OPEN, Step, StepState

SCENARIOS: Final = 127
FEWER: Final = 31  # for a run of more than `LARGE` open tasks
LARGE: Final = 150
KEPT: Final = 0.3  # of the scenarios: a step that holds up so many goes on being named
Draws = tuple[float, ...]  # in seconds from now, one for each scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """How a run may end, seen from ``now``."""

    now: datetime
    ends: Draws
    holds: tuple[str, ...]  # of each scenario: the open task at which its longest path begins
    unknown: tuple[str, ...]  # tasks whose history is too short

    def finish(self, part: float) -> datetime | None:
        """Return by when the run is done in this part of the scenarios; None while too little is known."""
        if self.unknown:
            return None
        found = sorted(self.ends)
        return self.now + timedelta(seconds=found[min(int(part * len(found)), len(found) - 1)])

    def risk(self, at: datetime) -> float:
        """Return the probability that it is not done by then; where something is not known, the least it can be."""
        if self.now >= at:
            return 1.0
        left = (at - self.now).total_seconds()
        return sum(end > left for end in self.ends) / len(self.ends)

    def waits_on(self, at: datetime, before: str = "") -> str:
        """Return the task that holds up most of the scenarios which miss ``at``; one named ``before`` stays a while."""
        left = (at - self.now).total_seconds()
        missing = [name for end, name in zip(self.ends, self.holds, strict=True) if end > left] or list(self.holds)
        count = {name: missing.count(name) for name in dict.fromkeys(missing)}
        if count.get(before, 0) >= KEPT * len(missing):
            return before
        return max(count, key=lambda name: count[name])


def of_run(open_run: OpenRun, histories: Mapping[str, Sequence[float]], now: datetime) -> Outlook | None:
    """Look at an open run; ``histories`` are by task. None where it cannot succeed any more, or is asked to end."""
    return of_hopeful(open_run, histories, now) if hopeful(open_run) else None


def hopeful(open_run: OpenRun) -> bool:
    """Say whether a run may still succeed, and is not asked to end."""
    states = {step.state for step in open_run.steps.values()}
    return states <= OPEN | DONE and open_run.run.ended_at is None and open_run.run.cancel_at is None


def of_hopeful(open_run: OpenRun, histories: Mapping[str, Sequence[float]], now: datetime) -> Outlook:
    """Look at an open run that may still succeed."""

    def lasts(task: Task, parts: Draws, starts: Draws) -> Draws:
        return _of_step(open_run.steps[task.name], histories.get(task.name, ()), parts, starts, now)

    done = {name for name, step in open_run.steps.items() if step.state in DONE}
    return _through(open_run.pipeline, histories, lasts, done, now)


def of_tick(pipeline: Pipeline, histories: Mapping[str, Sequence[float]], tick: datetime) -> Outlook:
    """Look at a run that begins at a tick to come."""

    def lasts(task: Task, parts: Draws, starts: Draws) -> Draws:
        return _anew(histories.get(task.name, ()), parts, starts)

    return _through(pipeline, histories, lasts, set(), tick)


def at_risk(risk: float, sla: Sla, *, already: bool) -> bool:
    """Say whether people are told: from ``at_risk`` on, and until it has fallen below ``at_risk_ends``."""
    return risk >= sla.at_risk or (already and risk >= sla.at_risk_ends)


def _through(
    pipeline: Pipeline,
    histories: Mapping[str, Sequence[float]],
    lasts: Callable[[Task, Draws, Draws], Draws],
    done: set[str],
    now: datetime,
) -> Outlook:
    open_tasks = [task for task in pipeline.tasks if task.name not in done]
    many = SCENARIOS if len(open_tasks) <= LARGE else FEWER
    zero: Draws = (0.0,) * many
    ends: dict[str, Draws] = {}
    holds: dict[str, tuple[str, ...]] = {}
    for task in open_tasks:  # in topological order
        before = [need.task for need in task.needs if need.task in ends]
        starts, held = _latest(before, ends, holds) if before else (zero, (task.name,) * many)
        ends[task.name] = lasts(task, _parts(task.name, many), starts)
        holds[task.name] = held
    unknown = tuple(task.name for task in open_tasks if len(histories.get(task.name, ())) < ENOUGH)
    if not ends:
        return Outlook(now=now, ends=zero, holds=("",) * many, unknown=())
    last, held = _latest(list(ends), ends, holds)
    return Outlook(now=now, ends=last, holds=held, unknown=unknown)


def _latest(
    names: Sequence[str], ends: Mapping[str, Draws], holds: Mapping[str, tuple[str, ...]]
) -> tuple[Draws, tuple[str, ...]]:
    """Return for each scenario when the last of these tasks ends, and what holds that one up; of equals, the first."""
    if len(names) == 1:
        return ends[names[0]], holds[names[0]]
    rows = list(zip(*(ends[name] for name in names), strict=True))
    last = tuple(map(max, rows))
    which = [row.index(end) for row, end in zip(rows, last, strict=True)]
    return last, tuple(holds[names[one]][at] for at, one in enumerate(which))


def _of_step(step: Step, history: Sequence[float], parts: Draws, starts: Draws, now: datetime) -> Draws:
    wait = max((step.due - now).total_seconds(), 0.0) if step.due is not None else 0.0
    match step.state:
        case StepState.WAITING:
            return _anew(history, parts, starts)
        case StepState.READY | StepState.RETRYING:
            return _anew(history, parts, tuple(wait for _ in starts))
        case _:
            began = step.began_at or now
            until = step.deferred_at if step.state is StepState.DEFERRED and step.deferred_at else now
            elapsed = max((until - began).total_seconds(), 0.0)
            known = spread(history) if len(history) >= ENOUGH else None
            if known is None:
                return tuple(wait for _ in parts)
            return tuple([wait + lasts - elapsed for lasts in known.quantiles(parts, elapsed=elapsed)])


def _anew(history: Sequence[float], parts: Draws, starts: Draws) -> Draws:
    if len(history) < ENOUGH:
        return starts
    return tuple(map(add, starts, _fresh(tuple(history), parts)))


@lru_cache(maxsize=512)
def _fresh(history: tuple[float, ...], parts: Draws) -> Draws:
    """Return how long work takes that has not begun: asked at every look, and the same until its history grows."""
    known = spread(history)
    return known.quantiles(parts) if known is not None else (0.0,) * len(parts)


@lru_cache(maxsize=4096)
def _parts(name: str, many: int) -> Draws:
    """Return the quantile that a task takes in each scenario: all of them once, in an order of its own."""
    order = list(range(many))
    random.Random(name).shuffle(order)  # noqa: S311 - no secret: an order that is always the same
    return tuple((at + 0.5) / many for at in order)
