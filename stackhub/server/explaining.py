"""The routes that look into a run: its nodes, and why things are as they are."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from stackhub.model.node import NodeState
from stackhub.server.finding import RunId, TheEngine, answers, run_named, task_named
from stackhub.server.nodes import nodes_view
from stackhub.server.patience import read
from stackhub.server.reading import lanes_seen
from stackhub.server.views import View
from stackhub.server.why_asked import about, about_run
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


@router.get("/runs/{run_id}/why", tags=["runs"], responses=answers(404, 409))
async def explain_run(
    run_id: RunId,
    engine: TheEngine,
    task: Annotated[str | None, Query(pattern=r"^[^\x00-\x1f]*$", max_length=200)] = None,
    node: Annotated[str, Query(pattern=r"^[^\x00-\x1f]*$", max_length=400, description="A node of the task.")] = "",
) -> View:
    """Say why a run, one step of it, or one node of that, is as it is; the nearest cause first."""
    open_run = await run_named(engine, run_id)
    if task is not None:
        task_named(open_run, task)
    elif node:
        raise HTTPException(422, "a node is of a task: name the task as well")
    asked = f"{task}.{node}" if node else task
    work = partial(about_run, open_run=open_run, task=asked, now=engine.clock.now(), lanes=lanes_seen(engine))
    return await read(engine, work)


@router.get("/why", tags=["runs"], responses=answers(404, 409))
async def explain(
    engine: TheEngine,
    of: Annotated[
        str,
        Query(
            pattern=r"^[^\x00-\x1f]+$",
            max_length=400,
            description="INSTANCE:CONNECTION, a pipeline, or a model by its name or unique id.",
        ),
    ],
) -> View:
    """Say why a connection, a pipeline or a model is as it is: what it waits for, what failed, what is owed."""
    found = await read(engine, partial(about, name=of, now=engine.clock.now(), lanes=lanes_seen(engine)))
    if found is None:
        raise HTTPException(404, f"nothing is known of {of!r}")
    return found
