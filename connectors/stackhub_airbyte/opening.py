"""From settings to an open account: which way in, and where things are on this server."""

from contextlib import AsyncExitStack
from typing import Final

import httpx

from stackhub.contract import Context
from stackhub.wire import Wire, connect
from stackhub_airbyte import CLOUD, AirbyteSettings
from stackhub_airbyte.account import Account
from stackhub_airbyte.auth import Application
from stackhub_airbyte.client import Api

PUBLIC: Final = "/api/public/v1"


async def account(settings: AirbyteSettings, context: Context, stack: AsyncExitStack) -> Account:
    """Open the clients on ``stack`` and return the account; makes no request."""
    given = (settings.client_secret, settings.password, settings.webhook_token)
    secrets = [secret.get_secret_value() for secret in given if secret is not None]
    server = server_of(settings.api_url)

    async def open_at(url: str, auth: httpx.Auth | None) -> Wire:
        return await stack.enter_async_context(connect(context, url=url, auth=auth, secrets=secrets))

    token: Application | None = None
    auth: httpx.Auth | None = None
    if settings.client_id is not None and settings.client_secret is not None:
        auth = token = Application(
            await open_at(settings.api_url, None),
            context,
            url=settings.token_url or "applications/token",
            older=None if settings.token_url else f"{server}/api/v1/applications/token",
            client_id=settings.client_id,
            secret=settings.client_secret,
        )
    elif settings.username is not None and settings.password is not None:
        auth = httpx.BasicAuth(settings.username, settings.password.get_secret_value())
    wire = await open_at(settings.api_url, auth)
    config = await open_at(settings.config_api_url, auth) if settings.config_api_url else None
    return Account(
        Api(wire, config, settings.workspace_id),
        token,
        web="https://cloud.airbyte.com" if settings.api_url == CLOUD else server,
        hook=settings.webhook_token.get_secret_value() if settings.webhook_token is not None else None,
    )


def server_of(url: str) -> str:
    """Return where the server itself is: the URL without the public API's path."""
    given = httpx.URL(url)
    return str(
        given.copy_with(path=given.path.rstrip("/").removesuffix(PUBLIC).removesuffix("/v1"), query=None)
    ).rstrip("/")
