"""What becomes of an incident, and which messages that takes. Pure.

One problem is one incident: it opens with its first facet, is told again when what matters changes, and resolves when
its last facet has ended. What happens while it is muted is kept and not told; when the mute has ended it is, if it
still lasts. Its end is told all the same, to those who know of it: that takes an alarm back. Whoever wants to is
reminded of one that lasts. In which words each route hears: `message`; which route does: `routes`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from stackhub.contract import Event
from stackhub.decide.facets import span
from stackhub.decide.message import Post, Voice, beneath, message, posts, reminder
from stackhub.decide.routes import Ear, RouteIn, ears, severity_at
from stackhub.model.incident import Facet, Incident, Knows
from stackhub.model.pipeline import Told

BEYOND: Final = frozenset({Told.FAILED, Told.LATE})  # what was at risk has come to pass
ORDER: Final = (Told.FAILED, Told.LATE, Told.STALLED, Told.UPSTREAM, Told.AT_RISK)  # whose words head the message
RUNS: Final = 50  # that are remembered of one incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An incident as it will be, and what is told because of it."""

    incident: Incident
    posts: tuple[Post, ...]


def observe(
    incident: Incident, facet: Facet, routes: Sequence[RouteIn], voice: Voice, now: datetime, *, muted: bool = False
) -> Change | None:
    """Put a facet on an incident, new or open; None when nobody would learn anything from it."""
    old = incident.facets.get(facet.kind)
    if old is not None:
        facet = replace(facet, since=old.since)
        if facet == old:
            return None
    kept = {kind: one for kind, one in incident.facets.items() if kind is not Told.AT_RISK or facet.kind not in BEYOND}
    worst = max((incident.severity, facet.severity), key=lambda severity: severity.rank)
    changed = replace(
        incident,
        facets={**kept, facet.kind: facet},
        severity=worst,
        runs=incident.runs if not facet.run or facet.run in incident.runs else (*incident.runs, facet.run)[-RUNS:],
    )
    event = Event.UPDATED if incident.routes else Event.OPENED
    entry = beneath(head(changed).title, facet.title, facet.summary if old is not None else "")
    return _kept(changed) if muted else _tell(changed, routes, voice, now, event, entry)


def cease(
    incident: Incident,
    kinds: Sequence[Told],
    routes: Sequence[RouteIn],
    voice: Voice,
    now: datetime,
    why: str,
    *,
    muted: bool = False,
) -> Change | None:
    """End facets of an open incident; with the last one it resolves. ``routes`` are those it was told to."""
    left = {kind: facet for kind, facet in incident.facets.items() if kind not in kinds}
    if len(left) == len(incident.facets):
        return None
    if left:
        changed = replace(incident, facets=left)
        ended = ", ".join(sorted(set(incident.facets) - set(left)))
        entry = f"no longer {ended}: {why}"
        return _kept(changed) if muted else _tell(changed, routes, voice, now, Event.UPDATED, entry)
    resolved = replace(incident, resolved_at=now, resolution=why)
    return _tell(resolved, routes, voice, now, Event.RESOLVED, why)


def unmuted(
    incident: Incident, routes: Sequence[RouteIn], voice: Voice, now: datetime, was: str = "muted"
) -> Change | None:
    """Tell what a mute has held back, now that it has ended; None where it has held back nothing that lasts."""
    if not incident.untold or incident.resolved_at is not None:
        return None
    event = Event.UPDATED if incident.routes else Event.OPENED
    return _tell(incident, routes, voice, now, event, f"it was {was} until now")


def quiet(incident: Incident) -> Change:
    """Keep an incident as it is now, without a word to anybody yet."""
    return _kept(incident)


def remind(incident: Incident, routes: Sequence[RouteIn], voice: Voice, now: datetime) -> Change | None:
    """Tell those routes that an incident lasts which have heard nothing of it for as long as they want to."""
    due = [ear.route for ear in ears(incident, routes) if (at := _again(incident, ear)) is not None and at <= now]
    if not due or incident.resolved_at is not None:
        return None
    incident = replace(incident, version=incident.version + 1, seq=incident.seq + 1)
    facet, knows, made = head(incident), dict(incident.routes), []
    for route in due:
        known = knows[route.id]
        told = message(incident, facet, voice, now, Event.UPDATED, known.severity, _also(incident, facet))
        made.append(reminder(route, incident, told, f"still, after {span(now - incident.opened_at)}"))
        knows[route.id] = replace(known, told_at=now)
    return Change(incident=replace(incident, routes=knows), posts=tuple(made))


def reminded_at(incident: Incident, routes: Sequence[RouteIn]) -> datetime | None:
    """Return when the next route is to be reminded, if nothing changes; None when none ever is."""
    return min((at for ear in ears(incident, routes) if (at := _again(incident, ear)) is not None), default=None)


def head(incident: Incident) -> Facet:
    """Return the facet whose words head the message: the root cause first."""
    kinds = sorted(incident.facets, key=ORDER.index)
    return incident.facets[kinds[0]]


def _again(incident: Incident, ear: Ear) -> datetime | None:
    known = incident.routes.get(ear.route.id)
    if known is None or ear.route.renotify is None:
        return None
    return (known.told_at or incident.opened_at) + ear.route.renotify


def _kept(incident: Incident) -> Change:
    return Change(incident=replace(incident, version=incident.version + 1, untold=True), posts=())


def _also(incident: Incident, facet: Facet) -> list[str]:
    return [other.title for kind, other in sorted(incident.facets.items()) if kind != facet.kind]


def _tell(
    incident: Incident, routes: Sequence[RouteIn], voice: Voice, now: datetime, event: Event, entry: str
) -> Change:
    incident = replace(incident, version=incident.version + 1, seq=incident.seq + 1, untold=False)
    facet = head(incident)
    cause = facet.cause or facet.title
    knows = dict(incident.routes)
    made: list[Post] = []
    for ear in ears(incident, routes):
        route, known = ear.route, knows.get(ear.route.id)
        if known is None and (event is Event.RESOLVED or not ear.hears):
            continue
        severity = severity_at(route, incident, known)
        happens = Event.OPENED if known is None else event
        told = message(incident, facet, voice, now, happens, severity, _also(incident, facet))
        new = posts(route, incident, told, known, cause, entry)
        made += new
        knows[route.id] = Knows(
            severity=severity,
            cause=cause,
            instance=route.instance,
            speaks=route.speaks,
            options=route.options,
            told_at=now if new or known is None else known.told_at,
        )
    return Change(incident=replace(incident, routes=knows), posts=tuple(made))
