"""Ticks that wait for the data they require: each becomes a run or a skip, once."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa

from stackhub.model.codec import load
from stackhub.model.pipeline import Schedule
from stackhub.model.run import Interval
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.tables import instant, maybe_instant, maybe_micros, micros
from stackhub.store.transaction import Op

WAIT: Final = "wait"  # a tick's verdict while it has none


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A tick that waits."""

    pipeline: str
    spec: str
    schedule: Schedule
    label: str
    interval: Interval  # up to the tick itself
    until: datetime | None
    reason: str

    def decided(self, verdict: str, reason: str, run: str | None = None) -> Op:
        """Say what has become of it; `StaleRun` where somebody else has."""
        return Op(tx.TICK_DECIDED, {**self._key(), "n_verdict": verdict, "n_reason": reason, "n_run": run})

    def noted(self, reason: str, until: datetime | None) -> Op:
        """Say what it waits for, and until when."""
        return Op(tx.TICK_TOLD, {**self._key(), "n_reason": reason, "n_until": maybe_micros(until)})

    def _key(self) -> dict[str, object]:
        at = micros(self.interval.end)
        return {"b_pipeline": self.pipeline, "b_spec": self.spec, "b_at": at, "b_verdict": WAIT}


def waiting(connection: sa.Connection) -> list[Waiting]:
    """Return every tick that waits, oldest first."""
    query = sa.select(t.tick).where(sa.text("verdict = 'wait'")).order_by(t.tick.c.at)
    return [
        Waiting(
            pipeline=row.pipeline,
            spec=row.spec,
            schedule=load(Schedule, row.spec),
            label=row.label,
            interval=Interval(start=instant(row.start), end=instant(row.at)),
            until=maybe_instant(row.until),
            reason=row.reason,
        )
        for row in connection.execute(query)
    ]


class Skipped(NamedTuple):
    """A tick that became no run."""

    at: datetime
    label: str
    reason: str


def skipped(connection: sa.Connection, pipeline: str, since: datetime | None, most: int = 3) -> list[Skipped]:
    """Return the newest ticks of a pipeline that were left out, newest first, of those after ``since``."""
    query = sa.select(t.tick.c.at, t.tick.c.label, t.tick.c.reason).where(
        t.tick.c.pipeline == pipeline, t.tick.c.verdict == "skip"
    )
    if since is not None:
        query = query.where(t.tick.c.at > micros(since))
    rows = connection.execute(query.order_by(t.tick.c.at.desc()).limit(most))
    return [Skipped(instant(row.at), row.label, row.reason) for row in rows]
