"""The graph of each dbt project, as it was last read: so that a restart knows what hangs on what, without dbt."""

from collections.abc import Collection, Mapping
from datetime import datetime

import sqlalchemy as sa

from stackhub.lineage import Graph
from stackhub.model.codec import dump, load
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.tables import micros
from stackhub.store.transaction import Op


def read_project(instance: str, manifest: str, graph: Graph, now: datetime) -> Op:
    """Keep a project's graph in place of the one before; ``manifest`` is the name of what it was read from."""
    return Op(tx.PROJECT, {"instance": instance, "manifest": manifest, "at": micros(now), "data": dump(graph)})


def newer(connection: sa.Connection, known: Mapping[str, str]) -> dict[str, tuple[str, Graph]]:
    """Return the projects whose manifest is another than the ``known`` one, by instance."""
    names = {
        row.instance: row.manifest for row in connection.execute(sa.select(t.project.c.instance, t.project.c.manifest))
    }
    changed = [instance for instance, manifest in names.items() if known.get(instance) != manifest]
    query = sa.select(t.project).where(t.project.c.instance.in_(sorted(changed)))
    return {row.instance: (row.manifest, load(Graph, row.data)) for row in connection.execute(query)} if changed else {}


def graph_of(connection: sa.Connection, instance: str) -> Graph | None:
    """Return the graph of one project; None where it was never read."""
    data = connection.scalar(sa.select(t.project.c.data).where(t.project.c.instance == instance))
    return load(Graph, data) if data is not None else None


def forget(connection: sa.Connection, configured: Collection[str]) -> None:
    """Forget the projects of instances that are not configured any more."""
    connection.execute(sa.delete(t.project).where(t.project.c.instance.not_in(sorted(configured))))
