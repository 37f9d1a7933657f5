"""What becomes of an incident, and which messages that takes. Pure.

One problem is one incident: it opens with its first facet, is told again when what matters changes, and resolves when
its last facet has ended. Each route hears in its own way:

    live     the root message on every change (only the newest waits), and from the second on a line in its thread
    plain    a message for every change
    alarm    raised at first, again when it is worse or has another cause, taken back when it is over, and taken back
             once more a lease later, since a late trigger may overtake the first
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from stackhub.contract import Event, Fact, Link, Message, Part, Severity, Speaks
from stackhub.model.incident import Facet, Incident, Knows
from stackhub.model.pipeline import Told

ONCE_MORE: Final = timedelta(seconds=60)  # after a resolve: longer than any lease
ORDER: Final = (Told.FAILED, Told.LATE, Told.STALLED, Told.AT_RISK)  # whose words head the message


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteIn:
    """A route as the outbox needs it: whom, how he listens, to what."""

    id: str
    instance: str
    speaks: Speaks
    on: frozenset[Told]
    severity: Severity | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One message to write into the outbox."""

    route: RouteIn
    seq: int
    part: Part
    message: Message
    due: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An incident as it will be, and what is told because of it."""

    incident: Incident
    posts: tuple[Post, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """What every message of this installation carries."""

    installation: str
    source: str = "stackhub"


def observe(incident: Incident, facet: Facet, routes: Sequence[RouteIn], voice: Voice, now: datetime) -> Change | None:
    """Put a facet on an incident, new or open; None when nobody would learn anything from it."""
    old = incident.facets.get(facet.kind)
    if old is not None:
        facet = replace(facet, since=old.since)
        if facet == old:
            return None
    worst = max((incident.severity, facet.severity), key=lambda severity: severity.rank)
    changed = replace(incident, facets={**incident.facets, facet.kind: facet}, severity=worst)
    event = Event.UPDATED if incident.routes else Event.OPENED
    entry = f"{facet.title}" if old is None else f"{facet.title} ({facet.summary})" if facet.summary else facet.title
    return _tell(changed, routes, voice, now, event, entry)


def cease(
    incident: Incident,
    kinds: Sequence[Told],
    routes: Sequence[RouteIn],
    voice: Voice,
    now: datetime,
    why: str,
) -> Change | None:
    """End facets of an open incident; with the last one it resolves. ``routes`` are those it was told to."""
    left = {kind: facet for kind, facet in incident.facets.items() if kind not in kinds}
    if len(left) == len(incident.facets):
        return None
    if left:
        ended = ", ".join(sorted(set(incident.facets) - set(left)))
        return _tell(replace(incident, facets=left), routes, voice, now, Event.UPDATED, f"no longer {ended}: {why}")
    resolved = replace(incident, resolved_at=now, resolution=why)
    return _tell(resolved, routes, voice, now, Event.RESOLVED, why)


def head(incident: Incident) -> Facet:
    """Return the facet whose words head the message: the root cause first."""
    kinds = sorted(incident.facets, key=ORDER.index)
    return incident.facets[kinds[0]]


def dedup(installation: str, incident: str) -> str:
    """Name an incident towards vendors: the same for all its messages, unlike any other installation's."""
    return sha256(f"{installation}:{incident}".encode()).hexdigest()[:40]


def message_key(incident: str, route: str, seq: int, part: Part) -> str:
    """Name one message towards a vendor that can be searched for it."""
    return f"{incident}.{seq}.{part.value}.{sha256(route.encode()).hexdigest()[:8]}"


def _tell(
    incident: Incident, routes: Sequence[RouteIn], voice: Voice, now: datetime, event: Event, entry: str
) -> Change:
    incident = replace(incident, version=incident.version + 1, seq=incident.seq + 1)
    facet = head(incident)
    knows = dict(incident.routes)
    posts: list[Post] = []
    for route in (*_merged(incident, routes), *_left_behind(incident, routes)):
        known = knows.get(route.id)
        if known is None and (event is Event.RESOLVED or not route.on & set(incident.facets)):
            continue
        severity = _severity(route, incident, known)
        cause = facet.cause or facet.title
        first = known is None
        told = _message(incident, facet, voice, now, Event.OPENED if first else event, severity)
        posts += _posts(route, incident, told, known, cause, entry, now)
        knows[route.id] = Knows(
            severity=severity, cause=cause, instance=route.instance, speaks=route.speaks, options=route.options
        )
    return Change(incident=replace(incident, routes=knows), posts=tuple(posts))


def _severity(route: RouteIn, incident: Incident, known: Knows | None) -> Severity:
    """Return how bad a route is told it is: in its own words if it has any, and never less than it was told before."""
    own = route.severity or incident.severity
    return own if known is None or own.at_least(known.severity) else known.severity


def _merged(incident: Incident, routes: Sequence[RouteIn]) -> list[RouteIn]:
    """Make one route of several to the same place: it hears of all that any of them does, as the worst that applies."""
    same: dict[str, list[RouteIn]] = {}
    for route in routes:
        same.setdefault(route.id, []).append(route)
    merged = []
    for found in same.values():
        apply = [route for route in found if route.on & set(incident.facets)] or found
        worst = max(apply, key=lambda route: (route.severity or incident.severity).rank)
        merged.append(replace(worst, on=frozenset[Told]().union(*(route.on for route in found))))
    return merged


def _left_behind(incident: Incident, routes: Sequence[RouteIn]) -> list[RouteIn]:
    """Return the routes that know of the incident and are not configured any more: they are told how it goes on."""
    now = {route.id for route in routes}
    return [
        RouteIn(
            id=name,
            instance=known.instance,
            speaks=Speaks(known.speaks),
            on=frozenset(),
            severity=known.severity,
            options=known.options,
        )
        for name, known in incident.routes.items()
        if name not in now
    ]


def _posts(
    route: RouteIn, incident: Incident, told: Message, known: Knows | None, cause: str, entry: str, now: datetime
) -> list[Post]:
    root = Post(route=route, seq=incident.seq, part=Part.ROOT, message=told, due=now)
    line = replace(told, part=Part.ENTRY, summary=entry)
    match route.speaks:
        case Speaks.LIVE:
            return [root] if known is None else [root, replace(root, part=Part.ENTRY, message=line)]
        case Speaks.PLAIN:
            said = replace(told, part=Part.ENTRY) if known is None else line
            return [replace(root, part=Part.ENTRY, message=said)]
        case Speaks.ALARM if told.event is Event.RESOLVED:
            return [root, replace(root, seq=incident.seq + 1, due=now + ONCE_MORE)]
        case Speaks.ALARM:
            worse = known is not None and told.severity.rank > known.severity.rank
            return [root] if known is None or worse or known.cause != cause else []


def _message(
    incident: Incident, facet: Facet, voice: Voice, now: datetime, event: Event, severity: Severity
) -> Message:
    others = [other.title for kind, other in sorted(incident.facets.items()) if kind != facet.kind]
    facts = [*facet.facts, *(("Also", title) for title in others)]
    over = event is Event.RESOLVED
    return Message(
        incident=incident.id,
        dedup=dedup(voice.installation, incident.id),
        part=Part.ROOT,
        event=event,
        severity=severity,
        title=facet.title,
        summary=incident.resolution if over else facet.summary,
        facts=tuple(Fact(label=label, text=text) for label, text in facts),
        error=facet.error,
        links=tuple(Link(text=text, url=url) for text, url in facet.links),
        at=now,
        since=incident.opened_at,
        pipeline=incident.pipeline,
        source=voice.source,
    )
