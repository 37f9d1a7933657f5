"""Ticks that wait for the data they require: each becomes a run or a skip, once."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

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
