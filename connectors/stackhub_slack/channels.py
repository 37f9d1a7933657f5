"""Channels by name: Slack wants ids, people write names.

A listing is read page by page until the name is seen; what was seen is kept in memory. Slack may bring fewer rows
than asked for, and even none, in the middle of a listing: only an empty cursor is its end (docs.slack.dev,
conversations.list, read 2026-11).
"""

import re
from typing import Final

import anyio

from stackhub.contract import Rejected
from stackhub_slack.api import Api

PAGE: Final = 500  # rows; Slack's most is 999, and above 200 it may time out in very large workspaces
ALL: Final = "public_channel,private_channel"
PUBLIC: Final = "public_channel"

_ID: Final = re.compile(r"[CDGUW][A-Z0-9]{8,}")


class Channels:
    """The names of one workspace's channels. Two askers share one listing."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._ids: dict[str, str] = {}
        self._types = ALL
        self._cursor = ""  # where a listing that was cut short by a rate limit goes on
        self._reading = anyio.Lock()
        self.complete = False  # whether the last listing was read to its end

    async def address(self, channel: str) -> tuple[str, bool]:
        """Return what to post to, and whether it is an id: with a name, a channel can be posted to but not read.

        A name that no listing shows is left to Slack, which knows better whether the app may post there.
        """
        if is_id(channel):
            return channel, True
        name = _name(channel)
        async with self._reading:
            while name not in self._ids:
                try:
                    listed = await self._page()
                except Rejected:
                    listed = False
                self.complete = listed and not self._cursor
                if not listed or self.complete:
                    break
        return (self._ids[name], True) if name in self._ids else (f"#{name}", False)

    def forget(self, channel: str) -> None:
        """Forget a channel that was refused: it may have been renamed or made anew."""
        self._ids.pop(_name(channel), None)

    async def _page(self) -> bool:
        """Read the next page; False when the app may not list channels."""
        form = {"types": self._types, "exclude_archived": "true", "limit": PAGE, "cursor": self._cursor}
        answer = await self._api.read("conversations.list", form, accept={"missing_scope", "invalid_cursor"})
        match answer:
            case {"ok": True}:
                self._ids |= {row["name"]: row["id"] for row in answer.get("channels", ())}
                self._cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
                return True
            case {"error": "invalid_cursor"} if self._cursor:  # it has grown old: from the start
                self._cursor = ""
                return await self._page()
            case _ if self._types == ALL:  # no groups:read: the public ones may do
                self._types, self._cursor = PUBLIC, ""
                return await self._page()
            case _:
                self._types, self._cursor = ALL, ""
                return False


def is_id(channel: str) -> bool:
    """Say whether this is a channel's id (or a person's, for a direct message) rather than a name."""
    return bool(_ID.fullmatch(channel))


def _name(channel: str) -> str:
    return channel.removeprefix("#").lower()
