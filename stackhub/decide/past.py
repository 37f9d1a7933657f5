"""What history says of a job that is played again: how long it took, how it ended, and how sure that is. Pure.

    recorded   this try of this step of this run
    nearest    the try of the same task that began nearest in time; after its last try, how that one ended
    same job   likewise, of the same work asked for by another task
    usual      the median of the account's jobs
    assumed    nothing like it was ever recorded

A job that was stopped by us, or has not ended, is one of which only the least is known: it is played as never ending,
so that whatever stops it (a timeout, a person) does so again.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import Final, TypeVar

from stackhub.contract import Outcome
from stackhub.decide import create
from stackhub.decide.history import job_key, task_key
from stackhub.decide.lasted import Lasted
from stackhub.model.landing import Landing
from stackhub.model.pipeline import Mode
from stackhub.model.run import OpenRun
from stackhub.model.step import DONE, TERMINAL, Step, StepState, Stop

NEVER: Final = timedelta(days=3650).total_seconds()
TIMED_OUT: Final = "timed out after"
_OVER: Final = frozenset({*(state.value for state in TERMINAL), StepState.RETRYING.value})
_FIRST: Final = 1
T = TypeVar("T")


class How(StrEnum):
    """How sure something is; see the module."""

    RECORDED = "recorded"
    NEAREST = "nearest"
    SAME_JOB = "same_job"
    USUAL = "usual"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One line of a step's history."""

    at: datetime
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One try of one step, as it was."""

    run: str
    pipeline: str
    task: str
    instance: str
    job: str  # `decide.history.job_key`
    number: int  # from 1
    began_at: datetime
    seconds: float  # `NEVER`: only the least is known
    outcome: Outcome
    note: str = ""
    again: bool = False  # of a failure: whether it was worth trying again
    joined: bool = False  # somebody else had started the job
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """How a job is to be played."""

    seconds: float
    outcome: Outcome
    how: How
    note: str = ""
    again: bool = False
    joined: bool = False
    rows: int | None = None


def tries(found: OpenRun, lines: Mapping[str, Sequence[Moved]]) -> list[Tried]:
    """Return every try of a run's steps; ``lines`` are the history of each, oldest first."""
    return [one for step in found.steps.values() if not step.carried for one in _of_step(found, step, lines)]


def lasted_before(found: OpenRun) -> list[Lasted]:
    """Return what a run that is over has taught of how long work takes; nothing where it stood for no whole one."""
    if create.is_part(found.run) or found.run.mode is Mode.SHADOW:
        return []
    taught = []
    for step in found.steps.values():
        if step.carried or step.ended_at is None or step.began_at is None or step.state not in DONE:
            continue
        key = task_key(found.run.pipeline, step.task)
        seconds = (step.ended_at - step.began_at).total_seconds()
        taught.append(Lasted(instance=step.instance, key=key, seconds=seconds))
        if step.attempt_at is not None and not step.joined and step.serial == step.attempt:
            until = _landed(step, step.attempt_at, step.ended_at) or step.ended_at
            seconds = (until - step.attempt_at - step.deferred_for).total_seconds()
            key = job_key(found.pipeline.task(step.task))
            taught.append(Lasted(instance=step.instance, key=key, seconds=max(seconds, 0.0)))
    return taught


def _of_step(found: OpenRun, step: Step, lines: Mapping[str, Sequence[Moved]]) -> list[Tried]:
    task = found.pipeline.task(step.task)
    spans = _spans(lines.get(step.task, ()))
    made = []
    for number, (began, ended, text) in enumerate(spans, _FIRST):
        last = number == len(spans)
        stopped = text.startswith(TIMED_OUT) or ended is None or (last and step.stop is not Stop.NO)
        outcome = _outcome(step) if last else Outcome.FAILED
        until = _landed(step, began, ended) if last and outcome is Outcome.OK else ended
        made.append(
            Tried(
                run=step.run,
                pipeline=found.run.pipeline,
                task=step.task,
                instance=step.instance,
                job=job_key(task),
                number=number,
                began_at=began,
                seconds=NEVER if stopped or until is None else max((until - began).total_seconds(), 0.0),
                outcome=outcome,
                note=(step.error or step.note) if last else text,
                again=not last or number >= task.retries.attempts,
                joined=step.joined and last,
                rows=step.landing.rows if last and step.landing is not None else None,
            )
        )
    return made


def _spans(lines: Sequence[Moved]) -> list[tuple[datetime, datetime | None, str]]:
    """Return when each try began and ended, with the last words; None: it has not ended."""
    spans: list[tuple[datetime, datetime | None, str]] = []
    began: datetime | None = None
    for line in lines:
        if line.kind in _OVER:
            refused = line.kind == StepState.FAILED and not spans  # before it was begun
            if began is not None or refused:
                spans.append((began or line.at, line.at, line.text))
            began = None
        elif began is None and line.kind in {StepState.STARTING, StepState.RUNNING}:
            began = line.at
    if began is not None:
        spans.append((began, None, ""))
    return spans


def _outcome(step: Step) -> Outcome:
    match step.state:
        case StepState.SUCCEEDED | StepState.PARTIAL:
            return Outcome.OK
        case StepState.CANCELLED:
            return Outcome.CANCELLED
        case _:
            return Outcome.FAILED


def _landed(step: Step, began: datetime, ended: datetime | None) -> datetime | None:
    """Return when a load was in by its vendor's word, where that is of this try; else when we had heard of its end."""
    at = step.landing.ended_at if step.landing is not None else None
    return at if at is not None and ended is not None and began < at < ended else ended


@dataclass(slots=True)
class Memory:
    """Every try that was recorded, found again by what it was a try of."""

    found: Iterable[Tried]
    _steps: dict[tuple[str, str], list[Tried]] = field(default_factory=dict)
    _tasks: dict[tuple[str, str, int], "_Line"] = field(default_factory=dict)
    _jobs: dict[tuple[str, str, int], "_Line"] = field(default_factory=dict)
    _usual: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put it in order."""
        lasted: dict[str, list[float]] = {}
        for one in sorted(self.found, key=lambda one: one.began_at):
            self._steps.setdefault((one.run, one.task), []).append(one)
            self._tasks.setdefault((one.pipeline, one.task, one.number), _Line()).add(one)
            self._jobs.setdefault((one.instance, one.job, one.number), _Line()).add(one)
            if one.outcome is Outcome.OK and one.seconds < NEVER:
                lasted.setdefault(one.instance, []).append(one.seconds)
        self._usual = {instance: median(seconds) for instance, seconds in lasted.items()}
        self.found = ()

    def recall(
        self, *, run: str, pipeline: str, task: str, instance: str, job: str, number: int, now: datetime, assumed: float
    ) -> Recalled:
        """Say how a job goes that begins now. ``run``: the recorded run that this one repeats, "" where there is none.

        ``assumed``: the seconds it takes where nothing is known.
        """
        mine = self._steps.get((run, task), [])
        if mine:
            return _recalled(mine[min(number, len(mine)) - 1], How.RECORDED if number <= len(mine) else How.NEAREST)
        for lines, key, how in (
            (self._tasks, (pipeline, task), How.NEAREST),
            (self._jobs, (instance, job), How.SAME_JOB),
        ):
            first = lines.get((*key, _FIRST))
            near = first.nearest(now) if first is not None else None
            if near is not None:
                then = self._steps[near.run, near.task]
                return _recalled(then[min(number, len(then)) - 1], how)
        usual = self._usual.get(instance)
        if usual is not None:
            return Recalled(seconds=usual, outcome=Outcome.OK, how=How.USUAL)
        return Recalled(seconds=assumed, outcome=Outcome.OK, how=How.ASSUMED)


@dataclass(slots=True)
class _Line:
    """Tries in the order of their times."""

    times: list[datetime] = field(default_factory=list)
    tries: list[Tried] = field(default_factory=list)

    def add(self, one: Tried) -> None:
        self.times.append(one.began_at)
        self.tries.append(one)

    def nearest(self, now: datetime) -> Tried:
        at = bisect_left(self.times, now)
        return min(self.tries[max(at - 1, 0) : at + 1], key=lambda one: abs(one.began_at - now))


def _recalled(one: Tried, how: How) -> Recalled:
    return Recalled(
        seconds=one.seconds,
        outcome=one.outcome,
        how=how,
        note=one.note,
        again=one.again,
        joined=one.joined and how is How.RECORDED,
        rows=one.rows,
    )


# --- loads ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Shore:
    """What has landed, and will, by account and connection: what others began as it was, and what is played."""

    _landed: dict[tuple[str, str], list[Landing]] = field(default_factory=dict)

    def add(self, instance: str, landing: Landing) -> None:
        """Let a load land at its time."""
        found = self._landed.setdefault((instance, landing.connection), [])
        found.insert(bisect_left([one.ended_at for one in found], landing.ended_at), landing)

    def newest(self, instance: str, connection: str, now: datetime) -> Landing | None:
        """Return the last that has landed."""
        return next(
            (one for one in reversed(self._landed.get((instance, connection), [])) if one.ended_at <= now), None
        )

    def after(self, instance: str, connection: str, mark: str, now: datetime) -> Landing | None:
        """Return the newest of those that have landed, if it is newer than the one of that mark."""
        found = self.newest(instance, connection, now)
        return found if found is not None and found.mark > mark else None
