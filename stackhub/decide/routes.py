"""Who hears of an incident: each route by what it listens to, and whose matters it is for. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any, Protocol

from stackhub.contract import Severity, Speaks
from stackhub.model.codec import dump
from stackhub.model.incident import Incident, Knows
from stackhub.model.pipeline import Told


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteIn:
    """A route as the outbox needs it: whom, how he listens, to what."""

    id: str
    instance: str
    speaks: Speaks
    on: frozenset[Told]
    owners: tuple[str, ...] = ()  # whose matters alone it hears; none: everybody's
    severity: Severity | None = None
    renotify: timedelta | None = None  # after so long without news it is told that the problem lasts
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ear:
    """One place to tell, and whether what is wrong now is for it."""

    route: RouteIn
    hears: bool


class Listens(Protocol):
    """What says whether a route hears of something."""

    @property
    def on(self) -> frozenset[Told]:
        """Of what."""
        ...

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose matters alone; none: everybody's."""
        ...


def route_id(instance: str, options: Mapping[str, object]) -> str:
    """Name a route by whom it tells and how: ``slack``, or ``slack:3f9a01c2`` with options of its own."""
    return f"{instance}:{sha256(dump(options).encode()).hexdigest()[:8]}" if options else instance


def deaf(route: Listens, incident: Incident) -> str:
    """Say why a route does not hear of an incident as it is; "" where it does."""
    kinds = route.on & set(incident.facets)
    if not kinds:
        return f"it hears of {_words(route.on - {Told.RESOLVED})}; this is {_words(incident.facets)}"
    concerned = {owner for kind in kinds for owner in incident.facets[kind].owners}
    if route.owners and not same(route.owners, concerned):
        return f"it hears what concerns {_words(route.owners)}; this concerns {_words(concerned) or 'nobody by name'}"
    return ""


def same(some: Iterable[str], others: Iterable[str]) -> bool:
    """Say whether two lists of owners have one in common, however they write it."""
    return not {_folded(owner) for owner in some}.isdisjoint(_folded(owner) for owner in others)


def ears(incident: Incident, routes: Sequence[RouteIn]) -> list[Ear]:
    """Return whom to ask whether it is for them: the places that routes lead to now, and those that know already."""
    return [*_merged(incident, routes), *_left_behind(incident, routes)]


def severity_at(route: RouteIn, incident: Incident, known: Knows | None) -> Severity:
    """Return how bad a route is told it is: in its own words if it has any, and never less than it was told before."""
    own = route.severity or incident.severity
    return own if known is None or own.at_least(known.severity) else known.severity


def _merged(incident: Incident, routes: Sequence[RouteIn]) -> list[Ear]:
    """Make one route of several to the same place: it hears of all that any of them does, as the worst that applies."""
    same_place: dict[str, list[RouteIn]] = {}
    for route in routes:
        same_place.setdefault(route.id, []).append(route)
    merged = []
    for found in same_place.values():
        apply = [route for route in found if not deaf(route, incident)]
        worst = max(apply or found, key=lambda route: (route.severity or incident.severity).rank)
        often = min((route.renotify for route in apply or found if route.renotify is not None), default=None)
        merged.append(Ear(route=replace(worst, renotify=often), hears=bool(apply)))
    return merged


def _left_behind(incident: Incident, routes: Sequence[RouteIn]) -> list[Ear]:
    """Return the routes that know of the incident and are not configured any more: they are told how it goes on."""
    now = {route.id for route in routes}
    return [
        Ear(
            route=RouteIn(
                id=name,
                instance=known.instance,
                speaks=Speaks(known.speaks),
                on=frozenset(),
                severity=known.severity,
                options=known.options,
            ),
            hears=False,
        )
        for name, known in incident.routes.items()
        if name not in now
    ]


def _folded(owner: str) -> str:
    return owner.strip().casefold()


def _words(names: Iterable[str]) -> str:
    return ", ".join(sorted(str(name) for name in names))
