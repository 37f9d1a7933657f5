"""Slack by bot token: one live message for each incident, edited in place, its history in the thread."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from stackhub.contract import Event, Message, Part, Permission, Promise, Receipt, Rejected, Speaks
from stackhub_slack import probe
from stackhub_slack.api import Api
from stackhub_slack.channels import Channels
from stackhub_slack.render import Told, entry, root
from stackhub_slack.route import SlackRoute, calling

MARK: Final = "stackhub_incident"  # the type of the metadata that our messages carry
MARGIN: Final = timedelta(minutes=10)  # by which our clock may be ahead of Slack's, in a busy channel
LONGEST_LOOK: Final = timedelta(days=1)  # an incident's first message is not looked for further back
PAGE: Final = 200

# What Slack says of a message that cannot be edited any more, and of blocks that it does not like.
_GONE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_THREAD_GONE: Final = frozenset({"thread_not_found", "cannot_reply_to_message", "message_not_found"})
_BLOCKS: Final = frozenset(
    {"invalid_arguments", "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"}
)
_UNREADABLE: Final = frozenset(
    {"channel_not_found", "method_not_supported_for_channel_type", "missing_scope", "not_in_channel"}
)
# Nothing in our texts is to become a link or a mention by itself; chat.update's own default is another.
_AS_IT_IS: Final = {"parse": "none", "link_names": False}


class Bot:
    """One workspace, one bot."""

    speaks = Speaks.LIVE

    def __init__(self, api: Api, *, channel: str) -> None:
        self.promise = Promise.LOOKED_UP  # until Slack says that we may not read the channel
        self._api = api
        self._channels = Channels(api)
        self._channel = channel

    async def deliver(self, message: Message, receipt: Receipt | None, key: str, *, doubt: bool) -> Receipt:
        """Post or edit the incident's message, or add a line to its thread.

        Raises:
            Rejected: the route's channel cannot be posted to; the text says how to change that.
        """
        route = message.route or SlackRoute()
        told = entry(message) if message.part is Part.ENTRY else root(message, mention=calling(route))
        if message.part is Part.ROOT and receipt and await self._edit(receipt, told):
            return receipt
        thread = receipt if message.part is Part.ENTRY else None
        name, place, readable = await self._place(route, receipt)
        if doubt and readable and (found := await self._look(message, place, thread, key)):
            same, there = found
            if same or await self._edit(there, told):
                return receipt or there
        try:
            posted = await self._post(told, place, thread, about=name, mark=_mark(message, key))
        except Rejected:
            self._channels.forget(name)
            raise
        return posted if message.part is Part.ROOT else receipt or {}

    async def check(self) -> list[Permission]:
        """Try the token, name its scopes, look at the default channel. Posts nothing."""
        return await probe.bot(self._api, self._channels, self._channel)

    async def _place(self, route: SlackRoute, receipt: Receipt | None) -> tuple[str, str, bool]:
        """Return the channel as people call it, as Slack does, and whether it can be looked into."""
        if receipt:
            return str(receipt["channel"]), str(receipt["channel"]), True
        name = route.channel or self._channel
        if not name:
            raise Rejected("no channel: name one in the route (channel:) or in SLACK_CHANNEL")
        place, readable = await self._channels.address(name)
        if not readable:
            self.promise = Promise.AT_LEAST_ONCE
        return name, place, readable

    async def _edit(self, receipt: Receipt, told: Told) -> bool:
        """Put the new text in the place of the old; False when that message cannot be edited any more."""
        address = {"channel": receipt["channel"], "ts": receipt["ts"]}
        answer = await self._send("chat.update", told, address, accept=_GONE)
        return bool(answer["ok"])

    async def _post(
        self, told: Told, place: str, thread: Receipt | None, *, about: str, mark: Mapping[str, str]
    ) -> Receipt:
        metadata = {"event_type": MARK, "event_payload": mark}
        address = {"channel": place, "metadata": metadata, "unfurl_links": False, "unfurl_media": False}
        within = {"thread_ts": thread["ts"]} if thread else {}
        answer = await self._send(
            "chat.postMessage", told, address | within, accept=_THREAD_GONE if thread else frozenset(), about=about
        )
        if not answer["ok"]:  # somebody has deleted the message that the thread hung on
            answer = await self._send("chat.postMessage", told, address, about=about)
        return {"channel": answer["channel"], "ts": answer["ts"]}

    async def _send(
        self,
        method: str,
        told: Told,
        address: Mapping[str, Any],
        *,
        accept: frozenset[str] = frozenset(),
        about: str = "the channel",
    ) -> Mapping[str, Any]:
        """Send blocks, and plain text where Slack refuses them: the refused call had no effect."""
        body = {**address, **_AS_IT_IS}
        answer = await self._api.send(
            method, {**body, "text": told.text, "blocks": told.blocks}, accept=accept | _BLOCKS, about=about
        )
        if answer.get("error") in _BLOCKS:
            answer = await self._api.send(method, {**body, "text": told.plain}, accept=accept, about=about)
        return answer

    async def _look(
        self, message: Message, place: str, thread: Receipt | None, key: str
    ) -> tuple[bool, Receipt] | None:
        """Look for what an earlier try may have posted: this very message, else one of the same incident.

        The second kind is a root whose answer was lost, and which was overtaken by a newer text: it is to be edited.
        """
        overtaken = message.part is Part.ROOT and message.event is not Event.OPENED
        oldest = max(message.since, message.at - LONGEST_LOOK) if overtaken else message.at
        older = None
        async for row in self._rows(place, thread, oldest - MARGIN):
            mark, there = _marked(row), {"channel": place, "ts": row.get("ts")}
            if mark.get("key") == key:
                return True, there
            if overtaken and mark.get("incident") == message.dedup and mark.get("part") == Part.ROOT:
                older = there
        return (False, older) if older else None

    async def _rows(self, place: str, thread: Receipt | None, oldest: datetime) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the channel's messages since then, or the thread's; none, and a lesser promise, if we may not read.

        The channel's last page is looked through whatever the time: our clock may have been ahead by hours.
        """
        method = "conversations.replies" if thread else "conversations.history"
        form = {
            "channel": place,
            "include_all_metadata": "true",
            "limit": PAGE,
            **({"ts": thread["ts"]} if thread else {}),
        }
        cursors: set[str] = set()
        cursor = ""
        while cursor not in cursors:
            cursors.add(cursor)
            page = {**form, **({"cursor": cursor} if cursor else {})}
            answer = await self._api.read(method, page, accept=_UNREADABLE | _THREAD_GONE)
            if not answer["ok"]:
                if answer["error"] in _UNREADABLE:
                    self.promise = Promise.AT_LEAST_ONCE
                return
            rows = answer.get("messages") or ()
            for row in rows:
                yield row
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
            passed = thread is None and rows and float(rows[-1].get("ts") or 0) < oldest.timestamp()  # newest first
            if not cursor or passed:
                return


def _mark(message: Message, key: str) -> Mapping[str, str]:
    """Return what a message carries unseen, so that it can be found again."""
    return {"key": key, "incident": message.dedup, "part": message.part.value}


def _marked(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the mark of one of our messages, empty for anybody else's."""
    match row.get("metadata"):
        case {"event_type": str(event), "event_payload": dict(mark)} if event == MARK:
            return mark
        case _:
            return {}
