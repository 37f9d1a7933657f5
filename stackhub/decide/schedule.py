"""What falls due: the ticks of a schedule, which of them run, and what a tick does when a run is still going. Pure.

A schedule in force is a row with two instants: ``anchor``, when it was put in force, and ``next_at``, its first tick
that has not been decided. `fall_due` decides every tick from there to now, once: ``next_at`` only grows, so a clock
set back repeats nothing, and one set forward leaves missed ticks, as downtime does.

    on time     at most `PROMPT` old, and not of a pause       runs
    missed      older: the hub was down                        is the catchup's business
    of a pause  in [paused, resumed), however recent           is the catchup's business

    catchup none    missed ticks are skipped, ticks on time run
    catchup last    if any tick was missed, the newest of all runs and stands in for the others; else all run
    catchup all     every tick runs, oldest first

**While a pipeline is paused its ticks wait**: `fall_due` leaves ``next_at`` where it is. On resume it is called with
both ends of the pause, in the transaction that ends it. A paused pipeline that is retired is resumed with catchup none,
so that its ticks are recorded too.

A tick's interval is [the tick before it, itself), whether or not that one ran: intervals chain without gap or overlap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain, islice, takewhile
from typing import Final, Protocol

from stackhub.decide.cron import problem, read, zone
from stackhub.errors import ConfigError
from stackhub.model.pipeline import Catchup, Overlap, Schedule
from stackhub.model.run import RUN_OPEN, Interval, Run, Trigger

__all__ = [
    "PROMPT",
    "Clash",
    "Due",
    "Meeting",
    "Tick",
    "Verdict",
    "clash",
    "fall_due",
    "first",
    "following",
    "problem",
    "upcoming",
]

PROMPT: Final = timedelta(minutes=1)  # a tick decided later than this was missed
SHORTEST: Final = timedelta(seconds=1)  # of `every`
LONGEST: Final = timedelta(days=366)
STOOD_IN: Final = "a later tick stands in for it"

_INSTANT: Final = timedelta.resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One scheduled instant; (pipeline, schedule, ``at``) is unique."""

    at: datetime  # UTC
    label: str  # local: "2026-10-25T02:30+02:00[Europe/Berlin]"
    interval: Interval


class Verdict(StrEnum):
    """What becomes of a tick."""

    RUN = "run"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A tick that has been decided, and why so."""

    tick: Tick
    verdict: Verdict
    reason: str
    missed: bool = False  # older than `PROMPT`, or of a pause
    folded: int = 0  # skipped ticks before this one that it is the record of; its interval is theirs as well


class Meeting(StrEnum):
    """What a tick does when it may meet a run of its pipeline that is still going."""

    RUN = "run"
    QUEUE = "queue"
    SKIP = "skip"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """How a tick gets on with the runs that are still going."""

    meeting: Meeting
    reason: str = ""
    cancel: tuple[str, ...] = ()  # runs to ask to end; the tick's own run is queued behind them


class _Clockwork(Protocol):
    def after(self, at: datetime) -> Iterator[datetime]: ...
    def before(self, at: datetime) -> Iterator[datetime]: ...
    def count(self, start: datetime, end: datetime) -> int: ...


@dataclass(frozen=True, slots=True)
class _Grid:
    """Ticks at a fixed distance, from an anchor that is none itself."""

    anchor: datetime
    every: timedelta

    def after(self, at: datetime) -> Iterator[datetime]:
        """Yield every tick strictly after ``at``, rising."""
        tick = self.anchor + max((at - self.anchor) // self.every + 1, 1) * self.every
        while True:
            yield tick
            tick += self.every

    def before(self, at: datetime) -> Iterator[datetime]:
        """Yield strictly before ``at``, falling; also what would stand before the anchor, for the first interval."""
        tick = self.anchor - ((self.anchor - at) // self.every + 1) * self.every
        while True:
            yield tick
            tick -= self.every

    def count(self, start: datetime, end: datetime) -> int:
        """Count the ticks in (``start``, ``end``]."""
        return (end - self.anchor) // self.every - (start - self.anchor) // self.every


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """The moment from which ticks are judged."""

    now: datetime
    catchup: Catchup
    paused_since: datetime | None
    resumed_at: datetime | None

    def on_time(self, at: datetime) -> bool:
        """Say whether a tick that is due is nobody's business but its own."""
        return self.now - at <= PROMPT and not self.paused(at)

    def paused(self, at: datetime) -> bool:
        """Say whether a tick fell into the pause that is over."""
        return (
            self.paused_since is not None and self.resumed_at is not None and self.paused_since <= at < self.resumed_at
        )

    def cause(self, oldest: datetime, newest: datetime) -> str:
        """Say why these ticks did not run when they were due."""
        if self.paused(oldest) and self.paused(newest):
            return "paused"
        if (
            self.paused_since is None
            or newest < self.paused_since
            or self.resumed_at is None
            or self.resumed_at <= oldest
        ):
            return "missed while the hub was down"
        return "paused, or missed while the hub was down"

    def skipped_before(self, clock: _Clockwork, next_at: datetime) -> datetime:
        """Return the instant before which every tick from ``next_at`` on is skipped."""
        match self.catchup:
            case Catchup.ALL:
                return next_at
            case Catchup.NONE:
                return self.now - PROMPT
            case Catchup.LAST:
                ticks = _until(self.now, chain([next_at], clock.after(next_at)))
                if all(self.on_time(tick) for tick in ticks):
                    return next_at
                return next(clock.before(self.now + _INSTANT), next_at)


def first(schedule: Schedule, anchor: datetime) -> datetime | None:
    """Return the first tick strictly after the schedule was put in force; None when the cron never comes round.

    Raises:
        ConfigError: the schedule cannot be read; so from every function here that takes one.
    """
    return following(schedule, anchor, anchor)


def following(schedule: Schedule, at: datetime, anchor: datetime) -> datetime | None:
    """Return the next tick strictly after ``at``; None when the cron does not come round within fifty years."""
    return next(_clockwork(schedule, anchor).after(at), None)


def upcoming(schedule: Schedule, after: datetime, anchor: datetime, n: int) -> tuple[Tick, ...]:
    """Return the next ``n`` ticks strictly after ``after``."""
    clock = _clockwork(schedule, anchor)
    ats = list(islice(clock.after(max(after, anchor)), n))
    starts = [*(next(clock.before(at), at) for at in ats[:1]), *ats[:-1]]
    return tuple(_tick(schedule, start, at) for start, at in zip(starts, ats, strict=True))


def fall_due(
    schedule: Schedule,
    next_at: datetime,
    anchor: datetime,
    now: datetime,
    *,
    catchup: Catchup,
    paused_since: datetime | None,
    resumed_at: datetime | None = None,
    most: int = 1000,
) -> tuple[tuple[Due, ...], datetime | None]:
    """Decide every tick in [``next_at``, ``now``], oldest first; return them and the new ``next_at``.

    ``paused_since`` alone says that the pipeline is paused now: nothing is decided. With ``resumed_at`` the pause is
    over. At most ``most`` ticks (1 or more) are returned. Of more skipped ones the oldest are folded into one, whose
    reason says how many they were; runs are never folded: where they are too many, the new ``next_at`` is still due,
    and the caller asks again with the same ``now``. A new ``next_at`` of None means that there is no further tick.
    """
    if now < next_at or (paused_since is not None and resumed_at is None):
        return (), next_at
    clock = _clockwork(schedule, anchor)
    look = _Look(now=now, catchup=catchup, paused_since=paused_since, resumed_at=resumed_at)
    edge = look.skipped_before(clock, next_at)
    lead = next_at < edge
    onward = clock.after(edge - _INSTANT) if lead else chain([next_at], clock.after(next_at))
    rest = list(islice(_until(now, onward), most - lead))
    room = most - len(rest)
    skipped = list(islice(_back(clock, edge, next_at), room + 1)) if lead else []
    folded = 0
    if len(skipped) > room:
        skipped.pop()
        folded = clock.count(next_at, skipped[-1])
    skipped.reverse()
    starts = chain([next(clock.before(next_at), next_at)], skipped, rest)
    dues = []
    for place, (start, at) in enumerate(zip(starts, skipped + rest, strict=False)):
        tick = _tick(schedule, start, at)
        if place < len(skipped):
            dues.append(_skipped(look, tick, next_at if folded and not place else at, 0 if place else folded))
        else:
            dues.append(_judged(look, tick, len(skipped) + folded))
    return tuple(dues), next(clock.after(dues[-1].tick.at), None)


def clash(
    overlap: Overlap, open_runs: Sequence[Run], *, catchup: Catchup = Catchup.LAST, missed: bool = False
) -> Clash:
    """Say what a tick does, given the runs of its pipeline that are still going. Leave out backfills.

    ``missed`` is the tick's own `Due.missed`. Under catchup all, missed ticks queue whatever ``overlap`` says, and so
    does a tick that meets nothing but them: a backlog that was asked for tick by tick is no run that takes too long.
    """
    going = sorted((run for run in open_runs if run.state in RUN_OPEN), key=lambda run: (run.created_at, run.id))
    if not going:
        return Clash(meeting=Meeting.RUN)
    last = going[-1].id
    if catchup is Catchup.ALL and (missed or all(_caught_up(run) for run in going)):
        return Clash(meeting=Meeting.QUEUE, reason=f"run {last} is to end first: catchup is all")
    match overlap:
        case Overlap.SKIP:
            return Clash(meeting=Meeting.SKIP, reason=f"run {last} is still going: overlap is skip")
        case Overlap.QUEUE:
            return Clash(meeting=Meeting.QUEUE, reason=f"run {last} is to end first: overlap is queue")
        case Overlap.CANCEL:
            return Clash(
                meeting=Meeting.CANCEL,
                reason=f"takes the place of run {last}: overlap is cancel",
                cancel=tuple(run.id for run in going if run.cancel_at is None),
            )


def _clockwork(schedule: Schedule, anchor: datetime) -> _Clockwork:
    if bool(schedule.cron) == (schedule.every is not None):
        raise ConfigError("schedule: give either cron or every")
    if schedule.every is None:
        return read(schedule.cron, schedule.timezone)
    if not SHORTEST <= schedule.every <= LONGEST:
        raise ConfigError("schedule: every takes a duration between 1s and 366d")
    return _Grid(anchor.astimezone(UTC), schedule.every)


def _tick(schedule: Schedule, start: datetime, at: datetime) -> Tick:
    interval = Interval(start=start.astimezone(UTC), end=at.astimezone(UTC))
    return Tick(at=interval.end, label=_label(schedule, at), interval=interval)


def _label(schedule: Schedule, at: datetime) -> str:
    local = at.astimezone(zone(schedule.timezone))
    whole = not (local.second or local.microsecond)
    return f"{local.isoformat(timespec='minutes' if whole else 'seconds')}[{schedule.timezone}]"


def _until(now: datetime, ticks: Iterator[datetime]) -> Iterator[datetime]:
    return takewhile(lambda tick: tick <= now, ticks)


def _back(clock: _Clockwork, edge: datetime, next_at: datetime) -> Iterator[datetime]:
    # `next_at` stands on its own: the zone's rules may have changed since it was told to people
    yield from takewhile(lambda tick: tick > next_at, clock.before(edge))
    yield next_at


def _skipped(look: _Look, tick: Tick, oldest: datetime, folded: int) -> Due:
    none = f"{look.cause(oldest, tick.at)}: catchup is none"
    reason = STOOD_IN if look.catchup is Catchup.LAST else none
    if folded:
        reason += f"; {folded} older ticks since {oldest.astimezone(UTC).isoformat()} are folded into this one"
    return Due(tick=tick, verdict=Verdict.SKIP, reason=reason, missed=not look.on_time(tick.at), folded=folded)


def _judged(look: _Look, tick: Tick, stood_in: int) -> Due:
    if look.on_time(tick.at):
        verdict, reason = Verdict.RUN, "on time"
    else:
        verdict = Verdict.SKIP if look.catchup is Catchup.NONE else Verdict.RUN
        reason = f"{look.cause(tick.at, tick.at)}: catchup is {look.catchup}"
    if look.catchup is Catchup.LAST and stood_in:
        reason += f"; stands in for {stood_in} before it"
    return Due(tick=tick, verdict=verdict, reason=reason, missed=not look.on_time(tick.at))


def _caught_up(run: Run) -> bool:
    return run.trigger is Trigger.SCHEDULE and run.tick is not None and run.created_at - run.tick > PROMPT
