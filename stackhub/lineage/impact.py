"""What hangs on a source, a node, a connection: the models downstream, the dashboards, and whose they are. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from stackhub.lineage.graph import Exposure, Graph
from stackhub.lineage.match import Loads

MODEL: Final = "model."


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """Who notices when something is not built."""

    models: tuple[str, ...]  # unique ids, those that were asked about among them
    exposures: tuple[Exposure, ...]
    owners: tuple[str, ...]  # of these models and exposures, each once


def impact(graph: Graph, ids: Iterable[str]) -> Impact:
    """Return what is downstream of nodes or sources, however far away."""
    below = graph.downstream(ids)
    exposures = sorted((one for one in graph.exposures.values() if below & set(one.reads)), key=lambda one: one.name)
    whose = {graph.owners[one] for one in below if one in graph.owners} | {one.owner for one in exposures if one.owner}
    return Impact(
        models=tuple(sorted(one for one in below if one.startswith(MODEL))),
        exposures=tuple(exposures),
        owners=tuple(sorted(whose)),
    )


def loaded_by(loads: Loads, instance: str, connection: str) -> list[str]:
    """Return the unique ids of the sources that a connection loads; ``connection`` is its id or its name."""
    return sorted(
        load.source.id
        for load in loads.loads
        if load.held.instance == instance and connection in (load.held.connection.id, load.held.connection.name)
    )
