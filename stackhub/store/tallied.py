"""The facts by which a part of history is summed up: its runs, deadlines, warnings and messages."""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from stackhub.decide.deadline import Lateness
from stackhub.decide.tally import Ended, Facts, Judged, Ready, Said, Warned, ready
from stackhub.model.codec import load
from stackhub.model.run import OpenRun
from stackhub.store import past
from stackhub.store import tables as t
from stackhub.store.tables import instant, maybe_instant, micros

AT_RISK = "at_risk"


def facts(connection: sa.Connection, since: datetime, until: datetime, pipelines: Collection[str] = ()) -> Facts:
    """Return the facts of a time, of some pipelines or of all."""
    found = Gathered(pipelines)
    for runs in past.chunks(connection, since, until):
        found.take(runs)
    return found.close(connection, since, until)


class Gathered:
    """Facts, gathered from runs a few at a time."""

    def __init__(self, pipelines: Collection[str] = ()) -> None:
        self._pipelines = pipelines
        self._runs: list[Ended] = []
        self._ready: list[Ready] = []

    def take(self, runs: list[OpenRun]) -> None:
        """Take runs."""
        for found in runs:
            if self._wanted(found.run.pipeline):
                run = found.run
                self._runs.append(
                    Ended(
                        id=run.id,
                        pipeline=run.pipeline,
                        trigger=run.trigger.value,
                        at=run.tick or run.created_at,
                        state=run.state.value,
                        ended_at=run.ended_at,
                    )
                )
                self._ready += ready(found)

    def close(self, connection: sa.Connection, since: datetime, until: datetime) -> Facts:
        """Return the facts: those of deadlines, warnings and messages as well."""
        mine = {run.id for run in self._runs}
        return Facts(
            runs=tuple(self._runs),
            ready=tuple(self._ready),
            deadlines=tuple(self._deadlines(connection, mine, since, until)),
            warnings=tuple(self._warnings(connection, since, until)),
            messages=tuple(self._messages(connection, since, until)),
        )

    def _wanted(self, pipeline: str) -> bool:
        return not self._pipelines or pipeline in self._pipelines

    def _deadlines(
        self, connection: sa.Connection, mine: Collection[str], since: datetime, until: datetime
    ) -> Iterator[Judged]:
        kept = t.deadline.c
        states = (Lateness.MET.value, Lateness.LATE.value, Lateness.FOLDED.value)
        where = (kept.at >= micros(since), kept.at < micros(until), kept.state.in_(states))
        for row in connection.execute(sa.select(t.deadline).where(*where).order_by(kept.at, kept.id)):
            covers = maybe_instant(row.covers)
            ours = row.run in mine if row.run else covers is None or covers >= since  # of a tick before: not played
            if ours and self._wanted(row.pipeline):
                yield Judged(
                    pipeline=row.pipeline,
                    kind=row.kind,
                    at=instant(row.at),
                    text=row.text,
                    run=row.run or "",
                    covers=covers,
                    met=row.state == Lateness.MET,
                )

    def _warnings(self, connection: sa.Connection, since: datetime, until: datetime) -> Iterator[Warned]:
        kept = t.event.c
        where = (kept.kind == AT_RISK, kept.at >= micros(since), kept.at < micros(until))
        for row in connection.execute(sa.select(kept.pipeline, kept.run, kept.at).where(*where).order_by(kept.id)):
            if self._wanted(row.pipeline):
                yield Warned(pipeline=row.pipeline, run=row.run, at=instant(row.at))

    def _messages(self, connection: sa.Connection, since: datetime, until: datetime) -> Iterator[Said]:
        kept = t.outbox.c
        where = (kept.created_at >= micros(since), kept.created_at < micros(until))
        columns = (kept.instance, kept.options, kept.part, kept.message, kept.state, kept.created_at)
        for row in connection.execute(sa.select(*columns).where(*where).order_by(kept.id)):
            told: dict[str, Any] = load(dict[str, Any], row.message)
            if self._pipelines and told.get("pipeline", "") not in self._pipelines:
                continue
            options = load(dict[str, Any], row.options) if row.options else {}
            yield Said(
                to=" ".join([row.instance, *(str(value) for value in options.values() if isinstance(value, str))]),
                part=row.part,
                event=told["event"],
                title=told["title"],
                sent=row.state == "sent",
                at=instant(row.created_at),
            )
