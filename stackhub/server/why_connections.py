"""What is asked of a connection by `why`, read from the store."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from stackhub.contract import Connection
from stackhub.decide.mute import of_key
from stackhub.decide.watch import trouble_of
from stackhub.errors import Refused
from stackhub.model.mute import Mute
from stackhub.model.pipeline import Task, Watched
from stackhub.model.run import OpenRun
from stackhub.model.step import Step
from stackhub.server import why_things
from stackhub.server.views import View
from stackhub.server.why import thing_view
from stackhub.server.why_step import held_by
from stackhub.server.why_things import ConnectionFacts
from stackhub.store import debts as ledger
from stackhub.store import muted, queries, shown
from stackhub.store.connections import connections
from stackhub.store.inferences import inferences
from stackhub.store.shown import LaneSeen
from stackhub.store.waiting import waiting

Lanes = Mapping[str, LaneSeen]


def about_connection(
    connection: sa.Connection, instance: str, name: str, now: datetime, lanes: Lanes | None = None
) -> View | None:
    """Say why of a connection, by its name or its id; None where neither an account nor a pipeline knows it.

    Raises:
        Refused: several connections of the account are called so.
    """
    held = connections(connection, instance).get(instance, {})
    found = [held[name]] if name in held else [one for one in held.values() if one.name == name]
    if len(found) > 1:
        ids = ", ".join(f"{instance}:{one.id}" for one in found)
        raise Refused(f"several connections of {instance} are called {name!r}: {ids}")
    one = found[0] if found else None
    names = {name} if one is None else {one.id, one.name}
    lanes = shown.lanes(connection) if lanes is None else lanes
    steps, idle = _loading(connection, instance, names)
    wanted = {(instance, each) for each in names}
    active = {
        pipeline: known.pipeline for pipeline, known in queries.pipelines(connection).items() if not known.retired
    }
    facts = ConnectionFacts(
        instance=instance,
        name=name,
        seen=one,
        steps=steps,
        idle=idle,
        begins=[
            each.name
            for each in active.values()
            if any(
                (watch.instance, watch.connection) in wanted for one_of in each.landed for watch in one_of.connections
            )
        ],
        ticks=[tick for tick in waiting(connection) if _meant(tick.schedule.require, wanted)],
        reads=_reads(connection, {f"{instance}/{each}" for each in names}, active),
        debts=[debt for debt in ledger.unpaid(connection) if (debt.instance, debt.connection) in wanted],
        incident=trouble_of({each.key: each for each in queries.open_incidents(connection)}, instance, _id(one, name)),
        mute=_mute(muted.in_force(connection), instance, names, now),
        held=held_by(instance, lanes, now),
    )
    if one is None and not (steps or idle or facts.begins or facts.ticks or facts.debts):
        return None
    said = why_things.of_connection(facts, lanes, now)
    return thing_view("connection", f"{instance}:{name}", one.health.value if one else "unknown", said)


def _loading(connection: sa.Connection, instance: str, names: set[str]) -> tuple[list[tuple[OpenRun, Step]], list[str]]:
    """Return the steps that load a connection, in their pipelines' newest runs; and the tasks that have not run."""
    steps: list[tuple[OpenRun, Step]] = []
    idle: list[str] = []
    for pipeline, known in queries.pipelines(connection).items():
        tasks = [task.name for task in known.pipeline.tasks if not known.retired and _loads(task, instance, names)]
        last = queries.last_run(connection, pipeline) if tasks else None
        found = queries.run(connection, last.id) if last else None
        for task in tasks:
            if found is not None and task in found.steps:
                steps.append((found, found.steps[task]))
            else:
                idle.append(f"{pipeline}.{task}")
    return steps, idle


def _loads(task: Task, instance: str, names: set[str]) -> bool:
    return task.instance == instance and task.options.get("connection") in names


def _reads(
    connection: sa.Connection, loaders: set[str], active: Mapping[str, object]
) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for (pipeline, task), inferred in sorted(inferences(connection).items()):
        for read in inferred.reads if pipeline in active else ():
            for loader in read.loaders:
                if loader.connection in loaders:
                    found.setdefault(f"{pipeline}.{task}", []).append((read.source, loader.why))
    return found


def _mute(mutes: Sequence[Mute], instance: str, names: set[str], now: datetime) -> Mute | None:
    keys = [*(f"connection:{instance}/{name}" for name in sorted(names)), f"instance:{instance}"]
    return next((mute for key in keys if (mute := of_key(mutes, key, now)) is not None), None)


def _id(one: Connection | None, name: str) -> str:
    return one.id if one is not None else name


def _meant(watched: Iterable[Watched], wanted: set[tuple[str, str]]) -> bool:
    return any((one.instance, one.connection) in wanted for one in watched)
