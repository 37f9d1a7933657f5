"""What was found out of what feeds each task, as rows."""

from datetime import datetime

import sqlalchemy as sa

from stackhub.model.codec import dump, load
from stackhub.model.feeding import Inferred
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.tables import instant, micros
from stackhub.store.transaction import Op


def inferred(pipeline: str, task: str, found: Inferred, now: datetime) -> Op:
    """Keep what was found out for a task, in place of what was known before."""
    return Op(tx.INFERENCE, {"pipeline": pipeline, "task": task, "at": micros(now), "data": dump(found)})


def inferences(connection: sa.Connection) -> dict[tuple[str, str], Inferred]:
    """Return what is known, by pipeline and task."""
    rows = connection.execute(sa.select(t.inference.c.pipeline, t.inference.c.task, t.inference.c.data))
    return {(row.pipeline, row.task): load(Inferred, row.data) for row in rows}


def since(connection: sa.Connection) -> dict[tuple[str, str], datetime]:
    """Return when each was found out."""
    rows = connection.execute(sa.select(t.inference.c.pipeline, t.inference.c.task, t.inference.c.at))
    return {(row.pipeline, row.task): instant(row.at) for row in rows}
