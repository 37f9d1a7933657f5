"""A pipeline on a stage: the very engine, the true connectors before their fake vendors, and time that is let pass.

Nothing is started and nobody is told: every request goes to the stage, in this process, and what has no fake vendor has
an understudy. The store is a file of its own, which is gone afterwards.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
import sqlalchemy as sa

from stackhub.clock.loop import run
from stackhub.clock.virtual import TimeLine, VirtualClock
from stackhub.config.read import Configuration
from stackhub.decide.schedule import following
from stackhub.engine.engine import Engine, attend
from stackhub.errors import Refused
from stackhub.model.ids import Ids
from stackhub.model.pipeline import Mode, Pipeline
from stackhub.model.run import OpenRun
from stackhub.sandbox.cast import Part, direct, furnish
from stackhub.sandbox.mount import open_stage
from stackhub.sandbox.understudy import Script
from stackhub.store import queries, shown
from stackhub.store import tables as t
from stackhub.store.inline import InlineWriter
from stackhub.store.queries import Line
from stackhub.store.shown import Posted
from stackhub.store.store import Store, open_store

LOOK: Final = 20.0  # virtual seconds between looks at whether all is over
IDLE: Final = 300.0  # ... of loops that nothing wakes: nobody sets this clock
LONGEST: Final = timedelta(days=2)  # of a rehearsal
EARLY: Final = timedelta(seconds=30)  # before its tick


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What was to be seen."""

    run: OpenRun  # the pipeline's own
    lines: Sequence[Line]  # the history of every run there was, oldest first
    posts: Sequence[Posted]  # every message, oldest first
    ended: bool  # False: it was still going after `LONGEST`


def rehearse(
    configuration: Configuration, pipeline: str, script: Script, environ: Mapping[str, str], now: datetime
) -> Rehearsed:
    """Play a pipeline from its next tick after ``now`` on, or from ``now`` where it has no schedule.

    Raises:
        Refused: there is no such pipeline, or no such task of it as the script speaks of.
    """
    configuration = _live(configuration)
    whole = configuration.pipelines.get(pipeline)
    if whole is None:
        raise Refused(f"no pipeline {pipeline!r}; there are: {', '.join(configuration.pipelines) or 'none'}")
    for name in (*script.fail, *script.late):
        if name not in {task.name for task in whole.tasks}:
            raise Refused(f"{pipeline} has no task {name!r}; there are: {', '.join(task.name for task in whole.tasks)}")
    ticks = [tick for one in whole.schedules if (tick := following(one, now, now)) is not None]
    line = TimeLine(max(min(ticks) - EARLY, now) if ticks else now)
    return run(_play(configuration, whole, script, environ, line), line)


async def _play(
    configuration: Configuration, whole: Pipeline, script: Script, environ: Mapping[str, str], line: TimeLine
) -> Rehearsed:
    clock, line.looks = VirtualClock(line), IDLE
    with TemporaryDirectory(prefix="stackhub-rehearsal-") as made:
        place = Path(made)
        cast = [Part(one, clock, environ) for one in configuration.instances.values()]
        feeds = {part.name: part.feeds(configuration.pipelines.values(), whole, script) for part in cast}
        store = open_store(
            f"sqlite:///{place / 'rehearsal.db'}",
            place,
            written_by="rehearsal",
            writer=lambda engine, loop: InlineWriter(engine, loop, mark="rehearsal"),
        )
        async with open_stage(cast, feeds=feeds, now=clock.now, sleep=anyio.sleep) as stage, store as kept:
            instances = {part.name: part.instance(stage, script, clock) for part in cast}
            routes = [route for one in configuration.pipelines.values() for route in one.alerts or ()]
            furnish(stage, instances.values(), [*routes, *configuration.routes], environ)
            alone = _only(replace(configuration, instances=instances), whole.name)
            engine = attend(
                alone,
                kept,
                environ,
                state=place,
                clock=clock,
                ids=Ids(random.Random(0)),  # noqa: S311 - a seed
            )
            async with engine as at_work:
                direct(stage, configuration.pipelines.values(), whole, script, environ)
                return await _watched(at_work, kept, alone, whole, clock)


async def _watched(
    engine: Engine, store: Store, configuration: Configuration, whole: Pipeline, clock: VirtualClock
) -> Rehearsed:
    until = clock.now() + LONGEST
    if not whole.schedules:
        await engine.commands.submit("trigger", {"pipeline": whole.name}, "rehearsal")
    newest = partial(queries.last_run, pipeline=whole.name)
    while (first := await store.read(newest)) is None and clock.now() < until:  # noqa: ASYNC110 - virtual, and simple
        await anyio.sleep(LOOK)
    if first is None:
        raise Refused(f"{whole.name}: its next tick makes no run (`stackhub next` shows what falls when)")
    await engine.apply(_unscheduled(configuration))  # one tick, and what comes of it
    while clock.now() < until and not await store.read(_over):  # noqa: ASYNC110 - likewise
        await anyio.sleep(LOOK)
    runs = [one.id for one in await store.read(partial(queries.runs, limit=1000))]
    lines = [line for run in runs for line in await store.read(partial(queries.events, run_id=run))]
    posts = await store.read(partial(shown.outbox, limit=1000))
    found = await store.read(partial(queries.run, run_id=first.id))
    assert found is not None  # noqa: S101 - nothing is tidied away within two days
    return Rehearsed(
        run=found,
        lines=sorted(lines, key=lambda line: (line.at, line.id)),
        posts=sorted(posts, key=lambda one: (one.sent_at or one.created_at, one.id)),
        ended=found.run.ended_at is not None,
    )


def _over(connection: sa.Connection) -> bool:
    """Say whether nothing is to come any more: no run is open, no deadline is ahead, no message is on its way."""
    left = (
        sa.select(t.run.c.id).where(t.run.c.state.in_(("queued", "running"))),
        sa.select(t.deadline.c.id).where(t.deadline.c.state == "open"),
        sa.select(t.outbox.c.id).where(t.outbox.c.state == "pending"),
    )
    return not any(connection.execute(query.limit(1)).first() for query in left)


def _live(configuration: Configuration) -> Configuration:
    """Return a configuration with nothing in shadow: what is rehearsed is what a live run would do."""
    hub = configuration.hub.model_copy(update={"mode": Mode.LIVE})
    pipelines = {name: replace(one, mode=Mode.LIVE) for name, one in configuration.pipelines.items()}
    return replace(configuration, hub=hub, pipelines=pipelines)


def _only(configuration: Configuration, pipeline: str) -> Configuration:
    """Leave schedules to one pipeline; the others are there for whoever is started by it."""
    return _scheduled(configuration, {pipeline})


def _unscheduled(configuration: Configuration) -> Configuration:
    return _scheduled(configuration, frozenset())


def _scheduled(configuration: Configuration, names: Iterable[str]) -> Configuration:
    kept = {name: one if name in names else replace(one, schedules=()) for name, one in configuration.pipelines.items()}
    return replace(configuration, pipelines=kept)
