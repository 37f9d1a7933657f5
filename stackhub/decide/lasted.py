"""What a decision teaches about how long work takes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stackhub.contract import Finished
from stackhub.decide import create
from stackhub.decide.history import job_key, task_key
from stackhub.decide.run import Decision
from stackhub.decide.step import Heard, Verb
from stackhub.model.backfill import backfill_of
from stackhub.model.pipeline import Mode
from stackhub.model.run import OpenRun
from stackhub.model.step import DONE, Step, StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasted:
    """One duration, in seconds."""

    instance: str
    key: str
    seconds: float


def lasted(before: OpenRun, decision: Decision, told: Sequence[Any], now: datetime) -> list[Lasted]:
    """Return how long what has just ended took: jobs, however they ended, and tasks that are done."""
    if before.run.mode is Mode.SHADOW:  # it waits for the jobs of others, from when it pleases
        return []
    found = []
    for item in told:
        if isinstance(item, Heard) and item.verb is Verb.POLL and isinstance(item.answer, Finished):
            step = before.steps[item.task]
            seconds = _job(step, item, now)
            if seconds is not None:
                key = job_key(before.pipeline.task(step.task))
                found.append(Lasted(instance=step.instance, key=key, seconds=seconds))
    if create.is_part(before.run) or backfill_of(before.run):  # an interval of the past says nothing of the next run
        return found
    for step in decision.newly(*DONE - {StepState.SKIPPED}):
        if step.began_at is not None and before.steps[step.task].state is not step.state:
            seconds = ((step.ended_at or now) - step.began_at).total_seconds()
            key = task_key(before.run.pipeline, step.task)
            found.append(Lasted(instance=step.instance, key=key, seconds=max(seconds, 0.0)))
    return found


def _job(step: Step, item: Heard, now: datetime) -> float | None:
    """Return how long a job took; None where its start is not known, or its end is our doing."""
    if step.state is not StepState.RUNNING or item.key != step.key or step.attempt_at is None:
        return None
    if step.joined or step.stop or step.serial != step.attempt:  # begun by somebody else, or before this attempt
        return None
    landing = item.answer.landing
    ended = landing.ended_at if landing is not None and step.attempt_at < landing.ended_at < now else now
    return (ended - step.attempt_at - step.deferred_for).total_seconds()
