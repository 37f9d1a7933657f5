"""The mutes as rows: written by a person's wish, ended by another or by time."""

from datetime import datetime
from typing import Final

import sqlalchemy as sa

from stackhub.model.mute import Mute
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.tables import instant, maybe_instant, maybe_micros, micros
from stackhub.store.transaction import Op


def kept(mute: Mute) -> Op:
    """Keep a new mute."""
    row = {
        "id": mute.id,
        "key": mute.key,
        "until": micros(mute.until),
        "reason": mute.reason,
        "by": mute.by,
        "since": micros(mute.since),
        "ended_at": maybe_micros(mute.ended_at),
        "ended_by": mute.ended_by,
    }
    return Op(tx.MUTE, row)


def ended(mute: Mute, at: datetime, by: str) -> Op:
    """Keep that a mute is over; one that was over before stays as it is."""
    return Op(tx.MUTE_ENDED, {"id": mute.id, "ended_at": micros(at), "ended_by": by})


_IN_FORCE: Final = sa.select(t.mute).where(sa.text("ended_at IS NULL")).order_by(t.mute.c.id)


def in_force(connection: sa.Connection) -> list[Mute]:
    """Return the mutes that nobody has ended; the time of some may have come."""
    return _read(connection, _IN_FORCE)


def between(connection: sa.Connection, since: datetime, until: datetime) -> list[Mute]:
    """Return the mutes that were in force at some time of a period, oldest first."""
    kept = t.mute.c
    end = sa.func.coalesce(kept.ended_at, kept.until)
    return _read(
        connection, sa.select(t.mute).where(kept.since <= micros(until), end > micros(since)).order_by(kept.id)
    )


def _read(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Mute]:
    return [
        Mute(
            id=row.id,
            key=row.key,
            until=instant(row.until),
            reason=row.reason,
            by=row.by,
            since=instant(row.since),
            ended_at=maybe_instant(row.ended_at),
            ended_by=row.ended_by,
        )
        for row in connection.execute(query)
    ]
