"""What a look at an account says of the connections that pipelines use: what is wrong now, and what has changed. Pure.

Wrong is whatever keeps the next sync from coming: paused, broken, incomplete, blocked, gone. It is a level: told once,
until a look shows it well. What is merely new (another schedule, other tables, a sync that nobody here has begun) is a
line of history. Many connections that go wrong together are one problem of their account.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from stackhub.contract import Connection, Health, Severity
from stackhub.decide.facets import listed, stamp
from stackhub.decide.impact import Reach, reaching
from stackhub.model.incident import Facet, Incident
from stackhub.model.pipeline import Told

MANY: Final = 5  # connections of an account that are told one by one; more at once are one problem
ALL: Final = "*"  # stands for the id in the key of that
MANUAL: Final = "manual"  # the schedule of a connection whose vendor begins nothing by itself
KEY: Final = "connection:"  # how the key of a connection's incident begins
GONE: Final = "gone"

Says = tuple[str, Severity, str]
SAYS: Final[Mapping[str, Says]] = {
    Health.PAUSED: ("is paused", Severity.WARNING, "Nothing is loaded until somebody resumes it at its vendor."),
    Health.INCOMPLETE: ("is not set up", Severity.WARNING, "Nothing is loaded until its set-up is finished."),
    Health.BROKEN: ("is broken", Severity.ERROR, "Nothing is loaded until somebody mends it at its vendor."),
    Health.BLOCKED: ("is blocked", Severity.ERROR, "Its schema waits for a person's word at its vendor."),
    GONE: ("is gone", Severity.ERROR, "It was deleted at its vendor, or our key may not see it any more."),
}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Use:
    """A task that loads a connection, or waits for one."""

    pipeline: str
    task: str
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A connection that will not load, and who uses it."""

    connection: Connection
    state: str  # a `Health`, or "gone"
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Which troubles of an account are told each by itself, and which as one."""

    own: tuple[Trouble, ...]
    together: tuple[Trouble, ...] = ()


Uses = Mapping[str, tuple[Use, ...]]
"""Who uses a connection, by its name or id as it is written in the pipelines."""


def key_of(instance: str, connection: str) -> str:
    """Name the incident of a connection: ``connection:fivetran/warm_tank``."""
    return f"{KEY}{instance}/{connection}"


def trouble_of(opened: Mapping[str, Incident], instance: str, connection: str) -> Incident | None:
    """Return the open incident that is about a connection: its own, or the one of many."""
    common = opened.get(key_of(instance, ALL))
    among = common is not None and any(connection == id_ for f in common.facets.values() for id_, _ in f.about)
    return opened.get(key_of(instance, connection)) or (common if among else None)


def uses_of(connection: Connection, uses: Uses) -> tuple[Use, ...]:
    """Return who uses a connection."""
    found = {*uses.get(connection.id, ()), *uses.get(connection.name, ())}
    return tuple(sorted(found))


def troubles(
    before: Mapping[str, Connection], after: Mapping[str, Connection], missed: Mapping[str, str], uses: Uses
) -> list[Trouble]:
    """Return what is wrong. ``missed`` are those that were gone before, and told: their names by id.

    A connection that is made anew under its old name takes the place of the one that is gone.
    """
    found = [
        Trouble(connection=one, state=one.health.value, uses=mine)
        for one in after.values()
        if one.health in SAYS and (mine := uses_of(one, uses))
    ]
    there = {*after, *(one.name for one in after.values())}
    absent = {
        **{id_: Connection(id=id_, name=name, health=Health.UNKNOWN) for id_, name in missed.items()},
        **{id_: one for id_, one in before.items() if id_ not in after},
    }
    found += [
        Trouble(connection=one, state=GONE, uses=mine)
        for id_, one in absent.items()
        if not {id_, one.name} & there and (mine := uses_of(one, uses))
    ]
    return sorted(found, key=lambda trouble: (trouble.connection.name, trouble.connection.id))


def telling(found: Sequence[Trouble], told: Collection[str], *, as_one: bool) -> Telling:
    """Say what is told how. ``told``: ids with an incident of their own; ``as_one``: the common one is open.

    What has been told one way stays so: nobody hears of the same trouble twice.
    """
    own = tuple(trouble for trouble in found if trouble.connection.id in told)
    new = tuple(trouble for trouble in found if trouble.connection.id not in told)
    if new and (as_one or len(new) > MANY):
        return Telling(own=own, together=new)
    return Telling(own=(*own, *new))


def facet_of(instance: str, trouble: Trouble, now: datetime, reach: Reach) -> Facet:
    """Say that one connection will not load."""
    one, (what, severity, then) = trouble.connection, SAYS[trouble.state]
    last = stamp(one.last.ended_at) if one.last else "never, as far as is known"
    facet = Facet(
        kind=Told.UPSTREAM,
        since=now,
        severity=severity,
        title=f"{instance}/{one.name} {what}",
        cause=trouble.state,
        error=one.note,
        summary=f"{then} Used by {_named(trouble.uses)}.",
        facts=(("Used by", _named(trouble.uses)), ("Last landing", last), ("Schedule", one.schedule or "not said")),
        links=(("Open at its vendor", one.url),) if one.url else (),
        owners=_owners([trouble]),
        about=((one.id, one.name),),
    )
    return reaching(facet, reach)


def common_facet(instance: str, found: Sequence[Trouble], now: datetime, reach: Reach) -> Facet:
    """Say that many connections of an account will not load."""
    states = sorted({trouble.state for trouble in found})
    how = SAYS[states[0]][0].removeprefix("is ") if len(states) == 1 else "not well"
    names = [f"{trouble.connection.name} {SAYS[trouble.state][0]}" for trouble in found]
    uses = sorted({use for trouble in found for use in trouble.uses})
    facet = Facet(
        kind=Told.UPSTREAM,
        since=now,
        severity=max((SAYS[state][1] for state in states), key=lambda severity: severity.rank),
        title=f"{len(found)} connections at {instance} are {how}",
        cause=f"many: {', '.join(states)}",
        error="; ".join(sorted({trouble.connection.note for trouble in found if trouble.connection.note})),
        summary=f"So many at once are one problem of the account: look there first. Used by {_named(uses)}.",
        facts=(("Connections", listed(names)), ("Used by", _named(uses))),
        owners=_owners(found),
        about=tuple((trouble.connection.id, trouble.connection.name) for trouble in found),
    )
    return reaching(facet, reach)


def same(old: Facet | None, new: Facet) -> bool:
    """Say whether a facet says what is told already; that the data gets older meanwhile is no news."""
    if old is None:
        return False
    return (old.title, old.cause, old.error, old.summary, old.about) == (
        new.title,
        new.cause,
        new.error,
        new.summary,
        new.about,
    )


def news(instance: str, was: Connection, one: Connection, *, ours: bool, mark: str = "") -> list[str]:
    """Say what is new of a connection that is no problem.

    ``ours``: a sync of ours is going on; ``mark`` is that of the last one that landed. A sync that nobody here has
    begun is news only where nothing begins by itself: elsewhere it is the vendor's schedule.
    """
    name, said = f"{instance}/{one.name}", []
    if was.name != one.name:
        said.append(f"{name}: it was called {was.name}")
    if was.schedule != one.schedule:
        said.append(f"{name}: its schedule is {one.schedule or 'not said'}, and was {was.schedule or 'not said'}")
    said += _tables(name, was, one)
    if one.schedule == MANUAL and not ours and was.syncing is not True:
        landed = one.last is not None and was.last is not None and one.last.mark not in (was.last.mark, mark)
        if one.syncing is True:
            said.append(f"{name}: a sync is going on that somebody else has started")
        elif landed and one.last is not None:
            said.append(f"{name}: a sync that somebody else started landed at {stamp(one.last.ended_at)}")
    return said


def _tables(name: str, was: Connection, one: Connection) -> list[str]:
    """Compare the tables, where all are known on both sides: some vendors tell them one connection at a time."""
    old, new = ({f"{r.schema}.{r.table}" for r in side.relations} for side in (was, one))
    known = all(r.table for side in (was, one) for r in side.relations) and bool(old) and bool(new)
    if not known or old == new:
        return []
    more = [f"it loads {listed(sorted(new - old))} as well"] if new - old else []
    less = [f"it does not load {listed(sorted(old - new))} any more"] if old - new else []
    return [f"{name}: {', and '.join([*more, *less])}"]


def _named(uses: Sequence[Use]) -> str:
    return listed([f"{use.pipeline}.{use.task}" for use in uses])


def _owners(found: Sequence[Trouble]) -> tuple[str, ...]:
    return tuple(sorted({use.owner for trouble in found for use in trouble.uses if use.owner}))
