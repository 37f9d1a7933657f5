"""What the accounts hold, as they were last seen: their connections, and the newest landing of each."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from stackhub.contract import Connection
from stackhub.model.codec import dump, load
from stackhub.model.landing import Landing
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.rows import landed
from stackhub.store.tables import instant
from stackhub.store.transaction import Op


def seen(instance: str, before: dict[str, Connection], after: dict[str, Connection], now: datetime) -> list[Op]:
    """Keep what has changed in a complete listing; nothing where nothing has."""
    ops: list[Op] = []
    for name, one in after.items():
        was = before.get(name)
        lasting = replace(one, last=None)
        if was is None or replace(was, last=None) != lasting:
            ops.append(Op(tx.CONNECTION, {"instance": instance, "id": name, "data": dump(lasting)}))
        if one.last is not None and (was is None or was.last is None or was.last.mark != one.last.mark):
            ops.append(landed(instance, one.last, None, now))
    gone = before.keys() - after.keys()
    return [*ops, *(Op(tx.CONNECTION_GONE, {"instance": instance, "id": name}) for name in sorted(gone))]


def connections(connection: sa.Connection, instance: str = "") -> dict[str, dict[str, Connection]]:
    """Return the connections of one account, or of all, by instance and id; each with its newest landing."""
    newest = t.landing.alias("newest")
    of_it = (newest.c.instance == t.connection.c.instance, newest.c.connection == t.connection.c.id)
    mark = sa.select(newest.c.mark).where(*of_it)
    mark = mark.order_by(newest.c.ended_at.desc(), newest.c.seen_at.desc(), newest.c.mark.desc()).limit(1)
    query = sa.select(
        t.connection, t.landing.c.mark, t.landing.c.ended_at, t.landing.c["rows"].label("loaded")
    ).select_from(
        t.connection.outerjoin(
            t.landing,
            sa.and_(
                t.landing.c.instance == t.connection.c.instance,
                t.landing.c.connection == t.connection.c.id,
                t.landing.c.mark == mark.scalar_subquery(),
            ),
        )
    )
    if instance:
        query = query.where(t.connection.c.instance == instance)
    found: dict[str, dict[str, Connection]] = {}
    for row in connection.execute(query.order_by(t.connection.c.instance, t.connection.c.id)):
        last = None
        if row.mark is not None:
            last = Landing(connection=row.id, mark=row.mark, ended_at=instant(row.ended_at), rows=row.loaded)
        found.setdefault(row.instance, {})[row.id] = replace(load(Connection, row.data), last=last)
    return found


_LOAD: Final = t.landing.c
_OURS: Final = (
    sa.select(_LOAD.connection, _LOAD.mark)
    .where(_LOAD.instance == sa.bindparam("account"), _LOAD.run.is_not(None))
    .order_by(_LOAD.ended_at, _LOAD.seen_at)
)
_ACCOUNTS: Final = sa.select(t.connection.c.instance).distinct()


def ours(connection: sa.Connection, instance: str) -> dict[str, str]:
    """Return the mark of the newest load of each connection that a run of ours has ended on."""
    return {row.connection: row.mark for row in connection.execute(_OURS, {"account": instance})}


def accounts(connection: sa.Connection) -> set[str]:
    """Return the instances whose connections are kept."""
    return set(connection.scalars(_ACCOUNTS))


def forget(connection: sa.Connection, instances: Collection[str]) -> None:
    """Forget what was seen of these accounts."""
    connection.execute(sa.delete(t.connection).where(t.connection.c.instance.in_(sorted(instances))))
