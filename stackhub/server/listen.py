"""The app on its sockets, served by uvicorn inside our own task group.

uvicorn would put no bound on how many connections there are, how long one may take to say what it wants, and how
much of it; what holds a file descriptor could so keep the hub from starting a job. Those bounds are `Patient`'s.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import anyio
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

IDLE_SECONDS: Final = 15  # of a connection that is kept alive between requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What callers of one door may take."""

    connections: int = 256
    header_bytes: int = 65_536
    header_seconds: float = 15.0  # until a request is told, its body aside


_BOUNDS: Final = Bounds()


class Patient(HttpToolsProtocol):
    """One connection, with bounds."""

    bounds: ClassVar[Bounds] = _BOUNDS
    _size = 0
    _hurry: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin, if there are not too many."""
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            transport.abort()
            return
        self._hurry = self.loop.call_later(self.bounds.header_seconds, self._too_slow)

    def data_received(self, data: bytes) -> None:
        """Read on; while a request is not yet told, the clock ticks and the bytes are counted."""
        if self._hurry is None and self._idle():
            self._hurry = self.loop.call_later(self.bounds.header_seconds, self._too_slow)
        if self._hurry is not None:
            self._size += len(data)
        super().data_received(data)
        if self._hurry is not None and self._size > self.bounds.header_bytes:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """Go on to the body, whose time and size are `Guard`'s."""
        self._calm()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clock."""
        self._calm()
        super().connection_lost(exc)

    def _idle(self) -> bool:
        begun: RequestResponseCycle | None = self.cycle
        return begun is None or begun.response_complete

    def _calm(self) -> None:
        self._size = 0
        if self._hurry is not None:
            self._hurry.cancel()
            self._hurry = None

    def _too_slow(self) -> None:
        self._hurry = None
        if not self.transport.is_closing():
            self.transport.abort()


# --- the server -------------------------------------------------------------------------------------------------------


class Server(uvicorn.Server):
    """uvicorn without signal handlers, and asleep while nothing happens."""

    def __init__(self, app: ASGIApp, bounds: Bounds) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=type("Bounded", (Patient,), {"bounds": bounds}),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # the guard looks at who is really there
                timeout_keep_alive=IDLE_SECONDS,
            )
        )
        self._leave = anyio.Event()
        self.up = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the daemon."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        """Keep the date in the headers until asked to leave."""
        while not self._leave.is_set():
            await self.on_tick(0)
            with anyio.move_on_after(1):
                await self._leave.wait()

    def leave(self, patience: float) -> None:
        """Take no new connection, and give the requests under way so many seconds."""
        self.config.timeout_graceful_shutdown = int(patience)
        self.should_exit = True
        self._leave.set()


@asynccontextmanager
async def served(
    doors: Sequence[tuple[ASGIApp, socket.socket]],
    *,
    patience: float,
    bounds: Bounds = _BOUNDS,
) -> AsyncIterator[None]:
    """Serve each app on its socket for as long as the block lasts; requests under way get ``patience`` seconds more."""
    async with anyio.create_task_group() as group:
        servers = [Server(app, bounds) for app, _ in doors]
        for server, (_, listener) in zip(servers, doors, strict=True):
            group.start_soon(server.serve, [listener])
        for server in servers:
            await server.up.wait()
        yield
        for server in servers:
            server.leave(patience)
