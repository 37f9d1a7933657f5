"""The app: routes, and what refusals look like.

Every error is `{"error": "..."}`; what nobody foresaw is logged and answered 500 without a word of it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

import stackhub
from stackhub.engine.engine import Engine
from stackhub.errors import Refused, StoreUnavailable
from stackhub.server import asking, backfilling, explaining, front, hooks, reading
from stackhub.server.metrics import Metrics

log = structlog.get_logger()
LISTED = 5  # faults of one request


def make(
    engine: Engine,
    metrics: Metrics,
    *,
    reload: Callable[[], Awaitable[str]] | None,
    leaving: Callable[[], bool],
    hide: Callable[[str], str],
) -> ASGIApp:
    """Put the app together; see `doors.make`."""
    app = FastAPI(
        title="stackhub",
        version=stackhub.__version__,
        summary="Runs Fivetran, Airbyte and dbt as one pipeline",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.engine = engine
    app.state.reload = reload
    app.state.leaving = leaving
    app.state.hide = hide
    app.state.metrics = metrics
    app.state.keys = anyio.Lock()
    app.include_router(reading.router, prefix="/api/v1")
    app.include_router(explaining.router, prefix="/api/v1")
    app.include_router(asking.router, prefix="/api/v1")
    app.include_router(backfilling.router, prefix="/api/v1")
    app.include_router(hooks.router)
    app.include_router(front.router)
    app.add_exception_handler(HTTPException, _told)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(StoreUnavailable, _away)
    app.add_exception_handler(Exception, _unforeseen)
    return app


async def _told(_: Request, err: Exception) -> JSONResponse:
    assert isinstance(err, HTTPException)  # noqa: S101 - what it is registered for
    return JSONResponse({"error": str(err.detail)}, err.status_code, dict(err.headers or {}))


async def _invalid(_: Request, err: Exception) -> JSONResponse:
    assert isinstance(err, RequestValidationError)  # noqa: S101 - what it is registered for
    faults: list[Any] = list(err.errors())
    if any(fault["type"] == "json_invalid" for fault in faults):
        return JSONResponse({"error": "the body is no JSON"}, 400)
    lines = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in faults[:LISTED]]
    more = [f"and {len(faults) - LISTED} more"] if len(faults) > LISTED else []
    text = "; ".join([*lines, *more]).encode("utf-8", "replace").decode()
    return JSONResponse({"error": text}, 422)


async def _refused(_: Request, err: Exception) -> JSONResponse:
    return JSONResponse({"error": str(err)}, 409)


async def _away(_: Request, err: Exception) -> JSONResponse:
    return JSONResponse({"error": str(err)}, 503)


async def _unforeseen(request: Request, err: Exception) -> JSONResponse:
    log.error("a request failed", method=request.method, path=request.url.path, exc_info=err)
    return JSONResponse({"error": "this failed; the log says why"}, 500)
