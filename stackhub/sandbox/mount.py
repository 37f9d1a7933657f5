"""The stage: every connector's fake vendor in one ASGI application.

    /<name>/...         the vendor, as if it were alone: point <NAME>_API_URL here
    /_sandbox/<name>    its script: what the next syncs do, which exchanges go wrong (see `desk`)
    /                   what is there, for people

The same application is served on a port (`serve`) and asked in process, through httpx's transport.
"""

import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from typing import Final, Protocol, runtime_checkable

import anyio
import httpx
import uvicorn
from anyio.abc import TaskGroup

from stackhub.contract import ConfigError
from stackhub.contract.sandbox import App, Dropped, FakeVendor, Feed, Receive, Scope, Send, SyncVendor, World
from stackhub.sandbox.desk import desk

PORT: Final = 8788  # where the env files of configs/demo look for the sandbox
WEBHOOK: Final = 10.0  # seconds that a receiver of webhooks may take


@runtime_checkable
class Ticking(Protocol):
    """A fake vendor that does things by itself: starts what is scheduled, sends webhooks."""

    async def run(self) -> None:
        """Go on until cancelled."""
        ...


class Stage:
    """The vendors that are played here, by name; itself an ASGI application."""

    def __init__(self, vendors: Mapping[str, FakeVendor]) -> None:
        self.vendors = vendors
        self._feeds: dict[str, list[Feed]] = {name: [] for name in vendors}
        self._desk = desk(self)

    def add(self, name: str, feed: Feed) -> None:
        """Give a vendor of syncs one more connection.

        Raises:
            ConfigError: no vendor of syncs has this name.
        """
        vendor = self.vendors.get(name)
        if not isinstance(vendor, SyncVendor):
            syncs = sorted(known for known, one in self.vendors.items() if isinstance(one, SyncVendor))
            raise ConfigError(f"{name!r} is no vendor of syncs here: these are {', '.join(syncs) or 'none'}")
        vendor.add(feed)
        self._feeds[name].append(feed)

    def feeds(self, name: str) -> Sequence[Feed]:
        """Return the connections that a vendor has been given."""
        return tuple(self._feeds[name])

    def environment(self, url: str) -> dict[str, Mapping[str, str]]:
        """Return, by vendor, the variables that point an instance at it when the stage is reached at ``url``."""
        return {name: vendor.environment(f"{url.rstrip('/')}/{name}") for name, vendor in self.vendors.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: the vendor's own, or the desk's."""
        prefix = "/" + scope.get("path", "").removeprefix("/").partition("/")[0]
        vendor = self.vendors.get(prefix[1:]) if scope["type"] == "http" else None
        if vendor is None:
            await self._desk(scope, receive, send)
        else:
            await vendor(_below(scope, prefix), receive, send)


def _below(scope: Scope, prefix: str) -> Scope:
    """Return what a vendor sees that knows nothing of its prefix."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return {
        **scope,
        "path": scope["path"].removeprefix(prefix) or "/",
        "raw_path": raw.removeprefix(prefix.encode()) or b"/",
        "root_path": scope.get("root_path", "") + prefix,
    }


class Plays(Protocol):
    """What brings a fake vendor: a connector, as a rule."""

    @property
    def name(self) -> str:
        """Where it is mounted."""
        ...

    def sandbox(self, world: World) -> FakeVendor | None:
        """Return its fake vendor in this world, None where it has none."""
        ...


@asynccontextmanager
async def open_stage(
    connectors: Iterable[Plays],
    *,
    feeds: Mapping[str, Iterable[Feed]] | None = None,
    land: Callable[[str, str], int] = lambda _vendor, _connection: 0,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    seed: int = 0,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Stage]:
    """Build each connector's fake vendor in one world and let it tick; ``feeds`` are given out by vendor.

    ``transport`` carries their webhooks, the network when it is None. Connectors without a fake vendor, and feeds
    of vendors that are not there, are passed over.
    """
    async with httpx.AsyncClient(transport=transport, timeout=WEBHOOK, trust_env=False) as web, _company() as group:

        async def post(url: str, headers: Mapping[str, str], body: bytes) -> None:
            with suppress(httpx.HTTPError, httpx.InvalidURL):  # a hub that is not there yet is nobody's fault here
                await web.post(url, headers=dict(headers), content=body)

        async def call(url: str, headers: Mapping[str, str], body: bytes) -> None:
            group.start_soon(post, url, headers, body)  # no vendor waits for its webhooks

        rng = random.Random(seed)  # noqa: S311 - a fake vendor's randomness is a seed, not a secret
        world = World(now=now, sleep=sleep, rng=rng, call=call, land=land)
        played = ((connector.name, connector.sandbox(world)) for connector in connectors)
        stage = Stage({name: vendor for name, vendor in played if vendor is not None})
        for name in stage.vendors.keys() & (feeds or {}).keys():
            for feed in (feeds or {})[name]:
                stage.add(name, feed)
        for vendor in stage.vendors.values():
            if isinstance(vendor, Ticking):
                group.start_soon(vendor.run)
        yield stage


@asynccontextmanager
async def _company() -> AsyncIterator[TaskGroup]:
    """Open a task group that ends with its body, and whose one error comes out as it is, for an ``except`` to see."""
    try:
        async with anyio.create_task_group() as group:
            try:
                yield group
            finally:
                group.cancel_scope.cancel()
    except BaseExceptionGroup as several:
        if len(several.exceptions) > 1:
            raise
        raise several.exceptions[0] from None


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever owns the process."""
        yield


@asynccontextmanager
async def serve(app: App, port: int = PORT) -> AsyncIterator[str]:
    """Serve an application on 127.0.0.1 and yield its URL; port 0 takes a free one.

    Raises:
        ConfigError: the port is taken.
    """

    async def cutting(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(Dropped):  # an answer left unfinished: uvicorn closes the connection, which is the point
            await app(scope, receive, send)

    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as err:
        raise ConfigError(f"port {port} on 127.0.0.1 cannot be used ({err.strerror}): name another one") from err
    server = _Server(
        uvicorn.Config(
            cutting, lifespan="off", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
    )

    async def answer() -> None:
        with anyio.CancelScope(shield=True):  # it ends because it is told to, a second later at most
            await server.serve([listener])

    async with _company() as group:
        group.start_soon(answer)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
