"""The deadlines: each is judged once, when it falls due, whether or not a run was ever started."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

import sqlalchemy as sa

from stackhub.clock import Clock
from stackhub.decide import create, facets
from stackhub.decide.deadline import Deadline, Kind, Lateness, passed
from stackhub.decide.impact import Reach, reaching
from stackhub.engine.bell import Bell
from stackhub.engine.impact import About, Impacts
from stackhub.engine.incidents import Incidents
from stackhub.engine.inforce import InForce
from stackhub.engine.tenure import Tenure
from stackhub.errors import LostLane
from stackhub.model.backfill import backfill_of
from stackhub.model.incident import key_of
from stackhub.model.pipeline import Mode
from stackhub.model.run import OpenRun, Run, RunState
from stackhub.store import queries
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.lanes import TIME
from stackhub.store.rows import happened
from stackhub.store.store import Store
from stackhub.store.tables import instant, maybe_instant, micros
from stackhub.store.transaction import Op, Transaction

LOOK: Final = 5.0
RUNS: Final = 50  # of a pipeline, newest first, among which the one that answers for a deadline is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDeadline:
    """A deadline that has not been judged."""

    id: str
    pipeline: str
    run: str
    deadline: Deadline
    covers: datetime | None
    mode: Mode = Mode.LIVE  # of the pipeline when it was made: it is kept by runs of the same mode

    @property
    def key(self) -> str:
        """Name the incident that is opened when it is missed."""
        return key_of(self.pipeline, self.mode)


@dataclass(slots=True, kw_only=True)
class Deadlines:
    """Judges deadlines."""

    store: Store
    incidents: Incidents
    in_force: InForce
    clock: Clock
    tenure: Tenure
    impacts: Impacts
    ring: Callable[[], None]
    contact: str
    bell: Bell = field(default_factory=Bell)

    async def run(self) -> None:
        """Judge what falls due until cancelled."""
        while True:
            following = await self.store.read(_next)
            now = self.clock.now()
            if following is not None and following <= now:
                for due in await self.store.read(partial(due_by, until=now)):
                    try:
                        await self.judge(due)
                    except LostLane:  # whoever keeps the time now judges it
                        self.tenure.drop(TIME)
                continue
            look = self.clock.between_looks(LOOK)
            wait = look if following is None else (following - now).total_seconds()
            await self.bell.wait(min(wait, look))

    async def judge(self, due: OpenDeadline) -> None:
        """Say whether one deadline was met; a missed one is told in the same transaction."""
        key = due.key
        transaction = Transaction(lanes=self.tenure.under(TIME))
        self.incidents.guard(key, transaction)  # a run may end as it should from here on
        runs = await self.store.read(partial(queries.runs, pipeline=due.pipeline, limit=RUNS, backfills=False))
        lateness = judged(due, runs, self.clock.now())
        if lateness is Lateness.AHEAD:
            return
        newest = _newest(due, runs)
        answering = await self.store.read(partial(queries.run, run_id=newest.id)) if newest else None
        about = await self._about(due.pipeline, answering)
        async with self.incidents.holding(key):
            transaction.add(
                Op(tx.DEADLINE_MOVED, {"b_id": due.id, "b_at": micros(due.deadline.at), "n_state": lateness.value})
            )
            known = self.in_force.known.get(due.pipeline)
            tell = lateness is Lateness.LATE or (lateness is Lateness.FOLDED and key in self.incidents.open)
            change = None
            if tell and known is not None and not known.retired:
                now = self.clock.now()
                facet = facets.late(
                    known.pipeline,
                    answering,
                    now,
                    text=due.deadline.text,
                    at=due.deadline.at,
                    covers=due.covers,
                    contact=self.contact,
                )
                facet = reaching(facet, about.reach, about.times)
                change = self.incidents.observe(key, facet, transaction, pipeline=due.pipeline)
                transaction.add(happened(now, "late", pipeline=due.pipeline, run=due.run, text=facet.title))
            if not await self.incidents.settled([key], transaction, [change], self.store):
                return  # a run may have ended as it should by now: judged anew
        self.ring()

    async def _about(self, pipeline: str, answering: OpenRun | None) -> About:
        known = self.in_force.known.get(pipeline)
        if answering is not None:
            return await self.impacts.of_run(answering)
        return await self.impacts.of_pipeline(known.pipeline) if known is not None else About(reach=Reach())


def judged(due: OpenDeadline, runs: list[Run], now: datetime) -> Lateness:
    """Judge by every run that covers what was promised: a retry, or a later run, may have kept the promise."""
    at = due.deadline.at
    mine = answering(due, runs)
    if any(run.state is RunState.SUCCEEDED and run.ended_at is not None and run.ended_at <= at for run in mine):
        return Lateness.MET
    return passed(due.deadline, now, _newest(due, runs))


def answering(due: OpenDeadline, runs: list[Run]) -> list[Run]:
    """Return the runs that may keep what was promised."""
    whole = [run for run in runs if run.mode is due.mode and not create.is_part(run) and not backfill_of(run)]
    return [run for run in whole if run.id == due.run or due.covers is None or run.interval.end >= due.covers]


def _newest(due: OpenDeadline, runs: list[Run]) -> Run | None:
    mine = answering(due, runs)
    return max(mine, key=lambda run: run.id) if mine else None


_OPEN: Final = sa.text("state = 'open'")  # made once, all three: they are asked at every look
_DUE: Final = (
    sa.select(t.deadline).where(_OPEN, t.deadline.c.at <= sa.bindparam("until")).order_by(t.deadline.c.at).limit(1000)
)
_NEXT: Final = sa.select(sa.func.min(t.deadline.c.at)).where(_OPEN)


def due_by(connection: sa.Connection, until: datetime, pipelines: Collection[str] | None = None) -> list[OpenDeadline]:
    """Return the deadlines up to then that have not been judged, the earliest first; of these pipelines, or of all."""
    return [
        OpenDeadline(
            id=row.id,
            pipeline=row.pipeline,
            run=row.run or "",
            deadline=Deadline(kind=Kind(row.kind), at=instant(row.at), text=row.text),
            covers=maybe_instant(row.covers),
            mode=Mode.SHADOW if row.shadow else Mode.LIVE,
        )
        for row in connection.execute(_DUE, {"until": micros(until)})
        if pipelines is None or row.pipeline in pipelines
    ]


def _next(connection: sa.Connection) -> datetime | None:
    at = connection.scalar(_NEXT)
    return None if at is None else instant(at)
