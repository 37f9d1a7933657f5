"""Fivetran: one job is one sync of one connection.

`judge.py` is where it is decided what has become of a sync; the rest is around it.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from stackhub.contract import Connector, Context, Limits, Operation, Options, Role, Settings, StartIs
from stackhub.contract.sandbox import FakeVendor, World

if TYPE_CHECKING:  # what speaks HTTP is imported when an account is opened: `check` and `plan` open none
    from stackhub_fivetran.instance import Fivetran

SHOWN: Final = timedelta(seconds=10)  # a sync that was asked for shows by then
Name = Annotated[str, Field(min_length=1, description="the connection's name (its schema) or its id")]


class FivetranSettings(Settings):
    """One Fivetran account, or the part of it that one key sees."""

    model_config = SettingsConfigDict(env_prefix="FIVETRAN_")

    api_key: SecretStr = Field(min_length=1)
    api_secret: SecretStr = Field(min_length=1)
    api_url: str = "https://api.fivetran.com"
    webhook_secret: SecretStr | None = None  # without it the hook is closed
    group_id: str | None = None  # only the connections of this destination
    max_active: int | None = Field(default=None, ge=1)  # jobs at once, by the hub's own choice

    @field_validator("api_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an address such as https://api.fivetran.com")
        return value.rstrip("/").removesuffix("/v1")


class SyncOptions(Options):
    """What a sync takes."""

    connection: Name


class ResyncOptions(Options):
    """What a resync takes."""

    connection: Name
    scope: Annotated[
        dict[str, Annotated[list[str], Field(min_length=1)]] | None,
        Field(min_length=1, description="tables by schema; without it everything is loaded anew"),
    ] = None


def _operation(
    summary: str, settle: timedelta = SHOWN, options: type[Options] = SyncOptions, *, reloads: bool = False
) -> Operation:
    return Operation(
        options=options,
        summary=summary,
        start_is=StartIs.JOINABLE,
        settle=settle,
        role=Role.EXTRACT,
        cancellable=False,
        reloads=reloads,
        watch="wait",
    )


class _Connector:
    name: str = "fivetran"
    summary: str = "syncs of Fivetran's connections"
    settings: type[Settings] = FivetranSettings
    operations: Mapping[str, Operation] = {
        "sync": _operation("start a sync, or join the one under way, and wait for its end"),
        "wait": _operation("wait for the next sync after the last one consumed, whoever starts it", timedelta()),
        "resync": _operation(
            "load all data anew, of the connection or of some of its tables", options=ResyncOptions, reloads=True
        ),
    }
    route: type[Options] | None = None

    def limits(self, settings: FivetranSettings) -> Limits:
        """An account bears 20,000 requests an hour (https://fivetran.com/docs/rest-api/rate-limiting, read 2026-11)."""
        from stackhub_fivetran.client import PAGE

        del settings
        return Limits(
            rate=5.0,
            burst=10,
            page=PAGE,
            look=timedelta(seconds=15),
            first_look=timedelta(seconds=10),
            longest=timedelta(minutes=1),
        )

    @asynccontextmanager
    async def open(self, settings: FivetranSettings, context: Context) -> "AsyncIterator[Fivetran]":
        """Open an account."""
        from stackhub.wire import connect
        from stackhub_fivetran.client import Account
        from stackhub_fivetran.instance import Fivetran

        key, secret = settings.api_key.get_secret_value(), settings.api_secret.get_secret_value()
        hook = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
        async with connect(context, url=settings.api_url, auth=(key, secret), secrets=(key, secret, hook)) as wire:
            yield Fivetran(Account(wire, settings.group_id or None), context, hook)

    def sandbox(self, world: World) -> FakeVendor:
        """Play Fivetran."""
        from stackhub_fivetran.sandbox import FakeFivetran

        return FakeFivetran(world)


connector: Final[Connector] = _Connector()
