"""Whether the hub lives, whether it is to be relied on, its numbers. Without a token they answer, and name nothing."""

from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from stackhub.server.finding import TheEngine
from stackhub.server.guard import NAMED
from stackhub.server.metrics import CONTENT_TYPE, Metrics
from stackhub.server.views import View

router = APIRouter(include_in_schema=False)


@router.get("/livez")
async def live() -> View:
    """Answer: a process that cannot is to be restarted."""
    return {"status": "ok"}


@router.get("/readyz")
async def ready(request: Request, engine: TheEngine) -> JSONResponse:
    """Say whether the loop, the store and the outboxes keep up; 503 when not, why only to who may know."""
    reason = engine.unready()
    if not reason:
        return JSONResponse({"status": "ok"})
    told = reason if request.scope.get(NAMED) else "not ready: the reason is told to who shows the token"
    return JSONResponse({"error": request.app.state.hide(told)}, 503)


@router.get("/metrics")
async def metrics(request: Request, engine: TheEngine) -> Response:
    """Give the numbers for Prometheus; see docs/metrics.md."""
    kept = cast("Metrics", request.app.state.metrics)
    text = await kept.text(engine, named=bool(request.scope.get(NAMED)))
    return Response(text, media_type=CONTENT_TYPE)


@router.get("/")
async def root() -> PlainTextResponse:
    """Say where things are."""
    return PlainTextResponse(
        "stackhub\n\n"
        "The API is at /api/v1, described by /api/openapi.json. With STACKHUB_API_TOKEN set, send\n"
        "Authorization: Bearer <token>.\n\n"
        "/livez  /readyz  /metrics  /hooks/<instance>\n"
    )
