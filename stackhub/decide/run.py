"""What becomes of a run and its steps, given everything that was heard since the last decision. Pure.

A step is ready once everything it needs is done; it is `upstream_failed` as soon as one of its needs can no longer be.
A run ends if and only if all its steps have.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from msgspec.structs import replace

from stackhub.decide import ends, partial, shadow
from stackhub.decide.ends import Rule
from stackhub.decide.jump import shifted
from stackhub.decide.step import Heard, heard, stop
from stackhub.model.landing import Landing
from stackhub.model.pipeline import Mode, Pipeline, Task
from stackhub.model.run import OpenRun, Run, RunState
from stackhub.model.step import DONE, TERMINAL, Step, StepState, Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """It is this run's turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Somebody wants the run to end."""

    reason: str
    shared: AbstractSet[str] = frozenset()  # tasks whose job another open step holds as well


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Somebody wants the run to go on without a task."""

    task: str
    reason: str
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Somebody who knows says that the jobs we have lost sight of are over."""

    again: bool  # start them again; else they are cancelled
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """An account answers again: what could not be started there need not wait any longer."""

    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Jumped:
    """The wall clock was set; these instances' steps are measured by it."""

    by: timedelta
    instances: AbstractSet[str]


Order: TypeAlias = Begin | Cancel | Skip | Lost | Back | Jumped
"""What people, and the engine, may ask of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of a run's history."""

    task: str  # "" for the run itself
    kind: str  # the state it moved to
    text: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What changes; nothing else does."""

    open: OpenRun  # as it will be
    changed: tuple[Step, ...]
    moments: tuple[Moment, ...]

    @property
    def ended(self) -> bool:
        """Whether this is the run's end."""
        return self.open.run.ended_at is not None

    @property
    def landings(self) -> tuple[tuple[Step, Landing], ...]:
        """Return the loads this decision saw complete, each with its step."""
        return tuple(
            (step, step.landing)
            for step in self.changed
            if step.state is StepState.SUCCEEDED and step.landing is not None
        )

    def newly(self, *states: StepState) -> tuple[Step, ...]:
        """Return the steps that came into one of these states."""
        return tuple(step for step in self.changed if step.state in states)


def decide(before: OpenRun, told: Sequence[Heard | Order], rules: Mapping[str, Rule], now: datetime) -> Decision | None:
    """Say what becomes of a run; None when nothing does."""
    run, steps = before.run, dict(before.steps)
    tasks = {task.name: task for task in before.pipeline.tasks}
    for item in told:
        if isinstance(item, Heard):
            was = steps[item.task]
            steps[item.task] = heard(was, tasks[item.task], rules[item.task], item, now)
            if run.mode is Mode.SHADOW and _newly(was, steps[item.task]):
                steps[item.task] = replace(steps[item.task], note=shadow.landed(steps[item.task], tasks[item.task]))
        else:
            run, steps = _obeyed(item, run, steps, rules, now)
    run, steps = _carried_on(before.pipeline, run, steps, now)
    changed = tuple(
        step for name, step in steps.items() if step is not before.steps[name] and step != before.steps[name]
    )
    if not changed and run == before.run:
        return None
    moments = _moments(before, run, changed)
    after = replace(before, run=replace(run, version=run.version + 1), steps=steps)
    return Decision(open=after, changed=changed, moments=moments)


def _newly(was: Step, step: Step) -> bool:
    return step.state is StepState.SUCCEEDED is not was.state


def moves(before: OpenRun, item: Heard, rules: Mapping[str, Rule], now: datetime) -> bool:
    """Say whether hearing this moves its step, without deciding the whole run: most looks bring nothing new."""
    step = before.steps[item.task]
    return heard(step, before.pipeline.task(item.task), rules[item.task], item, now) != step


def _obeyed(
    order: Order, run: Run, steps: dict[str, Step], rules: Mapping[str, Rule], now: datetime
) -> tuple[Run, dict[str, Step]]:
    match order:
        case Begin() if run.state is RunState.QUEUED:
            run = run.move(RunState.RUNNING, started_at=now)
        case Cancel():
            run, steps = _cancelled(run, steps, rules, order, now)
        case Skip(task=name, reason=reason, shared=shared) if steps[name].state not in TERMINAL:
            skipped = stop(steps[name], rules[name], Stop.SKIP, now, f"skipped: {reason}", shared=shared)
            steps = {**steps, name: skipped}
        case Lost(reason=reason, again=again):
            steps = {name: ends.lost(step, now, reason, again=again) for name, step in steps.items()}
        case Back(instance=instance):
            steps = {name: _tried_now(step, instance, now) for name, step in steps.items()}
        case Jumped(by=by, instances=instances):
            steps = {name: shifted(step, by) if step.instance in instances else step for name, step in steps.items()}
        case _:
            pass
    return run, steps


def _carried_on(pipeline: Pipeline, run: Run, steps: dict[str, Step], now: datetime) -> tuple[Run, dict[str, Step]]:
    if run.state is RunState.QUEUED and steps and all(step.state in TERMINAL for step in steps.values()):
        run = run.move(RunState.RUNNING, started_at=now)  # nothing is left to wait a turn for
    if run.state is not RunState.RUNNING:
        return run, steps
    over = {name: _due(step, now) for name, step in steps.items() if step.state is StepState.RETRYING}
    steps = _unlocked(pipeline, {**steps, **over}, now)
    return _end(pipeline, run, steps, now), steps


def _cancelled(
    run: Run, steps: dict[str, Step], rules: Mapping[str, Rule], order: Cancel, now: datetime
) -> tuple[Run, dict[str, Step]]:
    if run.state is RunState.QUEUED:
        ended = {
            name: step.move(StepState.CANCELLED, ended_at=now, note=order.reason)
            for name, step in steps.items()
            if step.state not in TERMINAL
        }
        run = run.move(RunState.CANCELLED, ended_at=now, cancel_at=now, cancel_reason=order.reason)
        return run, {**steps, **ended}
    if run.state is not RunState.RUNNING:
        return run, steps
    run = replace(run, cancel_at=run.cancel_at or now, cancel_reason=run.cancel_reason or order.reason)
    note = f"cancelled: {order.reason}"
    stopped = {
        name: stop(step, rules[name], Stop.CANCEL, now, note, shared=name in order.shared)
        for name, step in steps.items()
        if step.state not in TERMINAL and step.stop is not Stop.CANCEL
    }
    return run, {**steps, **stopped}


def _tried_now(step: Step, instance: str, now: datetime) -> Step:
    waits = step.state is StepState.READY and step.stalls > 0 and step.due is not None and step.due > now
    return step.move(StepState.READY, due=now) if waits and step.instance == instance else step


def _due(step: Step, now: datetime) -> Step:
    """Let the wait of a failed attempt end. A job that was let go is watched on, not started again."""
    if step.due is not None and step.due > now:
        return step
    if step.handle is not None:
        return step.move(StepState.RUNNING, attempt_at=now, due=None)
    return step.move(StepState.READY, due=now)


def _unlocked(pipeline: Pipeline, steps: dict[str, Step], now: datetime) -> dict[str, Step]:
    after = dict(steps)
    ended = {name for name, step in steps.items() if step.state in TERMINAL}
    for task in pipeline.tasks:  # in topological order, so one pass is enough
        step = after[task.name]
        if step.state is not StepState.WAITING or (task.needs and ended.isdisjoint([n.task for n in task.needs])):
            continue  # nothing that it needs has ended, which is how it is with most, most of the time
        after[task.name] = _unlock(step, task, after, now)
        if after[task.name].state is StepState.READY and shadow.idle(pipeline, task):
            after[task.name] = shadow.ended(after[task.name], task, now)
        if after[task.name].state in TERMINAL:
            ended.add(task.name)
    return after


def _unlock(step: Step, task: Task, steps: Mapping[str, Step], now: datetime) -> Step:
    if partial.may(task) and (part := partial.unlock(step, task, steps, now)) is not None:
        return part
    needs = [(need, steps[need.task].state) for need in task.needs]
    broken = [
        need.task
        for need, state in needs
        if state in {StepState.FAILED, StepState.UPSTREAM_FAILED} or (need.complete and state is StepState.PARTIAL)
    ]
    if broken:
        return step.move(StepState.UPSTREAM_FAILED, ended_at=now, note=f"needs {', '.join(broken)}")
    gone = [need.task for need, state in needs if state is StepState.CANCELLED]
    if gone:
        return step.move(StepState.CANCELLED, ended_at=now, note=f"needs {', '.join(gone)}, which was cancelled")
    if all(state in DONE for _, state in needs):
        return step.move(StepState.READY, due=now)
    return step


def _end(pipeline: Pipeline, run: Run, steps: Mapping[str, Step], now: datetime) -> Run:
    states = {step.state for step in steps.values()}
    if not states <= TERMINAL:
        return run
    borne = partial.borne({task.name: task for task in pipeline.tasks}, steps) if run.cancel_at is None else frozenset()
    if borne:  # what they failed to bring is owed, or was done without: of the rest something may have failed too
        states = {step.state for name, step in steps.items() if name not in borne} | {StepState.PARTIAL}
    if run.cancel_at is not None and StepState.CANCELLED in states:
        end = RunState.CANCELLED
    elif states & {StepState.FAILED, StepState.UPSTREAM_FAILED}:
        end = RunState.FAILED
    elif StepState.CANCELLED in states:
        end = RunState.CANCELLED
    elif StepState.PARTIAL in states:
        end = RunState.PARTIAL
    else:
        end = RunState.SUCCEEDED
    return run.move(end, ended_at=now)


def _moments(before: OpenRun, run: Run, changed: Sequence[Step]) -> tuple[Moment, ...]:
    said = [
        Moment(task=step.task, kind=step.state, text=step.note, attempt=step.attempt)
        for step in changed
        if _worth_a_line(before.steps[step.task], step)
    ]
    if run.state is not before.run.state:
        said.append(Moment(task="", kind=run.state, text=run.cancel_reason))
    return tuple(said)


def _worth_a_line(old: Step, new: Step) -> bool:
    seen = ("state", "attempt", "serial", "lost_sight", "stop", "stop_tries")
    if any(getattr(old, name) != getattr(new, name) for name in seen):
        return True
    return old.note != new.note and new.state is not StepState.RUNNING
