"""What a cron line names, found the slow way: every minute of real time is looked at. Shares nothing with the code."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


@lru_cache(maxsize=256)
def _walls(zone: str, start: datetime, end: datetime):
    where = ZoneInfo(zone)
    found, at = [], start - MINUTE
    while at <= end:
        found.append((at, at.astimezone(where).replace(tzinfo=None, fold=0)))
        at += MINUTE
    return found


def _field(text: str, low: int, high: int) -> set[int]:
    found = set()
    for term in text.split(","):
        span, _, step = term.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            first, last = low, high
        elif not dash:
            last = high if step else first
        found |= set(range(int(first), int(last) + 1, int(step or 1)))
    return found


def cron_ticks(cron: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """Return what ``cron`` names in [start, end], whole minutes in UTC; numbers, lists, ranges and steps only."""
    minute, hour, day, month, weekday = cron.split()
    minutes, hours, days, months = _field(minute, 0, 59), _field(hour, 0, 23), _field(day, 1, 31), _field(month, 1, 12)
    weekdays = {number % 7 for number in _field(weekday, 0, 7)}
    both = day.startswith("*") or weekday.startswith("*")

    def falls(wall: datetime) -> bool:
        if wall.minute not in minutes or wall.hour not in hours or wall.month not in months:
            return False
        by_day, by_weekday = wall.day in days, wall.isoweekday() % 7 in weekdays
        return by_day and by_weekday if both else by_day or by_weekday

    walls = _walls(zone, start, end)
    if minute.startswith("*") or hour.startswith("*"):
        return [at for at, wall in walls[1:] if falls(wall)]
    ticks, seen = [], walls[0][1]  # the furthest that the local clock has been
    for at, wall in walls[1:]:
        if wall > seen:
            passed = [seen + MINUTE * step for step in range(1, (wall - seen) // MINUTE + 1)]
            if any(falls(one) for one in passed):
                ticks.append(at)
            seen = wall
    return ticks


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
