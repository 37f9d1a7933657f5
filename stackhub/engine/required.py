"""Ticks that wait: "at 06:00 and when the data is in, but not later than 07:00"."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from stackhub.clock import Clock
from stackhub.decide import facets
from stackhub.decide.overlap import Meeting, clash
from stackhub.decide.run import Cancel
from stackhub.decide.triggers import Mark, Said, fires, required, waits_for
from stackhub.engine.board import Board
from stackhub.engine.incidents import Incidents
from stackhub.engine.inforce import InForce
from stackhub.engine.tenure import Tenure
from stackhub.engine.triggers import Beginning
from stackhub.model.backfill import rivals
from stackhub.model.incident import key_of
from stackhub.model.pipeline import Pipeline
from stackhub.model.run import OpenRun, Trigger
from stackhub.store import watermarks
from stackhub.store.lanes import TIME
from stackhub.store.rows import happened
from stackhub.store.store import Store
from stackhub.store.transaction import Op, Transaction
from stackhub.store.waiting import Waiting, waiting


@dataclass(slots=True, kw_only=True)
class Required:
    """Decides ticks that wait."""

    store: Store
    board: Board
    incidents: Incidents
    in_force: InForce
    tenure: Tenure
    beginning: Beginning
    clock: Clock
    ring: Callable[[], None]  # wakes the outboxes
    contact: str

    async def look(self) -> datetime | None:
        """Decide what can be decided now; return when the next tick will have waited for long enough."""
        if not any(one.require for known in self.in_force.known.values() for one in known.pipeline.schedules):
            return None
        waits, marks = await self.store.read(_standing)
        ahead: list[datetime] = []
        for number, one in enumerate(waits):
            pipeline = self.in_force.unpaused(one.pipeline)
            if pipeline is None:
                continue
            later = any((one.pipeline, one.spec) == (other.pipeline, other.spec) for other in waits[number + 1 :])
            mine = marks.get((one.pipeline, one.spec), [])
            now = self.clock.now()
            said, why = required(mine, one.schedule.otherwise, now, one.until, later=later)
            match said:
                case Said.RUN:
                    await self._begin(pipeline, one, mine, why)
                case Said.SKIP:
                    await self._commit(one.decided("skip", why))
                case Said.ALERT:
                    await self._alert(pipeline, one, mine, why, now)
                case Said.WAIT:
                    ahead += [one.until] if one.until is not None else []
                    if why != one.reason:
                        await self._commit(one.noted(why, one.until))
        return min(ahead, default=None)

    async def _commit(self, *ops: Op) -> None:
        await self.beginning.kept(Transaction(lanes=self.tenure.under(TIME)).add(*ops))

    async def _begin(self, pipeline: Pipeline, one: Waiting, marks: Sequence[Mark], why: str) -> None:
        met = clash(pipeline.overlap, rivals(self.board.runs(pipeline.name), pipeline.mode))
        if met.meeting is Meeting.SKIP:
            await self._commit(one.decided("skip", met.reason))
            return

        def takes(run: str) -> list[Op]:
            taken = watermarks.taken(one.pipeline, one.spec, fires(marks, enough=True), run)
            return [one.decided("run", why, run), *taken]

        made = await self.beginning.begin(
            pipeline,
            Trigger.SCHEDULE,
            f"scheduled for {one.label}: {why}",
            takes,
            interval=one.interval,
            tick=one.interval.end,
            promised=True,
        )
        if made is not None:
            await self._give_way(met.cancel, made)

    async def _give_way(self, runs: Sequence[str], to: OpenRun) -> None:
        for run_id in runs:
            open_run = self.board.get(run_id)
            if open_run is not None:
                shared = self.board.shared_tasks(open_run)
                reason = f"run {to.run.id} takes its place: overlap is cancel"
                await self.board.tell(run_id, Cancel(reason=reason, shared=shared))

    async def _alert(self, pipeline: Pipeline, one: Waiting, marks: Sequence[Mark], why: str, now: datetime) -> None:
        """Tell people that the data is not in; the tick waits on."""
        until = one.until or now
        facet = facets.late(
            pipeline,
            None,
            now,
            text=f"waits for {waits_for(marks)}",
            at=until,
            covers=one.interval.end,
            contact=self.contact,
        )
        key = key_of(pipeline.name, pipeline.mode)

        async with self.incidents.holding(key):
            line = happened(now, "late", pipeline=pipeline.name, text=facet.title)
            transaction = Transaction(lanes=self.tenure.under(TIME)).add(one.noted(why, None), line)
            change = self.incidents.observe(key, facet, transaction, pipeline=pipeline.name)
            self.incidents.guard(key, transaction)
            if await self.beginning.kept(transaction):
                self.incidents.committed([change], guarded=[key])
            else:  # decided anew at the next look, from what is there by then
                await self.incidents.reload(self.store)
        self.ring()


def _standing(connection: sa.Connection) -> tuple[list[Waiting], dict[tuple[str, str], list[Mark]]]:
    waits = waiting(connection)
    return waits, watermarks.marks(connection) if waits else {}
