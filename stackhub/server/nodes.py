"""The nodes of a run's jobs, one below the other: what failed first, then the slowest. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from stackhub.model.node import Node, NodeState
from stackhub.model.run import OpenRun
from stackhub.server.views import View, node_view

FIRST: Final = (NodeState.FAILED, NodeState.UNKNOWN, NodeState.RUNNING)
LAST: Final = NodeState.SKIPPED


def nodes_view(
    open_run: OpenRun,
    nodes: Mapping[str, Sequence[Node]],
    *,
    state: NodeState | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> View:
    """Show nodes, a page of them. ``counts`` are of all there are, ``total`` of those asked for; ``next``: go on there.

    ``nodes`` are by task.
    """
    every = [(task, node) for task, found in nodes.items() for node in found]
    wanted = [one for one in every if state is None or one[1].state is state]
    wanted.sort(key=lambda one: (_rank(one[1].state), -(one[1].seconds or 0.0), one[1].id))
    end = len(wanted) if limit is None else min(offset + limit, len(wanted))
    counts = Counter(node.state for _, node in every)
    return {
        "run": open_run.run.id,
        "pipeline": open_run.run.pipeline,
        "state": open_run.run.state.value,
        "counts": {one.value: counts[one] for one in NodeState if counts[one]},
        "total": len(wanted),
        "next": end if end < len(wanted) else None,
        "nodes": [
            {"task": task, "run": open_run.steps[task].carried or open_run.run.id, **node_view(node)}
            for task, node in wanted[offset:end]
        ],
    }


def _rank(state: NodeState) -> int:
    if state in FIRST:
        return FIRST.index(state)
    return len(FIRST) + (state is LAST)
