"""A fake Slack: one workspace with a bot and a webhook, as awkward as the real one.

Refusals come with 200, listings bring fewer rows than asked for and even none before their end, only the bot's own
messages can be edited, and text without blocks drops the blocks that were there. Written from docs.slack.dev, read
2026-11.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

from stackhub.contract.sandbox import Fault, Receive, Scope, Send, Shown, World, faulty, heard, reply
from stackhub_slack.sandbox_blocks import refused, seen

TOKEN: Final = "xoxb-sandbox-7f3a1c"  # noqa: S105 - opens nothing but this fake
HOOK: Final = "/services/T0SANDBOX/B0SANDBOX/s4ndb0xh00k"
BOT: Final = "U0SANDBOXBOT"
TRUNCATED: Final = 40_000  # characters at which chat.postMessage cuts a text
EDITED: Final = 4_000  # bytes that chat.update takes
SCOPES: Final = frozenset({"chat:write", "channels:read", "groups:read", "channels:history", "groups:history"})

Answer: TypeAlias = tuple[int, Mapping[str, str], Any]
"""Status, headers, body: JSON, or text as it is."""


@dataclass(slots=True, kw_only=True)
class Channel:
    """One channel."""

    id: str
    name: str
    member: bool = True  # whether the bot is in it
    private: bool = False
    archived: bool = False
    last: float = float("-inf")  # when the last message came, in seconds of the epoch


@dataclass(slots=True, kw_only=True)
class Posted:
    """One message."""

    channel: Channel
    ts: str
    text: str
    blocks: Sequence[Mapping[str, Any]] = ()
    metadata: Mapping[str, Any] | None = None
    thread: str = ""
    mine: bool = True  # posted by the bot, so the bot may edit it
    edits: int = 0


@dataclass(slots=True)
class SlackVendor:
    """One workspace."""

    world: World
    name: str = "slack"
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)  # of every request that got through, as it came
    scopes: set[str] = field(default_factory=lambda: set(SCOPES))  # take some away
    page: int = 2  # rows that a listing brings at most, whatever was asked for
    paced: bool = False  # whether a channel takes only one message a second, as the real one does
    posted: list[Posted] = field(default_factory=list)
    channels: dict[str, Channel] = field(default_factory=dict)  # by id

    def __post_init__(self) -> None:
        for name in ("general", "random", "data-alerts", "revenue-data"):
            self.add_channel(name, member=name != "random")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await faulty(self._answer, self.faults, self.requests, self.world)(scope, receive, send)

    def environment(self, url: str) -> Mapping[str, str]:
        """Return the variables of a bot in this workspace."""
        return {"SLACK_API_URL": f"{url}/api", "SLACK_BOT_TOKEN": TOKEN, "SLACK_CHANNEL": "#data-alerts"}

    def webhook(self, url: str) -> Mapping[str, str]:
        """Return the variables of a webhook into #data-alerts."""
        return {"SLACK_WEBHOOK_URL": f"{url}{HOOK}"}

    def add_place(self, name: str) -> None:
        """Open the channel of this name, unless it is there."""
        if name.startswith("#") and not any(f"#{one.name}" == name for one in self.channels.values()):
            self.add_channel(name.removeprefix("#"))

    def add_channel(self, name: str, *, member: bool = True, private: bool = False, archived: bool = False) -> Channel:
        """Open a channel."""
        number = len(self.channels) + 1
        made = Channel(id=f"C{number:010d}", name=name, member=member, private=private, archived=archived)
        self.channels[made.id] = made
        return made

    def shown(self) -> Sequence[Shown]:
        """Return every message outside threads as people see it, oldest first."""
        return [
            Shown(
                where=f"#{root.channel.name}",
                lines=seen(root.text, root.blocks),
                replies=tuple(seen(reply.text, reply.blocks) for reply in self._thread(root)[1:]),
                edits=root.edits,
            )
            for root in self.posted
            if not root.thread
        ]

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await heard(receive)
        self.bodies.append(body)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        status, extra, answer = self._asked(scope["path"], headers, body)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        kind = "text/html" if isinstance(answer, str) else "application/json; charset=utf-8"
        await reply(send, status, {"content-type": kind, **extra}, text.encode())

    def _asked(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        given = _given(headers.get("content-type", ""), body)
        if "/services/" in path:
            return self._hooked(path, given)
        bearer = headers.get("authorization", "")
        if bearer != f"Bearer {TOKEN}":
            return 200, {}, _no("invalid_auth" if bearer else "not_authed")
        status, extra, answer = self._called(path.rpartition("/")[2], given or {})
        return status, {"x-oauth-scopes": ",".join(sorted(self.scopes)), **extra}, answer

    def _called(self, method: str, given: Mapping[str, Any]) -> Answer:
        needed = {"chat": "chat:write", "conversations": "channels:read"}.get(method.partition(".")[0])
        if needed and needed not in self.scopes and method not in {"conversations.history", "conversations.replies"}:
            return 200, {}, _no("missing_scope", needed=needed, provided=",".join(sorted(self.scopes)))
        match method:
            case "auth.test":
                me = {"team": "Sandbox", "user": "stackhub", "user_id": BOT, "team_id": "T0SANDBOX"}
                return 200, {}, {"ok": True, **me}
            case "conversations.list":
                return self._list(given)
            case "conversations.info":
                return self._info(given)
            case "conversations.history":
                return self._read([each for each in reversed(self.posted) if not each.thread], given)
            case "conversations.replies":
                return self._replies(given)
            case "chat.postMessage":
                return self._post(given)
            case "chat.update":
                return self._update(given)
            case _:
                return 200, {}, _no("unknown_method")

    def _hooked(self, path: str, given: Mapping[str, Any] | None) -> Answer:
        if not path.endswith(HOOK):
            return 404, {}, "no_service"
        if given is None:
            return 400, {}, "invalid_payload"
        channel = next(each for each in self.channels.values() if each.name == "data-alerts")
        if channel.archived:
            return 410, {}, "channel_is_archived"
        if not given.get("text") and not given.get("blocks"):
            return 400, {}, "no_text"
        if wrong := refused(given.get("blocks", [])):
            return 400, {}, wrong
        if wait := self._crowded(channel):
            return 429, {"retry-after": wait}, "rate_limited"
        self._add(channel, given, mine=False)
        return 200, {}, "ok"

    def _list(self, given: Mapping[str, Any]) -> Answer:
        private = "private_channel" in given.get("types", "")
        if private and "groups:read" not in self.scopes:
            return 200, {}, _no("missing_scope", needed="groups:read")
        rows = [_row(each) for each in self.channels.values() if not each.archived and (private or not each.private)]
        return self._paged("channels", rows, given, first_is_empty=True)

    def _info(self, given: Mapping[str, Any]) -> Answer:
        channel = self.channels.get(given.get("channel", ""))
        return 200, {}, {"ok": True, "channel": _row(channel)} if channel else _no("channel_not_found")

    def _post(self, given: Mapping[str, Any]) -> Answer:
        wanted = str(given.get("channel", ""))
        named = {f"#{each.name}": each for each in self.channels.values() if not each.private}
        channel = self.channels.get(wanted) or named.get(wanted)
        if channel is None or (channel.private and not channel.member):
            return 200, {}, _no("channel_not_found")
        if channel.archived:
            return 200, {}, _no("is_archived")
        if not channel.member and "chat:write.public" not in self.scopes:
            return 200, {}, _no("not_in_channel")
        if not given.get("text") and not given.get("blocks"):
            return 200, {}, _no("no_text")
        if wrong := refused(given.get("blocks", [])):
            return 200, {}, _no(wrong, response_metadata={"messages": ["[ERROR] see the reference"]})
        if wait := self._crowded(channel):
            return 429, {"retry-after": wait}, _no("ratelimited")
        made = self._add(channel, given, mine=True)
        return 200, {}, {"ok": True, "channel": channel.id, "ts": made.ts, "message": _message(made, metadata=True)}

    def _update(self, given: Mapping[str, Any]) -> Answer:
        channel, ts = given.get("channel"), given.get("ts")
        if channel not in self.channels:
            return 200, {}, _no("channel_not_found")
        found = next((each for each in self.posted if each.ts == ts and each.channel.id == channel), None)
        if found is None:
            return 200, {}, _no("message_not_found")
        if not found.mine:
            return 200, {}, _no("cant_update_message")
        if wrong := refused(given.get("blocks", [])):
            return 200, {}, _no(wrong)
        text = str(given.get("text", ""))
        if len(text.encode()) > EDITED:
            return 200, {}, _no("msg_too_long")
        found.text, found.blocks, found.edits = text, given.get("blocks", ()), found.edits + 1
        found.metadata = given.get("metadata", found.metadata)
        return 200, {}, {"ok": True, "channel": channel, "ts": ts, "text": text}

    def _replies(self, given: Mapping[str, Any]) -> Answer:
        root = next((each for each in self.posted if each.ts == given.get("ts")), None)
        return self._read(self._thread(root), given, root.ts) if root else (200, {}, _no("thread_not_found"))

    def _read(self, messages: Iterable[Posted], given: Mapping[str, Any], root: str = "") -> Answer:
        channel = self.channels.get(given.get("channel", ""))
        if channel is None:
            return 200, {}, _no("channel_not_found")
        needed = "groups:history" if channel.private else "channels:history"
        if needed not in self.scopes:
            return 200, {}, _no("missing_scope", needed=needed)
        if not channel.member:
            return 200, {}, _no("not_in_channel")
        metadata = given.get("include_all_metadata") == "true"
        oldest = float(given.get("oldest", 0))
        ours = (each for each in messages if each.channel is channel and (each.ts == root or float(each.ts) > oldest))
        return self._paged("messages", [_message(each, metadata=metadata) for each in ours], given)

    def _paged(
        self, key: str, rows: Sequence[Any], given: Mapping[str, Any], *, first_is_empty: bool = False
    ) -> Answer:
        """Bring a page, smaller than asked for; the first of a long listing may hold nothing at all."""
        cursor = given.get("cursor", "")
        if cursor and not cursor.startswith("next:"):
            return 200, {}, _no("invalid_cursor")
        start = int(cursor.removeprefix("next:") or 0)
        width = min(int(given.get("limit", 100)), self.page)
        end = start if first_is_empty and not cursor and len(rows) > width else start + width
        following = f"next:{end}" if end < len(rows) else ""
        return 200, {}, {"ok": True, key: rows[start:end], "response_metadata": {"next_cursor": following}}

    def _crowded(self, channel: Channel) -> str:
        """Return the seconds to wait where messages come faster than one a second, else ""."""
        now = self.world.now().timestamp()
        if self.paced and now - channel.last < 1:
            return "1"
        channel.last = now
        return ""

    def _add(self, channel: Channel, given: Mapping[str, Any], *, mine: bool) -> Posted:
        at = self.world.now() + timedelta(microseconds=len(self.posted))
        roots = {each.ts for each in self.posted if each.channel is channel and not each.thread}
        thread = str(given.get("thread_ts", ""))
        made = Posted(
            channel=channel,
            ts=f"{at.timestamp():.6f}",
            text=str(given.get("text", ""))[:TRUNCATED],
            blocks=given.get("blocks", ()),
            metadata=given.get("metadata"),
            thread=thread if thread in roots else "",  # a reply to a message that is gone lands in the channel
            mine=mine,
        )
        self.posted.append(made)
        return made

    def _thread(self, root: Posted) -> Sequence[Posted]:
        replies = [each for each in self.posted if each.thread == root.ts and each.channel is root.channel]
        return [root, *replies]


def _given(kind: str, body: bytes) -> Mapping[str, Any] | None:
    """Read a body by its declared kind; None for what is no JSON object."""
    if kind.startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _no(error: str, **more: Any) -> Mapping[str, Any]:
    return {"ok": False, "error": error, **more}


def _row(channel: Channel) -> Mapping[str, Any]:
    return {
        "id": channel.id,
        "name": channel.name,
        "is_channel": not channel.private,
        "is_private": channel.private,
        "is_archived": channel.archived,
        "is_member": channel.member,
    }


def _message(posted: Posted, *, metadata: bool) -> Mapping[str, Any]:
    shown: dict[str, Any] = {"type": "message", "ts": posted.ts, "text": posted.text, "blocks": posted.blocks}
    if posted.thread:
        shown["thread_ts"] = posted.thread
    if metadata and posted.metadata:
        shown["metadata"] = posted.metadata
    return shown
