"""What falls due: the ticks of a schedule, and which of them run. Pure.

A schedule in force is a row with two instants: ``anchor``, when it was put in force, and ``next_at``, its first tick
that has not been decided. `fall_due` decides every tick from there to now, once: ``next_at`` only grows, so a clock
set back repeats nothing, and one set forward leaves missed ticks, as downtime does.

    left out    on a day that its calendars leave out      skipped, with the day's name; whatever the catchup says
    on time     at most `PROMPT` old, and not of a pause   runs
    missed      older: the hub was down                    is the catchup's business
    of a pause  in [paused, resumed), however recent       is the catchup's business

    catchup none    missed ticks are skipped, ticks on time run
    catchup last    if any tick was missed, the newest of all runs and stands in for the others; else all run
    catchup all     every tick runs, oldest first

**While a pipeline is paused its ticks wait**: `fall_due` leaves ``next_at`` where it is. On resume it is called with
both ends of the pause, in the transaction that ends it. A paused pipeline that is retired is resumed with catchup none,
so that its ticks are recorded too.

A tick's interval is [the tick before it, itself), whether or not that one ran: intervals chain without gap or overlap.
A tick that is left out ends no interval: the data of the days before it, and its own, are the next one's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain, islice, takewhile
from types import MappingProxyType
from typing import Final

from stackhub.decide.clockwork import LONGEST, SHORTEST, Clockwork, Works, instants, works
from stackhub.decide.cron import problem, zone
from stackhub.decide.missed import PROMPT, Look, until
from stackhub.model.calendar import Calendar
from stackhub.model.pipeline import Catchup, Schedule
from stackhub.model.run import Interval

__all__ = [
    "LONGEST",
    "PROMPT",
    "SHORTEST",
    "Due",
    "Tick",
    "Verdict",
    "fall_due",
    "first",
    "following",
    "left_out",
    "problem",
    "upcoming",
]

STOOD_IN: Final = "a later tick stands in for it"
NONE: Final[Mapping[str, Calendar]] = MappingProxyType({})

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


def first(schedule: Schedule, anchor: datetime) -> datetime | None:
    """Return the first tick strictly after the schedule was put in force; None when the cron never comes round.

    It may be one that is left out: that is recorded when it falls.

    Raises:
        ConfigError: the schedule cannot be read; so from every function here that takes one.
    """
    return next(instants(schedule, anchor).after(anchor), None)


def following(
    schedule: Schedule, at: datetime, anchor: datetime, calendars: Mapping[str, Calendar] = NONE
) -> datetime | None:
    """Return the next tick strictly after ``at`` that is not left out; None when there is none within fifty years."""
    return next(works(schedule, anchor, calendars).kept.after(at), None)


def upcoming(
    schedule: Schedule, after: datetime, anchor: datetime, n: int, calendars: Mapping[str, Calendar] = NONE
) -> tuple[Tick, ...]:
    """Return the next ``n`` ticks strictly after ``after`` that are not left out."""
    known = works(schedule, anchor, calendars)
    ats = known.coming(max(after, anchor), n)
    starts = [*(known.start(at) for at in ats[:1]), *ats[:-1]]
    return tuple(_tick(schedule, start, at) for start, at in zip(starts, ats, strict=True))


def left_out(
    schedule: Schedule,
    after: datetime,
    until: datetime,
    anchor: datetime,
    n: int,
    calendars: Mapping[str, Calendar] = NONE,
) -> tuple[tuple[datetime, str], ...]:
    """Return at most ``n`` ticks in (``after``, ``until``] that the calendars leave out, each with the reason."""
    known = works(schedule, anchor, calendars)
    if known.left_out is None:
        return ()
    ticks = takewhile(lambda tick: tick <= until, known.left_out.after(max(after, anchor)))
    return tuple((tick, known.refused(tick)) for tick in islice(ticks, n))


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
    calendars: Mapping[str, Calendar] = NONE,
) -> tuple[tuple[Due, ...], datetime | None]:
    """Decide every tick in [``next_at``, ``now``], oldest first; return them and the new ``next_at``.

    ``paused_since`` alone says that the pipeline is paused now: nothing is decided. With ``resumed_at`` the pause is
    over. At most ``most`` ticks (1 or more; with a calendar one more) are returned. Of more skipped ones the oldest are
    folded into one, whose reason says how many they were; runs are never folded: where they are too many, the new
    ``next_at`` is still due, and the caller asks again with the same ``now``. A new ``next_at`` of None means that
    there is no further tick.
    """
    if now < next_at or (paused_since is not None and resumed_at is None):
        return (), next_at
    known = works(schedule, anchor, calendars)
    look = Look(now=now, catchup=catchup, paused_since=paused_since, resumed_at=resumed_at)
    opening = next(known.kept.after(next_at), None) if known.refused(next_at) else next_at
    dues: list[Due] = []
    end = now
    if opening is not None and opening <= now:
        dues = _decided(schedule, known, look, opening, most)
        further = next(known.kept.after(dues[-1].tick.at), None)
        end = dues[-1].tick.at if further is not None and further <= now else now
    dues += _left_out(schedule, known, next_at, end, max(1, most - len(dues)))
    dues.sort(key=lambda due: due.tick.at)
    return tuple(dues), next(known.every.after(dues[-1].tick.at), None)


def _decided(schedule: Schedule, known: Works, look: Look, next_at: datetime, most: int) -> list[Due]:
    """Decide the kept ticks in [``next_at``, now], which is itself one."""
    clock = known.kept
    edge = look.skipped_before(clock, next_at)
    lead = next_at < edge
    onward = clock.after(edge - _INSTANT) if lead else chain([next_at], clock.after(next_at))
    rest = list(islice(until(look.now, onward), most - lead))
    skipped, folded = _bounded(clock, edge, next_at, most - len(rest)) if lead else ([], 0)
    starts = chain([known.start(next_at)], skipped, rest)
    dues = []
    for place, (start, at) in enumerate(zip(starts, skipped + rest, strict=False)):
        tick = _tick(schedule, start, at)
        if place < len(skipped):
            dues.append(_skipped(look, tick, next_at if folded and not place else at, 0 if place else folded))
        else:
            dues.append(_judged(look, tick, len(skipped) + folded))
    return dues


def _left_out(schedule: Schedule, known: Works, next_at: datetime, end: datetime, most: int) -> list[Due]:
    """Record the ticks in [``next_at``, ``end``] that the calendars leave out."""
    clock = known.left_out
    if clock is None:
        return []
    opening = next_at if known.refused(next_at) else next(clock.after(next_at), None)
    if opening is None or opening > end:
        return []
    ats, folded = _bounded(clock, end + _INSTANT, opening, most)
    dues = []
    for place, at in enumerate(ats):
        reason = known.refused(at)
        if folded and not place:
            reason += f"; {folded} older ticks since {_stamp(opening)} that are left out are folded into this one"
        tick = _tick(schedule, known.start(at), at)
        dues.append(Due(tick=tick, verdict=Verdict.SKIP, reason=reason, folded=0 if place else folded))
    return dues


def _bounded(clock: Clockwork, edge: datetime, next_at: datetime, room: int) -> tuple[list[datetime], int]:
    """Return the newest ``room`` ticks in [``next_at``, ``edge``), oldest first, and how many older there are."""
    # `next_at` stands on its own: the zone's rules may have changed since it was told to people
    back = chain(takewhile(lambda tick: tick > next_at, clock.before(edge)), [next_at])
    found = list(islice(back, room + 1))
    folded = 0
    if len(found) > room:
        found.pop()
        folded = clock.count(next_at, found[-1])
    found.reverse()
    return found, folded


def _tick(schedule: Schedule, start: datetime, at: datetime) -> Tick:
    interval = Interval(start=start.astimezone(UTC), end=at.astimezone(UTC))
    return Tick(at=interval.end, label=label(schedule, at), interval=interval)


def label(schedule: Schedule, at: datetime) -> str:
    """Write an instant as a schedule's own clock shows it: "2026-10-25T02:30+02:00[Europe/Berlin]"."""
    local = at.astimezone(zone(schedule.timezone))
    whole = not (local.second or local.microsecond)
    return f"{local.isoformat(timespec='minutes' if whole else 'seconds')}[{schedule.timezone}]"


def _skipped(look: Look, tick: Tick, oldest: datetime, folded: int) -> Due:
    none = f"{look.cause(oldest, tick.at)}: catchup is none"
    reason = STOOD_IN if look.catchup is Catchup.LAST else none
    if folded:
        reason += f"; {folded} older ticks since {_stamp(oldest)} are folded into this one"
    return Due(tick=tick, verdict=Verdict.SKIP, reason=reason, missed=not look.on_time(tick.at), folded=folded)


def _judged(look: Look, tick: Tick, stood_in: int) -> Due:
    if look.on_time(tick.at):
        verdict, reason = Verdict.RUN, "on time"
    else:
        verdict = Verdict.SKIP if look.catchup is Catchup.NONE else Verdict.RUN
        reason = f"{look.cause(tick.at, tick.at)}: catchup is {look.catchup}"
    if look.catchup is Catchup.LAST and stood_in:
        reason += f"; stands in for {stood_in} before it"
    return Due(tick=tick, verdict=verdict, reason=reason, missed=not look.on_time(tick.at))


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
