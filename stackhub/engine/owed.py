"""Keeps the ledger of what is owed, and makes a run of it as soon as its inputs have landed.

What a decision about a run changes in the ledger is part of that decision's transaction (`Owing.after`). What lands
by itself, and the runs that pay, are for the hub that keeps the time: it looks at what the store knows of landings, so
nothing hangs on having heard of one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from stackhub.clock import Clock
from stackhub.contract import DONE, Finished
from stackhub.decide import create, owed
from stackhub.decide.owed import Debt, Key
from stackhub.decide.run import Decision
from stackhub.decide.step import Heard
from stackhub.engine.bell import Bell
from stackhub.engine.births import Births
from stackhub.engine.board import Board, Item
from stackhub.engine.incidents import Incidents
from stackhub.engine.inference import Inference
from stackhub.engine.inforce import InForce
from stackhub.engine.tenure import Tenure
from stackhub.errors import LostLane
from stackhub.model.backfill import backfill_of, rivals
from stackhub.model.incident import PIPELINE
from stackhub.model.pipeline import Mode, Pipeline
from stackhub.model.run import OpenRun, RunState, Trigger
from stackhub.store import debts, queries
from stackhub.store.lanes import TIME
from stackhub.store.rows import happened
from stackhub.store.store import Store
from stackhub.store.transaction import Op, Transaction

log = structlog.get_logger()
LOOK: Final = 15.0  # seconds between looks at what has landed, while something is owed
IDLE: Final = 3600.0
LISTING: Final = timedelta(minutes=5)  # between looks at the accounts that something waits for


@dataclass(slots=True, kw_only=True)
class Owing:
    """What is owed, as last committed."""

    store: Store
    board: Board
    births: Births
    incidents: Incidents
    in_force: InForce
    inference: Inference
    clock: Clock
    tenure: Tenure
    bell: Bell = field(default_factory=Bell)
    _newest: Mapping[tuple[str, str], datetime] = field(default_factory=dict)

    @property
    def ledger(self) -> dict[Key, Debt]:
        """Return what is owed, by what and since when."""
        return self.incidents.ledger

    async def reload(self) -> None:
        """Take over what the store holds."""
        await self.incidents.reload(self.store)
        self.bell.ring()

    def of(self, pipeline: str) -> list[Debt]:
        """Return what a pipeline owes."""
        return [debt for debt in self.ledger.values() if debt.pipeline == pipeline]

    def wants(self, instance: str) -> timedelta | None:
        """Say how often an account should be looked at."""
        return LISTING if any(debt.instance == instance for debt in self.ledger.values()) else None

    # --- part of a decision about a run ---

    async def after(self, before: OpenRun, decision: Decision, told: Sequence[Item]) -> list[Debt]:
        """Return the debts that a decision changes, as they will be; for `rows`, and `committed` afterwards."""
        if backfill_of(before.run):  # what it builds is of another time, and its interval is done or is not
            return []
        if before.run.mode is Mode.SHADOW:  # it builds nothing, so it leaves nothing and pays nothing
            return []
        touched = [step for step in decision.changed if step.without or step.ended_at is not None]
        pipeline = before.run.pipeline
        if not touched or not (self.of(pipeline) or any(step.without for step in touched)):
            return []
        instances = {feed.instance for task in before.pipeline.tasks for feed in task.feeds}
        newest = await self.store.read(partial(debts.newest, instances=instances)) if instances else {}
        owing = {debt.task for debt in self.of(pipeline)}
        built = {
            step.task: await self._built(step.run, step.task, told)
            for step in touched
            if step.ended_at is not None and step.task in owing
        }

        def last(instance: str, connection: str) -> datetime | None:
            return newest.get((instance, connection))

        return owed.after(self.ledger, before, decision, built, last, self.clock.now())

    def rows(self, changed: Iterable[Debt]) -> list[Op]:
        """Return the rows of debts that change."""
        return [debts.kept(debt) for debt in changed]

    def committed(self, changed: Iterable[Debt]) -> None:
        """Put what has been committed in place of what was known."""
        for debt in changed:
            if debt.paid_by:
                self.ledger.pop(debt.key, None)
            else:
                self.ledger[debt.key] = debt

    async def _built(self, run: str, task: str, told: Sequence[Item]) -> frozenset[str]:
        """Return the nodes of a step that are done: by earlier attempts of it, and by the answer that ends it."""
        kept = (await self.store.read(partial(queries.nodes, run_id=run, task=task))).get(task, [])
        states = {node.id: node.state for node in kept}
        for item in told:
            if isinstance(item, Heard) and item.task == task and isinstance(item.answer, Finished):
                states |= {node.id: node.state for node in item.answer.nodes}
        return frozenset(name for name, state in states.items() if state in DONE)

    # --- by itself ---

    async def run(self) -> None:
        """Pay what can be paid, until cancelled."""
        while True:
            try:
                await self.collect()
            except LostLane:  # whoever keeps the time now does it
                self.tenure.drop(TIME)
            await self.bell.wait(self.clock.between_looks(LOOK if self.ledger else IDLE))

    async def collect(self) -> None:
        """See what has landed, and make a run of what can be built now."""
        if not self.ledger:
            return
        instances = {debt.instance for debt in self.ledger.values()}
        self._newest = await self.store.read(partial(debts.newest, instances=instances))
        for name in sorted({debt.pipeline for debt in self.ledger.values()}):
            await self._see(name)
            await self._pay(name)

    async def _see(self, name: str) -> None:
        """Keep which inputs of a pipeline's debts have landed, and write off what nobody can build any more."""
        known = self.in_force.active(name)

        def build() -> tuple[list[Debt], str]:
            mine, now = self.of(name), self.clock.now()
            if known is None:
                return owed.written_off(mine, "its pipeline is not configured any more", now), "written off"
            gone = [debt for debt in mine if self._gone(known.pipeline, debt)]
            left = [debt for debt in mine if debt not in gone]
            landed = owed.landed(left, self._last, now)
            return [*owed.written_off(gone, "it is not part of its task any more", now), *landed], "landed"

        await self._kept(name, build)

    def _last(self, instance: str, connection: str) -> datetime | None:
        return self._newest.get((instance, connection))

    def _gone(self, pipeline: Pipeline, debt: Debt) -> bool:
        """Say whether what is owed is no longer to be built: the project, the task or what it selects has changed."""
        if debt.task not in {task.name for task in pipeline.tasks}:
            return True
        found = self.inference.known.get((pipeline.name, debt.task))
        return found is not None and bool(found.nodes) and debt.node not in found.nodes

    async def _kept(self, name: str, build: Callable[[], tuple[list[Debt], str]]) -> None:
        key = f"{PIPELINE}{name}"
        while True:
            async with self.incidents.holding(key):
                changed, what = build()
                if not changed:
                    return
                transaction = Transaction(lanes=self.tenure.under(TIME))
                self.incidents.guard(key, transaction)
                transaction.add(*self.rows(changed))
                nodes = len({(debt.task, debt.node) for debt in changed})
                transaction.add(happened(self.clock.now(), f"owed_{what}", pipeline=name, text=f"{nodes} nodes"))
                if await self.incidents.settled([key], transaction, [], self.store):
                    self.committed(changed)
                    return

    async def _pay(self, name: str) -> None:
        """Make a run of what a pipeline owes and can be built, where no run of it is open that might build it."""
        if self._payer(name) is None or not owed.payable(self.of(name)):
            return
        key = f"{PIPELINE}{name}"
        async with self.births.turn(name), self.incidents.holding(key):
            transaction = Transaction(lanes=self.tenure.under(TIME))
            self.incidents.guard(key, transaction)  # what is owed may move from here on
            nodes = owed.payable(self.of(name))
            if rivals(self.board.runs(name), Mode.LIVE) or not nodes:
                return
            mine = owed.covered(self.of(name), nodes)
            whole = len(mine) == len(self.of(name)) and await self._nothing_else_failed(mine)
            pipeline = self._payer(name)  # by now: it may have been paused meanwhile
            if pipeline is None:
                return
            made, ops = self.births.new(
                create.owed(pipeline, nodes),
                self.in_force.rules(pipeline),
                Trigger.OWED,
                interval=owed.interval(mine),
                reason=f"{_listed(mine)} has landed: {sum(map(len, nodes.values()))} nodes were owed",
                behind=self.births.waits,
                origin={"owed": sorted({debt.run for debt in mine}), **({} if whole else {"only": sorted(nodes)})},
            )
            tried = owed.tried(mine, made.run.id, self._last)
            transaction.add(*ops, *self.rows(tried))
            if not await self.incidents.settled([key], transaction, [], self.store):
                self.bell.ring()  # looked at again in a moment
                return
            self.committed(tried)
            self.board.adopt(made)
        log.info("what was owed is built", pipeline=name, run=made.run.id, nodes=len(mine))

    def _payer(self, name: str) -> Pipeline | None:
        """Return a pipeline that may build what it owes; one in shadow may not until it is live again."""
        pipeline = self.in_force.unpaused(name)
        return pipeline if pipeline is not None and pipeline.mode is Mode.LIVE else None

    async def _nothing_else_failed(self, mine: Sequence[Debt]) -> bool:
        """Say whether the runs that owe have done all but that: only then does paying it make them whole."""
        ids = sorted({debt.run for debt in mine})
        found = await self.store.read(partial(queries.whole_runs, ids=ids))
        return all(one.run.state is not RunState.FAILED for one in found)


def _listed(mine: Sequence[Debt]) -> str:
    return ", ".join(sorted({debt.extract for debt in mine}))
