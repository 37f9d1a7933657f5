"""What a run in shadow is made of: the same decisions, with nothing started. Pure.

An extract becomes the operation that waits for what it would have brought in, so that the run goes by what really
lands. Whatever else would be started has ended as soon as it may begin. Both stand in the run's own pipeline, so an
edit changes no run that has begun.
"""

from dataclasses import replace
from datetime import datetime

from stackhub.decide import partial
from stackhub.model.pipeline import Freshness, Mode, Pipeline, Task
from stackhub.model.step import Step


def compiled(pipeline: Pipeline) -> Pipeline:
    """Return a pipeline as its runs follow it: in shadow, with each extract put in place by what only waits."""
    if pipeline.mode is not Mode.SHADOW:
        return pipeline
    return replace(pipeline, tasks=tuple(_shadow(task) for task in pipeline.tasks))


def idle(pipeline: Pipeline, task: Task) -> bool:
    """Say whether a task of a run starts nothing and waits for nothing."""
    return pipeline.mode is Mode.SHADOW and not task.watch


def ended(step: Step, task: Task, now: datetime) -> Step:
    """End a step that a live run would start now."""
    owed = partial.note(step, task)
    note = f"shadow: would have started {task.connector}.{task.stands_for or task.operation}"
    return step.move(
        partial.ended(step, task),
        began_at=now,
        ended_at=now,
        due=None,
        note=f"{note}; {owed}" if owed else note,
    )


def landed(step: Step, task: Task) -> str:
    """Say of an extract in shadow what has ended it."""
    own = task.stands_for == task.operation
    would = "waited for it, as a live run does" if own else f"would have started {task.connector}.{task.stands_for}"
    return f"shadow: {would}; it has landed by itself{f': {step.note}' if step.note else ''}"


def _shadow(task: Task) -> Task:
    if task.stands_for:
        return task
    return replace(task, operation=task.watch or task.operation, stands_for=task.operation, freshness=Freshness.ATTACH)
