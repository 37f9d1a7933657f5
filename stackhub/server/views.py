"""What the store holds, as JSON documents: the API answers with them, and so does ``--json`` on the command line. Pure.

Keys are in snake case, times RFC 3339 in UTC, lengths of time in seconds. A key is always there: null, "" or []
where there is nothing to say. New keys may be added; none is renamed or removed within a major version.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from stackhub.contract import Connection
from stackhub.decide.incident import head
from stackhub.decide.owed import Debt
from stackhub.model.incident import Facet, Incident
from stackhub.model.landing import Landing
from stackhub.model.mute import Mute
from stackhub.model.node import Node
from stackhub.model.run import OpenRun, Run
from stackhub.model.step import DONE, Step
from stackhub.store.queries import Line
from stackhub.store.shown import LaneSeen, Posted

View: TypeAlias = dict[str, Any]


def moment(at: datetime | None) -> str | None:
    """Write a time: ``2026-11-22T06:00:00Z``."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def seconds(length: timedelta | None) -> float | None:
    """Write a length of time in seconds, to the millisecond."""
    return None if length is None else round(length.total_seconds(), 3)


def run_view(run: Run, now: datetime | None = None) -> View:
    """Show a run. ``duration`` counts from its start to its end, or to ``now`` while it is going."""
    end = run.ended_at or now
    return {
        "id": run.id,
        "pipeline": run.pipeline,
        "state": run.state.value,
        "trigger": run.trigger.value,
        "mode": run.mode.value,
        "interval": {"start": moment(run.interval.start), "end": moment(run.interval.end)},
        "created_at": moment(run.created_at),
        "started_at": moment(run.started_at),
        "ended_at": moment(run.ended_at),
        "duration": seconds(end - run.started_at) if end and run.started_at else None,
        "retry_of": run.retry_of or None,
        "tick": moment(run.tick),
        "reason": run.reason,
        "cancel_reason": run.cancel_reason,
        "cancel_asked_at": moment(run.cancel_at),
    }


def show_view(
    open_run: OpenRun,
    events: Sequence[Line],
    nodes: Mapping[str, Sequence[Node]],
    usual: Mapping[str, float],
    now: datetime | None = None,
    mute: Mute | None = None,
    forecast: View | None = None,
) -> View:
    """Show a run with its steps and its history. ``nodes`` and ``usual`` (seconds) are by task.

    ``forecast`` is what is to be expected of an open one, see `server.forecasting`.
    """
    return {
        **run_view(open_run.run, now),
        "steps": [
            step_view(step, open_run, nodes=nodes.get(name, ()), usual=usual.get(name))
            for name, step in open_run.steps.items()
        ],
        "forecast": forecast,
        "muted": {"until": moment(mute.until), "by": mute.by, "reason": mute.reason} if mute else None,
        "events": [event_view(line) for line in events],
    }


def owed_view(debt: Debt) -> View:
    """Show what is owed: a node, and the extract it waits for."""
    return {
        "pipeline": debt.pipeline,
        "task": debt.task,
        "node": debt.node,
        "extract": debt.extract,
        "connection": f"{debt.instance}/{debt.connection}",
        "since": moment(debt.since),
        "run": debt.run,
        "interval": {"start": moment(debt.interval.start), "end": moment(debt.interval.end)},
        "landed_at": moment(debt.landed_at),
        "tried_by": debt.tried or None,
    }


def step_view(step: Step, open_run: OpenRun, *, nodes: Sequence[Node] = (), usual: float | None = None) -> View:
    """Show a step. ``waits_for`` are those of its needs that are not done."""
    task = open_run.pipeline.task(step.task)
    needs = [need.task for need in task.needs]
    return {
        "task": step.task,
        "uses": f"{task.connector}.{task.stands_for or task.operation}",
        "instance": step.instance,
        "state": step.state.value,
        "attempt": step.attempt,
        "attempts": task.retries.attempts,
        "due": moment(step.due),
        "note": step.note,
        "error": step.error,
        "warning": step.warning,
        "progress": {"done": step.done, "total": step.total},
        "began_at": moment(step.began_at),
        "ended_at": moment(step.ended_at),
        "needs": needs,
        "without": list(step.without),
        "waits_for": [name for name in needs if open_run.steps[name].state not in DONE],
        "may_have_run": step.may_have_run,
        "lost_sight": step.lost_sight,
        "joined": step.joined,
        "stopping": step.stop.value,
        "url": str(step.handle.get("url") or "") if step.handle else "",
        "carried_from": step.carried or None,
        "landing": landing_view(step.landing) if step.landing else None,
        "result": dict(step.result),
        "nodes": [node_view(node) for node in nodes],
        "usual_seconds": round(usual, 3) if usual is not None else None,
    }


def node_view(node: Node) -> View:
    """Show a node: a dbt model, test, seed, snapshot or source."""
    return {
        "id": node.id,
        "name": node.name,
        "kind": node.kind,
        "state": node.state.value,
        "status": node.status,
        "message": node.message,
        "started_at": moment(node.started_at),
        "seconds": node.seconds,
        "rows": node.rows,
        "relation": node.relation,
        "owner": node.owner,
        "passing": node.passing,
    }


def landing_view(landing: Landing) -> View:
    """Show a completed load."""
    return {
        "connection": landing.connection,
        "mark": landing.mark,
        "ended_at": moment(landing.ended_at),
        "rows": landing.rows,
    }


def event_view(line: Line) -> View:
    """Show a line of history; ``id`` grows, so the last one seen is where to go on from."""
    return {
        "id": line.id,
        "at": moment(line.at),
        "pipeline": line.pipeline,
        "run": line.run,
        "task": line.task,
        "kind": line.kind,
        "text": line.text,
        "attempt": line.attempt,
    }


def history(events: Sequence[Line], task: str) -> str:
    """Write a step's history as lines; it only grows at its end."""
    lines = (
        f"{moment(line.at)} {line.kind} (try {line.attempt}){f': {line.text}' if line.text else ''}\n"
        for line in events
        if line.task == task
    )
    return "".join(lines)


def incident_view(incident: Incident) -> View:
    """Show an incident; the facets of a resolved one are those it ended with.

    Nobody has heard of one in ``shadow``: ``told`` says who would have.
    """
    return {
        "id": incident.id,
        "key": incident.key,
        "state": "resolved" if incident.resolved_at else "open",
        "severity": incident.severity.value,
        "title": head(incident).title if incident.facets else "",
        "pipeline": incident.pipeline,
        "opened_at": moment(incident.opened_at),
        "resolved_at": moment(incident.resolved_at),
        "resolution": incident.resolution,
        "untold": incident.untold,
        "shadow": incident.shadow,
        "owners": sorted({owner for facet in incident.facets.values() for owner in facet.owners}),
        "concerns": list(incident.concerns),
        "runs": list(incident.runs),
        "facets": [_facet(facet) for facet in incident.facets.values()],
        "told": [
            {"route": route, "instance": knows.instance, "severity": knows.severity.value}
            for route, knows in sorted(incident.routes.items())
        ],
    }


def connection_view(
    instance: str,
    one: Connection,
    *,
    used_by: Sequence[str],
    incident: Incident | None,
    seen_at: datetime | None = None,
) -> View:
    """Show a connection as its account was last seen to hold it; ``used_by`` are the tasks that load it."""
    return {
        "instance": instance,
        "id": one.id,
        "name": one.name,
        "health": one.health.value,
        "note": one.note,
        "schedule": one.schedule,
        "syncing": one.syncing,
        "last_landing": landing_view(one.last) if one.last else None,
        "tables": [".".join(part for part in (r.database, r.schema, r.table) if part) for r in one.relations],
        "used_by": list(used_by),
        "incident": incident.id if incident else None,
        "url": one.url,
        "seen_at": moment(seen_at),
    }


def message_view(posted: Posted) -> View:
    """Show a message of the outbox: pending, sent, superseded by a newer one, undeliverable, or not sent: shadow."""
    message = posted.message
    return {
        "id": posted.id,
        "incident": posted.incident,
        "route": posted.route,
        "instance": posted.instance,
        "part": posted.part,
        "event": message.event.value,
        "severity": message.severity.value,
        "title": message.title,
        "summary": message.summary,
        "pipeline": message.pipeline,
        "state": posted.state,
        "attempts": posted.attempts,
        "doubt": posted.doubt,
        "error": posted.error,
        "due": moment(posted.due),
        "created_at": moment(posted.created_at),
        "sent_at": moment(posted.sent_at),
    }


def instance_view(
    name: str,
    *,
    connector: str,
    summary: str,
    operations: Sequence[str],
    notifies: bool,
    open_steps: int = 0,
    undelivered: int | None = None,
    lane: LaneSeen | None = None,
    shut: str = "",
) -> View:
    """Show an instance: what it can do, and whether its account answers.

    ``lane`` is its lane as last kept; ``shut`` is why it could not be opened.
    """
    circuit = lane.circuit if lane else None
    answers = "ok" if circuit is None or not circuit.open else "refused" if circuit.refused else "down"
    return {
        "instance": name,
        "connector": connector,
        "summary": summary,
        "operations": list(operations),
        "notifies": notifies,
        "open_steps": open_steps,
        "undelivered": undelivered,
        "state": "shut" if shut else answers,
        "error": shut or (circuit.error if circuit else ""),
        "next_try_at": moment(circuit.open_until) if circuit else None,
        "not_before": moment(lane.not_before) if lane else None,
    }


def _facet(facet: Facet) -> View:
    return {
        "kind": facet.kind.value,
        "since": moment(facet.since),
        "severity": facet.severity.value,
        "title": facet.title,
        "error": facet.error,
        "summary": facet.summary,
        "facts": [{"label": label, "text": text} for label, text in facet.facts],
        "links": [{"text": text, "url": url} for text, url in facet.links],
        "run": facet.run or None,
        "covers": moment(facet.covers),
    }
