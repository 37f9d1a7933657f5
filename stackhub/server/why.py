"""Why a run, or a step of it, is as it is: sentences, each from something the store keeps. Pure.

The first sentence is the nearest cause: what it waits for, or what ended it; those that follow lead up to it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from stackhub.decide.facets import listed, span, stamp
from stackhub.model.run import OpenRun, Run, RunState
from stackhub.model.step import DONE, TERMINAL, Step, StepState, Stop
from stackhub.server.views import View, event_view
from stackhub.store.queries import Line
from stackhub.store.shown import LaneSeen


def why_view(
    open_run: OpenRun,
    task: str | None = None,
    *,
    events: Sequence[Line] = (),
    lanes: Mapping[str, LaneSeen] | None = None,
    others: Sequence[Run] = (),
    now: datetime,
) -> View:
    """Say why. ``others`` are the open runs of the same pipeline, ``lanes`` the accounts' health by instance.

    Raises:
        KeyError: the run has no such task.
    """
    run = open_run.run
    if task is None:
        because = _run(open_run, others, lanes or {}, now)
        lines = [line for line in events if not line.task]
        state = run.state.value
    else:
        step = open_run.steps[task]
        because = _step(step, open_run, others, lanes or {}, now)
        lines = [line for line in events if line.task == task]
        state = step.state.value
    return {
        "run": run.id,
        "pipeline": run.pipeline,
        "task": task,
        "state": state,
        "because": because,
        "events": [event_view(line) for line in lines],
    }


# --- a run -----------------------------------------------------------------------------------------------------------


def _run(open_run: OpenRun, others: Sequence[Run], lanes: Mapping[str, LaneSeen], now: datetime) -> list[str]:
    run = open_run.run
    match run.state:
        case RunState.QUEUED:
            said = [_queued(run, others)]
        case RunState.RUNNING:
            said = _under_way(open_run, lanes, now)
        case RunState.CANCELLED:
            said = [f"it was cancelled: {run.cancel_reason}" if run.cancel_reason else "a job of it was cancelled"]
        case RunState.FAILED | RunState.PARTIAL:
            said = _broken(open_run)
        case RunState.SUCCEEDED:
            said = [f"all of its {len(open_run.steps)} steps are done"]
    if run.cancel_at is not None and run.state is RunState.RUNNING:
        said.insert(0, f"it is being cancelled: {run.cancel_reason}")
    return [*said, *_origin(open_run)]


def _queued(run: Run, others: Sequence[Run]) -> str:
    before = [other.id for other in others if other.id != run.id and other.state is RunState.RUNNING]
    before += [other.id for other in others if other.id < run.id and other.state is RunState.QUEUED]
    return f"it waits for its turn, after {listed(before)}" if before else "it is about to begin"


def _under_way(open_run: OpenRun, lanes: Mapping[str, LaneSeen], now: datetime) -> list[str]:
    moving = [
        step for step in open_run.steps.values() if step.state not in TERMINAL and step.state is not StepState.WAITING
    ]
    said = [f"{step.task}: {_now(step, open_run, lanes, now)}" for step in moving]
    waiting = [step.task for step in open_run.steps.values() if step.state is StepState.WAITING]
    return [*said, *([f"then: {listed(waiting)}"] if waiting else [])]


def _broken(open_run: OpenRun) -> list[str]:
    said = [
        f"{step.task} {step.state.value}: {step.error or step.note or 'it did not say why'}"
        for step in open_run.steps.values()
        if step.state in {StepState.FAILED, StepState.PARTIAL}
    ]
    blocked = [step.task for step in open_run.steps.values() if step.state is StepState.UPSTREAM_FAILED]
    return [*said, *([f"not run because of that: {listed(blocked)}"] if blocked else [])]


def _origin(open_run: OpenRun) -> list[str]:
    run = open_run.run
    said = [f"it was made because: {run.reason}" if run.reason else f"it was made by {run.trigger.value}"]
    if run.retry_of:
        carried = [step.task for step in open_run.steps.values() if step.carried]
        over = f", with what was done there: {listed(carried)}" if carried else ", from the start"
        said.append(f"it goes on from run {run.retry_of}{over}")
    return said


# --- a step ----------------------------------------------------------------------------------------------------------


def _step(
    step: Step, open_run: OpenRun, others: Sequence[Run], lanes: Mapping[str, LaneSeen], now: datetime
) -> list[str]:
    said: list[str] = []
    match step.state:
        case StepState.WAITING:
            said = [_waits(step, open_run, others)]
        case StepState.READY | StepState.STARTING | StepState.RUNNING | StepState.DEFERRED | StepState.RETRYING:
            said = [_now(step, open_run, lanes, now)]
        case StepState.SUCCEEDED | StepState.PARTIAL:
            said = [_done(step)]
        case StepState.FAILED:
            said = _failed(step, open_run)
        case StepState.UPSTREAM_FAILED | StepState.SKIPPED | StepState.CANCELLED:
            said = [step.note or f"it is {step.state.value}"]
    if step.warning:
        said.append(f"a warning: {step.warning}")
    if step.began_at is not None:
        said.append(_began(step, open_run))
    return said


def _waits(step: Step, open_run: OpenRun, others: Sequence[Run]) -> str:
    if open_run.run.state is RunState.QUEUED:
        return f"its run is queued: {_queued(open_run.run, others)}"
    needs = [open_run.steps[need.task] for need in open_run.pipeline.task(step.task).needs]
    left = [f"{need.task} ({need.state.value})" for need in needs if need.state not in DONE]
    return f"it waits for {listed(left)}" if left else "what it needs is done; it is about to be ready"


def _now(step: Step, open_run: OpenRun, lanes: Mapping[str, LaneSeen], now: datetime) -> str:
    """Say what an open step that is not waiting is doing, and what holds it."""
    task = open_run.pipeline.task(step.task)
    held = _held(step.instance, lanes, now)
    match step.state:
        case StepState.READY if held:
            return f"it is ready, but {held}"
        case StepState.READY if step.due is not None and step.due > now:
            return f"it is started again at {stamp(step.due)}{_noted(step)}"
        case StepState.READY:
            most = _most(open_run)
            return f"it is ready and waits for a free place at {step.instance}{most}"
        case StepState.STARTING:
            return f"it is being started{_noted(step)}{f'; {held}' if held else ''}"
        case StepState.DEFERRED:
            until = f" until {stamp(step.due)}" if step.due else ""
            return f"{step.instance} has put it off{until}{_noted(step)}"
        case StepState.RETRYING:
            at = f" at {stamp(step.due)}" if step.due else ""
            tries = f"try {step.attempt} of {task.retries.attempts}"
            return f"it failed and is tried again{at} ({tries}): {step.error or step.note}"
        case _:
            return _running(step, held, now)


def _running(step: Step, held: str, now: datetime) -> str:
    since = f" for {span(now - step.attempt_at)}" if step.attempt_at else ""
    parts = [f"its job is running at {step.instance}{since}"]
    if step.done is not None:
        parts.append(f"{step.done} of {step.total} done" if step.total is not None else f"{step.done} done")
    if step.joined:
        parts.append("somebody else started the job, so this step joined it")
    if step.stop is not Stop.NO:
        parts.append(f"it is being stopped ({step.stop.value}), asked {step.stop_tries} times")
    if step.lost_sight:
        parts.append("nobody knows how it stands: its tool gives no answer that makes sense")
    if held:
        parts.append(held)
    return "; ".join([*parts, *([step.note] if step.note else [])])


def _held(instance: str, lanes: Mapping[str, LaneSeen], now: datetime) -> str:
    lane = lanes.get(instance)
    if lane is None:
        return ""
    if lane.circuit.open_until is not None:
        how = "cannot be used as it is configured" if lane.circuit.refused else "does not answer"
        return f"{instance} {how} ({lane.circuit.error}); the next try is at {stamp(lane.circuit.open_until)}"
    if lane.not_before is not None and lane.not_before > now:
        return f"{instance} asked for patience until {stamp(lane.not_before)}"
    return ""


def _most(open_run: OpenRun) -> str:
    most = open_run.pipeline.max_active
    return f" (at most {most} steps of {open_run.pipeline.name} are at work at once)" if most is not None else ""


def _done(step: Step) -> str:
    if step.carried:
        return f"it was done in run {step.carried}, and its result was carried over"
    landed = f", with the load that landed {stamp(step.landing.ended_at)}" if step.landing else ""
    how = "its job was done but for what it owes" if step.state is StepState.PARTIAL else "its job ended well"
    return f"{how}{landed}{_noted(step)}"


def _failed(step: Step, open_run: OpenRun) -> list[str]:
    task = open_run.pipeline.task(step.task)
    said = [step.error or step.note or "it failed"]
    if step.may_have_run:
        return [*said, "a start had no answer and nobody can tell whether it ran, so it is not repeated"]
    most = task.retries.attempts
    if step.attempt >= most:
        return [*said, f"that was the last of {most} tries" if most > 1 else "it is tried once only"]
    return [*said, f"trying again would not help; it was try {step.attempt} of {most}"]


def _began(step: Step, open_run: OpenRun) -> str:
    began = stamp(step.began_at) if step.began_at else ""
    needs = [need.task for need in open_run.pipeline.task(step.task).needs]
    return (
        f"it began {began}, when {listed(needs)} {'was' if len(needs) == 1 else 'were'} done"
        if needs
        else (f"it began {began}; it needs nothing else")
    )


def _noted(step: Step) -> str:
    return f": {step.note}" if step.note else ""
