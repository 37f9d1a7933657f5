"""Why a step is as it is. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from stackhub.decide import shadow
from stackhub.decide.facets import listed, span, stamp
from stackhub.decide.owed import Debt
from stackhub.model.pipeline import Need, Task
from stackhub.model.run import OpenRun, Run, RunState
from stackhub.model.step import DONE, Step, StepState, Stop
from stackhub.store.shown import LaneSeen

LISTED: Final = 3  # reasons


def of_step(
    step: Step,
    open_run: OpenRun,
    others: Sequence[Run],
    lanes: Mapping[str, LaneSeen],
    now: datetime,
    debts: Sequence[Debt] = (),
) -> list[str]:
    """Say why; ``debts`` are what its pipeline owes."""
    said: list[str] = []
    match step.state:
        case StepState.WAITING:
            task = open_run.pipeline.task(step.task)
            said = [_waits(step, open_run, others), *reasons(task, [n for n in task.needs if _open(n, open_run)])]
        case StepState.READY | StepState.STARTING | StepState.RUNNING | StepState.DEFERRED | StepState.RETRYING:
            said = [now_of(step, open_run, lanes, now)]
        case StepState.SUCCEEDED | StepState.PARTIAL:
            said = [_done(step, open_run)]
        case StepState.FAILED:
            said = _failed(step, open_run)
        case StepState.UPSTREAM_FAILED | StepState.SKIPPED | StepState.CANCELLED:
            said = [step.note or f"it is {step.state.value}"]
    if step.warning:
        said.append(f"a warning: {step.warning}")
    said += owing([debt for debt in debts if debt.task == step.task])
    if step.began_at is not None:
        said += [_began(step, open_run), *reasons(open_run.pipeline.task(step.task))]
    return said


def reasons(task: Task, needs: Sequence[Need] | None = None) -> list[str]:
    """Say why a task needs what it needs, where nobody has written it down: the edges that were found out."""
    found = [need for need in (task.needs if needs is None else needs) if need.why]
    said = [
        f"it needs {need.task}, since {need.why}{f' ({need.confidence})' if need.confidence else ''}"
        for need in found[:LISTED]
    ]
    more = [f"so it does {len(found) - LISTED} more"] if len(found) > LISTED else []
    return [*said, *more, *([f"it waits for every extract of its pipeline, since {task.wide}"] if task.wide else [])]


def owing(debts: Sequence[Debt]) -> list[str]:
    """Say what is owed of a task, or of a node: one sentence for each extract that it waits for, or waited for."""
    by_extract: dict[tuple[str, str], list[Debt]] = {}
    for debt in debts:
        by_extract.setdefault((debt.task, debt.extract), []).append(debt)
    said = []
    for (_, extract), found in sorted(by_extract.items()):
        first, many = min(found, key=lambda debt: debt.since), len({debt.node for debt in found})
        what = first.node if many == 1 else f"{many} nodes"
        owed = f"{what} {'is' if many == 1 else 'are'} owed since {stamp(first.since)}, when run {first.run} went on"
        landed = max((debt.landed_at for debt in found if debt.landed_at is not None), default=None)
        if landed is None:
            then = f"built as soon as {extract} lands"
        elif any(debt.tried for debt in found):
            then = (
                f"it landed {stamp(landed)}, and run {next(debt.tried for debt in found if debt.tried)} was made for it"
            )
        else:
            then = f"it landed {stamp(landed)}: built with the next run"
        said.append(f"{owed} without {extract}; {then}")
    return said


def _open(need: Need, open_run: OpenRun) -> bool:
    return open_run.steps[need.task].state not in DONE


def _waits(step: Step, open_run: OpenRun, others: Sequence[Run]) -> str:
    if open_run.run.state is RunState.QUEUED:
        return f"its run is queued: {queued(open_run.run, others)}"
    needs = [open_run.steps[need.task] for need in open_run.pipeline.task(step.task).needs]
    left = [f"{need.task} ({need.state.value})" for need in needs if need.state not in DONE]
    return f"it waits for {listed(left)}" if left else "what it needs is done; it is about to be ready"


def now_of(step: Step, open_run: OpenRun, lanes: Mapping[str, LaneSeen], now: datetime) -> str:
    """Say what an open step that is not waiting is doing, and what holds it."""
    task = open_run.pipeline.task(step.task)
    held = held_by(step.instance, lanes, now)
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


def held_by(instance: str, lanes: Mapping[str, LaneSeen], now: datetime) -> str:
    """Say what is wrong with an account; "" where nothing is."""
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


def _done(step: Step, open_run: OpenRun) -> str:
    if step.carried:
        return f"it was done in run {step.carried}, and its result was carried over"
    if shadow.idle(open_run.pipeline, open_run.pipeline.task(step.task)):
        return f"nothing was started: its turn had come{_noted(step)}"
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


def queued(run: Run, others: Sequence[Run]) -> str:
    """Say what a run that has not begun waits for."""
    before = [other.id for other in others if other.id != run.id and other.state is RunState.RUNNING]
    before += [other.id for other in others if other.id < run.id and other.state is RunState.QUEUED]
    return f"it waits for its turn, after {listed(before)}" if before else "it is about to begin"
