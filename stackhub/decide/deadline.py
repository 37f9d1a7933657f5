"""By when a run must be done, and whether it was. Pure.

**An SLA belongs to the tick**, not to the run: its deadlines are made with the tick, and a run that never starts misses
them all the same. Which ticks have one:

    runs, or is queued              has one, judged by the newest run of the tick, retries included
    skipped: a run is still going   has one: the data was promised for this tick too; the run it gave way to answers
    skipped by catchup or a pause   has none: a later tick stands in for it, or a person chose to go without

How a deadline is judged:

    ahead    not yet due, and nothing has succeeded: a failed run may still be tried again in time
    met      the run succeeded by then
    late     the run had not ended by then, or there was none
    folded   the run had ended badly by then: its incident is open already and takes the lateness in. For one that a
             person or ``overlap: cancel`` ended there may be none; then there is nothing to tell

A partial run has not succeeded. A deadline is judged once, when it falls due: a run that succeeds afterwards ends the
incident, not the lateness.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum

from stackhub.decide.cron import instant, zone
from stackhub.decide.schedule import Due, Verdict
from stackhub.model.pipeline import Sla
from stackhub.model.run import Run, RunState
from stackhub.model.words import say


class Kind(StrEnum):
    """Which of an SLA's promises a deadline comes of."""

    FINISH_BY = "finish_by"
    MAX_DURATION = "max_duration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """An instant by which a run must have succeeded."""

    kind: Kind
    at: datetime  # UTC
    text: str  # "finish by 07:30 Europe/Berlin", "finish within 1h15m"


class Lateness(StrEnum):
    """How a deadline stands; see the module."""

    AHEAD = "ahead"
    MET = "met"
    LATE = "late"
    FOLDED = "folded"


def deadlines(
    sla: Sla, *, tick: datetime | None, started_at: datetime | None, created_at: datetime
) -> tuple[Deadline, ...]:
    """Return the deadlines of a tick, or of a run without one, the earliest first.

    ``finish_by`` is the next such local time strictly after the tick, else after the run's creation; a local time that
    does not exist is the end of the gap, one that exists twice is the first of them. ``max_duration`` counts from the
    tick; without one from the run's start, and until it has started from its creation.

    Raises:
        ConfigError: the SLA's zone does not exist.
    """
    found = []
    if sla.finish_by is not None:
        text = f"finish by {_clock(sla.finish_by)} {sla.timezone}"
        at = next_time(sla.finish_by, sla.timezone, tick or created_at)
        found.append(Deadline(kind=Kind.FINISH_BY, at=at, text=text))
    if sla.max_duration is not None:
        at = (tick or started_at or created_at).astimezone(UTC) + sla.max_duration
        found.append(Deadline(kind=Kind.MAX_DURATION, at=at, text=f"finish within {say(sla.max_duration)}"))
    return tuple(sorted(found, key=lambda deadline: deadline.at))


def has_deadline(due: Due) -> bool:
    """Say whether a tick has deadlines: one that was to run has, whatever it then did about a run still going."""
    return due.verdict is Verdict.RUN


def passed(deadline: Deadline, now: datetime, run: Run | None) -> Lateness:
    """Judge a deadline by the newest run that answers for it; None when there is none."""
    ended = run.ended_at if run is not None else None
    in_time = ended is not None and ended <= deadline.at
    if run is not None and run.state is RunState.SUCCEEDED and in_time:
        return Lateness.MET
    if now < deadline.at:
        return Lateness.AHEAD
    return Lateness.FOLDED if in_time else Lateness.LATE


def next_time(clock: time, timezone: str, after: datetime) -> datetime:
    """Return the next such local time strictly after an instant: that after a gap, the first of two."""
    where = zone(timezone)
    today = after.astimezone(where).date()
    days = (today, today + timedelta(days=1))
    return next(at for day in days if (at := instant(datetime.combine(day, clock), where)) > after)


def _clock(clock: time) -> str:
    return clock.isoformat(timespec="seconds" if clock.second else "minutes")
