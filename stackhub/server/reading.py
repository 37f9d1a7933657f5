"""The routes that only read. Lists are newest first unless they say otherwise."""

from functools import partial
from typing import Annotated, Final

import anyio.to_thread
import structlog
from fastapi import APIRouter, HTTPException, Path, Query, Request

from stackhub.contract import Logs
from stackhub.decide.mute import of_key
from stackhub.decide.watch import trouble_of, uses_of
from stackhub.engine.engine import Engine
from stackhub.engine.standin import StandIn
from stackhub.model.run import OpenRun, RunState
from stackhub.server import forecasting, pipeline_views, views
from stackhub.server.coming import preview
from stackhub.server.finding import RunId, Text, TheEngine, answers, pipeline_named, run_named, task_named
from stackhub.server.patience import read
from stackhub.server.told import kept_of, mute_view, told_view
from stackhub.server.views import View
from stackhub.store import connections, debts, muted, queries, shown
from stackhub.store.shown import LaneSeen
from stackhub.store.waiting import waiting

log = structlog.get_logger()
LONGEST_WAIT: Final = 30.0  # seconds, for events
MOST_LOG: Final = 1_000_000  # bytes of a log in one answer

router = APIRouter(responses=answers())
Limit = Annotated[int, Query(ge=1, le=500)]
Task = Annotated[str, Path(pattern=r"^[^\x00-\x1f]*$", max_length=200, description="A task's name.")]


@router.get("/pipelines", tags=["pipelines"])
async def list_pipelines(engine: TheEngine) -> list[View]:
    """List the configured pipelines by name, each with its newest run and its next tick."""
    names = sorted(name for name, known in engine.in_force.known.items() if not known.retired)
    return await _pipelines(engine, names)


@router.get("/pipelines/{name}", tags=["pipelines"], responses=answers(404))
async def show_pipeline(name: Text, engine: TheEngine) -> View:
    """Show one pipeline."""
    pipeline_named(engine, name)
    return (await _pipelines(engine, [name]))[0]


async def _pipelines(engine: Engine, names: list[str]) -> list[View]:
    last = await read(engine, lambda connection: {name: queries.last_run(connection, pipeline=name) for name in names})
    now = engine.clock.now()
    return [
        pipeline_views.pipeline_view(
            engine.in_force.known[name], last=last[name], next_at=engine.scheduler.following(name), now=now
        )
        for name in names
    ]


@router.get("/pipelines/{name}/preview", tags=["pipelines"], responses=answers(404))
async def show_preview(name: Text, engine: TheEngine) -> View:
    """Show what resuming a paused pipeline would do at this moment, and what fires after that."""
    pipeline_named(engine, name)
    going = [open_run.run for open_run in engine.board.runs(name)]
    return preview(engine.in_force.known[name], engine.scheduler.schedules(name), going, engine.clock.now())


@router.get("/runs", tags=["runs"])
async def list_runs(
    engine: TheEngine,
    pipeline: Annotated[str, Query(pattern=r"^[^\x00-\x1f]*$", max_length=200)] = "",
    state: RunState | None = None,
    limit: Limit = 50,
    before: Annotated[str, Query(pattern=r"^[0-9A-Za-z]*$", max_length=26)] = "",
) -> list[View]:
    """List runs; ``before`` is the id of the last one seen."""
    found = await read(
        engine,
        partial(
            queries.runs, pipeline=pipeline, state=state.value if state else "", limit=limit, before=before.upper()
        ),
    )
    return [views.run_view(run, engine.clock.now()) for run in found]


@router.get("/runs/{run_id}", tags=["runs"], responses=answers(404, 409))
async def show_run(run_id: RunId, engine: TheEngine) -> View:
    """Show a run with its steps and the newest lines of its history."""
    open_run = await run_named(engine, run_id)
    run = open_run.run
    events = await read(engine, partial(queries.events, run_id=run.id))
    nodes = await read(engine, partial(queries.nodes, run_id=run.id))
    usual = await read(engine, partial(queries.usual, pipeline=run.pipeline))
    now = engine.clock.now()
    mute = of_key(engine.incidents.mutes, f"pipeline:{run.pipeline}", now)
    ahead = await read(engine, partial(forecasting.of_run, open_run=open_run, now=now))
    return views.show_view(open_run, events, nodes, usual, now, mute, ahead)


@router.get("/runs/{run_id}/events", tags=["runs"], responses=answers(404, 409))
async def list_events(
    request: Request,
    run_id: RunId,
    engine: TheEngine,
    after: Annotated[int, Query(ge=0, le=2**62)] = 0,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for a line that is new.")] = 0,
) -> list[View]:
    """List a run's history, oldest first; ``after`` is the id of the last line seen."""
    run = (await run_named(engine, run_id)).run
    until = engine.clock.since_boot() + wait
    while True:
        lines = await read(engine, partial(queries.events, run_id=run.id, after=after))
        left = until - engine.clock.since_boot()
        if lines or left <= 0 or engine.board.get(run.id) is None or request.app.state.leaving():
            return [views.event_view(line) for line in lines]
        await engine.board.crier.wait(min(left, 1.0))


@router.get("/runs/{run_id}/steps/{task}/log", tags=["runs"], responses=answers(404, 409))
async def read_log(
    request: Request,
    run_id: RunId,
    task: Task,
    engine: TheEngine,
    offset: Annotated[int, Query(ge=0, le=2**62, description="In bytes: `next` of the answer before.")] = 0,
    most: Annotated[int, Query(ge=1, le=MOST_LOG, description="Bytes to read at most.")] = 65_536,
) -> View:
    """Read what a step's job said; of one without files of its own, the step's history. ``next`` is where to go on."""
    open_run = await run_named(engine, run_id)
    step = open_run.steps[task_named(open_run, task)]
    if step.carried:  # the job ran in another run
        other = await read(engine, partial(queries.run, run_id=step.carried))
        open_run, step = (other, other.steps[task]) if other and task in other.steps else (open_run, step)
    held = engine.lanes.open.get(step.instance)
    if held is not None and isinstance(held.connector, Logs) and step.handle is not None:
        try:
            text, following = await anyio.to_thread.run_sync(held.connector.read_log, step.handle, offset, most)
        except OSError:  # its files are gone, or not of this machine
            pass
        except Exception:  # a bug, but in a plugin: its history is left
            log.exception("bug in a connector", instance=step.instance, verb="read_log")
        else:
            return _log(open_run, task, "job", request.app.state.hide(text), offset, following)
    events = await read(engine, partial(queries.events, run_id=open_run.run.id))
    whole = views.history(events, task).encode()
    part = whole[offset : offset + most]
    part = part[: part.rfind(b"\n") + 1] or part  # whole lines
    text = request.app.state.hide(part.decode("utf-8", "replace"))
    return _log(open_run, task, "history", text, offset, offset + len(part))


def _log(open_run: OpenRun, task: str, source: str, text: str, offset: int, following: int) -> View:
    ended = open_run.steps[task].ended_at is not None
    return {
        "run": open_run.run.id,
        "task": task,
        "source": source,
        "text": text,
        "offset": offset,
        "next": following,
        "ended": ended,
    }


@router.get("/owed", tags=["runs"])
async def list_owed(
    engine: TheEngine, pipeline: Annotated[str, Query(pattern=r"^[^\x00-\x1f]*$", max_length=200)] = ""
) -> list[View]:
    """List what runs have left unbuilt, and which input each node waits for."""
    found = await read(engine, partial(debts.unpaid, pipeline=pipeline))
    return [views.owed_view(debt) for debt in found]


@router.get("/incidents", tags=["incidents"])
async def list_incidents(engine: TheEngine, limit: Limit = 50, *, open: bool = False) -> list[View]:  # noqa: A002 - its name in the query
    """List incidents; ``open``: only those that last."""
    found = await read(engine, queries.open_incidents if open else partial(queries.incidents, limit=limit))
    return [views.incident_view(incident) for incident in sorted(found, key=lambda one: one.id, reverse=True)[:limit]]


@router.get("/incidents/{incident}", tags=["incidents"], responses=answers(404))
async def show_incident(incident: Text, engine: TheEngine) -> View:
    """Show an incident with the messages written for it; ``incident`` is its id, or the key of an open one."""
    named = next((one.id for one in engine.incidents.open.values() if one.key == incident), incident)
    found = await read(engine, partial(queries.incident, incident_id=named))
    if found is None:
        raise HTTPException(404, f"no incident {incident!r}")
    messages = await read(engine, partial(shown.outbox, incident=found.id, limit=500))
    return {**views.incident_view(found), "messages": [views.message_view(one) for one in messages]}


@router.get("/runs/{run_id}/told", tags=["incidents"], responses=answers(404, 409))
async def explain_alerts(run_id: RunId, engine: TheEngine) -> View:
    """Say of each route of a run's pipeline what it was told of the run's problems, or why nothing."""
    run = (await run_named(engine, run_id)).run
    now = engine.clock.now()
    kept, mutes = await read(engine, partial(kept_of, run=run, now=now))
    known = engine.in_force.known.get(run.pipeline)
    given = known is not None and known.pipeline.alerts is not None
    return told_view(run, engine.in_force.alerts(run.pipeline), kept, mutes, now, given=given)


@router.get("/alerts/mutes", tags=["incidents"])
async def list_mutes(engine: TheEngine) -> list[View]:
    """List the mutes that are in force, by what they mute."""
    now = engine.clock.now()
    found = await read(engine, muted.in_force)
    return [mute_view(mute, now) for mute in sorted(found, key=lambda one: one.key) if mute.until > now]


@router.get("/connections", tags=["hub"])
async def list_connections(
    engine: TheEngine, instance: Annotated[str, Query(pattern=r"^[^\x00-\x1f]*$", max_length=200)] = ""
) -> list[View]:
    """List the connections of every account, or of one, as they were last seen, each with the tasks that load it."""
    held = await read(engine, partial(connections.connections, instance=instance))
    return [
        views.connection_view(
            name,
            one,
            used_by=[f"{use.pipeline}.{use.task}" for use in uses_of(one, uses)],
            incident=trouble_of(engine.incidents.open, name, one.id),
            seen_at=engine.catalogue.swept_at.get(name),
        )
        for name, found in sorted(held.items())
        for uses in [engine.upstream.used(name)]
        for one in sorted(found.values(), key=lambda one: (one.name, one.id))
    ]


@router.get("/outbox", tags=["incidents"])
async def list_messages(
    engine: TheEngine,
    state: Annotated[str, Query(pattern=r"^(pending|sent|superseded|undeliverable|shadow)?$")] = "",
    limit: Limit = 50,
) -> list[View]:
    """List messages to people, whatever became of them."""
    found = await read(engine, partial(shown.outbox, state=state, limit=limit))
    return [views.message_view(one) for one in found]


@router.get("/next", tags=["pipelines"])
async def list_next(engine: TheEngine) -> list[View]:
    """List what will fire, soonest first, behind the ticks that have fallen and wait for data."""
    known = engine.in_force.known
    waits = await read(engine, waiting)
    coming = [one for one in engine.scheduler.coming() if one.next_at is not None]
    coming.sort(key=lambda one: (one.next_at is None, one.next_at, one.pipeline))
    held = [pipeline_views.waiting_view(one, known.get(one.pipeline)) for one in waits]
    now, shown_next = engine.clock.now(), []
    for one in coming:
        there, ahead = known.get(one.pipeline), None
        if there is not None and one.next_at is not None:
            tick = partial(forecasting.of_tick, pipeline=there.pipeline, tick=one.next_at, now=now)
            ahead = await read(engine, tick)
        shown_next.append(pipeline_views.next_view(one, there, ahead))
    return held + shown_next


@router.get("/instances", tags=["hub"])
async def list_instances(engine: TheEngine) -> list[View]:
    """List the instances by name, and how their accounts are."""
    seen = lanes_seen(engine)
    return [
        views.instance_view(
            name,
            connector=held.instance.connector.name,
            summary=held.instance.connector.summary,
            operations=[f"{held.instance.connector.name}.{one}" for one in held.instance.connector.operations],
            notifies=held.outbox is not None,
            open_steps=len(engine.board.steps(name)),
            undelivered=held.outbox.undelivered if held.outbox is not None else None,
            lane=seen.get(name),
            shut=held.connector.why if isinstance(held.connector, StandIn) else "",
        )
        for name, held in sorted(engine.lanes.open.items())
    ]


def lanes_seen(engine: Engine) -> dict[str, LaneSeen]:
    """Return how the accounts of the open instances are at this moment."""
    return {
        name: LaneSeen(instance=name, circuit=held.health.circuit, not_before=held.gate.not_before)
        for name, held in engine.lanes.open.items()
    }
