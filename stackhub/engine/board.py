"""The open runs, and the one place where they are decided.

Within a hub one run is decided by one task at a time; what is heard while its commit is in flight is decided together
in the next. What stands here is replaced only after COMMIT, so nothing reads uncommitted state.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

import anyio
import structlog
from anyio.abc import TaskGroup

from stackhub.clock import Clock
from stackhub.decide.ends import Rule
from stackhub.decide.run import Decision, Order, decide, moves
from stackhub.decide.step import Heard
from stackhub.engine.bell import Crier
from stackhub.engine.opensteps import OpenSteps
from stackhub.errors import LostLane, StaleRun, StoreUnavailable
from stackhub.model.backfill import backfill_of, rivals
from stackhub.model.pipeline import Mode, Pipeline
from stackhub.model.run import OpenRun, RunState
from stackhub.model.step import AT_WORK, Step, StepState
from stackhub.store import queries
from stackhub.store.store import Store

log = structlog.get_logger()
STALE: Final = 20  # conflicts in a row over one decision: beyond that it is a bug, and the hub had better start anew
Item: TypeAlias = Heard | Order | None
"""What may be told to a run; None lets time pass."""


_Told: TypeAlias = tuple[Sequence[Item], anyio.Event, list[BaseException]]
"""What was told together, who waits for it to be decided, and what went wrong."""


class Keeper(Protocol):
    """Commits a decision with all that follows from it."""

    async def keep(self, before: OpenRun, decision: Decision, told: Sequence[Item]) -> None:
        """Commit. Raises `StaleRun` or `LostLane`; nothing was committed then."""
        ...

    async def note(self, before: OpenRun, told: Sequence[Item]) -> None:
        """Commit what was heard beside answers that change nothing: a connector says it once."""
        ...


@dataclass(slots=True)
class _Slot:
    open: OpenRun
    rules: dict[str, Rule]
    told: list[_Told] = field(default_factory=list)
    busy: bool = False


class Board:
    """Every open run, as last committed."""

    def __init__(
        self, store: Store, clock: Clock, rules: Callable[[Pipeline], dict[str, Rule]], group: TaskGroup
    ) -> None:
        self.crier = Crier()
        self.on_moved: list[Callable[[OpenRun, Sequence[Step]], None]] = []
        self._store = store
        self._clock = clock
        self._rules = rules
        self._group = group
        self._keeper: Keeper | None = None
        self._slots: dict[str, _Slot] = {}
        self._open = OpenSteps()
        self._backfilling: set[str] = set()  # open runs of backfills
        self._shadows: set[str] = set()  # open runs in shadow
        self._claims: dict[str, str] = {}  # keys of steps that are about to be started -> their pipelines

    def attach(self, keeper: Keeper) -> None:
        """Say who commits."""
        self._keeper = keeper

    def adopt(self, open_run: OpenRun) -> None:
        """Attend a run that has been committed."""
        if open_run.run.ended_at is not None or open_run.run.id in self._slots:
            return
        self._slots[open_run.run.id] = _Slot(open_run, self._rules(open_run.pipeline))
        if backfill_of(open_run.run):
            self._backfilling.add(open_run.run.id)
        if open_run.run.mode is Mode.SHADOW:
            self._shadows.add(open_run.run.id)
        self._open.show(open_run.steps.values())
        self._publish(open_run, tuple(open_run.steps.values()))

    def versions(self) -> dict[str, int]:
        """Return the version of every open run, as it is known here."""
        return {run_id: slot.open.run.version for run_id, slot in self._slots.items()}

    def renew(self, found: OpenRun) -> None:
        """Take over a run as another hub has committed it. One that is being decided here meets that by itself."""
        slot = self._slots.get(found.run.id)
        if slot is None:
            self.adopt(found)
        elif not slot.busy and found.run.version > slot.open.run.version:
            self._replace(slot, found)

    def refresh(self) -> None:
        """Ask anew what operations promise: the instances have changed."""
        for slot in self._slots.values():
            slot.rules = self._rules(slot.open.pipeline)

    def get(self, run_id: str) -> OpenRun | None:
        """Return an open run as last committed."""
        slot = self._slots.get(run_id)
        return slot.open if slot else None

    def runs(self, pipeline: str = "") -> list[OpenRun]:
        """Return the open runs, oldest first."""
        found = [slot.open for slot in self._slots.values() if pipeline in ("", slot.open.run.pipeline)]
        return sorted(found, key=lambda open_run: open_run.run.id)

    def steps(self, instance: str) -> list[Step]:
        """Return the open steps of a lane, those of older runs first, then those of backfills, and of shadows last."""
        found = self._open.of(instance)
        if not self._backfilling and not self._shadows:
            return found
        return sorted(found, key=lambda step: (step.run in self._shadows, step.run in self._backfilling))

    def shadows(self, step: Step) -> bool:
        """Say whether a step is of a run in shadow: it only looks, so it takes no place from anybody."""
        return step.run in self._shadows

    def instances(self) -> set[str]:
        """Return the instances that open steps need now, or later."""
        return self._open.instances()

    def claim(self, step: Step, pipeline: Pipeline) -> bool:
        """Take a place for a step that is about to be started; False where its pipeline has none left.

        Lanes decide at the same time, so a place counts as taken before the step is at work. `unclaim` ends it.
        """
        if pipeline.max_active is not None:
            if self._at_work(pipeline.name) >= pipeline.max_active:
                return False
            if step.run in self._backfilling and self._waits_for_a_place(pipeline.name):
                return False
        self._claims[step.key] = pipeline.name
        return True

    def unclaim(self, step: Step) -> None:
        """Say that a step is at work by now, or will not be."""
        self._claims.pop(step.key, None)

    def _at_work(self, pipeline: str) -> int:
        """Count the steps of a pipeline that are at work, or about to be, over all its runs."""
        return sum(
            step.state in AT_WORK or step.key in self._claims
            for run_id, slot in self._slots.items()
            if slot.open.run.pipeline == pipeline and run_id not in self._shadows
            for step in slot.open.steps.values()
        )

    def _waits_for_a_place(self, pipeline: str) -> bool:
        """Say whether a step of a run that is no backfill's could be started: it goes before those of backfills."""
        return any(
            step.state is StepState.READY and step.stalls == 0 and step.key not in self._claims
            for run_id, slot in self._slots.items()
            if slot.open.run.pipeline == pipeline and run_id not in self._backfilling | self._shadows
            for step in slot.open.steps.values()
        )

    def shared(self, step: Step) -> bool:
        """Say whether another open step holds the same job."""
        return self._open.shared(step)

    def shared_tasks(self, open_run: OpenRun) -> frozenset[str]:
        """Return the tasks of a run whose job another open step holds as well."""
        return frozenset(name for name, step in open_run.steps.items() if self.shared(step))

    def would_change(self, run_id: str, heard: Heard) -> bool:
        """Say whether hearing this would change anything: a look that brings nothing new costs no commit."""
        slot = self._slots.get(run_id)
        return slot is not None and moves(slot.open, heard, slot.rules, self._clock.now())

    async def tell(self, run_id: str, *items: Item) -> OpenRun | None:
        """Decide a run anew with what was heard; returns it as committed, None when it has ended before.

        Raises:
            LostLane: the lane that heard it is not ours any more; what was heard is dropped.
        """
        slot = self._slots.get(run_id)
        if slot is None:
            return None
        done, failure = self._say(slot, items)
        await done.wait()
        if failure:
            raise failure[0]
        return slot.open

    def tell_all(self, order: Order) -> None:
        """Tell every open run something, before whatever it hears from now on; waits for nothing."""
        for slot in self._slots.values():
            self._say(slot, (order,))

    def _say(self, slot: _Slot, items: Sequence[Item]) -> tuple[anyio.Event, list[BaseException]]:
        done, failure = anyio.Event(), list[BaseException]()
        slot.told.append((items, done, failure))
        if not slot.busy:
            slot.busy = True
            self._group.start_soon(self._decide, slot)
        return done, failure

    async def _decide(self, slot: _Slot) -> None:
        while slot.told:
            told, slot.told = slot.told, []
            await self._decide_on(slot, told)
        slot.busy = False

    async def _decide_on(self, slot: _Slot, told: Sequence[_Told]) -> None:
        try:
            await self._commit(slot, [item for group, _, _ in told for item in group])
        except LostLane as err:
            if len(told) > 1:  # only what the lost lane said is dropped; the others' answers were paid for
                for one in told:
                    await self._decide_on(slot, [one])
                return
            told[0][2].append(err)
        except StoreUnavailable as err:
            for _, _, failure in told:
                failure.append(err)
        for _, done, _ in told:
            done.set()

    async def _commit(self, slot: _Slot, items: Sequence[Item]) -> None:
        assert self._keeper is not None  # noqa: S101 - attached before the first run is adopted
        for _ in range(STALE):
            before = slot.open
            heard = [item for item in items if item is not None]
            decision = decide(before, heard, slot.rules, self._clock.now())
            if decision is None:
                await self._keeper.note(before, items)
                return
            try:
                await self._keeper.keep(before, decision, items)
            except StaleRun:
                await self._reload(slot)
                continue
            slot.open = decision.open
            self._open.show(decision.changed)
            if decision.ended:
                self._drop(before.run.id)
            self._publish(decision.open, decision.changed)
            return
        raise RuntimeError(f"run {slot.open.run.id} is stale however often it is read: the store contradicts itself")

    async def _reload(self, slot: _Slot) -> None:
        """Read a run that moved under us, and decide again with the same answers: they were paid for."""
        run_id = slot.open.run.id
        found = await self._store.read(lambda connection: queries.run(connection, run_id))
        if found is None:
            self._drop(run_id)
            self._open.forget(slot.open.steps.values())
            raise LostLane(f"run {run_id} is gone")
        log.info("run was stale, read again", run=run_id, version=found.run.version)
        self._replace(slot, found)

    def _replace(self, slot: _Slot, found: OpenRun) -> None:
        slot.open = found
        self._open.show(found.steps.values())
        if found.run.ended_at is not None:  # by somebody else; nothing that is heard of it changes anything any more
            self._drop(found.run.id)
        self._publish(found, tuple(found.steps.values()))

    def _drop(self, run_id: str) -> None:
        self._slots.pop(run_id, None)
        self._backfilling.discard(run_id)
        self._shadows.discard(run_id)

    def _publish(self, open_run: OpenRun, changed: Sequence[Step]) -> None:
        for listener in self.on_moved:
            listener(open_run, changed)
        self.crier.cry()


def is_first(board: Board, open_run: OpenRun) -> bool:
    """Say whether a queued run is the next of its pipeline: no other is running, and none has waited longer.

    Those of backfills are in nobody's way, and are behind everybody; see `rivals` for those in shadow.
    """
    mine = open_run.run
    others = [run for run in rivals(board.runs(mine.pipeline), mine.mode) if run.id != mine.id]
    if backfill_of(mine):
        return not others
    return not any(other.state is RunState.RUNNING or other.id < mine.id for other in others)
