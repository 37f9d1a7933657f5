"""What is asked for outside of the API: where things are, and the hub's numbers."""

from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from stackhub.server.finding import TheEngine
from stackhub.server.guard import NAMED
from stackhub.server.metrics import CONTENT_TYPE, Metrics

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def metrics(request: Request, engine: TheEngine) -> Response:
    """Give the numbers for Prometheus; see docs/metrics.md. Without a token they name nothing."""
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
