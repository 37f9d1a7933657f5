"""The ledger of what is owed, as rows."""

from datetime import datetime
from typing import Final

import sqlalchemy as sa

from stackhub.decide.owed import Debt
from stackhub.model.run import Interval
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.tables import instant, maybe_instant, maybe_micros, micros
from stackhub.store.transaction import Op


def kept(debt: Debt) -> Op:
    """Keep a debt as it is now."""
    row = {
        "pipeline": debt.pipeline,
        "task": debt.task,
        "node": debt.node,
        "extract": debt.extract,
        "instance": debt.instance,
        "connection": debt.connection,
        "since": micros(debt.since),
        "run": debt.run,
        "interval_start": micros(debt.interval.start),
        "interval_end": micros(debt.interval.end),
        "newer_than": maybe_micros(debt.newer_than),
        "landed_at": maybe_micros(debt.landed_at),
        "tried": debt.tried,
        "paid_by": debt.paid_by,
        "paid_at": maybe_micros(debt.paid_at),
    }
    return Op(tx.OWED, row)


_UNPAID: Final = (
    sa.select(t.owed).where(sa.text("paid_by = ''")).order_by(t.owed.c.pipeline, t.owed.c.task, t.owed.c.node)
)


def unpaid(connection: sa.Connection, pipeline: str = "") -> list[Debt]:
    """Return what is owed, of one pipeline or of all."""
    query = _UNPAID.where(t.owed.c.pipeline == pipeline) if pipeline else _UNPAID
    return [_debt(row) for row in connection.execute(query)]


def newest(connection: sa.Connection, instances: set[str]) -> dict[tuple[str, str], datetime]:
    """Return when the newest known load of each connection of these accounts ended, by its vendor's clock."""
    query = (
        sa.select(t.landing.c.instance, t.landing.c.connection, sa.func.max(t.landing.c.ended_at).label("ended_at"))
        .where(t.landing.c.instance.in_(sorted(instances)))
        .group_by(t.landing.c.instance, t.landing.c.connection)
    )
    return {(row.instance, row.connection): instant(row.ended_at) for row in connection.execute(query)}


def _debt(row: sa.Row[tuple[object, ...]]) -> Debt:
    return Debt(
        pipeline=row.pipeline,
        task=row.task,
        node=row.node,
        extract=row.extract,
        instance=row.instance,
        connection=row.connection,
        since=instant(row.since),
        run=row.run,
        interval=Interval(start=instant(row.interval_start), end=instant(row.interval_end)),
        newer_than=maybe_instant(row.newer_than),
        landed_at=maybe_instant(row.landed_at),
        tried=row.tried,
        paid_by=row.paid_by,
        paid_at=maybe_instant(row.paid_at),
    )
