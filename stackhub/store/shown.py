"""What is asked of the store only to be shown: the outbox, the lanes, counts. Each function only reads."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from stackhub.contract import Message
from stackhub.decide.circuit import Circuit
from stackhub.model.codec import load
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
    state: str  # "pending", "sent", "superseded", "undeliverable"
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
    incidents: int  # open


def outbox(connection: sa.Connection, *, state: str = "", incident: str = "", limit: int = 50) -> list[Posted]:
    """Return messages, newest first."""
    query = sa.select(t.outbox).order_by(t.outbox.c.id.desc()).limit(limit)
    if state:
        query = query.where(t.outbox.c.state == state)
    if incident:
        query = query.where(t.outbox.c.incident == incident)
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
    many = sa.func.count()
    kept = sa.select(t.outbox.c.instance, t.outbox.c.state, many.label("many")).where(
        t.outbox.c.state.in_(("pending", "undeliverable"))
    )
    oldest = sa.select(sa.func.min(t.outbox.c.created_at)).where(sa.text("state = 'pending'"))
    open_incidents = sa.select(many).select_from(t.incident).where(t.incident.c.resolved_at.is_(None))
    return Counts(
        outbox={
            (row.instance, row.state): row.many
            for row in connection.execute(kept.group_by(t.outbox.c.instance, t.outbox.c.state))
        },
        oldest_pending=maybe_instant(connection.scalar(oldest)),
        incidents=connection.scalar(open_incidents) or 0,
    )
