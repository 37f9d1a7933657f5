"""Slack: one live message for each problem.

With a bot token (``SLACK_BOT_TOKEN``) an incident is one message, edited in place, with its history in the thread.
With an incoming webhook (``SLACK_WEBHOOK_URL``), which cannot edit, it is a message for each state.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from stackhub.contract import Context, Limits, Notifier, Operation, Options, Settings
from stackhub.contract.sandbox import FakeVendor, World
from stackhub_slack.route import SlackRoute, channel_of

TIMEOUT: Final = timedelta(seconds=20)


class SlackSettings(Settings):
    """One workspace's bot, or one webhook: exactly one of the two."""

    model_config = SettingsConfigDict(env_prefix="SLACK_")

    bot_token: SecretStr | None = Field(None, description="the Bot User OAuth Token, xoxb-...")
    webhook_url: SecretStr | None = Field(None, description="an incoming webhook's URL, which is a secret")
    channel: str = Field("", description='where routes post that name no channel: "#name" or an id')
    api_url: str = Field("https://slack.com/api", description="the Web API")
    signing_secret: SecretStr | None = Field(None, description="proves that buttons were pressed in Slack")
    app_token: SecretStr | None = Field(None, description="for Socket Mode, xapp-...")
    max_active: int = Field(4, ge=1, description="messages under way at once")

    @field_validator("bot_token", "webhook_url", "signing_secret", "app_token", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("bot_token")
    @classmethod
    def _a_token(cls, value: SecretStr | None) -> SecretStr | None:
        token = "" if value is None else value.get_secret_value().strip()
        if token.startswith("xapp-"):
            raise ValueError("this is an app-level token (SLACK_APP_TOKEN); the Bot User OAuth Token begins with xoxb-")
        if not token.isascii() or len(token.split()) > 1:
            raise ValueError("the Bot User OAuth Token is one word that begins with xoxb-")
        return SecretStr(token) if token else None

    @field_validator("webhook_url")
    @classmethod
    def _a_webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        url = value.get_secret_value().strip()
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.path.strip("/"):
            raise ValueError("a webhook's URL is https://hooks.slack.com/services/... with all that follows")
        return SecretStr(url)

    @field_validator("channel")
    @classmethod
    def _a_channel(cls, value: str) -> str:
        return channel_of(value)

    @model_validator(mode="after")
    def _each_secret_in_its_place(self) -> Self:
        if self.app_token is not None and not self.app_token.get_secret_value().startswith("xapp-"):
            raise ValueError("SLACK_APP_TOKEN is an app-level token, which begins with xapp-")
        if self.signing_secret is not None and self.signing_secret.get_secret_value().startswith(("xox", "xapp-")):
            raise ValueError("SLACK_SIGNING_SECRET is no token: it stands under Basic Information of the Slack app")
        return self

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.bot_token is None and self.webhook_url is None:
            raise ValueError("set SLACK_BOT_TOKEN (messages are edited in place), or SLACK_WEBHOOK_URL")
        if self.bot_token is not None and self.webhook_url is not None:
            raise ValueError("set either SLACK_BOT_TOKEN or SLACK_WEBHOOK_URL; a second instance may hold the other")
        return self


class Slack:
    """The connector: a bot or a webhook."""

    name = "slack"
    summary = "Slack: one live message for each problem"
    settings: type[Settings] = SlackSettings
    operations: Mapping[str, Operation] = {}
    route: type[Options] | None = SlackRoute

    def limits(self, settings: SlackSettings) -> Limits:
        """Return Slack's own: about one message a second in a channel (docs.slack.dev, rate limits, read 2026-11)."""
        return Limits(rate=1.0, burst=5, width=settings.max_active)

    @asynccontextmanager
    async def open(self, settings: SlackSettings, context: Context) -> AsyncIterator[Notifier]:
        """Open a bot, or a webhook."""
        from stackhub.wire import connect

        if settings.webhook_url is not None:
            from stackhub_slack.incoming import Incoming

            url = settings.webhook_url.get_secret_value()
            parts = urlsplit(url)
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            secrets = (url, path, parts.path, parts.path.strip("/").rpartition("/")[2])
            async with connect(
                context, url=f"{parts.scheme}://{parts.netloc}", secrets=secrets, timeout=TIMEOUT
            ) as wire:
                yield Incoming(wire, path)
        elif settings.bot_token is not None:
            from stackhub_slack.api import Api
            from stackhub_slack.bot import Bot

            token = settings.bot_token.get_secret_value()
            headers = {"Authorization": f"Bearer {token}"}
            async with connect(
                context, url=settings.api_url, headers=headers, secrets=(token,), timeout=TIMEOUT
            ) as wire:
                yield Bot(Api(wire), channel=settings.channel)

    def sandbox(self, world: World) -> FakeVendor | None:
        """Build a workspace with a few channels and a webhook."""
        from stackhub_slack.sandbox import SlackVendor

        return SlackVendor(world)


connector = Slack()
