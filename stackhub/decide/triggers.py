"""What begins a run because data has come in. Pure.

A trigger is a level, not an edge: it holds a mark for each connection it watches, the landing that its last run was
begun for, and fires whenever what has landed is newer. So nothing is lost while the hub is down, the pipeline paused
or a run of it still going, and nothing is begun twice: the marks move in the transaction that makes the run.

    no mark yet      it is not in force: the account has not answered since it was configured
    all (default)    fires when every connection has landed since; takes all their marks
    any              fires when one has; takes the marks of those that have
    require          a tick waits until all have, or until `not_later_than`; then `otherwise` says what it does
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from stackhub.contract import Connection
from stackhub.decide.deadline import next_time
from stackhub.model.landing import Landing
from stackhub.model.pipeline import Otherwise, Schedule

LISTED: Final = 3  # names that may have been meant


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far one trigger has come with one connection, and how far that has."""

    instance: str
    name: str  # as written
    connection: str | None  # its id; None: not in force yet
    mark: str  # of the landing that was taken last; "" when none ever was
    ended_at: datetime
    newest: Landing | None = None  # as the store knows it

    @property
    def news(self) -> bool:
        """Whether it has landed since. Vendor times are compared with vendor times of the same connection only."""
        newest = self.newest
        return (
            self.connection is not None
            and newest is not None
            and newest.mark != self.mark
            and newest.ended_at >= self.ended_at
        )

    def __str__(self) -> str:
        """Write it as it stands in a file."""
        return f"{self.instance}:{self.name}"


def fires(marks: Sequence[Mark], *, enough: bool = False) -> tuple[Mark, ...]:
    """Return the marks that a run begun now takes; none while it is not time. ``enough``: one of them is enough."""
    news = tuple(mark for mark in marks if mark.news)
    return news if enough or (len(news) == len(marks)) else ()


def waits_for(marks: Sequence[Mark]) -> str:
    """Say which connections have not landed yet."""
    unknown = [str(mark) for mark in marks if mark.connection is None]
    missing = [str(mark) for mark in marks if mark.connection is not None and not mark.news]
    parts = [f"{', '.join(missing)} to land"] if missing else []
    return " and for ".join([*parts, *([f"a first look at {', '.join(unknown)}"] if unknown else [])])


class Said(StrEnum):
    """What becomes of a tick that waits for data."""

    WAIT = "wait"
    RUN = "run"
    SKIP = "skip"
    ALERT = "alert"


def waits_until(schedule: Schedule, tick: datetime) -> datetime | None:
    """Return until when a tick waits for the data it requires; None: for as long as it takes."""
    if schedule.not_later_than is None:
        return None
    return next_time(schedule.not_later_than, schedule.timezone, tick)


def required(
    marks: Sequence[Mark], otherwise: Otherwise, now: datetime, until: datetime | None, *, later: bool
) -> tuple[Said, str]:
    """Say what becomes of a waiting tick, and why; ``later``: another tick of its schedule waits as well."""
    if later:
        return Said.SKIP, "a later tick stands in for it, which waits for the same data"
    if marks and fires(marks):
        return Said.RUN, f"{', '.join(map(str, marks))} landed"
    missing = waits_for(marks) or "a first look at what it requires"
    if until is None or now < until:
        return Said.WAIT, f"waits for {missing}"
    by = f"waited for {missing}, until {until:%Y-%m-%d %H:%M} UTC"
    match otherwise:
        case Otherwise.RUN:
            return Said.RUN, f"{by}; then it runs all the same"
        case Otherwise.SKIP:
            return Said.SKIP, f"{by}; then it is skipped"
        case Otherwise.ALERT:
            return Said.ALERT, f"waits for {missing}; people were told at {until:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why a name means no connection, and the way out."""

    text: str


def resolve(instance: str, name: str, held: Mapping[str, Connection]) -> str | Unresolved:
    """Find the one connection that a person means, by its id or its vendor's name for it."""
    if name in held:
        return name
    found = sorted(one.id for one in held.values() if one.name == name)
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(found)
        return Unresolved(f"{instance} has {len(found)} connections named {name!r}: name it by its id: {listed}")
    near = difflib.get_close_matches(name, sorted({one.name for one in held.values()}), n=LISTED)
    meant = f"; did you mean {' or '.join(near)}?" if near else f"; it shows {len(held)} connections to this key"
    return Unresolved(f"{instance} has no connection {name!r}{meant}")
