"""Airbyte: syncs of its connections, on Cloud and on servers of your own.

One job is one Airbyte job, whose id is the handle; a sync that is already going is joined, since Airbyte runs one job
of a connection at a time and refuses another with 409. The public API v1 does all but two things: refreshes, and the
reason of a failure, for which there is the Config API (``AIRBYTE_CONFIG_API_URL``), which most servers still have.

API: https://reference.airbyte.com and the server's code, airbyte-platform (read 2026-11).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, ValidationInfo, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from stackhub.contract import Connector, Context, Limits, Operation, Options, Role, Settings, StartIs

if TYPE_CHECKING:
    from stackhub.contract.sandbox import FakeVendor, World
    from stackhub_airbyte.account import Account

CLOUD: Final = "https://api.airbyte.com/v1"
PAIRS: Final = (("client_id", "client_secret"), ("username", "password"))


class AirbyteSettings(Settings):
    """One Airbyte: where it is and how to get in.

    With an application (``CLIENT_ID``, ``CLIENT_SECRET``), as Cloud wants it; with a name and a password, as old
    servers do; or with neither, for a server without authentication.
    """

    model_config = SettingsConfigDict(env_prefix="AIRBYTE_")

    api_url: str = CLOUD  # the public API; of one's own server: http://host:8000/api/public/v1
    client_id: str | None = None
    client_secret: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    workspace_id: str | None = None  # only this workspace; default: all that can be seen
    config_api_url: str | None = None  # of one's own server: http://host:8000/api/v1
    token_url: str | None = None  # default: {api_url}/applications/token, and where older servers have it
    webhook_token: SecretStr | None = None  # notifications go to /hooks/<instance>/<this>; without it, to nowhere
    max_active: int | None = Field(default=None, ge=1)  # jobs at once, by the hub's own choice

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_absent(cls, value: Any, info: ValidationInfo) -> Any:
        return cls.model_fields[str(info.field_name)].default if value == "" else value

    @field_validator("api_url", "config_api_url", "token_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not url.startswith(("http://", "https://")):
            raise ValueError("wants a URL that begins with http:// or https://")
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise ValueError("holds a name or a password: put them in AIRBYTE_USERNAME and AIRBYTE_PASSWORD")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        given = [pair for pair in PAIRS if any(getattr(self, name) is not None for name in pair)]
        for pair in given:
            for name, other in (pair, pair[::-1]):
                if getattr(self, name) is None:
                    raise ValueError(f"AIRBYTE_{name.upper()} is missing: AIRBYTE_{other.upper()} is no use without it")
        if len(given) > 1:
            raise ValueError("AIRBYTE_CLIENT_ID and AIRBYTE_USERNAME are two ways in: give one of them")
        return self


class ConnectionOptions(Options):
    """Options of what is done to one connection."""

    connection: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] = Field(
        description="The connection's name at Airbyte, or its id."
    )


class RefreshOptions(ConnectionOptions):
    """Options of a refresh."""

    mode: Literal["merge", "truncate"] = Field(
        default="merge", description="merge keeps the old rows until they are replaced; truncate removes them after."
    )


def _operation(
    summary: str,
    options: type[Options] = ConnectionOptions,
    *,
    cancellable: bool = True,
    reloads: bool = False,
    watch: str = "wait",
) -> Operation:
    return Operation(
        options=options,
        summary=summary,
        start_is=StartIs.JOINABLE,
        settle=timedelta(seconds=10),
        call_timeout=timedelta(seconds=120),  # a start may block until the job runs
        role=Role.EXTRACT,
        cancellable=cancellable,
        reloads=reloads,
        watch=watch,
    )


class Airbyte:
    """The connector."""

    name = "airbyte"
    summary = "Airbyte: syncs of its connections, on Cloud or on a server of your own"
    settings: type[Settings] = AirbyteSettings
    operations: Mapping[str, Operation] = {
        "sync": _operation("sync a connection, or join the sync that is going"),
        "wait": _operation("wait for the next successful sync that Airbyte's own schedule starts", cancellable=False),
        "clear": _operation(
            "DELETE at the destination what a connection has loaded; its next sync loads all of it again",
            watch="",  # it brings nothing in that could be waited for
        ),
        "refresh": _operation(
            "load all of a connection again, without a gap (needs the Config API)", RefreshOptions, reloads=True
        ),
    }
    route: type[Options] | None = None

    def limits(self, settings: AirbyteSettings) -> Limits:
        """Say what an account bears.

        Cloud publishes no number and answers 429 without ``Retry-After``; 60 a minute is what has been written about
        it, without proof, so that is kept to. A server of one's own has no limit but its size.
        """
        cloud = settings.api_url == CLOUD
        return Limits(
            rate=1.0 if cloud else 5.0,
            burst=10,
            width=5,  # a start holds one of the server's threads until its job runs
            page=100,
            look=timedelta(seconds=15),
            first_look=timedelta(seconds=10),
            longest=timedelta(minutes=1),
        )

    @asynccontextmanager
    async def open(self, settings: AirbyteSettings, context: Context) -> "AsyncIterator[Account]":
        """Open one Airbyte; makes no request."""
        from stackhub_airbyte.opening import account

        async with AsyncExitStack() as stack:
            yield await account(settings, context, stack)

    def sandbox(self, world: "World") -> "FakeVendor":
        """Build the fake Airbyte."""
        from stackhub_airbyte.sandbox import AirbyteSandbox

        return AirbyteSandbox(world)


connector: Connector = Airbyte()
