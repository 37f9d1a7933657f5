"""PagerDuty: alerts that page people, raised and taken back by key.

Events API v2 (developer.pagerduty.com, read 2026-11): an event with the ``dedup_key`` of an open alert is added to
that alert, and a resolve of nothing is dropped, so that sending twice does no harm. 202 means accepted, not alerted.
The routing key in the body is the only credential.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from stackhub.contract import (
    ConfigError,
    Context,
    Limits,
    Message,
    Operation,
    Options,
    Permission,
    Problem,
    Promise,
    Receipt,
    Rejected,
    Settings,
    Severity,
    Speaks,
    Unavailable,
)
from stackhub.contract.sandbox import FakeVendor, World
from stackhub.wire import Reply, Wire, connect, quote
from stackhub_pagerduty.event import event

KEY: Final = 32  # characters of a routing key
ENQUEUE: Final = "/v2/enqueue"
REST: Final = timedelta(seconds=30)  # what the documentation asks for after a 429, which names no time itself
TIMEOUT: Final = timedelta(seconds=20)
READ: Final = frozenset({400, 403, 404, 429})


class PagerDutySettings(Settings):
    """One integration of one service."""

    model_config = SettingsConfigDict(env_prefix="PAGERDUTY_")

    routing_key: SecretStr = Field(description="the Integration Key of an 'Events API v2' integration: 32 characters")
    api_url: str = Field("https://events.pagerduty.com", description="https://events.eu.pagerduty.com for EU accounts")
    webhook_secret: SecretStr | None = Field(None, description="proves that PagerDuty called")
    max_active: int = Field(4, ge=1, description="events under way at once")

    @field_validator("routing_key")
    @classmethod
    def _a_routing_key(cls, value: SecretStr) -> SecretStr:
        key = value.get_secret_value().strip()
        if len(key) != KEY or not (key.isascii() and key.isalnum()):
            raise ValueError(
                f"a routing key has {KEY} characters, letters and digits, and this has {len(key)}: take the "
                "Integration Key of an 'Events API v2' integration of the service (a REST API key will not do)"
            )
        return SecretStr(key)

    @field_validator("webhook_secret", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("api_url")
    @classmethod
    def _without_the_path(cls, value: str) -> str:
        return value.strip().rstrip("/").removesuffix(ENQUEUE)


class PagerDutyRoute(Options):
    """How loudly."""

    severity: Severity | None = Field(None, description="info, warning, error or critical; default: the incident's own")


class Service:
    """One integration of one service."""

    speaks = Speaks.ALARM
    promise = Promise.ONCE

    def __init__(self, wire: Wire, routing_key: str, contact: str) -> None:
        self._wire = wire
        self._key = routing_key
        self._contact = contact

    async def deliver(self, message: Message, receipt: Receipt | None, key: str, *, doubt: bool) -> Receipt:  # noqa: ARG002 - the dedup key makes a repetition harmless
        """Trigger, or resolve, the incident's alert."""
        route = message.route or PagerDutyRoute()
        body = {"routing_key": self._key, **event(message, severity=route.severity, contact=self._contact)}
        reply = await self._wire.send("POST", ENQUEUE, body=body, accept=READ)
        if reply.status in READ:
            raise _refusal(reply)
        if reply.object().get("status") != "success":
            reply.unreadable("not PagerDuty's `success`")
        return {"dedup_key": message.dedup}

    async def check(self) -> list[Permission]:
        """Say what cannot be tried: every valid event pages somebody."""
        detail = (
            "has the right form; PagerDuty has no harmless call to try it with: "
            "`stackhub alerts test` raises an alert and resolves it"
        )
        return [Permission(name="routing key", ok=True, detail=detail)]


class PagerDuty:
    """The connector: the Events API."""

    name = "pagerduty"
    summary = "PagerDuty: alerts that page people"
    settings: type[Settings] = PagerDutySettings
    operations: Mapping[str, Operation] = {}
    route: type[Options] | None = PagerDutyRoute

    def limits(self, settings: PagerDutySettings) -> Limits:
        """Return PagerDuty's own: about 120 events a minute for a key (its documentation, read 2026-11)."""
        return Limits(rate=2.0, burst=10, width=settings.max_active)

    @asynccontextmanager
    async def open(self, settings: PagerDutySettings, context: Context) -> AsyncIterator[Service]:
        """Open one integration."""
        key = settings.routing_key.get_secret_value()
        async with connect(context, url=settings.api_url, secrets=(key,), timeout=TIMEOUT) as wire:
            yield Service(wire, key, context.contact)

    def sandbox(self, world: World) -> FakeVendor | None:
        """Build a service that pages nobody."""
        from stackhub_pagerduty.sandbox import PagerDutyVendor

        return PagerDutyVendor(world)


def _refusal(reply: Reply) -> Exception:
    """Say what a refusal means: of the event, of the key, or of its moment."""
    said = reply.hide(reply.text)
    words = f"{reply.what}: {reply.status} {quote(said)}".rstrip()
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Unavailable(words, retry_after=reply.rest or REST)
    about_key = "routing_key" in said or "routing key" in said.lower()
    if reply.status != HTTPStatus.BAD_REQUEST or about_key:
        way_out = (
            "take the Integration Key of the service's 'Events API v2' integration; in the EU set PAGERDUTY_API_URL"
        )
        return ConfigError(Problem("PAGERDUTY_ROUTING_KEY", f"{words}; {way_out}"))
    return Rejected(words, status=reply.status, body=said[:10_000])


connector = PagerDuty()
