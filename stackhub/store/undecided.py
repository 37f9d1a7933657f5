"""Ticks that had fallen when their schedule was changed or taken away, while the hub was down or the pipeline paused.

Nobody is left to run for them, and none is lost: each is kept as a skip with its reason.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from stackhub.decide.schedule import Due, fall_due
from stackhub.model.codec import load
from stackhub.model.pipeline import Catchup, Schedule
from stackhub.store import tables as t
from stackhub.store.tables import instant, micros

REASON: Final = "its schedule was changed or taken away before it was decided"


def let_go(connection: sa.Connection, rows: sa.ColumnElement[bool], now: datetime) -> None:
    """Delete schedules; whatever of their ticks has fallen by ``now`` is kept as skipped."""
    for row in connection.execute(sa.select(t.schedule).where(rows)).all():
        kept: set[int] = set(
            connection.scalars(
                sa.select(t.tick.c.at).where(t.tick.c.pipeline == row.pipeline, t.tick.c.spec == row.spec)
            )
        )
        skipped = [tick for due in _fallen(row, now) if (tick := _skip(row, due))["at"] not in kept]
        if skipped:
            connection.execute(sa.insert(t.tick), skipped)
        waits = (t.tick.c.pipeline == row.pipeline, t.tick.c.spec == row.spec, sa.text("verdict = 'wait'"))
        connection.execute(sa.update(t.tick).where(*waits).values(verdict="skip", reason=REASON))
    connection.execute(sa.delete(t.schedule).where(rows))


def _fallen(row: sa.Row[Any], now: datetime) -> tuple[Due, ...]:
    if row.next_at is None:
        return ()
    # Every tick is a skip now, left out or not. What calendars it named is not known here: they may be gone as well.
    schedule = replace(load(Schedule, row.spec), only=(), without=())
    dues, _ = fall_due(
        schedule, instant(row.next_at), instant(row.anchor), now, catchup=Catchup.NONE, paused_since=None
    )
    return dues


def _skip(row: sa.Row[Any], due: Due) -> dict[str, Any]:
    folded = f"; so were {due.folded} before it" if due.folded else ""
    return {
        "pipeline": row.pipeline,
        "spec": row.spec,
        "at": micros(due.tick.at),
        "label": due.tick.label,
        "verdict": "skip",
        "reason": REASON + folded,
        "run": None,
    }
