"""The app's two doors, and what stands in them: the guard, the probes, the API once it has been imported.

The API's framework takes a third of what a hub takes to start. So the doors open without it, the probes are answered,
and it is imported beside them; a request that comes before waits for it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from stackhub.contract import in_thread
from stackhub.engine.engine import Engine
from stackhub.server.guard import Guard
from stackhub.server.health import Probes
from stackhub.server.metrics import Metrics
from stackhub.server.redact import Redactor


class Late:
    """An app that is made when it is first wanted, in a worker thread."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._making = anyio.Lock()
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, once there is somebody."""
        app = self._app or await self.there()
        await app(scope, receive, send)

    async def there(self) -> ASGIApp:
        """Make the app, if nobody has yet, and return it."""
        async with self._making:
            if self._app is None:
                self._app = await in_thread(self._make)
            return self._app


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """One app behind two doors: ``outside`` for the port, ``inside`` for the Unix socket, which asks for no token."""

    outside: ASGIApp
    inside: ASGIApp
    metrics: Metrics
    app: Late


def make(
    engine: Engine,
    *,
    reload: Callable[[], Awaitable[str]] | None = None,
    leaving: Callable[[], bool] = lambda: False,
    redactor: Redactor | None = None,
) -> Doors:
    """Put everything together. ``reload`` returns why the configuration was refused, "" when it is in force.

    ``leaving`` says that the hub is about to go, so nothing is waited for any more.
    """
    metrics = Metrics(engine.clock, engine.board.runs())
    engine.board.on_moved.append(metrics.moved)
    hide = redactor or Redactor(engine.in_force.configuration.secrets)
    late = Late(partial(_api, engine, metrics, reload, leaving, hide))
    app = Probes(late, engine, hide)

    def token() -> str | None:
        secret = engine.in_force.configuration.hub.api_token
        return secret.get_secret_value() if secret is not None else None

    return Doors(outside=Guard(app, token), inside=Guard(app, token, trusted=True), metrics=metrics, app=late)


def _api(
    engine: Engine,
    metrics: Metrics,
    reload: Callable[[], Awaitable[str]] | None,
    leaving: Callable[[], bool],
    hide: Redactor,
) -> ASGIApp:
    from stackhub.server.app import make as api

    return api(engine, metrics, reload=reload, leaving=leaving, hide=hide)
