"""Which days a schedule keeps: those on one of its `only` calendars, and on none of its `except` calendars. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from stackhub.decide.holidays import in_year
from stackhub.errors import ConfigError
from stackhub.model.calendar import Calendar
from stackhub.model.pipeline import Schedule


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A calendar whose listed days stand one by one."""

    calendar: Calendar
    listed: Mapping[date, str]

    @property
    def name(self) -> str:
        """Its name."""
        return self.calendar.name

    def on(self, day: date) -> str | None:
        """Return the name that a day has here, "" where it has none; None when the day is not on it.

        Raises:
            ConfigError: the calendar's country is unknown, or the package for public holidays is missing.
        """
        name = self.listed.get(day)
        if name is None and self.calendar.country:
            return in_year(self.calendar.country, self.calendar.subdivision, day.year).get(day)
        return name


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """The days of a schedule that names calendars."""

    only: tuple[Opened, ...]
    without: tuple[Opened, ...]

    def refused(self, day: date) -> str:
        """Say why a day is left out; "" where it is kept."""
        if self.only and all(calendar.on(day) is None for calendar in self.only):
            return f"not on calendar {' or '.join(calendar.name for calendar in self.only)}"
        for calendar in self.without:
            name = calendar.on(day)
            if name is not None:
                return f"calendar {calendar.name}: {name}" if name else f"calendar {calendar.name}"
        return ""

    def candidates(self, day: date, step: int, *, left_out: bool) -> Iterator[date]:
        """Yield, from ``day`` on in steps of 1 or -1, every day that may be kept, or left out, and others perhaps.

        Where listed days alone can be meant there is an end to them.
        """
        meant = self.only if not left_out else () if self.only else self.without
        if not meant or any(calendar.calendar.country for calendar in meant):
            while True:
                day += step * timedelta(days=1)
                yield day
        listed = sorted({one for calendar in meant for one in calendar.listed})
        yield from listed[bisect_right(listed, day) :] if step > 0 else reversed(listed[: bisect_left(listed, day)])


def days_of(schedule: Schedule, calendars: Mapping[str, Calendar]) -> Days | None:
    """Return the days that a schedule keeps; None when it names no calendar.

    Raises:
        ConfigError: there is no calendar of that name.
    """
    if not schedule.only and not schedule.without:
        return None
    return Days(_named(schedule.only, calendars), _named(schedule.without, calendars))


@lru_cache(maxsize=64)
def opened(calendar: Calendar) -> Opened:
    """Open a calendar; of a day that is listed twice the first name holds."""
    found: dict[date, str] = {}
    for span in calendar.spans:
        for ordinal in range(span.first.toordinal(), span.last.toordinal() + 1):
            found.setdefault(date.fromordinal(ordinal), span.name)
    return Opened(calendar, found)


def _named(names: Sequence[str], calendars: Mapping[str, Calendar]) -> tuple[Opened, ...]:
    for name in names:
        if name not in calendars:
            raise ConfigError(f"schedule: there is no calendar {name!r}")
    return tuple(opened(calendars[name]) for name in names)
