"""Commits a decision with all that follows from it, together or not at all.

The run, its steps, their history, the landings they saw, the incident they open or end with the messages it takes,
and the runs of pipelines that wait for this one.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import anyio
from anyio.abc import TaskGroup

from stackhub.clock import Clock
from stackhub.contract import Finished, Pending
from stackhub.decide import backfill, create, facets
from stackhub.decide.backfill import ended_as
from stackhub.decide.ends import Rule
from stackhub.decide.impact import Reach, reaching
from stackhub.decide.incident import Change
from stackhub.decide.lasted import lasted
from stackhub.decide.run import Begin, Decision
from stackhub.decide.step import Heard
from stackhub.engine.births import Births, put_off
from stackhub.engine.board import Board, Item, is_first
from stackhub.engine.durations import Durations
from stackhub.engine.hosts import Hosts
from stackhub.engine.impact import About, Impacts
from stackhub.engine.incidents import Incidents
from stackhub.engine.owed import Owing
from stackhub.engine.tenure import Tenure
from stackhub.errors import LostLane, StaleRun
from stackhub.model.backfill import backfill_of
from stackhub.model.incident import key_of
from stackhub.model.pipeline import Mode, Pipeline, Told
from stackhub.model.run import OpenRun, Run, RunState, Trigger
from stackhub.model.step import StepState
from stackhub.store.backfills import part_ended
from stackhub.store.lanes import TIME
from stackhub.store.rows import consumed, happened, landed, node_kept, run_moved, step_moved
from stackhub.store.store import Store
from stackhub.store.transaction import Op, Transaction
from stackhub.store.watermarks import own

NOTHING: Final = About(reach=Reach())


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a decision's consequences depend on, asked for anew each time."""

    tenure: Tenure
    hosts: Hosts
    durations: Durations
    downstream: Callable[[str, Mode], Sequence[Pipeline]]  # pipelines that start when a run of this one has succeeded
    silent: Callable[[str], bool]  # whether a pipeline is in shadow now
    rules: Callable[[Pipeline], Mapping[str, Rule]]
    following: Callable[[str], datetime | None]  # when a pipeline's next run is due
    ring: Callable[[], None]  # wakes the outboxes
    impacts: Impacts
    contact: str = ""


class RunKeeper:
    """Keeps decisions about runs."""

    def __init__(
        self,
        store: Store,
        board: Board,
        incidents: Incidents,
        births: Births,
        clock: Clock,
        around: Surroundings,
        group: TaskGroup,
        owing: Owing,
    ) -> None:
        self._owing = owing
        self._store = store
        self._board = board
        self._incidents = incidents
        self._births = births
        self._clock = clock
        self._around = around
        self._group = group

    async def note(self, before: OpenRun, told: Sequence[Item]) -> None:
        """Commit nodes that were heard of while nothing else changed; see `Keeper`."""
        with anyio.CancelScope(shield=True):
            await self._store.apply(Transaction().add(*node_rows(before, told)))

    async def keep(self, before: OpenRun, decision: Decision, told: Sequence[Item]) -> None:
        """Commit a decision; see `Keeper`. An answer that was paid for is committed even while we are being stopped."""
        key = incident_key(before.run)
        next_ones = {pipeline.name for pipeline in self._following(decision)}
        fails = decision.newly(StepState.FAILED) or (decision.ended and decision.open.run.state is RunState.PARTIAL)
        about = await self._around.impacts.of_run(decision.open, told) if fails else NOTHING
        async with self._births.turn(*next_ones), self._incidents.holding(key):
            transaction = Transaction(lanes=self._lanes(before, decision, told))
            transaction.add(*self._rows(before, decision, told))
            debts = await self._owing.after(before, decision, told)
            transaction.add(*self._owing.rows(debts))
            now, durations = self._clock.now(), self._around.durations
            ends = lasted(before, decision, told, now)
            transaction.add(*durations.rows(ends, now))
            change = self._consequence(key, before, decision, transaction, about)
            guarded = [key] if change is not None or decision.ended or debts else []
            for each in guarded:
                self._incidents.guard(each, transaction)
            following = [one for one in self._following(decision) if one.name in next_ones]  # one may be paused by now
            born = [self._downstream(pipeline, decision.open, transaction) for pipeline in following]
            try:
                with anyio.CancelScope(shield=True):
                    await self._store.apply(transaction)
            except StaleRun:
                await self._owing.reload()
                raise
            durations.learn(ends)
            self._incidents.committed([change], guarded=guarded)
            self._owing.committed(debts)
            for made in born:
                self._board.adopt(made)
        if change is not None:
            self._around.ring()
        if debts or (decision.ended and self._owing.of(before.run.pipeline)):
            self._owing.bell.ring()
        if decision.ended:
            self._group.start_soon(self.admit, before.run.pipeline)

    async def admit(self, pipeline: str) -> None:
        """Begin the next queued run of a pipeline, if it is its turn, and ours to say so."""
        if not self._around.tenure.holds(TIME):
            return
        async with self._births.turn(pipeline, born=False):
            for open_run in self._board.runs(pipeline):
                if open_run.run.state is RunState.QUEUED and is_first(self._board, open_run):
                    with suppress(LostLane):  # whoever keeps the time now begins it
                        await self._board.tell(open_run.run.id, Begin())
                    return

    def _lanes(self, before: OpenRun, decision: Decision, told: Sequence[Item]) -> dict[str, int]:
        """Return the epochs under which this may be committed. An answer needs the lane that paid for it."""
        tenure = self._around.tenure
        needed = {step.instance for step in decision.changed if step.instance in tenure.epochs}
        if tenure.alone:
            return tenure.under(*needed)
        for item in told:
            match item:
                case Heard(task=name):
                    needed.add(self._around.hosts.lane(before.steps[name]))
                case Begin():
                    needed.add(TIME)
                case _:
                    pass
        return tenure.under(*needed)

    def _rows(self, before: OpenRun, decision: Decision, told: Sequence[Item]) -> list[Op]:
        now = self._clock.now()
        run = decision.open.run
        ops = [run_moved(run, before.run.version)]
        ops += [step_moved(step) for step in decision.changed]
        ops += [
            happened(now, m.kind, pipeline=run.pipeline, run=run.id, task=m.task, text=m.text, attempt=m.attempt)
            for m in decision.moments
        ]
        for step, landing in decision.landings:
            ours = run.id if run.mode is Mode.LIVE else None
            ops.append(landed(step.instance, landing, ours, now))
            if self._takes(run):
                ops.append(consumed(run.pipeline, step, landing))
                ops.append(own(run.pipeline, step.instance, landing, run.id))
        ops += node_rows(before, told)
        if before.run.started_at is None and not backfill_of(run):
            ops += put_off(run, before.pipeline)
        if decision.ended and backfill_of(run):
            ops.append(part_ended(backfill_of(run), int(run.origin["part"]), ended_as(run.state), run.id))
        return ops

    def _takes(self, run: Run) -> bool:
        """Say whether what a run has brought in is no news to its pipeline any more.

        That of a backfill would keep the next run from what it waits for, and so would that of a run in shadow whose
        pipeline is live by now.
        """
        return not backfill_of(run) and (run.mode is Mode.LIVE or self._around.silent(run.pipeline))

    def _consequence(
        self, key: str, before: OpenRun, decision: Decision, transaction: Transaction, about: About
    ) -> Change | None:
        """Open, change or end the pipeline's incident. At most one change: they would be told as one anyway."""
        after, now = decision.open, self._clock.now()
        run = after.run
        found = [step for step in decision.changed if before.steps[step.task].lost_sight and not step.lost_sight]
        again = found and not any(step.lost_sight for step in after.steps.values())
        if decision.ended and run.state is RunState.SUCCEEDED:  # also one that was asked to end, and was quicker
            seen = [Told.STALLED] if again else []
            told_elsewhere = create.is_part(run) or backfill_of(run)  # a backfill ends when all of it is done
            kinds = seen if told_elsewhere else self._incidents.covered(key, run.interval.end)
            return self._incidents.cease(key, kinds, transaction, f"run {run.id} succeeded")
        if run.cancel_at is not None:
            over = again or (decision.ended and any(step.lost_sight for step in after.steps.values()))
            return (
                self._incidents.cease(key, [Told.STALLED], transaction, f"run {run.id} was cancelled") if over else None
            )
        if decision.ended and run.state is RunState.PARTIAL:
            facet = reaching(facets.part(after, now, contact=self._around.contact), about.reach, about.times)
            facet = backfill.told(facet, backfill_of(run), run.pipeline) if backfill_of(run) else facet
            return self._incidents.observe(key, facet, transaction, pipeline=run.pipeline)
        if decision.newly(StepState.FAILED):
            following = self._around.following(run.pipeline) if not backfill_of(run) else None
            facet = facets.failed(after, now, following=following, contact=self._around.contact)
            facet = backfill.told(facet, backfill_of(run), run.pipeline) if backfill_of(run) else facet
            facet = reaching(facet, about.reach, about.times)
            return self._incidents.observe(key, facet, transaction, pipeline=run.pipeline)
        lost = [step for step in decision.changed if step.lost_sight and not before.steps[step.task].lost_sight]
        if lost:
            facet = facets.stalled(after, lost[0], now, contact=self._around.contact)
            facet = backfill.told(facet, backfill_of(run), run.pipeline) if backfill_of(run) else facet
            return self._incidents.observe(key, facet, transaction, pipeline=run.pipeline)
        if again:
            return self._incidents.cease(key, [Told.STALLED], transaction, f"{found[0].task} is seen again")
        return None

    def _following(self, decision: Decision) -> Sequence[Pipeline]:
        """Return the pipelines that this decision starts."""
        run = decision.open.run
        if not decision.ended or run.state is not RunState.SUCCEEDED or create.is_part(run) or backfill_of(run):
            return []
        return self._around.downstream(run.pipeline, run.mode)

    def _downstream(self, pipeline: Pipeline, ended: OpenRun, transaction: Transaction) -> OpenRun:
        made, ops = self._births.new(
            pipeline,
            self._around.rules(pipeline),
            Trigger.PIPELINE,
            interval=ended.run.interval,
            reason=f"{ended.run.pipeline} succeeded",
            behind=self._births.waits,
            origin={"upstream": ended.run.id},
        )
        transaction.add(*ops)
        return made


def incident_key(run: Run) -> str:
    """Name the incident that is about a run: its pipeline's, or its backfill's."""
    return f"backfill:{backfill_of(run)}" if backfill_of(run) else key_of(run.pipeline, run.mode)


def node_rows(before: OpenRun, told: Sequence[Item]) -> list[Op]:
    """Return the rows of every node that was heard of."""
    ops = []
    for heard in told:
        if isinstance(heard, Heard) and isinstance(heard.answer, Pending | Finished):
            step = before.steps[heard.task]
            if heard.key != step.key:
                continue  # of a job that is over
            ops += [node_kept(step.run, step.task, step.attempt, node) for node in heard.answer.nodes]
    return ops
