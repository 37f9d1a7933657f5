"""Puts the parts of the engine together, and brings them to where the hub before this one left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio.lowlevel
from anyio.abc import TaskGroup

from stackhub.clock import Believed
from stackhub.config.read import Configuration
from stackhub.contract import in_thread
from stackhub.decide.message import Voice
from stackhub.engine import sources
from stackhub.engine.abreast import Abreast
from stackhub.engine.backfilling import Backfilling
from stackhub.engine.backfills import Backfills
from stackhub.engine.births import Births
from stackhub.engine.board import Board
from stackhub.engine.catalog import Catalogue
from stackhub.engine.commands import Commands
from stackhub.engine.deadlines import Deadlines
from stackhub.engine.durations import Durations
from stackhub.engine.forecasts import Forecasts
from stackhub.engine.hooks import Hooks
from stackhub.engine.hosts import Hosts
from stackhub.engine.hub import Engine
from stackhub.engine.impact import Impacts
from stackhub.engine.incidents import Incidents
from stackhub.engine.inference import Inference
from stackhub.engine.inforce import InForce
from stackhub.engine.jumps import Jumps, reckon
from stackhub.engine.keeper import RunKeeper, Surroundings
from stackhub.engine.lanes import Lanes
from stackhub.engine.muting import Muting
from stackhub.engine.opening import Place
from stackhub.engine.owed import Owing
from stackhub.engine.reminders import Reminders
from stackhub.engine.scheduler import Scheduler
from stackhub.engine.tenure import Tenure
from stackhub.engine.triggers import Triggers
from stackhub.engine.watch import Watch
from stackhub.engine.work import Work
from stackhub.launch import host_id
from stackhub.model.ids import Ids
from stackhub.model.run import OpenRun, RunState
from stackhub.model.step import Step, StepState
from stackhub.store import configure, queries
from stackhub.store.lanes import HOST, TIME
from stackhub.store.store import Store


async def assembled(
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
    """Return the engine, its instances open and its lanes taken; its loops are for the caller to start."""
    alone = store.alone
    mine = "" if alone else await in_thread(host_id, state)
    installation = await store.call(lambda connection: configure.name_installation(connection, ids.name()))
    contact = configuration.hub.public_url or ""
    in_force = InForce(configuration)
    board = Board(store, clock, in_force.rules, group)
    voice = Voice(installation=installation, source="stackhub")
    incidents = Incidents(clock, ids, voice, in_force.routes, mute=mute, alone=alone, silent=in_force.silent)
    hosts = Hosts(mine)
    tenure = Tenure(store, clock, mine or ids.name(), lease=None if alone else configuration.hub.lease)
    catalogue = Catalogue(store=store, incidents=incidents, clock=clock)
    opened: list[Lanes] = []
    inference = Inference(
        store=store,
        in_force=in_force,
        environ=environ,
        clock=clock,
        tenure=tenure,
        connector=lambda name: held.connector if opened and (held := opened[0].open.get(name)) else None,
        held=lambda: catalogue.held,
    )
    catalogue.wants.append(inference.wants)
    catalogue.on_swept.append(lambda _: inference.bell.ring())
    births = Births(board, clock, ids, inference, alone=alone)
    scheduler = Scheduler(store, board, births, in_force, clock, tenure)
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
        tenure=tenure,
        hosts=hosts,
        durations=Durations(store),
        catalogue=catalogue,
    )
    lanes = Lanes(place, group)
    catalogue.ring = lanes.ring_outboxes
    opened.append(lanes)
    impacts = Impacts(store=store, in_force=in_force, inference=inference, environ=environ, names=catalogue.names)
    watch = Watch(
        store=store,
        board=board,
        incidents=incidents,
        in_force=in_force,
        environ=environ,
        clock=clock,
        reach=impacts.of_connections,
    )
    catalogue.wants.append(watch.wants)
    catalogue.followers.append(watch)
    begins = sources.connect(place, births, scheduler, lanes)
    triggers = begins.triggers
    around = Surroundings(
        tenure=tenure,
        hosts=hosts,
        durations=place.durations,
        downstream=in_force.downstream,
        silent=in_force.silent,
        rules=in_force.rules,
        following=scheduler.following,
        ring=lanes.ring_outboxes,
        impacts=impacts,
        contact=contact,
    )
    owing = Owing(
        store=store,
        board=board,
        births=births,
        incidents=incidents,
        in_force=in_force,
        inference=inference,
        clock=clock,
        tenure=tenure,
    )
    catalogue.wants.append(owing.wants)
    catalogue.on_swept.append(lambda _: owing.bell.ring())
    keeper = RunKeeper(store, board, incidents, births, clock, around, group, owing)
    board.attach(keeper)
    deadlines = Deadlines(
        store=store,
        incidents=incidents,
        in_force=in_force,
        clock=clock,
        tenure=tenure,
        impacts=impacts,
        ring=lanes.ring_outboxes,
        contact=contact,
    )
    abreast = Abreast(
        store=store,
        board=board,
        in_force=in_force,
        scheduler=scheduler,
        hosts=hosts,
        clock=clock,
        admit=keeper.admit,
        owing=owing,
        ring=partial(_ring_news, lanes, triggers),
    )
    forecasts = Forecasts(
        store=store,
        board=board,
        incidents=incidents,
        in_force=in_force,
        clock=clock,
        tenure=tenure,
        impacts=impacts,
        ring=lanes.ring_outboxes,
        contact=contact,
    )
    board.on_moved += [forecasts.moved, _ringer(board, lanes, deadlines, abreast)]
    reminders = Reminders(
        store=store, incidents=incidents, in_force=in_force, clock=clock, tenure=tenure, ring=lanes.ring_outboxes
    )
    backfills = Backfills(
        store=store,
        board=board,
        births=births,
        incidents=incidents,
        in_force=in_force,
        clock=clock,
        ids=ids,
        tenure=tenure,
        ring=lanes.ring_outboxes,
    )
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
        backfilling=Backfilling(store=store, backfills=backfills, scheduler=scheduler, work=work, clock=clock),
        muting=Muting(
            store=store,
            incidents=incidents,
            in_force=in_force,
            clock=clock,
            connections=catalogue.names,
            known=anyio.lowlevel.checkpoint if alone else catalogue.reload,
            remind=reminders.bell.ring,
        ),
        ring=lanes.ring_outboxes,
        look=anyio.lowlevel.checkpoint if alone else abreast.look,
    )
    engine = Engine(
        store=store,
        board=board,
        incidents=incidents,
        in_force=in_force,
        scheduler=scheduler,
        triggers=triggers,
        hooks=Hooks(store=store, in_force=in_force, clock=clock, environ=environ),
        watching=begins.watching,
        files=begins.files,
        deadlines=deadlines,
        forecasts=forecasts,
        durations=place.durations,
        reminders=reminders,
        backfills=backfills,
        lanes=lanes,
        catalogue=catalogue,
        upstream=watch,
        tenure=tenure,
        abreast=abreast,
        commands=commands,
        inference=inference,
        owing=owing,
        jumps=Jumps(
            clock,
            store,
            board,
            tenure.epochs.keys,
            lanes.measures,
            partial(_ring_all, lanes, scheduler, triggers, deadlines, reminders),
        ),
        clock=clock,
        group=group,
        installation=installation,
        started_at=clock.now(),
    )
    await tenure.want(*([TIME] if alone else [TIME, f"{HOST}{mine}"]))
    if alone:
        await store.call(partial(reckon, now=clock.now()))
    await _go_on(engine, configuration)
    return engine


async def _go_on(engine: Engine, configuration: Configuration) -> None:
    """Take up everything where the hub before this one left it."""
    alone, store, now = engine.tenure.alone, engine.store, engine.clock.now
    await engine.owing.reload()
    await engine.inference.reload()
    found = await store.read(queries.open_runs)
    await engine.apply(configuration)
    for open_run in found:  # alone: the lock was free, so no call of a hub before us is under way
        engine.board.adopt(_survivor(open_run, now()) if alone else open_run)
    await engine.lanes.tidy()
    engine.lanes.take_over()
    if alone:
        await engine.keep_time()


def _survivor(open_run: OpenRun, now: datetime) -> OpenRun:
    """Take over a run of a hub that is known to be dead."""
    steps = {
        name: _dead_call(step, now) if step.state is StepState.STARTING else step
        for name, step in open_run.steps.items()
    }
    return OpenRun(run=open_run.run, pipeline=open_run.pipeline, steps=steps)


def _dead_call(step: Step, now: datetime) -> Step:
    return replace(step, due=None, call_deadline=min(step.call_deadline or now, now))


def _ringer(
    board: Board, lanes: Lanes, deadlines: Deadlines, abreast: Abreast
) -> Callable[[OpenRun, Sequence[Step]], None]:
    def ring(open_run: OpenRun, changed: Sequence[Step]) -> None:
        names = {step.instance for step in changed}
        if open_run.pipeline.max_active is not None:  # a place may have become free for a step of any lane
            others = (step for other in board.runs(open_run.run.pipeline) for step in other.steps.values())
            names |= {step.instance for step in others if step.state is StepState.READY}
        for name in sorted(names):  # a set has another order in each process, and so would what follows
            lanes.ring(name)
        if open_run.run.version <= 1:
            deadlines.bell.ring()
        if open_run.run.state is RunState.QUEUED:  # it may be its turn, and ours to say so
            abreast.bell.ring()

    return ring


def _ring_news(lanes: Lanes, triggers: Triggers) -> None:
    lanes.ring_outboxes()
    triggers.bell.ring()


def _ring_all(
    lanes: Lanes, scheduler: Scheduler, triggers: Triggers, deadlines: Deadlines, reminders: Reminders
) -> None:
    for name in lanes.open:
        lanes.ring(name)
    lanes.ring_outboxes()
    scheduler.bell.ring()
    triggers.bell.ring()
    deadlines.bell.ring()
    reminders.bell.ring()
