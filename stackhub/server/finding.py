"""What the routes share: the engine behind them, who asks, and how a thing that is not there is answered."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, TypeAlias, cast

from fastapi import Depends, HTTPException, Path, Request
from pydantic import BaseModel

from stackhub.engine.engine import Engine
from stackhub.model.run import OpenRun
from stackhub.server.guard import TRUSTED
from stackhub.server.patience import read
from stackhub.store import queries
from stackhub.store.queries import Known

SHORTEST_ID: Final = 4  # characters of a run's id that may stand for it
LONGEST_BY: Final = 80
BY: Final = "x-stackhub-by"  # through the Unix socket: who asks


class Wrong(BaseModel):
    """What every refusal looks like."""

    error: str


Text: TypeAlias = Annotated[str, Path(pattern=r"^[^\x00-\x1f]*$", max_length=200)]
RunId: TypeAlias = Annotated[
    str,
    Path(
        pattern=r"^[0-9A-Za-z]+$",
        min_length=SHORTEST_ID,
        max_length=26,
        description="A run's id, or its first or last characters where they name one run only.",
    ),
]


@dataclass(frozen=True, slots=True)
class Caller:
    """In whose name something is asked, and how: ``api``, or ``manual`` through the Unix socket."""

    by: str
    trigger: str


async def engine_of(request: Request) -> Engine:
    """Return the engine behind the app."""
    return cast("Engine", request.app.state.engine)


async def caller_of(request: Request) -> Caller:
    """Say who asks. Only who may open the socket is believed."""
    if not request.scope.get(TRUSTED):
        return Caller("api", "api")
    named = "".join(letter for letter in request.headers.get(BY, "") if letter.isprintable())
    return Caller(named.strip()[:LONGEST_BY] or "command line", "manual")


TheEngine: TypeAlias = Annotated[Engine, Depends(engine_of)]
TheCaller: TypeAlias = Annotated[Caller, Depends(caller_of)]


def pipeline_named(engine: Engine, name: str) -> Known:
    """Return a pipeline that is configured now; 404 where there is none."""
    known = engine.in_force.active(name)
    if known is None:
        raise HTTPException(404, f"no pipeline {name!r}")
    return known


async def run_named(engine: Engine, named: str) -> OpenRun:
    """Return the run that an id, or a part of one, names; 404 where there is none, 409 where there are several."""
    exactly = await read(engine, partial(queries.run, run_id=named.upper()))
    if exactly is not None:
        return exactly
    found = await read(engine, partial(queries.run_ids, beginning=named))
    if len(found) > 1:
        raise HTTPException(409, f"{named} may mean {', '.join(found)}")
    open_run = await read(engine, partial(queries.run, run_id=found[0])) if found else None
    if open_run is None:
        raise HTTPException(404, f"no run {named!r}")
    return open_run


def task_named(open_run: OpenRun, name: str) -> str:
    """Return a task of a run; 404 where there is none."""
    if name not in open_run.steps:
        raise HTTPException(404, f"run {open_run.run.id} has no task {name!r}; there are: {', '.join(open_run.steps)}")
    return name


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe refusals for OpenAPI: those every route may give, and these."""
    texts = {
        400: "The body is no JSON",
        401: "The token is missing or wrong",
        403: "Not without a token",
        404: "There is no such thing",
        408: "The body did not arrive in time",
        409: "It cannot be done as things are; nothing has changed",
        413: "The body is too long",
        415: "The body is something else than JSON",
        422: "The request is not of the form this route takes",
        503: "The store is away",
    }
    given = {401, 403, 422, 503, *statuses}
    return {status: {"model": Wrong, "description": texts[status]} for status in sorted(given)}
