"""What `check --live` asks Slack: the token, its scopes, the channel. Nothing is posted."""

from collections.abc import Iterator, Mapping
from typing import Any

from stackhub.contract import ConfigError, Permission, Rejected
from stackhub_slack.api import Api
from stackhub_slack.channels import Channels, is_id

INSTALL = "under OAuth & Permissions of the Slack app, then install it to the workspace again"


async def bot(api: Api, channels: Channels, channel: str) -> list[Permission]:
    """Try a bot's token; ``channel`` is the default one, "" when each route names its own."""
    try:
        me, scopes = await api.whoami()
    except (ConfigError, Rejected) as err:
        remedy = f"SLACK_BOT_TOKEN: use the Bot User OAuth Token (xoxb-...) {INSTALL.partition(',')[0]}"
        return [Permission(name="token", ok=False, detail=str(err), remedy=remedy)]
    who = f"{me.get('user', 'a bot')} in {me.get('team', 'a workspace')}"
    found = [Permission(name="token", ok=True, detail=who), *_scopes(scopes, channel)]
    return [*found, await _channel(api, channels, channel, scopes)] if channel else found


def _scopes(scopes: frozenset[str] | None, channel: str) -> Iterator[Permission]:
    """Say of each scope what is lost without it."""
    if scopes is None:
        yield Permission(name="scopes", ok=True, detail="Slack did not say which the token has")
        return
    named = bool(channel) and not is_id(channel)
    for scope, needed, lost in (
        ("chat:write", True, "nothing can be posted"),
        ("channels:read", named, "channels must be given by id, not by name"),
        ("groups:read", False, "private channels must be given by id, not by name"),
        ("channels:history", True, "a message whose answer was lost is sent twice"),
        ("groups:history", False, "in a private channel, a message whose answer was lost is sent twice"),
    ):
        has = scope in scopes
        yield Permission(
            name=scope,
            ok=has or not needed,
            detail="" if has else f"not granted, so {lost}",
            remedy="" if has else f"add {scope} {INSTALL}",
        )


async def _channel(api: Api, channels: Channels, channel: str, scopes: frozenset[str] | None) -> Permission:
    try:
        place, by_id = await channels.address(channel)
        if not by_id and channels.complete:
            gone = f"there is no {channel} that the app can see"
            remedy = "SLACK_CHANNEL: check the name; in a private channel, /invite the app"
            return Permission(name=channel, ok=False, detail=gone, remedy=remedy)
        if not by_id:
            return Permission(name=channel, ok=True, detail="not looked at: the app may not list channels")
        form = {"channel": place}
        answer = await api.read("conversations.info", form, accept={"missing_scope"}, about=channel)
    except (ConfigError, Rejected) as err:
        return Permission(name=channel, ok=False, detail=str(err), remedy="SLACK_CHANNEL: name a channel it can see")
    if not answer["ok"]:
        return Permission(name=channel, ok=True, detail="not looked at: the app may not list channels")
    return _place(channel, answer.get("channel") or {}, scopes or frozenset())


def _place(channel: str, found: Mapping[str, Any], scopes: frozenset[str]) -> Permission:
    if found.get("is_archived"):
        return Permission(name=channel, ok=False, detail="it is archived", remedy="SLACK_CHANNEL: name another channel")
    if found.get("is_member") or found.get("is_im"):
        return Permission(name=channel, ok=True, detail="the app is in it")
    invite = f"type /invite and the app's name in {channel}"
    if "chat:write.public" in scopes and not found.get("is_private"):
        detail = "the app is not in it: it can post, but a message whose answer was lost is sent twice"
        return Permission(name=channel, ok=True, detail=detail, remedy=invite)
    return Permission(name=channel, ok=False, detail="the app is not in it", remedy=invite)
