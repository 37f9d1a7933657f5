"""What runs in shadow would have done, beside what really landed. Pure.

A run in shadow waits for each load that a live one would have asked for, and ends every other step as soon as it may
begin. So what is asked of it is: would a build have begun before all that it needs was in?
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stackhub.decide.tally import Judged
from stackhub.model.pipeline import Mode, Pipeline
from stackhub.model.run import OpenRun
from stackhub.model.step import DONE, StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class Would:
    """One step."""

    task: str
    what: str  # "fivetran.sync": what a live run would have started
    began_at: datetime | None  # when it would have; None: not at all
    landed_at: datetime | None  # of an extract: when the load was in by its vendor's word
    state: str
    extract: bool
    early: tuple[str, ...] = ()  # extracts that it needs and that were not in when it would have begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """One run."""

    id: str
    pipeline: str
    at: datetime  # its tick, else when it was made
    state: str
    ended_at: datetime | None
    steps: tuple[Would, ...]
    deadlines: tuple[Judged, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """All of them."""

    runs: int
    syncs: int  # that would have been started, or joined
    builds: int
    early: int  # builds, before their data was in: must be none
    deadlines: int
    missed: int


def told(found: OpenRun, deadlines: Sequence[Judged] = ()) -> Shadow | None:
    """Say what a run in shadow would have done; None of one that was live."""
    run = found.run
    if run.mode is not Mode.SHADOW:
        return None
    return Shadow(
        id=run.id,
        pipeline=run.pipeline,
        at=run.tick or run.created_at,
        state=run.state.value,
        ended_at=run.ended_at,
        steps=tuple(_step(found, name) for name in found.steps),
        deadlines=tuple(one for one in deadlines if one.run == run.id),
    )


def sums(runs: Sequence[Shadow]) -> Sums:
    """Sum up."""
    begun = [step for run in runs for step in run.steps if step.began_at is not None]
    deadlines = [one for run in runs for one in run.deadlines]
    return Sums(
        runs=len(runs),
        syncs=sum(step.extract for step in begun),
        builds=sum(not step.extract for step in begun),
        early=sum(bool(step.early) for step in begun),
        deadlines=len(deadlines),
        missed=sum(not one.met for one in deadlines),
    )


def _step(found: OpenRun, name: str) -> Would:
    task, step = found.pipeline.task(name), found.steps[name]
    began = step.began_at if task.extract or step.state in DONE - {StepState.SKIPPED} else None
    return Would(
        task=name,
        what=f"{task.connector}.{task.stands_for or task.operation}",
        began_at=began,
        landed_at=step.landing.ended_at if step.landing is not None else None,
        state=step.state.value,
        extract=task.extract,
        early=_early(found, name, began) if began is not None and not task.extract else (),
    )


def _early(found: OpenRun, name: str, began: datetime) -> tuple[str, ...]:
    """Return the extracts upstream that were not in, and that the step was not begun without as its rules allow."""
    without = found.steps[name].without
    missing = []
    for extract in _upstream(found.pipeline, name):
        step = found.steps[extract]
        in_at = step.landing.ended_at if step.landing is not None else step.ended_at
        goes_on = step.state is StepState.SKIPPED or extract in without
        if not goes_on and (step.state not in DONE or in_at is None or in_at > began):
            missing.append(extract)
    return tuple(missing)


def _upstream(pipeline: Pipeline, name: str) -> list[str]:
    """Return the extracts that a task hangs on, however far above it."""
    tasks = {task.name: task for task in pipeline.tasks}
    seen: set[str] = set()
    left = [name]
    while left:
        fresh = {need.task for need in tasks[left.pop()].needs} - seen
        seen |= fresh
        left += fresh
    return [task.name for task in pipeline.tasks if task.name in seen and task.extract]
