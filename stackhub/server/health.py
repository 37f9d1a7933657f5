"""Whether the hub lives, and whether it is to be relied on: answered before the API has been imported."""

from collections.abc import Callable
from typing import Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from stackhub.engine.engine import Engine
from stackhub.server.guard import NAMED, SAFE

LIVE: Final = "/livez"
READY: Final = "/readyz"


class Probes:
    """Stands before an app and answers the two probes itself. Without a token they name nothing."""

    def __init__(self, app: ASGIApp, engine: Engine, hide: Callable[[str], str]) -> None:
        self._app = app
        self._engine = engine
        self._hide = hide

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a probe, or pass a request on."""
        if scope["path"] not in {LIVE, READY}:
            await self._app(scope, receive, send)
        elif scope["method"] not in SAFE:
            refusal = JSONResponse({"error": "Method Not Allowed"}, 405, {"allow": ", ".join(sorted(SAFE))})
            await refusal(scope, receive, send)
        else:
            answer = JSONResponse({"status": "ok"}) if scope["path"] == LIVE else self._ready(scope)
            await answer(scope, receive, send)

    def _ready(self, scope: Scope) -> JSONResponse:
        """Say whether the loop, the store and the outboxes keep up; 503 when not, why only to who may know."""
        reason = self._engine.unready()
        if not reason:
            return JSONResponse({"status": "ok"})
        told = reason if scope.get(NAMED) else "not ready: the reason is told to who shows the token"
        return JSONResponse({"error": self._hide(told)}, 503)
