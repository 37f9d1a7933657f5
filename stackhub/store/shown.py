"""What is asked of the store only to be shown: the outbox, the lanes, counts. Each function only reads."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from stackhub.contract import Message
from stackhub.decide.circuit import Circuit
from stackhub.model.codec import dump, load
from stackhub.model.incident import Incident
from stackhub.store import tables as t
from stackhub.store.tables import instant, maybe_instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A message of the outbox, whatever became of it."""

    id: str
    incident: str
    route: str
    instance: str
    part: str
    message: Message
    state: str  # "pending", "sent", "superseded", "undeliverable", "shadow": never to be sent
    due: datetime
    attempts: int
    doubt: bool
    error: str
    created_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSeen:
    """A lane as it was last kept: whether its account is worth calling, and not before when."""

    instance: str
    circuit: Circuit
    not_before: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much there is of what; for metrics."""

    outbox: dict[tuple[str, str], int]  # (instance, state): pending and undeliverable
    oldest_pending: datetime | None  # when the oldest message that waits was written


def outbox(
    connection: sa.Connection, *, state: str = "", incident: str = "", failed: bool = False, limit: int = 50
) -> list[Posted]:
    """Return messages, newest first; ``failed``: those alone whose last try did not get through."""
    query = sa.select(t.outbox).order_by(t.outbox.c.id.desc()).limit(limit)
    if state:
        query = query.where(t.outbox.c.state == state)
    if incident:
        query = query.where(t.outbox.c.incident == incident)
    if failed:
        query = query.where(t.outbox.c.error != "")
    return [
        Posted(
            id=row.id,
            incident=row.incident,
            route=row.route,
            instance=row.instance,
            part=row.part,
            message=load(Message, row.message),
            state=row.state,
            due=instant(row.due),
            attempts=row.attempts,
            doubt=bool(row.doubt),
            error=row.error,
            created_at=instant(row.created_at),
            sent_at=maybe_instant(row.sent_at),
        )
        for row in connection.execute(query)
    ]


def of_run(connection: sa.Connection, run_id: str) -> list[Incident]:
    """Return the incidents that a run had a part in, or has ended, oldest first."""
    query = sa.select(t.incident.c.data).where(t.incident.c.data.contains(run_id)).order_by(t.incident.c.id)
    found = [load(Incident, row.data) for row in connection.execute(query)]
    return [one for one in found if run_id in one.runs or run_id in one.resolution]


def receipts(connection: sa.Connection, incident: str) -> dict[str, dict[str, Any]]:
    """Return what the far sides answered, by route."""
    query = sa.select(t.receipt.c.route, t.receipt.c.receipt).where(t.receipt.c.incident == incident)
    return {row.route: load(dict[str, Any], row.receipt) for row in connection.execute(query)}


def lanes(connection: sa.Connection) -> dict[str, LaneSeen]:
    """Return every lane there ever was, by instance."""
    return {
        row.instance: LaneSeen(
            instance=row.instance,
            circuit=load(Circuit, row.circuit) if row.circuit else Circuit(),
            not_before=maybe_instant(row.not_before),
        )
        for row in connection.execute(sa.select(t.lane))
    }


def counts(connection: sa.Connection) -> Counts:
    """Count what metrics show and only the store knows."""
    kept = t.outbox.c
    stuck = kept.state.in_(("pending", "undeliverable"))
    many = sa.select(kept.instance, kept.state, sa.func.count().label("many")).where(stuck)
    oldest = sa.select(sa.func.min(kept.created_at)).where(sa.text("state = 'pending'"))
    return Counts(
        outbox={
            (row.instance, row.state): row.many for row in connection.execute(many.group_by(kept.instance, kept.state))
        },
        oldest_pending=maybe_instant(connection.scalar(oldest)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A trigger that was asked for under a key, and obeyed or about to be."""

    args: dict[str, Any]
    result: dict[str, Any]


def asked(connection: sa.Connection, key: str) -> Asked | None:
    """Return the trigger that a key was used for, if it was not refused."""
    kept = t.command.c
    where = (kept.kind == "trigger", kept.error.is_(None), kept.args.contains(dump(key), autoescape=True))
    query = sa.select(kept.id, kept.args, kept.result).where(*where).order_by(kept.id)
    for row in connection.execute(query):
        args = load(dict[str, Any], row.args)
        if args.get("idempotency_key") == key:
            result = load(dict[str, Any], row.result) if row.result else {"run": row.id, "state": "queued"}
            return Asked(args=args, result=result)
    return None
