"""What a schedule does around the days on which its zone's clock is turned. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from stackhub.decide.clockwork import Works
from stackhub.decide.cron import read, turn, zone
from stackhub.decide.schedule import label
from stackhub.model.pipeline import Schedule

AHEAD: Final = 800  # days looked at for a turn of the clock: two years, and a little

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A moment at which a zone's clock is turned."""

    at: datetime  # UTC
    old: timedelta  # offset from UTC before
    new: timedelta

    @property
    def shown(self) -> tuple[datetime, datetime]:
        """What the clock would have shown at that moment, and what it shows; naive."""
        bare = self.at.replace(tzinfo=None)
        return bare + self.old, bare + self.new

    @property
    def text(self) -> str:
        """Say it as people do: "2027-03-28: the clock goes from 02:00 to 03:00"."""
        old, new = self.shown
        return f"{old:%Y-%m-%d}: the clock goes from {old:%H:%M} {'on' if new > old else 'back'} to {new:%H:%M}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A tick, and what the turn of the clock has to do with it."""

    at: datetime  # UTC
    label: str
    note: str = ""


def turns(timezone: str, after: datetime, n: int) -> list[Turn]:
    """Return the next ``n`` turns of a zone's clock that come within `AHEAD` days."""
    where = zone(timezone)
    found: list[Turn] = []
    start = after.astimezone(UTC).replace(microsecond=0)
    for at in (start + k * _DAY for k in range(AHEAD)):
        old, new = ((at + day).astimezone(where).utcoffset() or timedelta() for day in (timedelta(), _DAY))
        if old != new:
            found.append(Turn(at=turn(at, at + _DAY, where), old=old, new=new))
            if len(found) == n:
                break
    return found


def around(schedule: Schedule, known: Works, one: Turn, n: int) -> list[Told]:
    """Return the ``n`` ticks before a turn of the clock and the ``n`` from it on, with what becomes of each."""
    before = list(islice(known.kept.before(one.at), n))[::-1]
    after = list(islice(known.kept.after(one.at - timedelta.resolution), n))
    return [Told(at=at, label=label(schedule, at), note=_note(schedule, one, at)) for at in (*before, *after)]


def dropped(schedule: Schedule, one: Turn) -> tuple[str, ...]:
    """Return the local times that the turn leaves out and that do not run: a stepping line follows the real clock."""
    if not schedule.cron or not read(schedule.cron, schedule.timezone).stepping:
        return ()
    return _swallowed(schedule, one)


def _note(schedule: Schedule, one: Turn, at: datetime) -> str:
    old, new = one.shown
    wall = at.astimezone(zone(schedule.timezone)).replace(tzinfo=None)
    if new < old and new <= wall < old:
        return f"{wall:%H:%M} comes twice: the {'first' if at < one.at else 'second'}"
    if new > old and at == one.at and schedule.cron and not dropped(schedule, one):
        swallowed = _swallowed(schedule, one)
        return f"stands for {', '.join(swallowed)}, which the clock leaves out" if swallowed else ""
    return ""


def _swallowed(schedule: Schedule, one: Turn) -> tuple[str, ...]:
    old, new = one.shown
    line = read(schedule.cron, schedule.timezone)
    days = {old.date(), new.date()}
    return tuple(f"{wall:%H:%M}" for day in sorted(days) for wall in line.walls(day) if old <= wall < new)
