"""What feeds what: a dbt project's graph, and which connection loads each of its sources. Pure.

graph = manifest.read(data)                       # sources, nodes, exposures, owners
loads = match(graph, connections)                 # which connection fills which source, and why
graph.sources_of(selected)                        # what a selection reads, however far upstream
impact(graph, ["source.shop.crm.customers"])      # models, exposures and owners downstream
"""

from stackhub.lineage.graph import Exposure, Graph, Source
from stackhub.lineage.impact import Impact, impact, loaded_by
from stackhub.lineage.manifest import read
from stackhub.lineage.match import Confidence, Held, Load, Loads, match

__all__ = [
    "Confidence",
    "Exposure",
    "Graph",
    "Held",
    "Impact",
    "Load",
    "Loads",
    "Source",
    "impact",
    "loaded_by",
    "match",
    "read",
]
