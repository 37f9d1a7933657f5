"""What is asked of by `why`, read from the store in one look: nothing here asks a vendor, a project or the engine."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from stackhub.decide.mute import of_key
from stackhub.errors import Refused
from stackhub.model.node import Node
from stackhub.model.run import RUN_OPEN, OpenRun, Run
from stackhub.server import why_things
from stackhub.server.views import View
from stackhub.server.why import thing_view, why_view
from stackhub.server.why_connections import about_connection
from stackhub.server.why_step import owing
from stackhub.server.why_things import NodeFacts, PipelineFacts
from stackhub.store import debts as ledger
from stackhub.store import muted, queries, shown
from stackhub.store.nodes import Told, last_done, newest, owned
from stackhub.store.projects import graph_of
from stackhub.store.shown import LaneSeen
from stackhub.store.waiting import skipped, waiting

Lanes = Mapping[str, LaneSeen]


def about(connection: sa.Connection, name: str, now: datetime, lanes: Lanes | None = None) -> View | None:
    """Say why of what a name means: INSTANCE:CONNECTION, a pipeline, or a node; None where it means nothing.

    Raises:
        Refused: it may mean several things; names them.
    """
    instance, colon, rest = name.partition(":")
    if colon:
        return about_connection(connection, instance, rest, now, lanes)
    found = about_pipeline(connection, name, now, lanes)
    return about_node(connection, name, now, lanes) if found is None else found


def about_run(
    connection: sa.Connection, open_run: OpenRun, task: str | None, now: datetime, lanes: Lanes | None = None
) -> View:
    """Say why a run, or a step of it, is as it is; ``task``: TASK, or TASK.NODE for a node of its job.

    Raises:
        Refused: the step has no such node, or several.
        KeyError: the run has no such task.
    """
    task, _, node = (task or "").partition(".")
    lanes = shown.lanes(connection) if lanes is None else lanes
    run = open_run.run
    if node:
        step = open_run.steps[task]
        beside = queries.nodes(connection, step.carried or run.id, task).get(task, [])
        told = [Told(run.pipeline, run.id, task, one) for one in beside if node in (one.id, one.name, _last(one.id))]
        if len(ids := sorted({one.node.id for one in told})) > 1:
            raise Refused(f"{node!r} may be any of these: {', '.join(ids)}")
        if not told:
            raise Refused(f"{run.id}.{task} has no node {node!r}: `stackhub nodes {run.id}.{task}` lists them")
        return _of_node(connection, told, open_run, beside, now, lanes)
    owed = ledger.unpaid(connection, run.pipeline)
    return why_view(
        open_run,
        task or None,
        events=queries.events(connection, run_id=run.id),
        lanes=lanes,
        others=_open(connection, run.pipeline),
        debts=owed,
        now=now,
    )


def about_pipeline(connection: sa.Connection, name: str, now: datetime, lanes: Lanes | None = None) -> View | None:
    """Say why of a pipeline: its newest run, then why none has begun since."""
    known = queries.pipelines(connection).get(name)
    if known is None:
        return None
    last = queries.last_run(connection, name)
    facts = PipelineFacts(
        known=known,
        ticks=[tick for tick in waiting(connection) if tick.pipeline == name],
        skips=skipped(connection, name, last.tick or last.created_at if last else None),
        debts=ledger.unpaid(connection, name),
        mute=of_key(muted.in_force(connection), f"pipeline:{name}", now),
    )
    said = why_things.of_pipeline(facts)
    found = queries.run(connection, last.id) if last else None
    if found is None:
        return thing_view("pipeline", name, "idle", said or ["it has not run yet"], pipeline=name)
    view = about_run(connection, found, None, now, lanes)
    return {**view, "because": [*view["because"], *said]}


def about_node(connection: sa.Connection, name: str, now: datetime, lanes: Lanes | None = None) -> View | None:
    """Say why of a node, as the newest run left it.

    Raises:
        Refused: several nodes are called so.
    """
    owed = [debt for debt in ledger.unpaid(connection) if name in (debt.node, _last(debt.node))]
    told = newest(connection, name, queries.pipelines(connection))
    ids = sorted({one.node.id for one in told} | {debt.node for debt in owed})
    if len(ids) > 1:
        raise Refused(f"{name!r} may be any of these: {', '.join(ids)}")
    if told:
        told.sort(key=lambda one: one.run, reverse=True)
        open_run = queries.run(connection, told[0].run)
        if open_run is not None:
            beside = queries.nodes(connection, told[0].run, told[0].task).get(told[0].task, [])
            return _of_node(connection, told, open_run, beside, now, lanes)
    if owed:
        where = {"run": owed[0].run, "pipeline": owed[0].pipeline, "task": owed[0].task}
        return thing_view("node", ids[0], "owed", owing(owed), **where)
    return None


def _of_node(
    connection: sa.Connection,
    told: Sequence[Told],
    open_run: OpenRun,
    beside: Sequence[Node],
    now: datetime,
    lanes: Lanes | None,
) -> View:
    here = told[0]
    step = open_run.steps[here.task]
    [node] = owned([here.node], connection, step.instance)
    facts = NodeFacts(
        node=node,
        task=here.task,
        open_run=open_run,
        beside=beside,
        graph=graph_of(connection, step.instance),
        debts=[one for one in ledger.unpaid(connection, here.pipeline) if one.node == here.node.id],
        last=last_done(connection, here.node.id, here.pipeline),
        elsewhere=sorted({f"{one.pipeline}.{one.task}" for one in told[1:]} - {f"{here.pipeline}.{here.task}"}),
    )
    said = why_things.of_node(facts, shown.lanes(connection) if lanes is None else lanes, now)
    where = {"run": here.run, "pipeline": here.pipeline, "task": here.task}
    return thing_view("node", here.node.id, here.node.state.value, said, **where)


def _open(connection: sa.Connection, pipeline: str) -> list[Run]:
    return [run for state in RUN_OPEN for run in queries.runs(connection, pipeline=pipeline, state=state.value)]


def _last(unique: str) -> str:
    return unique.rpartition(".")[2]
