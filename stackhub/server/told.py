"""Whom a run's problems were told to, and why not others: from what the store keeps.

For each incident that the run had a part in, and each route of its pipeline: whether it heard, why or why not, which
messages were written for it, what became of them, and what the far side answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from stackhub.decide.facets import stamp
from stackhub.decide.mute import covers, in_force, muting
from stackhub.decide.routes import deaf, route_id
from stackhub.model.incident import Incident, Knows
from stackhub.model.mute import Mute
from stackhub.model.pipeline import Route, Told
from stackhub.model.run import Run, RunState
from stackhub.server.views import View, incident_view, message_view, moment
from stackhub.store import muted, shown
from stackhub.store.shown import Posted

MOST: Final = 500  # messages of an incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the store keeps of one incident."""

    incident: Incident
    posts: Sequence[Posted]
    receipts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by route


def told_view(
    run: Run, routes: Sequence[Route], kept: Sequence[Kept], mutes: Sequence[Mute], now: datetime, *, given: bool
) -> View:
    """Explain. ``routes`` are configured now, ``given``: by the pipeline itself; ``mutes``: in force since the run."""
    return {
        "run": run.id,
        "pipeline": run.pipeline,
        "state": run.state.value,
        "routes": [_route(route) for route in routes],
        "because": _because(run, routes, kept, given=given),
        "incidents": [_incident(one, routes, mutes, now) for one in kept],
        "mutes": [mute_view(mute, now) for mute in mutes],
    }


def kept_of(connection: sa.Connection, run: Run, now: datetime) -> tuple[list[Kept], list[Mute]]:
    """Read what `told_view` explains: a run's incidents with their messages, and the mutes of that time."""
    found = [
        Kept(
            incident=incident,
            posts=shown.outbox(connection, incident=incident.id, limit=MOST),
            receipts=shown.receipts(connection, incident.id),
        )
        for incident in shown.of_run(connection, run.id)
    ]
    return found, muted.between(connection, run.created_at, now)


def mute_view(mute: Mute, now: datetime) -> View:
    """Show a mute."""
    return {
        "id": mute.id,
        "key": mute.key,
        "until": moment(mute.until),
        "reason": mute.reason,
        "by": mute.by,
        "since": moment(mute.since),
        "ended_at": moment(mute.ended_at),
        "ended_by": mute.ended_by,
        "in_force": in_force(mute, now),
    }


def said_of(mute: Mute) -> str:
    """Say that something is muted."""
    return f"{mute.key} is muted until {stamp(mute.until)} by {mute.by}: {mute.reason}"


def _route(route: Route) -> View:
    return {
        "route": route_id(route.to, route.options),
        "instance": route.to,
        "on": sorted(route.on - {Told.RESOLVED}),
        "owners": list(route.owners),
        "options": dict(route.options),
    }


def _because(run: Run, routes: Sequence[Route], kept: Sequence[Kept], *, given: bool) -> list[str]:
    said = []
    if not routes:
        whose = "its alerts: is empty" if given else "no notifier has an env file, and STACKHUB_ALERTS names none"
        said.append(f"{run.pipeline} tells nobody: {whose}")
    if kept:
        return said
    match run.state:
        case RunState.SUCCEEDED:
            return [*said, "it succeeded, was in time, and no incident of its pipeline was open"]
        case RunState.CANCELLED:
            return [*said, "it was cancelled, which opens no incident"]
        case RunState.QUEUED | RunState.RUNNING:
            return [*said, "it has not ended, and nothing of it has failed, is late or is out of sight"]
        case _:
            return [*said, "no incident is kept that it had a part in"]


def _incident(kept: Kept, routes: Sequence[Route], mutes: Sequence[Mute], now: datetime) -> View:
    incident = kept.incident
    mine = [mute for mute in mutes if covers(mute, incident)]
    mute = muting(mutes, incident, now) if incident.resolved_at is None else None
    named = [(route_id(route.to, route.options), route) for route in routes]
    ids = dict.fromkeys([*(name for name, _ in named), *sorted(incident.routes)])
    return {
        **incident_view(incident),
        "muted": mute_view(mute, now) if mute else None,
        "heard_by": [
            _verdict(kept, name, [route for other, route in named if other == name], mine, mute) for name in ids
        ],
    }


def _verdict(kept: Kept, name: str, routes: Sequence[Route], mutes: Sequence[Mute], mute: Mute | None) -> View:
    known = kept.incident.routes.get(name)
    return {
        "route": name,
        "instance": routes[0].to if routes else known.instance if known else "",
        "heard": known is not None,
        "why": _heard(kept.incident, known, routes) if known else _deaf(kept.incident, routes, mutes, mute),
        "messages": [message_view(post) for post in sorted(kept.posts, key=lambda one: one.id) if post.route == name],
        "receipt": dict(kept.receipts.get(name, {})),
    }


def _heard(incident: Incident, known: Knows, routes: Sequence[Route]) -> str:
    if not routes:
        stands_in = known.cause == "fallback"
        return "it stands in for a route that could not be told" if stands_in else "it is not configured any more"
    if all(deaf(route, incident) for route in routes):
        return "it heard of it as it was before"
    kinds = {kind for route in routes if not deaf(route, incident) for kind in route.on & set(incident.facets)}
    return f"it hears of {', '.join(sorted(kinds))}"


def _deaf(incident: Incident, routes: Sequence[Route], mutes: Sequence[Mute], mute: Mute | None) -> str:
    reasons = [deaf(route, incident) for route in routes]
    if routes and all(reasons):
        return reasons[0]
    if mute is not None:
        return said_of(mute)
    if incident.resolved_at is not None and mutes:
        return f"it was over before the mute was: {said_of(mutes[-1])}"
    return "it is new: it hears of the next change"
