"""The triggers: turn what has landed into runs. Kept by whoever keeps the time; it reads the store, not files.

A run begins in the transaction that takes the marks it was begun for, so that each set of landings is one run, however
many hubs there are and whatever dies when. A trigger waits while a run of its pipeline is going, whatever `overlap`
says: it is a level, so nothing is lost by that, and what has landed meanwhile is one run afterwards.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
import structlog

from stackhub.clock import Clock
from stackhub.decide.triggers import Mark, fires
from stackhub.engine.bell import Bell
from stackhub.engine.births import Births
from stackhub.engine.board import Board
from stackhub.engine.inforce import InForce
from stackhub.engine.tenure import Tenure
from stackhub.errors import LostLane, StaleRun
from stackhub.model.backfill import backfill_of
from stackhub.model.codec import load
from stackhub.model.pipeline import Landed, Pipeline
from stackhub.model.run import OpenRun, Run, Trigger
from stackhub.store import queries, watermarks
from stackhub.store.lanes import TIME
from stackhub.store.store import Store
from stackhub.store.transaction import Op, Transaction

log = structlog.get_logger()
LOOK: Final = 5.0  # seconds, at most, between looks


@dataclass(slots=True, kw_only=True)
class Beginning:
    """Makes a run of a pipeline because something has come in: with what it takes, or not at all."""

    store: Store
    board: Board
    births: Births
    in_force: InForce
    tenure: Tenure
    clock: Clock

    async def begin(
        self,
        pipeline: Pipeline,
        trigger: Trigger,
        reason: str,
        takes: Callable[[str], Sequence[Op]],
        *,
        under: str = TIME,
        **more: Any,
    ) -> OpenRun | None:
        """Begin a run; None where somebody else has taken what it was to be begun for. ``takes``: the run's id -> rows.

        None as well where the pipeline has been paused or changed since it was looked at: it is looked at again.

        Raises:
            LostLane: ``under``, the lane of whoever has looked, is another hub's now.
        """
        if "interval" not in more:
            stood_for = partial(queries.stood_for, pipeline=pipeline.name, mode=pipeline.mode)
            more["last_end"] = await self.store.read(stood_for)
        async with self.births.turn(pipeline.name):
            if self.in_force.unpaused(pipeline.name) != pipeline:
                return None
            made, ops = self.births.new(
                pipeline, self.in_force.rules(pipeline), trigger, reason=reason, behind=self.births.waits, **more
            )
            transaction = Transaction(lanes=self.tenure.under(under)).add(*ops, *takes(made.run.id))
            if not await self.kept(transaction):
                return None
            self.board.adopt(made)
        return made

    async def kept(self, transaction: Transaction) -> bool:
        """Commit; False where somebody else has decided it, and nothing was committed."""
        try:
            await self.store.apply(transaction)
        except StaleRun:
            return False
        return True

    def ready(self, going: Mapping[str, Sequence[Run]]) -> list[Pipeline]:
        """Return the pipelines whose triggers may begin a run now: not paused, and none of its mode is going."""
        return [
            known.pipeline
            for name, known in self.in_force.known.items()
            if not known.retired
            and known.paused_at is None
            and not any(run.mode is known.pipeline.mode for run in going.get(name, ()))
        ]


@dataclass(slots=True, kw_only=True)
class Triggers:
    """Watches the marks of `landed` triggers."""

    store: Store
    in_force: InForce
    tenure: Tenure
    beginning: Beginning
    clock: Clock
    sources: list[Callable[[], Awaitable[datetime | None]]] = field(default_factory=list)
    """What else is looked at in each round; each says when it must be looked at again, if it knows."""
    bell: Bell = field(default_factory=Bell)

    async def run(self) -> None:
        """Begin runs as data comes in, until cancelled."""
        while True:
            again: Sequence[datetime] = ()
            try:
                again = await self.look()
            except LostLane:
                self.tenure.drop(TIME)
            now = self.clock.now()
            waits = [(at - now).total_seconds() for at in again]
            await self.bell.wait(max(0.0, min([*waits, self.clock.between_looks(LOOK)])))

    async def look(self) -> list[datetime]:
        """Begin whatever is to begin now; return when it is known that something falls due."""
        again = [at for source in self.sources if (at := await source()) is not None]
        await self._look_at_marks()
        return again

    async def _look_at_marks(self) -> None:
        watching = [
            known.pipeline for known in self.in_force.known.values() if not known.retired and known.pipeline.landed
        ]
        if not watching:
            return
        marks, going = await self.store.read(partial(standing, pipelines=[one.name for one in watching]))
        for pipeline in self.beginning.ready(going):
            for landed in pipeline.landed:
                if await self._look_at(pipeline, landed, marks.get((pipeline.name, watermarks.spec(landed)), [])):
                    break  # the next of them waits for the end of this run

    async def _look_at(self, pipeline: Pipeline, landed: Landed, marks: Sequence[Mark]) -> bool:
        news = fires(marks, enough=landed.any) if len(marks) == len(landed.connections) else ()
        if not news:
            return False
        names = ", ".join(map(str, news))
        made = await self.beginning.begin(
            pipeline,
            Trigger.LANDED,
            f"landed: {names}",
            lambda run: watermarks.taken(pipeline.name, watermarks.spec(landed), news, run),
            origin={"landed": {str(mark): mark.newest.mark for mark in news if mark.newest is not None}},
        )
        return made is not None


def standing(
    connection: sa.Connection, pipelines: Sequence[str]
) -> tuple[dict[tuple[str, str], list[Mark]], dict[str, list[Run]]]:
    """Return, of one moment, the marks and the runs that keep triggers from beginning another.

    Of one moment, since a landing that a run's own step has brought in is no news: while it is not yet known to be
    that, the run is going.
    """
    going = {
        name: [run for run in (load(Run, data) for data in found) if not backfill_of(run)]
        for name, found in watermarks.open_runs(connection, pipelines).items()
    }
    return watermarks.marks(connection), going
