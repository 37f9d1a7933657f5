"""Slack by incoming webhook: a message for each state, in the one channel that the webhook was made for.

It answers 200 `ok` and nothing else, so nothing can be edited, threaded or looked for; errors are a status and a word
in plain text. Source: docs.slack.dev/messaging/sending-messages-using-incoming-webhooks, read 2026-11. The URL is the
credential.
"""

from typing import Any, Final, NoReturn

from stackhub.contract import (
    ConfigError,
    Message,
    Permission,
    Problem,
    Promise,
    Receipt,
    Rejected,
    Speaks,
)
from stackhub.wire import Reply, Wire, quote
from stackhub_slack.render import root
from stackhub_slack.route import SlackRoute, calling

REFUSED: Final = frozenset({400, 403, 404, 410})
OVER: Final = frozenset({403, 404, 410})  # the webhook, its team or its channel is gone, or may not be posted to
BLOCKS: Final = frozenset({"invalid_blocks", "invalid_blocks_format", "invalid_payload", "msg_blocks_too_long"})
ALIVE: Final = frozenset({"invalid_payload", "no_text", "missing_text_or_fallback_or_attachments"})
REMEDY: Final = "make a new one under Incoming Webhooks of the Slack app, and put its URL there"


class Incoming:
    """One webhook."""

    speaks = Speaks.PLAIN
    promise = Promise.AT_LEAST_ONCE

    def __init__(self, wire: Wire, path: str) -> None:
        self._wire = wire
        self._path = path

    async def deliver(self, message: Message, receipt: Receipt | None, key: str, *, doubt: bool) -> Receipt:  # noqa: ARG002 - there is nothing to look for, and nowhere to look
        """Post one message. A route's own channel cannot be obeyed, so the message says for which one it is."""
        route = message.route or SlackRoute()
        told = root(message, mention=calling(route), aside=f"for {route.channel}" if route.channel else "")
        reply = await self._post({"text": told.text, "blocks": told.blocks})
        if reply.text.strip() in BLOCKS:  # refused, so without effect: once more, without blocks
            reply = await self._post({"text": told.plain})
        if reply.status in REFUSED:
            _refuse(reply)
        if reply.text.strip() != "ok":
            reply.unreadable("not Slack's `ok`")
        return receipt or {}

    async def check(self) -> list[Permission]:
        """Send nothing at all to the webhook: a living one asks for text, a dead one says that it is dead."""
        reply = await self._wire.ask(self._path, body={}, accept=REFUSED | {401})
        said = quote(reply.hide(reply.text))
        alive = reply.status not in OVER | {401} and said in ALIVE
        permission = Permission(
            name="webhook",
            ok=alive,
            detail="it answers; nothing was posted" if alive else f"it answered {reply.status} {said}",
            remedy="" if alive else f"SLACK_WEBHOOK_URL: {REMEDY}",
        )
        return [permission]

    async def _post(self, body: dict[str, Any]) -> Reply:
        return await self._wire.send("POST", self._path, body=body, accept=REFUSED)


def _refuse(reply: Reply) -> NoReturn:
    words = f"{reply.what}: {reply.status} {quote(reply.hide(reply.text))}".rstrip()
    if reply.status in OVER:
        raise ConfigError(Problem("SLACK_WEBHOOK_URL", f"{words}; {REMEDY}"))
    raise Rejected(words, status=reply.status, body=quote(reply.hide(reply.text)))
