"""A cron line in a zone: the instants it names, forwards and backwards.

cronsim reads the line and says which days it falls on; the walk over the clock is ours. cronsim 2.8's own walk drops
ticks where a clock moves by half an hour (``*/10 3 * * *`` at Lord Howe, both ways), names other instants backwards
than forwards, and misses or finds a midnight that does not exist by the day it set out from (Cairo).

How a line meets a change of the clock is Debian's rule (cron(8), read 2026-11) and cronsim's:

    fixed       neither minute nor hour begins with a star: `30 2 * * *`, `0 1-3 * * *`
                a local time that exists twice is named once, the first time; one that does not exist is named
                once, at the end of the gap, together with all others that the gap swallowed
    stepping    minute or hour begins with a star: `*/15 * * * *`, `0 */2 * * *`
                follows the real clock: a repeated hour is named again, a missing one is not

Two things hold in every zone from 2012 to 2040 (tzdata 2026.6) and are relied upon: no zone changes twice within a
day, and no zone turns its clock back from after midnight to before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from stackhub.errors import ConfigError

FIELDS: Final = (
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of month", "1-31, L for the last day or LW for the last working day"),
    ("month", "1-12 or JAN-DEC"),
    ("day of week", "0-7 or SUN-SAT, 5L for the last Friday, 1#2 for the second Monday"),
)
NAMES: Final = "minute, hour, day of month, month, day of week"

_ANY_DAY: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - cronsim is asked about the calendar only, which has no zone
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_HORIZON: Final = 50 * 366  # days; the rarest line, a 29 February on one weekday, comes within 40 years


@dataclass(frozen=True, slots=True)
class Line:
    """A cron line that has been read."""

    zone: ZoneInfo
    times: tuple[timedelta, ...]  # since midnight, rising
    months: frozenset[int]
    days: CronSim  # asked only whether a date matches
    stepping: bool

    def after(self, at: datetime) -> Iterator[datetime]:
        """Yield every instant strictly after ``at``, rising, UTC; ends when there is none in fifty years."""
        last = at
        for day in self._dates(at, 1):
            for tick in self._on(day):
                if tick > last:  # a gap over midnight makes one instant of two days' times
                    yield tick
                    last = tick

    def before(self, at: datetime) -> Iterator[datetime]:
        """Yield every instant strictly before ``at``, falling, UTC."""
        last = at
        for day in self._dates(at, -1):
            for tick in reversed(self._on(day)):
                if tick < last:
                    yield tick
                    last = tick

    def count(self, start: datetime, end: datetime) -> int:
        """Count the instants in (``start``, ``end``]; a year of minutes takes about 0.1 s."""
        return sum(1 for _ in takewhile(lambda tick: tick <= end, self.after(start)))

    def walls(self, day: date) -> list[datetime]:
        """Return the times that the line names on a local day, rising and naive; the clock may not show all of them."""
        if day.month not in self.months or not self.days.match_day(day):
            return []
        return [datetime.combine(day, time()) + passed for passed in self.times]

    def _dates(self, at: datetime, step: int) -> Iterator[date]:
        day = at.astimezone(self.zone).date()
        for _ in range(_HORIZON):
            if day.month in self.months and self.days.match_day(day):
                yield day
            day += step * _DAY

    def _on(self, day: date) -> list[datetime]:
        midnight = datetime.combine(day, time(), UTC)  # local times are written as if they were UTC
        old = _offset(midnight, self.zone)
        new = _offset(midnight + _DAY, self.zone)
        if old == new:
            start = midnight - old
            return [start + passed for passed in self.times]
        turned = turn(midnight - old - _SECOND, midnight + _DAY - new, self.zone)
        walls = [midnight + passed for passed in self.times]
        before = {wall - old for wall in walls if wall - old < turned}
        if self.stepping:
            return sorted(before | {wall - new for wall in walls if wall - new >= turned})
        return sorted(before | {max(wall - new, turned) for wall in walls if wall - old >= turned})


@lru_cache(maxsize=1024)
def read(cron: str, timezone: str) -> Line:
    """Read a cron line; one that can never come round (30 February) is read too, and names nothing.

    Raises:
        ConfigError: a field cannot be read, or there is no such zone.
    """
    wrong = _unreadable(cron)
    if wrong is not None:
        raise ConfigError(wrong)
    minute, hour, day, month, weekday = cron.split()
    days = CronSim(f"{minute} {hour} {day} * {weekday}", _ANY_DAY)  # with its month, cronsim refuses 30 February
    return Line(
        zone=zone(timezone),
        times=tuple(timedelta(hours=h, minutes=m) for h in sorted(days.hours) for m in sorted(days.minutes)),
        months=frozenset(CronSim(f"0 0 * {month} *", _ANY_DAY).months),
        days=days,
        stepping=minute.startswith("*") or hour.startswith("*"),
    )


def problem(cron: str) -> str | None:
    """Say what is wrong with a cron line, naming the field and what it takes; None when nothing is."""
    wrong = _unreadable(cron)
    if wrong is not None:
        return wrong
    if next(read(cron, "UTC").after(_ANY_DAY.replace(tzinfo=UTC)), None) is None:
        _, _, day, month, weekday = cron.split()
        return f"day of month: '{day}' never comes in month '{month}' on day of week '{weekday}'"
    return None


def zone(name: str) -> ZoneInfo:
    """Return a zone by its IANA name.

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, "Europe"
        raise ConfigError(f"timezone '{name}': no such zone; write an IANA name such as Europe/Berlin") from None


def instant(wall: datetime, where: ZoneInfo) -> datetime:
    """Return the moment, UTC, at which the local clock of ``where`` first shows ``wall`` (naive, whole seconds).

    A local time that does not exist is the end of the gap that swallowed it.
    """
    late = wall.replace(tzinfo=where, fold=0).astimezone(UTC)
    if _wall(late, where) == wall:
        return late
    early = wall.replace(tzinfo=where, fold=1).astimezone(UTC)  # in a gap the folds stand on either side of it
    return turn(early, late, where)


def _wall(at: datetime, where: ZoneInfo) -> datetime:
    return at.astimezone(where).replace(tzinfo=None, fold=0)


def _offset(wall: datetime, where: ZoneInfo) -> timedelta:
    offset = wall.replace(tzinfo=where).utcoffset()
    return timedelta() if offset is None else offset


def turn(early: datetime, late: datetime, where: ZoneInfo) -> datetime:
    """Return the moment between these two, to the second, at which the zone's clock is turned."""
    before = early.astimezone(where).utcoffset()
    while late - early > _SECOND:
        middle = early + (late - early) // _SECOND // 2 * _SECOND
        if middle.astimezone(where).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def _unreadable(cron: str) -> str | None:
    parts = cron.split()
    if len(parts) != len(FIELDS):
        return f"'{cron}' has {len(parts)} fields; a cron line has five: {NAMES}"
    for place, (part, (name, takes)) in enumerate(zip(parts, FIELDS, strict=True)):
        alone = ["*"] * len(FIELDS)
        alone[place] = part
        try:
            CronSim(" ".join(alone), _ANY_DAY)
        except (CronSimError, ValueError):  # ValueError: a number of thousands of digits
            return f"{name}: cannot read '{part}'; it takes {takes}"
    return None
