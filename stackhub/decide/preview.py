"""What would become of a paused pipeline's ticks if it were resumed now. Pure; the scheduler decides the same way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stackhub.decide.overlap import Meeting, clash
from stackhub.decide.schedule import Due, Verdict, fall_due
from stackhub.model.backfill import backfill_of
from stackhub.model.pipeline import Pipeline, Schedule
from stackhub.model.run import Run, RunState, Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A schedule as it stands."""

    schedule: Schedule
    anchor: datetime
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """A tick, and what becomes of it."""

    due: Due
    meeting: Meeting
    reason: str


def resumed(
    pipeline: Pipeline, schedules: Sequence[InForce], going: Sequence[Run], now: datetime, paused_since: datetime
) -> tuple[Fate, ...]:
    """Say what becomes of every tick up to ``now`` if the pause ends now; ``going`` are its open runs."""
    runs = [run for run in going if run.mode is pipeline.mode and not backfill_of(run)]
    fates = list[Fate]()
    for one in schedules:
        if one.next_at is None:
            continue
        dues, _ = fall_due(
            one.schedule,
            one.next_at,
            one.anchor,
            now,
            catchup=pipeline.catchup,
            paused_since=paused_since,
            resumed_at=now,
            calendars=pipeline.calendars,
        )
        for due in dues:
            meeting, reason = Meeting.SKIP, due.reason
            if due.verdict is Verdict.RUN:
                met = clash(pipeline.overlap, runs, catchup=pipeline.catchup, missed=due.missed)
                meeting, reason = met.meeting, met.reason or due.reason
                if one.schedule.require:
                    meeting, reason = Meeting.QUEUE, "waits until what it requires is in"
            if meeting is not Meeting.SKIP:
                runs.append(_run(pipeline, due, now, len(runs)))
            fates.append(Fate(due=due, meeting=meeting, reason=reason))
    return tuple(fates)


def _run(pipeline: Pipeline, due: Due, now: datetime, number: int) -> Run:
    return Run(
        id=f"~{number:06}",  # behind every real one
        pipeline=pipeline.name,
        trigger=Trigger.SCHEDULE,
        mode=pipeline.mode,
        interval=due.tick.interval,
        state=RunState.QUEUED,
        created_at=now,
        tick=due.tick.at,
    )
