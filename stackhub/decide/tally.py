"""Sums up a part of history, as it was or as it was played again, and says in what two of them differ. Pure.

A warning is right where the deadline it was about was then missed. Of the deadlines that were missed, ``told`` is how
many had a warning before; of those that had a warning, ``right`` is how many were missed. A deadline is missed where no
run had succeeded by then, whether it was still going or had failed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from stackhub.model.run import OpenRun
from stackhub.model.step import DONE

P95: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run."""

    id: str  # of one that is played: the recorded run that it repeats, "" where there is none
    pipeline: str
    trigger: str
    at: datetime  # its tick, else when it was made
    state: str
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A deadline that has been judged."""

    pipeline: str
    kind: str
    at: datetime
    text: str
    run: str
    covers: datetime | None
    met: bool

    @property
    def key(self) -> tuple[str, str, datetime]:
        """Name what was promised: the same in every telling."""
        covers = self.covers or self.at
        return self.pipeline, self.kind, covers.replace(microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """That a run was said to be at risk."""

    pipeline: str
    run: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message."""

    to: str
    part: str
    event: str
    title: str
    sent: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """How long after the last load was in what is built from it was done."""

    run: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is summed up."""

    runs: tuple[Ended, ...] = ()
    deadlines: tuple[Judged, ...] = ()
    warnings: tuple[Warned, ...] = ()
    messages: tuple[Said, ...] = ()
    ready: tuple[Ready, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What one place was told."""

    messages: int
    problems: int  # of which were news


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The sums."""

    runs: int
    states: Mapping[str, int]
    deadlines: int
    missed: int
    warned: int  # deadlines that there was a warning about
    right: int  # and that were then missed
    lead: timedelta | None  # the median time by which right warnings came before their deadlines
    heard: Mapping[str, Heard]  # by place
    ready: int
    ready_median: timedelta | None
    ready_p95: timedelta | None

    @property
    def precision(self) -> float | None:
        """Of the warnings, how many were right."""
        return self.right / self.warned if self.warned else None

    @property
    def recall(self) -> float | None:
        """Of the misses, how many there was a warning about."""
        return self.right / self.missed if self.missed else None


def tally(facts: Facts) -> Tally:
    """Sum up."""
    warned = {one: at for one in facts.deadlines if (at := _warned(one, facts.warnings)) is not None}
    right = [one.at - at for one, at in warned.items() if not one.met]
    took = sorted(one.seconds for one in facts.ready)
    places = sorted({one.to for one in facts.messages if one.sent})
    return Tally(
        runs=len(facts.runs),
        states=dict(Counter(run.state for run in facts.runs)),
        deadlines=len(facts.deadlines),
        missed=sum(not one.met for one in facts.deadlines),
        warned=len(warned),
        right=len(right),
        lead=timedelta(seconds=median(lead.total_seconds() for lead in right)) if right else None,
        heard={place: _heard(place, facts.messages) for place in places},
        ready=len(took),
        ready_median=timedelta(seconds=median(took)) if took else None,
        ready_p95=timedelta(seconds=took[min(int(P95 * len(took)), len(took) - 1)]) if took else None,
    )


def ready(found: OpenRun) -> list[Ready]:
    """Return how long a run took from its last load to the end of what it builds; nothing where it did not."""
    extracts = {task.name for task in found.pipeline.tasks if task.extract}
    steps = [step for step in found.steps.values() if not step.carried and step.ended_at is not None]
    loads = [
        step.landing.ended_at if step.landing is not None else step.ended_at
        for step in steps
        if step.task in extracts and step.state in DONE and step.ended_at is not None
    ]
    built = [step.ended_at for step in steps if step.task not in extracts and step.state in DONE and step.ended_at]
    if not loads or not built or found.run.ended_at is None:
        return []
    return [Ready(run=found.run.id, seconds=max((max(built) - max(loads)).total_seconds(), 0.0))]


def _warned(one: Judged, warnings: Sequence[Warned]) -> datetime | None:
    """Return when people were first told that this deadline was at risk; None where they were not."""
    about = [
        warned.at
        for warned in warnings
        if warned.pipeline == one.pipeline
        and warned.at < one.at
        and (warned.run == one.run if one.run else warned.at >= (one.covers or one.at))
    ]
    return min(about, default=None)


def _heard(place: str, messages: Sequence[Said]) -> Heard:
    mine = [one for one in messages if one.to == place and one.sent]
    parts = Counter(one.part for one in mine if one.event == "opened")
    return Heard(messages=len(mine), problems=max(parts.values(), default=0))


# --- in what they differ ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A deadline, in two tellings; None: there is no such deadline in it."""

    deadline: Judged  # as it was missed
    before: bool | None
    after: bool | None


def promises(before: Facts, after: Facts) -> list[Promise]:
    """Return the deadlines that are not met, or missed, alike in both; the earliest first."""
    first = {one.key: one for one in before.deadlines}
    second = {one.key: one for one in after.deadlines}
    found = []
    for key in first.keys() | second.keys():
        one, other = first.get(key), second.get(key)
        met, then = one.met if one is not None else None, other.met if other is not None else None
        missed = other if then is False else one if met is False else None
        if met != then and missed is not None:
            found.append(Promise(deadline=missed, before=met, after=then))
    return sorted(found, key=lambda one: (one.deadline.at, one.deadline.pipeline, one.deadline.kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """A run, in two tellings; "": there is no such run in it."""

    pipeline: str
    at: datetime
    before: str
    after: str


def fates(before: Facts, after: Facts) -> list[Fate]:
    """Return the runs that do not end alike in both; what repeats no recorded one is told apart by its time."""
    first, second = _named(before.runs), _named(after.runs)
    found = []
    for key in first.keys() | second.keys():
        one, other = first.get(key), second.get(key)
        shown = one or other
        assert shown is not None  # noqa: S101 - the key is of one of them
        was, is_now = one.state if one is not None else "", other.state if other is not None else ""
        if was != is_now:
            found.append(Fate(pipeline=shown.pipeline, at=shown.at, before=was, after=is_now))
    return sorted(found, key=lambda one: (one.at, one.pipeline))


def _named(runs: Sequence[Ended]) -> dict[tuple[str, ...], Ended]:
    found: dict[tuple[str, ...], Ended] = {}
    for run in runs:
        key: tuple[str, ...] = (run.id,)
        number = 0
        while not run.id and (key == ("",) or key in found):
            key, number = (run.pipeline, run.trigger, f"{run.at:%Y-%m-%d %H:%M}", str(number)), number + 1
        found[key] = run
    return found
