"""Puts the loops together, and takes them apart again.

A start is: the store and its lock, the configuration in force, the open runs, every instance opened, then the loops.
A stop is: claim nothing more, let what is being committed be committed, give the lanes back. Jobs go on meanwhile.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup

from stackhub.clock import Believed, Clock, WallClock
from stackhub.config.read import Configuration
from stackhub.decide.incident import Voice
from stackhub.engine import jumps, retention
from stackhub.engine.births import Births
from stackhub.engine.board import Board
from stackhub.engine.commands import Commands, watch_inbox
from stackhub.engine.deadlines import Deadlines
from stackhub.engine.incidents import UNDELIVERED, Incidents
from stackhub.engine.inforce import InForce
from stackhub.engine.jumps import Jumps
from stackhub.engine.keeper import RunKeeper, Surroundings
from stackhub.engine.lanes import Lanes
from stackhub.engine.opening import Place
from stackhub.engine.scheduler import Scheduler
from stackhub.engine.work import Work
from stackhub.model.ids import Ids
from stackhub.model.run import OpenRun
from stackhub.model.step import Step, StepState
from stackhub.store import configure, queries
from stackhub.store.store import Store

log = structlog.get_logger()
STALE: Final = timedelta(seconds=30)
ANSWERS: Final = 0.5  # of the grace, for the answers to calls under way when the hub leaves
GIVING_BACK: Final = 5.0  # seconds


@dataclass(slots=True, kw_only=True)
class Engine:
    """The parts at work, for those that show them or ask things of them."""

    store: Store
    board: Board
    incidents: Incidents
    in_force: InForce
    scheduler: Scheduler
    deadlines: Deadlines
    lanes: Lanes
    commands: Commands
    jumps: Jumps
    clock: Clock
    group: TaskGroup  # what runs in it lives until the hub leaves
    installation: str
    started_at: datetime
    revision: int = 0
    beat: datetime | None = None  # of the loop; `/readyz` looks at it
    refused: str = ""  # why the newest edit of the configuration is not in force
    faults: Mapping[str, str] = field(default_factory=dict)

    async def apply(self, configuration: Configuration) -> configure.Applied:
        """Put a configuration in force. What a run is doing follows the pipeline as it was when the run began."""
        now = self.clock.now()
        applied = await self.store.call(lambda connection: configure.apply(connection, configuration.pipelines, now))
        self.in_force.configuration = configuration
        self.in_force.known = await self.store.read(queries.pipelines)
        self.revision = applied.revision
        await self.scheduler.load()
        await self.lanes.bring_to(configuration.instances)
        self.board.refresh()
        await self._close_retired()
        self.refused = ""
        return applied

    async def _close_retired(self) -> None:
        for key in list(self.incidents.open):
            kind, _, name = key.partition(":")
            gone = kind == "pipeline" and self.in_force.active(name) is None
            if gone or (f"{kind}:" == UNDELIVERED and name and name not in self.in_force.route_ids()):
                await self.incidents.close(key, "no longer configured", self.store)
                self.lanes.ring_outboxes()

    def unready(self) -> str:
        """Say why this hub is not ready to be relied on; "" when it is."""
        if self.store.ailing:
            return f"the store is away: {self.store.ailing}"
        if self.beat is None or self.clock.now() - self.beat > STALE:
            return "the loop is stale"
        for name, held in self.lanes.open.items():
            if held.gate.lost:
                return f"the lane of {name} is lost: {held.gate.lost}"
            if held.outbox is not None and (held.outbox.beat is None or self.clock.now() - held.outbox.beat > STALE):
                return f"the outbox of {name} is stale"
        return ""

    async def drained(self, seconds: float) -> int:
        """Wait until every message that falls due within ``seconds`` has been told; return how many have not.

        A message that failed once is due again in a moment, and is waited for as well.
        """
        until = self.clock.now() + timedelta(seconds=seconds)
        with anyio.move_on_after(seconds):
            while await self._due_messages(until):
                self.lanes.ring_outboxes()
                await self.board.crier.wait(0.2)
        return await self._due_messages(until)

    async def _due_messages(self, until: datetime) -> int:
        return await self.store.read(lambda connection: queries.due_messages(connection, until))


@asynccontextmanager
async def attend(
    configuration: Configuration,
    store: Store,
    environ: Mapping[str, str],
    *,
    state: Path,
    schedule: bool = True,
    clock: Clock | None = None,
    ids: Ids | None = None,
    mute: bool = False,
) -> AsyncIterator[Engine]:
    """Run the engine for as long as the block lasts. ``schedule`` off: nothing starts by itself.

    A block that ends by itself lets calls under way be answered, for a share of the hub's grace. One that is cancelled,
    or fails, does not: what had no answer then is looked for by the next hub.
    """
    clock, ids = Believed(clock or WallClock()), ids or Ids()
    async with anyio.create_task_group() as group:
        engine = await _assembled(configuration, store, environ, state, clock, ids, group, mute=mute)
        async with anyio.create_task_group() as loops:
            loops.start_soon(engine.jumps.run, partial(_pulse, engine))
            loops.start_soon(engine.deadlines.run)
            loops.start_soon(engine.lanes.run)
            loops.start_soon(watch_inbox, engine.commands)
            if schedule:
                loops.start_soon(engine.scheduler.run)
                loops.start_soon(
                    retention.run, store, clock, lambda: engine.in_force.configuration.hub.retention, state
                )
            yield engine
            loops.cancel_scope.cancel()
        await engine.lanes.leave(engine.in_force.configuration.hub.grace.total_seconds() * ANSWERS)
        group.cancel_scope.cancel()
    with anyio.move_on_after(GIVING_BACK, shield=True):
        await engine.lanes.give_back()


async def _assembled(
    configuration: Configuration,
    store: Store,
    environ: Mapping[str, str],
    state: Path,
    clock: Believed,
    ids: Ids,
    group: TaskGroup,
    *,
    mute: bool,
) -> Engine:
    installation = await store.call(lambda connection: configure.name_installation(connection, ids.name()))
    contact = configuration.hub.public_url or ""
    in_force = InForce(configuration)
    board = Board(store, clock, in_force.rules, group)
    voice = Voice(installation=installation, source="stackhub")
    incidents = Incidents(clock, ids, voice, in_force.routes, mute=mute)
    births = Births(board, clock, ids)
    scheduler = Scheduler(store, board, births, in_force, clock)
    work = Work(store, in_force, environ)
    place = Place(
        store=store,
        board=board,
        incidents=incidents,
        in_force=in_force,
        work=work,
        clock=clock,
        ids=ids,
        directory=configuration.directory,
        state=state,
        contact=contact,
        owner=ids.name(),
    )
    lanes = Lanes(place, group)
    around = Surroundings(
        epochs=lambda: lanes.epochs,
        downstream=in_force.downstream,
        rules=in_force.rules,
        following=scheduler.following,
        ring=lanes.ring_outboxes,
        contact=contact,
    )
    keeper = RunKeeper(store, board, incidents, births, clock, around, group)
    board.attach(keeper)
    deadlines = Deadlines(store, incidents, in_force, clock, ring=lanes.ring_outboxes, contact=contact)
    board.on_moved.append(_ringer(board, lanes, deadlines))
    commands = Commands(
        store=store,
        board=board,
        births=births,
        incidents=incidents,
        in_force=in_force,
        scheduler=scheduler,
        work=work,
        clock=clock,
        ids=ids,
        installation=installation,
        ring=lanes.ring_outboxes,
    )
    engine = Engine(
        store=store,
        board=board,
        incidents=incidents,
        in_force=in_force,
        scheduler=scheduler,
        deadlines=deadlines,
        lanes=lanes,
        commands=commands,
        jumps=Jumps(
            clock, store, board, lanes.epochs.keys, lanes.measures, partial(_ring_all, lanes, scheduler, deadlines)
        ),
        clock=clock,
        group=group,
        installation=installation,
        started_at=clock.now(),
    )
    alone = store.engine.dialect.name == "sqlite"  # its lock was free, so no call of a hub before us is under way
    if alone:
        await store.call(partial(jumps.reckon, now=clock.now()))
    incidents.load(await store.read(queries.open_incidents))
    found = await store.read(queries.open_runs)
    await engine.apply(configuration)
    for open_run in found:
        board.adopt(_survivor(open_run, clock.now()) if alone else open_run)
    await lanes.tidy()
    lanes.take_over()
    for pipeline in sorted({open_run.run.pipeline for open_run in found}):
        await keeper.admit(pipeline)
    await scheduler.recover()
    await commands.obey_kept()
    return engine


def _survivor(open_run: OpenRun, now: datetime) -> OpenRun:
    """Take over a run of a hub that is known to be dead."""
    steps = {
        name: _dead_call(step, now) if step.state is StepState.STARTING else step
        for name, step in open_run.steps.items()
    }
    return OpenRun(run=open_run.run, pipeline=open_run.pipeline, steps=steps)


def _dead_call(step: Step, now: datetime) -> Step:
    return replace(step, due=None, call_deadline=min(step.call_deadline or now, now))


def _ringer(board: Board, lanes: Lanes, deadlines: Deadlines) -> Callable[[OpenRun, Sequence[Step]], None]:
    def ring(open_run: OpenRun, changed: Sequence[Step]) -> None:
        names = {step.instance for step in changed}
        if open_run.pipeline.max_active is not None:  # a place may have become free for a step of any lane
            others = (step for other in board.runs(open_run.run.pipeline) for step in other.steps.values())
            names |= {step.instance for step in others if step.state is StepState.READY}
        for name in names:
            lanes.ring(name)
        if open_run.run.version <= 1:
            deadlines.bell.ring()

    return ring


def _pulse(engine: Engine) -> None:
    """Show that the loop goes round."""
    engine.beat = engine.clock.now()


def _ring_all(lanes: Lanes, scheduler: Scheduler, deadlines: Deadlines) -> None:
    for name in lanes.open:
        lanes.ring(name)
    lanes.ring_outboxes()
    scheduler.bell.ring()
    deadlines.bell.ring()
