"""Backfills: begins an interval's run when it is its turn, and says when all is done. One hub does it for all.

What matters is a row: a backfill, its intervals, and in the transaction that ends a run the state of its interval. So a
hub that dies anywhere is followed by one that goes on where this one stopped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import structlog

from stackhub.clock import Clock
from stackhub.config.instances import Instance
from stackhub.contract import Role
from stackhub.decide import backfill as decide
from stackhub.decide import facets
from stackhub.decide.run import Cancel
from stackhub.engine.bell import Bell
from stackhub.engine.births import Births
from stackhub.engine.board import Board
from stackhub.engine.incidents import Incidents
from stackhub.engine.inforce import InForce
from stackhub.engine.tenure import Tenure
from stackhub.errors import LostLane, Refused, StaleRun
from stackhub.model.backfill import GOING, RESYNC, Backfill, BackfillState, Part, PartState, backfill_of, key_of, rivals
from stackhub.model.ids import Ids
from stackhub.model.incident import Facet
from stackhub.model.pipeline import Mode, Pipeline, Told
from stackhub.model.run import OpenRun
from stackhub.model.step import Step
from stackhub.store import backfills as rows
from stackhub.store.lanes import TIME
from stackhub.store.rows import happened
from stackhub.store.store import Store
from stackhub.store.transaction import Transaction

log = structlog.get_logger()
LOOK: Final = 5.0  # seconds between looks while something is going on, or another hub may have been asked
IDLE: Final = 3600.0


def reloads(pipeline: Pipeline, instance_of: Callable[[str], Instance | None]) -> dict[str, str]:
    """Return, for each extract that can load everything anew, the operation that does."""
    found = {}
    for task in pipeline.tasks:
        instance = instance_of(task.instance) if task.extract else None
        operations = instance.connector.operations if instance is not None else {}
        names = [name for name, one in operations.items() if one.role is Role.EXTRACT and one.reloads]
        if names:
            found[task.name] = names[0]
    return found


@dataclass(slots=True, kw_only=True)
class Backfills:
    """Attends the backfills that go on."""

    store: Store
    board: Board
    births: Births
    incidents: Incidents
    in_force: InForce
    clock: Clock
    ids: Ids
    tenure: Tenure
    ring: Callable[[], None]  # wakes the outboxes
    bell: Bell = field(default_factory=Bell)
    _ended: set[str] = field(default_factory=set)  # over, but a retry may have completed them

    def __post_init__(self) -> None:
        """Hear of every run that moves."""
        self.board.on_moved.append(self.moved)

    def moved(self, open_run: OpenRun, _: Sequence[Step]) -> None:
        """Hear of a run that has moved: an interval's has ended, or one that goes before the next interval."""
        if open_run.run.ended_at is None:
            return
        found = backfill_of(open_run.run)
        if found:
            self._ended.add(found)
        self.bell.ring()

    async def run(self) -> None:
        """Go on with them until cancelled."""
        self._ended |= await self.store.read(rows.failed)
        while True:
            going = await self.look()
            look = self.clock.between_looks(LOOK if going or not self.tenure.alone else IDLE)
            await self.bell.wait(look)

    async def look(self) -> bool:
        """Do whatever is due for each; say whether any goes on."""
        ended, self._ended = self._ended, set()
        going = await self.store.read(rows.going)
        for backfill_id in dict.fromkeys([*(one.id for one in going), *sorted(ended)]):
            try:
                await self.go_on(backfill_id)
            except StaleRun:  # it moved meanwhile, by another hub or by a command: looked at anew
                self._ended.add(backfill_id)
                self.bell.ring()
            except LostLane:  # whoever keeps the time now goes on with it
                self.tenure.drop(TIME)
        return bool(going)

    async def go_on(self, backfill_id: str) -> None:
        """Begin what is due of one backfill, or end it. Raises `StaleRun` or `LostLane`: nothing was committed then."""
        found = await self.store.read(partial(rows.backfill, backfill_id=backfill_id))
        if found is None:
            return
        async with self.births.turn(found.pipeline):
            parts = await self.store.read(partial(rows.parts, backfill_id=found.id))
            known = self.in_force.active(found.pipeline)
            if known is None and found.state is BackfillState.RUNNING:
                await self._end(found, BackfillState.CANCELLING, "its pipeline is not configured any more")
                self.bell.ring()
                return
            busy = bool(rivals(self.board.runs(found.pipeline), Mode.LIVE))
            begins = known is not None and known.pipeline.mode is Mode.LIVE  # in shadow it would do nothing of it
            due = decide.due(found, parts, busy=busy) if begins else ()
            if due and known is not None:
                await self._begin(found, known.pipeline, parts, due)
                return
            settled = decide.settled(found, parts)
            if settled is not None:
                await self._end(found, *settled)
        if found.state is BackfillState.CANCELLING and settled is None:
            await self._ask_to_end(found)

    async def _begin(self, backfill: Backfill, pipeline: Pipeline, parts: Sequence[Part], due: Sequence[Part]) -> None:
        transaction = Transaction(lanes=self._under())
        born = []
        count = sum(part.seq != RESYNC for part in parts)
        try:
            for part in due:
                made = self._made(backfill, pipeline, part, count)
                made, ops = self.births.born(made, self.in_force.rules(made.pipeline))
                begun = replace(part, state=PartState.RUNNING, run=made.run.id)
                transaction.add(rows.part_moved(backfill.id, begun, part.state), *ops)
                born.append(made)
        except Refused as err:  # what it was asked for fits the pipeline no longer
            unfit = facets.unfit(backfill, pipeline, str(err), self.clock.now())
            await self._end(backfill, BackfillState.FAILED, str(err), unfit)
            return
        await self.store.apply(transaction)
        for made in born:
            self.board.adopt(made)

    def _made(self, backfill: Backfill, pipeline: Pipeline, part: Part, count: int) -> OpenRun:
        now = self.clock.now()
        run_id = self.ids.make(now)
        if part.seq == RESYNC:
            return decide.resync_of(pipeline, backfill, part, self.reloads(pipeline), run_id=run_id, now=now)
        return decide.run_of(self.births.fed(pipeline), backfill, part, count, run_id=run_id, now=now)

    def reloads(self, pipeline: Pipeline) -> dict[str, str]:
        """Return, for each extract that can load everything anew, the operation that does."""
        return reloads(pipeline, self.in_force.instance)

    async def _ask_to_end(self, backfill: Backfill) -> None:
        for open_run in self.board.runs(backfill.pipeline):
            if backfill_of(open_run.run) == backfill.id and open_run.run.cancel_at is None:
                shared = self.board.shared_tasks(open_run)
                try:
                    await self.board.tell(open_run.run.id, Cancel(reason=backfill.reason, shared=shared))
                except LostLane as err:
                    log.warning("a run cannot be asked to end here", run=open_run.run.id, reason=str(err))

    async def _end(self, backfill: Backfill, state: BackfillState, reason: str, facet: Facet | None = None) -> None:
        """Put a backfill into another state; ``facet`` tells of it where nothing has yet.

        Its incident ends where it has ended well or nobody wants it.
        """
        now, key = self.clock.now(), key_of(backfill)
        if not self.tenure.alone:
            await self.incidents.reload(self.store)  # another hub may have opened it
        async with self.incidents.holding(key):
            after = replace(
                backfill,
                state=state,
                version=backfill.version + 1,
                ended_at=None if state in GOING else now,
                reason=reason,
            )
            transaction = Transaction(lanes=self._under())
            transaction.add(rows.moved(after, backfill.version))
            line = happened(
                now, f"backfill_{state}", pipeline=backfill.pipeline, text=f"backfill {backfill.id}: {reason}"
            )
            transaction.add(line)
            change = None
            if state in {BackfillState.SUCCEEDED, BackfillState.CANCELLED}:
                change = self.incidents.cease(key, list(Told), transaction, f"backfill {backfill.id}: {reason}")
            elif facet is not None and key not in self.incidents.open:
                change = self.incidents.observe(key, facet, transaction, pipeline=backfill.pipeline)
            await self.store.apply(transaction)
            self.incidents.committed([change], guarded=[])
        if change is not None:
            self.ring()

    def _under(self) -> dict[str, int]:
        return self.tenure.under(TIME) if self.tenure.holds(TIME) else {}
