"""The routes that look into a run: its nodes, and why things are as they are."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query

from stackhub.model.node import NodeState
from stackhub.server.finding import RunId, TheEngine, answers, run_named, task_named
from stackhub.server.nodes import nodes_view
from stackhub.server.patience import read
from stackhub.server.views import View
from stackhub.store.nodes import shown

router = APIRouter(responses=answers())


@router.get("/runs/{run_id}/nodes", tags=["runs"], responses=answers(404, 409))
async def list_nodes(
    run_id: RunId,
    engine: TheEngine,
    task: Annotated[str, Query(pattern=r"^[^\x00-\x1f]*$", max_length=200)] = "",
    state: NodeState | None = None,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
    offset: Annotated[int, Query(ge=0, le=2**31, description="`next` of the page before.")] = 0,
) -> View:
    """List the nodes of a run's jobs (dbt models, tests, seeds): what failed first, then the slowest."""
    open_run = await run_named(engine, run_id)
    if task:
        task_named(open_run, task)
    found = await read(engine, partial(shown, open_run=open_run, task=task))
    return nodes_view(open_run, found, state=state, limit=limit, offset=offset)
