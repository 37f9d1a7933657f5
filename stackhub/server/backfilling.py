"""The routes about backfills."""

from datetime import timedelta
from functools import partial
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from stackhub.config.duration import Duration
from stackhub.engine.engine import Engine
from stackhub.model.backfill import Backfill
from stackhub.server.asking import MANY, Reason, keepable
from stackhub.server.backfill_views import backfill_view, parts_view
from stackhub.server.finding import SHORTEST_ID, Text, TheCaller, TheEngine, answers, pipeline_named
from stackhub.server.patience import read, submit
from stackhub.server.views import View
from stackhub.store import backfills as rows

router = APIRouter(responses=answers(400, 404, 408, 409, 413, 415), tags=["backfills"])
Id: TypeAlias = Annotated[
    str,
    Path(pattern=r"^[0-9A-Za-z]+$", min_length=SHORTEST_ID, max_length=26, description="Its id, or one end of it."),
]
_Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f]+$", max_length=200)]
_Moment = Annotated[str, Field(pattern=r"^[0-9T:.Zz+ -]+$", max_length=40, examples=["2026-03-01"])]


class Backfilling(BaseModel):
    """A stretch of the past, and how it is done."""

    model_config = ConfigDict(extra="forbid")

    start: _Moment = Field(alias="from", description="A day, or a time; without an offset in the schedule's zone.")
    to: _Moment = Field(description="As from; it is not part of the stretch.")
    every: Duration | None = Field(default=None, description="An interval's length; absent: the schedule's own ticks.")
    schedule: int | None = Field(default=None, ge=1, le=1000, description="Which of several schedules, from 1.")
    newest_first: bool = False
    parallel: int = Field(default=1, ge=1, le=100, description="Runs at once.")
    keep_going: bool = Field(default=False, description="Begin further intervals although one has failed.")
    resync_first: bool = Field(default=False, description="Load everything anew once before.")
    extracts: bool = Field(default=False, description="Run the extract tasks in each interval as well.")
    only: list[_Name] = Field(default=[], max_length=MANY, description="Tasks; the others are left out.")
    options: Annotated[dict[_Name, dict[str, Any]], AfterValidator(keepable)] = Field(
        default={}, alias="with", max_length=MANY, description="Options in place of the configured ones, by task."
    )
    again: bool = Field(default=False, description="Do again what is done as well.")
    dry_run: bool = Field(default=False, description="Only show the intervals; nothing is kept.")


@router.post("/pipelines/{name}/backfill", status_code=202)
async def backfill(name: Text, engine: TheEngine, caller: TheCaller, body: Backfilling) -> View:
    """Begin a backfill, or go on with the one that was asked for in the same words."""
    pipeline_named(engine, name)
    every: timedelta | None = body.every
    args = {
        "pipeline": name,
        "from": body.start,
        "every": None if every is None else every.total_seconds(),
        "with": body.options,
        **body.model_dump(exclude={"start", "every", "options", "dry_run"}),
    }
    if body.dry_run:
        plan = engine.commands.backfilling.planned("", args, caller.by)
        return {"how": plan.backfill.how, "parts": parts_view(plan.backfill, plan.parts)}
    return await submit(engine, "backfill", args, caller.by)


@router.get("/backfills")
async def list_backfills(
    engine: TheEngine,
    pipeline: Annotated[str, Query(pattern=r"^[^\x00-\x1f]*$", max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> list[View]:
    """List backfills, newest first."""
    found = await read(engine, partial(rows.backfills, pipeline=pipeline, limit=limit))
    return [await _view(engine, one) for one in found]


@router.get("/backfills/{backfill_id}", responses=answers(404, 409))
async def show_backfill(backfill_id: Id, engine: TheEngine) -> View:
    """Show a backfill with its intervals."""
    found = await _named(engine, backfill_id)
    parts = await read(engine, partial(rows.parts, backfill_id=found.id))
    return {**await _view(engine, found), "parts": parts_view(found, parts)}


@router.post("/backfills/{backfill_id}/cancel", status_code=202, responses=answers(404, 409))
async def cancel_backfill(backfill_id: Id, engine: TheEngine, caller: TheCaller, body: Reason | None = None) -> View:
    """Cancel a backfill: what is running is asked to end, what waits does not begin."""
    found = await _named(engine, backfill_id)
    args = {"backfill": found.id, "reason": body.reason if body else ""}
    return await submit(engine, "cancel_backfill", args, caller.by)


async def _view(engine: Engine, found: Backfill) -> View:
    many = await read(engine, partial(rows.counts, ids=[found.id]))
    return backfill_view(found, many[found.id], await read(engine, partial(rows.usual, backfill_id=found.id)))


async def _named(engine: Engine, typed: str) -> Backfill:
    ids = await read(engine, partial(rows.named, typed=typed))
    if len(ids) > 1:
        raise HTTPException(409, f"{typed} may mean {', '.join(ids)}")
    found = await read(engine, partial(rows.backfill, backfill_id=ids[0])) if ids else None
    if found is None:
        raise HTTPException(404, f"no backfill {typed!r}")
    return found
