"""A connector's instance on its fake vendor: no network, no sleep, a clock that goes when it is told to."""

import random
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio.lowlevel
import httpx

from stackhub.contract import Connector, Context, Settings
from stackhub.contract.sandbox import App, Dropped, FakeVendor, World

NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
URL: Final = "http://vendor.test"


class Clock:
    """A clock that stands still; a sleep moves it on at once and is noted in ``slept`` (seconds)."""

    def __init__(self, start: datetime = NOON) -> None:
        self._now = start
        self.slept: list[float] = []

    def now(self) -> datetime:
        """Return the time it shows."""
        return self._now

    def advance(self, by: timedelta | float) -> None:
        """Move on by so much (a number is seconds)."""
        self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)

    async def sleep(self, seconds: float) -> None:
        """Take no time, but let others run."""
        self.slept.append(seconds)
        self.advance(seconds)
        await anyio.lowlevel.checkpoint()

    def world(self, **changes: Any) -> World:
        """Return a world for a fake vendor that lives by this clock."""
        return World(**{"now": self.now, "sleep": self.sleep, **changes})


class _Played(httpx.ASGITransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except Dropped as err:
            raise httpx.RemoteProtocolError("the vendor cut the connection", request=request) from err


def vendor_transport(app: App | FakeVendor) -> httpx.AsyncBaseTransport:
    """Return a transport that asks ``app`` in place of the network; a connection it drops is an answer lost."""
    return _Played(app)


def a_context(
    vendor: App | FakeVendor | None = None, *, clock: Clock | None = None, instance: str = "tested", **changes: Any
) -> Context:
    """Return what the hub would lend an instance: the transport to ``vendor``, sleeps that take no time."""
    clock = clock or Clock()
    given: dict[str, Any] = {
        "instance": instance,
        "now": clock.now,
        "sleep": clock.sleep,
        "rng": random.Random(0),  # noqa: S311 - jitter, not a secret
        "transport": None if vendor is None else vendor_transport(vendor),
    }
    return Context(**{**given, **changes})


def settings_from(connector: Connector, environment: Mapping[str, str], **changes: Any) -> Settings:
    """Read settings from variables as an env file would hold them; ``changes`` are fields by their own names."""
    prefix = connector.settings.model_config.get("env_prefix", "")
    fields = {name.removeprefix(prefix).lower(): value for name, value in environment.items()}
    return connector.settings(**{**fields, **changes})


def open_on(
    connector: Connector, vendor: FakeVendor, *, clock: Clock | None = None, **changes: Any
) -> AbstractAsyncContextManager[Any]:
    """Open an instance of ``connector`` on a fake vendor; ``changes`` are fields of its settings."""
    settings = settings_from(connector, vendor.environment(URL), **changes)
    return connector.open(settings, a_context(vendor, clock=clock, instance=connector.name))
