"""Why a run is as it is. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from stackhub.decide.facets import listed
from stackhub.model.pipeline import Mode
from stackhub.model.run import OpenRun, Run, RunState
from stackhub.model.step import TERMINAL, StepState
from stackhub.server.why_step import now_of, queued
from stackhub.store.shown import LaneSeen


def of_run(open_run: OpenRun, others: Sequence[Run], lanes: Mapping[str, LaneSeen], now: datetime) -> list[str]:
    """Say why; ``others`` are the open runs of its pipeline."""
    run = open_run.run
    match run.state:
        case RunState.QUEUED:
            said = [queued(run, others)]
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
    return [*said, *origin(open_run)]


def _under_way(open_run: OpenRun, lanes: Mapping[str, LaneSeen], now: datetime) -> list[str]:
    moving = [
        step for step in open_run.steps.values() if step.state not in TERMINAL and step.state is not StepState.WAITING
    ]
    said = [f"{step.task}: {now_of(step, open_run, lanes, now)}" for step in moving]
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


def origin(open_run: OpenRun) -> list[str]:
    """Say why a run was made."""
    run = open_run.run
    said = [f"it was made because: {run.reason}" if run.reason else f"it was made by {run.trigger.value}"]
    if run.mode is Mode.SHADOW:
        said.append("it is in shadow: it goes by what lands, starts nothing and tells nobody")
    if run.retry_of:
        carried = [step.task for step in open_run.steps.values() if step.carried]
        over = f", with what was done there: {listed(carried)}" if carried else ", from the start"
        said.append(f"it goes on from run {run.retry_of}{over}")
    return said
