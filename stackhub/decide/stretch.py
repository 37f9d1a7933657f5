"""From a stretch of the past to the intervals a backfill is made of. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise, takewhile
from typing import Final

from stackhub.decide.clockwork import works
from stackhub.decide.cron import instant, zone
from stackhub.errors import Refused
from stackhub.model.calendar import Calendar
from stackhub.model.pipeline import Schedule
from stackhub.model.run import Interval
from stackhub.model.words import say

MOST: Final = 10_000  # intervals of one backfill

_DAY: Final = timedelta(days=1)
_INSTANT: Final = timedelta.resolution


def bound(written: str, timezone: str, option: str) -> datetime:
    """Read where a stretch begins or ends: ``2026-03-01`` is that day's midnight in the zone.

    Raises:
        Refused: it is no time.
    """
    text = written.strip()
    try:
        if len(text) == len("2026-03-01"):
            return instant(datetime.combine(date.fromisoformat(text), time()), zone(timezone))
        at = datetime.fromisoformat(text)
    except ValueError:
        example = "2026-03-01, 2026-03-01T06:00 or 2026-03-01T06:00:00Z"
        raise Refused(f"{option} {written!r} is no time: write {example}") from None
    if at.tzinfo is None:
        return instant(at.replace(microsecond=0), zone(timezone))
    return at.astimezone(UTC)


def check_stretch(start: datetime, end: datetime, now: datetime) -> None:
    """Refuse a stretch with nothing in it, or one that is yet to come.

    Raises:
        Refused: it says which.
    """
    if start >= end:
        raise Refused(f"--from {start.isoformat()} is not before --to {end.isoformat()}: --to is not part of it")
    if start >= now:
        raise Refused(f"--from {start.isoformat()} is yet to come: a backfill is of the past")


def by_distance(start: datetime, end: datetime, every: timedelta, timezone: str) -> tuple[Interval, ...]:
    """Cut a stretch into pieces of one length; the last one may be shorter. Whole days are days of the local clock.

    Raises:
        Refused: it would be too many pieces, or the length is none.
    """
    if every < timedelta(seconds=1):
        raise Refused("--every should be 1s at least")
    if every >= _DAY and every % _DAY == timedelta():
        edges = _days(start, end, every, timezone)
    else:
        edges = _even(start, end, every)
    return _intervals(takewhile(lambda at: at < end, edges), end, f"--every {say(every)}")


def by_schedule(
    schedule: Schedule,
    anchor: datetime,
    calendars: Mapping[str, Calendar],
    start: datetime,
    end: datetime,
    now: datetime,
) -> tuple[Interval, ...]:
    """Return the intervals between a schedule's own ticks that begin in the stretch and are over by ``now``.

    Raises:
        Refused: they are too many.
    """
    known = works(schedule, anchor, calendars)
    if schedule.cron:
        found: Iterator[datetime] = takewhile(lambda tick: tick <= now, known.kept.after(start - _INSTANT))
    else:  # a fixed distance has no ticks to come before it was put in force, but it can be followed back
        newest = min(now, end + (schedule.every or _DAY))
        back = takewhile(lambda tick: tick >= start, known.kept.before(newest + _INSTANT))
        found = iter(_few(back, "the schedule")[::-1])
    ticks: list[datetime] = []
    for tick in found:
        ticks.append(tick)
        if tick >= end or len(ticks) > MOST + 1:
            break
    if len(ticks) > MOST + 1:
        raise Refused(_too_many("the schedule"))
    return tuple(Interval(start=one.astimezone(UTC), end=other.astimezone(UTC)) for one, other in pairwise(ticks))


def _even(start: datetime, end: datetime, every: timedelta) -> Iterator[datetime]:
    at = start
    while at < end:
        yield at
        at += every


def _days(start: datetime, end: datetime, every: timedelta, timezone: str) -> Iterator[datetime]:
    where = zone(timezone)
    wall = start.astimezone(where).replace(tzinfo=None)
    at = start
    while at < end:
        yield at
        wall += every
        at = instant(wall, where)


def _intervals(edges: Iterator[datetime], end: datetime, what: str) -> tuple[Interval, ...]:
    starts = _few(edges, what)
    return tuple(Interval(start=one, end=other) for one, other in pairwise([*starts, end]))


def _few(ticks: Iterator[datetime], what: str) -> list[datetime]:
    found: list[datetime] = []
    for tick in ticks:
        found.append(tick)
        if len(found) > MOST:
            raise Refused(_too_many(what))
    return found


def _too_many(what: str) -> str:
    return f"{what} makes more than {MOST} intervals of it: take a shorter stretch, or a longer --every"
