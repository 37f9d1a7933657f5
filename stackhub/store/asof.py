"""As of when data is: the last good run of a pipeline, the last load that each of its tasks ended on."""

from datetime import datetime

import sqlalchemy as sa

from stackhub.store import tables as t
from stackhub.store.tables import instant, maybe_instant


def last_good(connection: sa.Connection, pipeline: str) -> datetime | None:
    """Return when the last whole run of a pipeline that succeeded has ended; one for the past makes nothing newer."""
    good = (t.run.c.pipeline == pipeline, t.run.c.state == "succeeded", t.run.c.backfill == "")
    query = sa.select(t.run.c.ended_at).where(*good)
    return maybe_instant(connection.scalar(query.order_by(t.run.c.id.desc()).limit(1)))


def last_loads(connection: sa.Connection, pipeline: str) -> dict[str, datetime]:
    """Return when the load that each extract of a pipeline last ended on had landed, by task."""
    same = sa.and_(
        t.landing.c.instance == t.consumed.c.instance,
        t.landing.c.connection == t.consumed.c.connection,
        t.landing.c.mark == t.consumed.c.mark,
    )
    query = sa.select(t.consumed.c.task, t.landing.c.ended_at).join(t.landing, same)
    query = query.where(t.consumed.c.pipeline == pipeline).order_by(t.landing.c.ended_at)
    return {row.task: instant(row.ended_at) for row in connection.execute(query)}
