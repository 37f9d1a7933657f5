"""The instants of a schedule, both ways: a cron line or a fixed distance, on the days that it keeps. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from stackhub.decide.cron import instant, read, zone
from stackhub.decide.days import Days, days_of
from stackhub.errors import ConfigError
from stackhub.model.calendar import Calendar
from stackhub.model.pipeline import Schedule

SHORTEST: Final = timedelta(seconds=1)  # of `every`
LONGEST: Final = timedelta(days=366)

_INSTANT: Final = timedelta.resolution
_DAY: Final = timedelta(days=1)
_HORIZON: Final = timedelta(days=50 * 366)  # as far as cron lines are followed; beyond it there is nothing


class Clockwork(Protocol):
    """Instants in UTC, each once."""

    def after(self, at: datetime) -> Iterator[datetime]:
        """Yield every instant strictly after ``at``, rising."""
        ...

    def before(self, at: datetime) -> Iterator[datetime]:
        """Yield every instant strictly before ``at``, falling."""
        ...

    def count(self, start: datetime, end: datetime) -> int:
        """Count the instants in (``start``, ``end``]."""
        ...


@dataclass(frozen=True, slots=True)
class _Grid:
    """Ticks at a fixed distance, from an anchor that is none itself."""

    anchor: datetime
    every: timedelta

    def after(self, at: datetime) -> Iterator[datetime]:
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
        return (end - self.anchor) // self.every - (start - self.anchor) // self.every


@dataclass(frozen=True, slots=True)
class OnDays:
    """Those instants of a clockwork whose local day is kept, or else those whose day is left out.

    It walks from tick to tick and leaps over days that do not match: a line of minutes over a week off costs seven
    looks, and one that comes once a year on a day that is always left out ends at the horizon.
    """

    ticks: Clockwork
    days: Days
    zone: ZoneInfo
    left_out: bool = False  # the other ones

    def holds(self, at: datetime) -> bool:
        """Say whether an instant is on a day that matches."""
        return self._matches(self._day(at))

    def after(self, at: datetime) -> Iterator[datetime]:
        """Yield strictly after ``at``, rising; ends where nothing matches for fifty years."""
        end = at + _HORIZON
        source = self.ticks.after(at)
        while (tick := next(source, None)) is not None and tick <= end:
            day = self._day(tick)
            if self._matches(day):
                yield tick
                continue
            onward = self._next(day, 1, end)
            if onward is None:
                return
            source = self.ticks.after(self._midnight(onward) - _INSTANT)

    def before(self, at: datetime) -> Iterator[datetime]:
        """Yield strictly before ``at``, falling; ends as `after` does."""
        end = at - _HORIZON
        source = self.ticks.before(at)
        while (tick := next(source, None)) is not None and tick >= end:
            day = self._day(tick)
            if self._matches(day):
                yield tick
                continue
            back = self._next(day, -1, end)
            if back is None:
                return
            source = self.ticks.before(self._midnight(back + _DAY))

    def count(self, start: datetime, end: datetime) -> int:
        """Count the instants in (``start``, ``end``], day by day."""
        total, at = 0, start
        while at < end:
            day = self._day(at + _INSTANT)
            stop = min(self._midnight(day + _DAY) - _INSTANT, end)
            total += self.ticks.count(at, stop) if self._matches(day) else 0
            at = stop
        return total

    def _next(self, day: date, step: int, end: datetime) -> date | None:
        """Return the next day that matches; None where there is none before the horizon."""
        last = end.date()
        for found in self.days.candidates(day, step, left_out=self.left_out):
            if (found - last).days * step > 0:
                break
            if self._matches(found):
                return found
        return None

    def _matches(self, day: date) -> bool:
        return bool(self.days.refused(day)) == self.left_out

    def _day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def _midnight(self, day: date) -> datetime:
        return instant(datetime.combine(day, time()), self.zone)


@dataclass(frozen=True, slots=True)
class Works:
    """All that a schedule names, and how its calendars part that."""

    every: Clockwork  # all of them
    kept: Clockwork  # those that its calendars keep
    left_out: OnDays | None  # the others; None: it has no calendar

    def refused(self, at: datetime) -> str:
        """Say why the calendars leave an instant out; "" where they keep it."""
        if self.left_out is None:
            return ""
        return self.left_out.days.refused(at.astimezone(self.left_out.zone).date())

    def start(self, at: datetime) -> datetime:
        """Return where the interval of a kept tick begins: at the kept one before it, else at whichever was before."""
        before = next(self.kept.before(at), None)
        return next(self.every.before(at), at) if before is None else before

    def coming(self, at: datetime, n: int) -> list[datetime]:
        """Return the next ``n`` kept instants strictly after ``at``."""
        return list(islice(self.kept.after(at), n))


def works(schedule: Schedule, anchor: datetime, calendars: Mapping[str, Calendar]) -> Works:
    """Read a schedule that was put in force at ``anchor``.

    Raises:
        ConfigError: it cannot be read, or names a calendar that there is not.
    """
    every = instants(schedule, anchor)
    days = days_of(schedule, calendars)
    if days is None:
        return Works(every, every, None)
    where = zone(schedule.timezone)
    return Works(every, OnDays(every, days, where), OnDays(every, days, where, left_out=True))


def instants(schedule: Schedule, anchor: datetime) -> Clockwork:
    """Read the line or the distance of a schedule, whatever its calendars say.

    Raises:
        ConfigError: it cannot be read.
    """
    if bool(schedule.cron) == (schedule.every is not None):
        raise ConfigError("schedule: give either cron or every")
    if schedule.every is None:
        return read(schedule.cron, schedule.timezone)
    if not SHORTEST <= schedule.every <= LONGEST:
        raise ConfigError("schedule: every takes a duration between 1s and 366d")
    return _Grid(anchor.astimezone(UTC), schedule.every)
