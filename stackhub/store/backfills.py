"""Backfills: values to rows and back."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from stackhub.model.backfill import Backfill, BackfillState, Part, PartState
from stackhub.model.codec import dump, load
from stackhub.model.run import Interval
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.tables import instant, maybe_micros, micros
from stackhub.store.transaction import Op

GOING = sa.text("state IN ('running', 'cancelling')")
MANY = 400  # parameters in one IN list


def made(backfill: Backfill, key: str, parts: Iterable[Part]) -> list[Op]:
    """Keep a new backfill; one of the same key is a conflict."""
    row = {
        "id": backfill.id,
        "key": key,
        "pipeline": backfill.pipeline,
        "state": backfill.state.value,
        "version": backfill.version,
        "created_at": micros(backfill.created_at),
        "ended_at": None,
        "data": dump(backfill),
    }
    return [
        Op(tx.BACKFILL, row),
        *(
            Op(
                tx.PART,
                {
                    "backfill": backfill.id,
                    "seq": part.seq,
                    "start_at": micros(part.interval.start),
                    "end_at": micros(part.interval.end),
                    "state": part.state.value,
                    "run": None,
                },
            )
            for part in parts
        ),
    ]


def moved(backfill: Backfill, was: int) -> Op:
    """Keep a backfill whose version was ``was``."""
    return Op(
        tx.BACKFILL_MOVED,
        {
            "b_id": backfill.id,
            "b_version": was,
            "n_state": backfill.state.value,
            "n_version": backfill.version,
            "n_ended_at": maybe_micros(backfill.ended_at),
            "n_data": dump(backfill),
        },
    )


def part_moved(backfill: str, part: Part, was: PartState) -> Op:
    """Keep an interval that was in state ``was``: else it is a conflict."""
    changes = {"n_state": part.state.value, "n_run": part.run or None}
    return Op(tx.PART_BEGUN, {"b_backfill": backfill, "b_seq": part.seq, "b_state": was.value, **changes})


def part_ended(backfill: str, seq: int, state: PartState, run: str) -> Op:
    """Keep how the newest run of an interval has ended."""
    return Op(tx.PART_ENDED, {"b_backfill": backfill, "b_seq": seq, "n_state": state.value, "n_run": run})


def backfills(connection: sa.Connection, *, pipeline: str = "", limit: int = 50) -> list[Backfill]:
    """Return backfills, newest first."""
    query = sa.select(t.backfill.c.data).order_by(t.backfill.c.id.desc()).limit(limit)
    if pipeline:
        query = query.where(t.backfill.c.pipeline == pipeline)
    return [load(Backfill, row.data) for row in connection.execute(query)]


_GOING: Final = sa.select(t.backfill.c.data).where(GOING).order_by(t.backfill.c.id)


def going(connection: sa.Connection) -> list[Backfill]:
    """Return the backfills that go on, oldest first."""
    return [load(Backfill, row.data) for row in connection.execute(_GOING)]


def failed(connection: sa.Connection) -> set[str]:
    """Return the backfills that have ended with something left: a retry may yet complete one."""
    states = (BackfillState.FAILED.value, BackfillState.CANCELLED.value)
    return set(connection.scalars(sa.select(t.backfill.c.id).where(t.backfill.c.state.in_(states))))


def backfill(connection: sa.Connection, backfill_id: str) -> Backfill | None:
    """Return one."""
    found = connection.scalar(sa.select(t.backfill.c.data).where(t.backfill.c.id == backfill_id))
    return load(Backfill, found) if found is not None else None


def by_key(connection: sa.Connection, key: str) -> Backfill | None:
    """Return the one that was asked for in these words."""
    found = connection.scalar(sa.select(t.backfill.c.data).where(t.backfill.c.key == key))
    return load(Backfill, found) if found is not None else None


def named(connection: sa.Connection, typed: str) -> list[str]:
    """Return at most ten ids that begin, or end, with what a person typed."""
    wanted = typed.upper()
    where = sa.or_(
        t.backfill.c.id.startswith(wanted, autoescape=True), t.backfill.c.id.endswith(wanted, autoescape=True)
    )
    return list(connection.scalars(sa.select(t.backfill.c.id).where(where).order_by(t.backfill.c.id.desc()).limit(10)))


def parts(connection: sa.Connection, backfill_id: str) -> list[Part]:
    """Return the intervals of a backfill, oldest first."""
    query = sa.select(t.backfill_part).where(t.backfill_part.c.backfill == backfill_id).order_by(t.backfill_part.c.seq)
    return [
        Part(
            seq=row.seq,
            interval=Interval(start=instant(row.start_at), end=instant(row.end_at)),
            state=PartState(row.state),
            run=row.run or "",
        )
        for row in connection.execute(query)
    ]


def counts(connection: sa.Connection, ids: Sequence[str]) -> dict[str, dict[PartState, int]]:
    """Return how many intervals of each backfill are in which state."""
    table = t.backfill_part
    found: dict[str, dict[PartState, int]] = {backfill_id: {} for backfill_id in ids}
    for start in range(0, len(ids), MANY):
        query = (
            sa.select(table.c.backfill, table.c.state, sa.func.count().label("many"))
            .where(table.c.backfill.in_(ids[start : start + MANY]))
            .group_by(table.c.backfill, table.c.state)
        )
        for row in connection.execute(query):
            found[row.backfill][PartState(row.state)] = row.many
    return found


def usual(connection: sa.Connection, backfill_id: str) -> timedelta | None:
    """Return how long an interval of a backfill takes on average; None where none is done yet."""
    length = sa.func.avg(t.run.c.ended_at - t.run.c.created_at)
    done = (t.run.c.backfill == backfill_id, t.run.c.state == "succeeded")
    found = connection.scalar(sa.select(length).where(*done))
    return None if found is None else timedelta(microseconds=int(found))
