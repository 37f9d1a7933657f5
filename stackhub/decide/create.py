"""New runs: from a tick, a person, an upstream run; and retries, which carry over what succeeded. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from msgspec import structs

from stackhub.decide import shadow
from stackhub.errors import Problem, Refused
from stackhub.model.pipeline import Mode, Pipeline, Task
from stackhub.model.run import Interval, OpenRun, Run, Trigger
from stackhub.model.step import DONE, TERMINAL, Step, StepState

KEPT: Final = DONE - {StepState.PARTIAL}  # what a retry does not do again


def new(
    pipeline: Pipeline,
    *,
    run_id: str,
    trigger: Trigger,
    interval: Interval,
    now: datetime,
    tick: datetime | None = None,
    reason: str = "",
    origin: Mapping[str, Any] | None = None,
) -> OpenRun:
    """Make a queued run of a pipeline as it is now, every step waiting."""
    pipeline = shadow.compiled(pipeline)
    run = Run(
        id=run_id,
        pipeline=pipeline.name,
        trigger=trigger,
        interval=interval,
        created_at=now,
        tick=tick,
        reason=reason,
        mode=pipeline.mode,
        origin=origin or {},
    )
    steps = {task.name: Step(run=run_id, task=task.name, instance=task.instance) for task in pipeline.tasks}
    return OpenRun(run=run, pipeline=pipeline, steps=steps)


def retry(
    old: OpenRun,
    *,
    run_id: str,
    now: datetime,
    reason: str,
    from_start: bool = False,
    latest: Pipeline | None = None,
    skip: Mapping[str, str] | None = None,
) -> OpenRun:
    """Make a run that does again what ``old`` did not get done; ``skip`` names tasks to go on without, with reasons.

    The interval and, unless ``latest`` is given, the pipeline are the old run's. A partial step is done again, since it
    owes something, and so is whatever was made of it; what was skipped stays skipped.
    """
    kept = {name: value for name, value in old.run.origin.items() if name not in {"retry_of", "from_start"}}
    made = new(
        latest or old.pipeline,
        run_id=run_id,
        trigger=Trigger.RETRY,
        interval=old.run.interval,
        now=now,
        tick=old.run.tick,
        reason=reason,
        origin={**kept, "retry_of": old.run.id, **({"from_start": True} if from_start else {})},
    )
    steps = dict(made.steps)
    for task in made.pipeline.tasks:
        done = old.steps.get(task.name)
        if skip and task.name in skip:
            steps[task.name] = _over(steps[task.name], StepState.SKIPPED, now, f"skipped: {skip[task.name]}")
        elif done is not None and not from_start and _stands(task, done, old.pipeline, steps):
            steps[task.name] = _carried(steps[task.name], done)
    return structs.replace(made, run=structs.replace(made.run, retry_of=old.run.id), steps=steps)


def _stands(task: Task, done: Step, before: Pipeline, steps: Mapping[str, Step]) -> bool:
    """Say whether what a task did is still what it would do: it was done, is the same task, and so is all it needs."""
    return (
        done.state in KEPT
        and any(_work(task) == _work(was) for was in before.tasks)
        and all(steps[need.task].state in KEPT for need in task.needs)
    )


def _work(task: Task) -> tuple[Any, ...]:
    return task.name, task.connector, task.operation, task.instance, task.options


def _over(step: Step, state: StepState, now: datetime, note: str) -> Step:
    return structs.replace(step, state=state, ended_at=now, note=note)


def _carried(step: Step, done: Step) -> Step:
    return structs.replace(
        step,
        state=done.state,
        ended_at=done.ended_at,
        note=f"carried over from {done.carried or done.run}",
        landing=done.landing,
        result=done.result,
        warning=done.warning,
        carried=done.carried or done.run,
    )


def check_retry(old: OpenRun) -> None:
    """Refuse a retry that makes no sense.

    Raises:
        Refused: the run is still open, or has started nothing that could be done again.
    """
    if old.run.mode is Mode.SHADOW:
        raise Refused(
            f"run {old.run.id} is in shadow: it has started nothing, so there is nothing to do again; "
            f"`stackhub trigger {old.run.pipeline}` begins a new run"
        )
    if old.run.ended_at is None or any(step.state not in TERMINAL for step in old.steps.values()):
        raise Refused(f"run {old.run.id} is still going: cancel it first, or wait")


def only(pipeline: Pipeline, names: tuple[str, ...]) -> Pipeline:
    """Return the pipeline with these tasks alone; what they need from others is taken as given.

    Raises:
        Refused: there is no such task.
    """
    _known(pipeline, names)
    tasks = tuple(
        replace(task, needs=tuple(need for need in task.needs if need.task in names))
        for task in pipeline.tasks
        if task.name in names
    )
    return replace(pipeline, tasks=tasks)


def owed(pipeline: Pipeline, nodes: Mapping[str, tuple[str, ...]]) -> Pipeline:
    """Return the pipeline with those tasks alone that owe something, each building these nodes and no other.

    They need nothing: their inputs have landed. A task that was changed since builds what it is now.
    """
    left = only(pipeline, tuple(task.name for task in pipeline.tasks if task.name in nodes))
    tasks = tuple(replace(task, needs=(), needs_given=True, partial=None, only=nodes[task.name]) for task in left.tasks)
    return replace(left, tasks=tasks)


def is_part(run: Run) -> bool:
    """Say whether a run was made of a part of its pipeline: its success says nothing of the whole."""
    return bool(run.origin.get("only"))


def with_options(pipeline: Pipeline, changes: Mapping[str, Mapping[str, Any]]) -> Pipeline:
    """Return the pipeline with some tasks' options replaced, once.

    Raises:
        Refused: there is no such task.
    """
    _known(pipeline, tuple(changes))
    tasks = tuple(
        replace(task, options={**task.options, **changes[task.name]}) if task.name in changes else task
        for task in pipeline.tasks
    )
    return replace(pipeline, tasks=tasks)


def _known(pipeline: Pipeline, names: tuple[str, ...]) -> None:
    tasks = [task.name for task in pipeline.tasks]
    for name in names:
        if name not in tasks:
            raise Refused(str(Problem(pipeline.name, f"no task {name!r}; there are: {', '.join(tasks)}")))
