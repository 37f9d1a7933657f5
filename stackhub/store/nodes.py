"""What is known of nodes, across the runs that a run goes on from. Each function only reads."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

import sqlalchemy as sa

from stackhub.model.codec import load
from stackhub.model.node import DONE, Node
from stackhub.model.run import OpenRun, Run
from stackhub.store import queries
from stackhub.store import tables as t
from stackhub.store.projects import graph_of

LOOKED_AT: Final = 50  # of a pipeline's runs, the newest, for what is asked by a node's name


class Told(NamedTuple):
    """A node as a run left it."""

    pipeline: str
    run: str
    task: str
    node: Node


def left(connection: sa.Connection, run: Run, task: str) -> tuple[Node, ...]:
    """Return how earlier tries left each node of a task: those of this run, and of those that it goes on from.

    The newest word on a node counts. Of the runs before this one only what is done does: what failed there is what
    somebody has asked to be tried again.
    """
    found = {node.id: node for node in queries.nodes(connection, run.id, task).get(task, [])}
    mine = frozenset(found)
    while run.retry_of and not run.origin.get("from_start"):
        data = connection.scalar(sa.select(t.run.c.data).where(t.run.c.id == run.retry_of))
        if data is None:  # swept away
            break
        run = load(Run, data)
        for node in queries.nodes(connection, run.id, task).get(task, []):
            found.setdefault(node.id, node)
    return tuple(node for node in found.values() if node.id in mine or node.state in DONE)


def shown(connection: sa.Connection, open_run: OpenRun, task: str = "") -> dict[str, list[Node]]:
    """Return the nodes of a run's steps, by task; those of a step that was carried over from where it was done.

    Whose a node is that its job did not say (v2 leaves it out), its project's graph says where that was read.
    """
    found = queries.nodes(connection, open_run.run.id, task)
    for name, step in open_run.steps.items():
        if step.carried and not found.get(name) and task in ("", name):
            found |= queries.nodes(connection, step.carried, name)
    return {name: owned(nodes, connection, open_run.steps[name].instance) for name, nodes in found.items()}


def owned(nodes: list[Node], connection: sa.Connection, instance: str) -> list[Node]:
    """Return nodes of a project with whose they are."""
    if all(node.owner for node in nodes) or (graph := graph_of(connection, instance)) is None:
        return nodes
    owners = graph.owners
    return [replace(node, owner=node.owner or owners.get(node.id, "")) for node in nodes]


def newest(connection: sa.Connection, name: str, pipelines: Iterable[str]) -> list[Told]:
    """Return the nodes that a name may mean, as the newest run of each of these pipelines to speak of them left them.

    A name is a unique id, or its last part: "model.shop.orders", "orders". Only the last runs are looked at.
    """
    kept = t.node.c
    hashed = kept.id.like(f"test.%.{_literal(name)}.%", escape="\\")  # dbt puts a hash behind a test's name
    named = sa.or_(kept.id == name, kept.id.endswith(f".{name}", autoescape=True), hashed)
    found: dict[tuple[str, str, str], Told] = {}
    for pipeline in pipelines:
        where = (kept.run.in_(_last_runs(connection, pipeline)), named)
        query = sa.select(kept.run, kept.task, kept.id, kept.data).where(*where).order_by(kept.run.desc(), kept.id)
        for row in connection.execute(query):
            found.setdefault((pipeline, row.task, row.id), Told(pipeline, row.run, row.task, load(Node, row.data)))
    return list(found.values())


def last_done(connection: sa.Connection, node: str, pipeline: str) -> str | None:
    """Return the newest run of a pipeline that has built a node, among its last ones."""
    kept = t.node.c
    where = (kept.run.in_(_last_runs(connection, pipeline)), kept.id == node)
    query = sa.select(kept.run, kept.data).where(*where).order_by(kept.run.desc())
    return next((row.run for row in connection.execute(query) if load(Node, row.data).state in DONE), None)


def _last_runs(connection: sa.Connection, pipeline: str) -> list[str]:
    query = sa.select(t.run.c.id).where(t.run.c.pipeline == pipeline).order_by(t.run.c.id.desc()).limit(LOOKED_AT)
    return list(connection.scalars(query))


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
