"""The messages that wait to be delivered, as rows: which come first, when more will, and what became of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from stackhub.contract import Message, Part
from stackhub.engine.incidents import FALLBACK
from stackhub.model.codec import load
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.tables import instant, maybe_instant, maybe_micros, micros
from stackhub.store.transaction import Op

BATCH: Final = 100
GIVE_UP: Final = timedelta(hours=24)  # and not before it has been tried so often:
LEAST: Final = 8  # a hub that was away for long, or a clock set forward, has not tried at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message that waits to be delivered."""

    id: str
    incident: str
    route: str
    seq: int
    part: Part
    options: Mapping[str, Any]
    message: Message
    due: datetime
    attempts: int
    doubt: bool
    created_at: datetime
    receipt: Mapping[str, Any] | None  # what the route answered when it was last told of the incident

    def hopeless(self, now: datetime) -> bool:
        """Say whether it has been tried for so long, and so often, that it is given up."""
        return now - self.created_at >= GIVE_UP and self.attempts + 1 >= LEAST

    @property
    def order(self) -> tuple[str, str]:
        """Messages with the same order go one after another."""
        return self.incident, self.route


def moved(
    waiting: Waiting, *, state: str, due: datetime, doubt: bool, error: str, sent_at: datetime | None = None
) -> Op:
    """Keep what became of a message."""
    return Op(
        tx.OUTBOX_MOVED,
        {
            "b_id": waiting.id,
            "n_state": state,
            "n_due": micros(due),
            "n_attempts": waiting.attempts + 1,
            "n_doubt": int(doubt),
            "n_error": error,
            "n_sent_at": maybe_micros(sent_at),
        },
    )


# Made once: every outbox asks these at every look. The state is spelt out, since a partial index serves no parameter.
_ROW: Final = t.outbox.c
_OLDER: Final = t.outbox.alias("older")
_MINE: Final = (_ROW.instance == sa.bindparam("instance"), _ROW.state == sa.literal_column("'pending'"))
_TOLD: Final = (
    sa.exists()
    .where(t.receipt.c.incident == _ROW.incident, t.receipt.c.route == _ROW.route)
    .correlate(t.outbox)  # from within the next one as well
)
_FIRST_IN_LINE: Final = ~sa.exists().where(  # of each incident and route the oldest that waits
    _OLDER.c.incident == _ROW.incident,
    _OLDER.c.route == _ROW.route,
    _OLDER.c.state == sa.literal_column("'pending'"),
    sa.or_(  # "root" > "entry": a root goes before its entry, and the first of all before any, which hang on it
        sa.and_(_OLDER.c.part == _ROW.part, _OLDER.c.seq < _ROW.seq),
        sa.and_(_OLDER.c.part > _ROW.part, sa.or_(_OLDER.c.seq <= _ROW.seq, ~_TOLD)),
        sa.and_(_OLDER.c.part < _ROW.part, _OLDER.c.seq < _ROW.seq, _TOLD),
    ),
)
_COUNT: Final = sa.select(sa.func.count()).select_from(t.outbox).where(*_MINE)
_TURN: Final = sa.func.row_number().over(partition_by=_ROW.route, order_by=(_ROW.due, _ROW.id)).label("turn")
_DUE: Final = (  # routes take turns, so that thousands for one hide no other's
    sa.select(t.outbox, t.receipt.c.receipt, _TURN)
    .outerjoin(t.receipt, sa.and_(t.receipt.c.incident == _ROW.incident, t.receipt.c.route == _ROW.route))
    .where(*_MINE, _FIRST_IN_LINE, _ROW.due <= sa.bindparam("now"))
    .order_by(_TURN, _ROW.due)
    .limit(BATCH)
)
_NEXT: Final = sa.select(sa.func.min(_ROW.due)).where(*_MINE, _FIRST_IN_LINE, _ROW.due > sa.bindparam("now"))


def look(connection: sa.Connection, instance: str, now: datetime) -> tuple[list[Waiting], datetime | None, int]:
    """Return what is due, by turns of each route; when more will be; and how much there is in all."""
    count = connection.scalar(_COUNT, {"instance": instance}) or 0
    if count == 0:
        return [], None, 0
    asked = {"instance": instance, "now": micros(now)}
    at = connection.scalar(_NEXT, asked)
    return [_waiting(row) for row in connection.execute(_DUE, asked)], maybe_instant(at), count


def about_to_send(waiting: Waiting) -> Op:
    """Keep that a message may have been sent from now on; stale where it has been superseded."""
    row = {"b_id": waiting.id, "b_state": "pending", "n_attempts": waiting.attempts + 1, "n_doubt": 1}
    return Op(tx.OUTBOX_SENDING, row)


def _waiting(row: sa.Row[Any]) -> Waiting:
    return Waiting(
        id=row.id,
        incident=row.incident,
        route=row.route,
        seq=row.seq,
        part=Part(row.part),
        options=load(dict[str, Any], row.options),
        message=load(Message, row.message),
        due=instant(row.due),
        attempts=row.attempts,
        doubt=bool(row.doubt),
        created_at=instant(row.created_at),
        receipt=load(dict[str, Any], row.receipt) if row.receipt else None,
    )


def told(connection: sa.Connection, waiting: Waiting, route: str, instance: str) -> bool:
    """Say whether a fallback route has been given the same message, or its instance hears of the incident anyway.

    The incident may be over by now: then only what was written for it still says who heard of it.
    """
    columns = t.outbox.c
    same = sa.and_(columns.route == route, columns.seq == waiting.seq)
    anyway = sa.and_(columns.instance == instance, columns.route.not_like(f"{FALLBACK}%"))
    where = (columns.incident == waiting.incident, sa.or_(same, anyway))
    return connection.scalar(sa.select(columns.id).where(*where).limit(1)) is not None
