"""Runs the engine: starts its loops, and ends them.

A start is: the store and its lock, the configuration in force, the open runs, every instance opened, then the loops.
A stop is: claim nothing more, let what is being committed be committed, give the lanes back. Jobs go on meanwhile.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from stackhub.clock import Believed, Clock, WallClock
from stackhub.config.read import Configuration
from stackhub.engine import retention
from stackhub.engine.assembly import assembled
from stackhub.engine.commands import watch_inbox
from stackhub.engine.hub import Engine
from stackhub.model.ids import Ids
from stackhub.store.lanes import TIME
from stackhub.store.notices import listening
from stackhub.store.store import Store

__all__ = ["Engine", "attend"]
ANSWERS: Final = 0.5  # of the grace, for the answers to calls under way when the hub leaves
GIVING_BACK: Final = 5.0  # seconds


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
        engine = await assembled(configuration, store, environ, state, clock, ids, group, mute=mute)
        if schedule:
            engine.watch()
        async with anyio.create_task_group() as loops:
            loops.start_soon(engine.jumps.run, engine.show_pulse)
            loops.start_soon(engine.lanes.run)
            loops.start_soon(engine.tenure.run)
            if not engine.tenure.alone:
                loops.start_soon(_keep_up, engine)
            loops.start_soon(engine.tenure.while_held, TIME, partial(_keep_time, engine, schedule=schedule))
            if schedule:
                loops.start_soon(engine.files.run)
                loops.start_soon(retention.run_jobs, clock, engine.in_force.retention, state)
            yield engine
            loops.cancel_scope.cancel()
        await engine.lanes.leave(engine.in_force.configuration.hub.grace.total_seconds() * ANSWERS)
        group.cancel_scope.cancel()
    with anyio.move_on_after(GIVING_BACK, shield=True):
        await engine.lanes.give_back()


async def _keep_up(engine: Engine) -> None:
    """Keep up with the other hubs, hinted at by what they say over the database."""
    async with listening(engine.store.engine, engine.store.name, engine.abreast.bell.ring):
        await engine.abreast.run()


async def _keep_time(engine: Engine, *, schedule: bool) -> None:
    """Do what one hub does for all, for as long as it is this one."""
    if not engine.tenure.alone:
        await engine.keep_time()
    async with anyio.create_task_group() as group:
        group.start_soon(engine.deadlines.run)
        group.start_soon(engine.forecasts.run)
        group.start_soon(engine.reminders.run)
        group.start_soon(watch_inbox, engine.commands)
        if schedule:
            group.start_soon(engine.scheduler.run)
            group.start_soon(engine.inference.run)
            group.start_soon(engine.triggers.run)
            group.start_soon(engine.owing.run)
            group.start_soon(engine.backfills.run)
            group.start_soon(retention.run, engine.store, engine.clock, engine.in_force.retention)
