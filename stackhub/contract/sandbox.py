"""What a connector's fake vendor is made of: the world it lives in, what may go wrong, how it is scripted.

A fake vendor is an ASGI application that is as awkward as the real one. It keeps its state in memory, computes how a
sync stands from the world's clock, and is driven by scripts, so that the same fake serves tests, the demo,
`stackhub sandbox` and virtual time.
"""

import random
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol, TypeAlias, runtime_checkable

import anyio

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application."""


async def _nobody(url: str, headers: Mapping[str, str], body: bytes) -> None:
    """Deliver a webhook to nobody."""


def _nothing(_vendor: str, _connection: str) -> int:
    """Land no rows."""
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What surrounds a fake vendor. The defaults are a quiet world on the wall clock."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    land: Callable[[str, str], int] = _nothing
    """Called with (vendor, connection name) when a sync succeeds: writes the rows, returns how many there were."""
    call: Callable[[str, Mapping[str, str], bytes], Awaitable[None]] = _nobody
    """POSTs a webhook: (url, headers, body)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A connection as the script wants it to be."""

    id: str
    name: str  # Fivetran's `schema`, Airbyte's connection name
    seconds: float = 2.0  # how long a sync takes unless its turn says otherwise
    database: str = "shop"
    schema: str = "raw"
    tables: tuple[str, ...] = ()


class Ends(StrEnum):
    """How a scripted sync ends."""

    WELL = "well"
    BADLY = "badly"
    CANCELLED = "cancelled"  # by a person at the vendor
    RESCHEDULED = "rescheduled"  # put off by the vendor
    NEVER = "never"  # hangs


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What the next sync of a feed does; without a script every sync ends well."""

    ends: Ends = Ends.WELL
    seconds: float | None = None  # None: the feed's
    reason: str = ""  # the vendor's words for a bad end


class Breaks(StrEnum):
    """How one exchange goes wrong."""

    STATUS = "status"  # answers `status` with `headers` and `body`, without effect
    BEFORE = "before"  # the connection dies before the request has any effect
    AFTER = "after"  # the connection dies after the request had its effect: the answer is lost
    HANG = "hang"  # no answer for `seconds`, no effect
    SLOW = "slow"  # the effect at once, the answer after `seconds`
    GARBAGE = "garbage"  # 200 with `body` in place of what was meant; the effect happens
    TRUNCATED = "truncated"  # half of the true answer's bytes


@dataclass(slots=True, kw_only=True)
class Fault:
    """One planned fault; ``times`` exchanges whose method and path match go wrong, then it is spent."""

    breaks: Breaks
    times: int = 1
    after: int = 0  # let so many matching exchanges through first
    method: str = ""  # "" matches every method
    path: str = ""  # a regular expression, searched for in the path
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    seconds: float = 60.0

    def strikes(self, method: str, path: str) -> bool:
        """Say whether this exchange goes wrong, and count it."""
        if self.times <= 0 or (self.method and self.method != method) or not re.search(self.path, path):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return True


class Dropped(Exception):
    """The connection was cut; in-process transports see it as a lost answer."""


@runtime_checkable
class FakeVendor(Protocol):
    """One vendor, played."""

    name: str
    faults: list[Fault]  # add to it to plan faults
    requests: list[tuple[str, str]]  # (method, path) of everything that arrived, in order

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: a fake vendor is an ASGI application."""
        ...

    def environment(self, url: str) -> Mapping[str, str]:
        """Return the variables that point an instance at this vendor, mounted at ``url``."""
        ...


@runtime_checkable
class SyncVendor(FakeVendor, Protocol):
    """A vendor of syncs, which calls a webhook when one ends."""

    hook: str  # the URL of the webhook, "" for none; may be set at any time

    def add(self, feed: Feed) -> None:
        """Add a connection."""
        ...

    def script(self, connection: str, *turns: Turn) -> None:
        """Say what the next syncs of a connection (by id or name) do; replaces what was left of an older script."""
        ...

    def begin(self, connection: str) -> object:
        """Begin a sync of a connection (by id or name) as the vendor's own schedule, or a person there, would."""
        ...

    def started(self, connection: str) -> int:
        """Return how many syncs of this connection (by id or name) have begun, by whomever."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One message as the vendor's user sees it now."""

    where: str  # "#data", "PagerDuty service"
    lines: tuple[str, ...]
    replies: tuple[tuple[str, ...], ...] = ()  # its thread
    edits: int = 0


@runtime_checkable
class InboxVendor(FakeVendor, Protocol):
    """A vendor of messages."""

    def shown(self) -> Sequence[Shown]:
        """Return what its user sees, oldest first."""
        ...


@runtime_checkable
class PlacedVendor(InboxVendor, Protocol):
    """A vendor of messages whose messages go to places that somebody has made."""

    def add_place(self, name: str) -> None:
        """Make the place that an option names ("#data"), unless it is there; what names none is passed over."""
        ...


async def heard(receive: Receive) -> bytes:
    """Return the whole body of a request.

    Raises:
        Dropped: the caller left before it was said to its end; nothing may come of it.
    """
    body, more = b"", True
    while more:
        part = await receive()
        if part["type"] == "http.disconnect":
            raise Dropped
        body, more = body + part.get("body", b""), part.get("more_body", False)
    return body


async def reply(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Answer a request: JSON, unless ``headers`` say otherwise."""
    sent = {"content-type": "application/json", **headers, "content-length": str(len(body))}
    raw = [(name.encode(), value.encode()) for name, value in sent.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def faulty(app: App, faults: list[Fault], requests: list[tuple[str, str]], world: World) -> App:
    """Put planned faults, and a record of every request, between the wire and a fake vendor."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        path = scope["path"]
        requests.append((scope["method"], path))
        fault = next((f for f in list(faults) if f.strikes(scope["method"], path)), None)
        if fault is None:
            await app(scope, receive, send)
        else:
            await _break(fault, app, (scope, receive, send), world)

    return broken


async def _break(fault: Fault, app: App, exchange: tuple[Scope, Receive, Send], world: World) -> None:
    scope, receive, send = exchange
    answer: list[MutableMapping[str, Any]] = []

    async def keep(message: MutableMapping[str, Any]) -> None:
        answer.append(message)

    match fault.breaks:
        case Breaks.STATUS:
            await reply(send, fault.status, fault.headers, fault.body.encode())
        case Breaks.BEFORE:
            await _cut(send)
        case Breaks.AFTER:
            await app(scope, receive, keep)
            await _cut(send)
        case Breaks.HANG:
            await world.sleep(fault.seconds)
            await _cut(send)
        case Breaks.SLOW:
            await app(scope, receive, keep)
            await world.sleep(fault.seconds)
            for message in answer:
                await send(message)
        case Breaks.GARBAGE:
            await app(scope, receive, keep)
            await reply(send, 200, fault.headers, fault.body.encode())
        case Breaks.TRUNCATED:
            await app(scope, receive, keep)
            body = b"".join(message.get("body", b"") for message in answer)
            await reply(send, answer[0]["status"], {}, body[: len(body) // 2])


async def _cut(send: Send) -> None:
    """End the connection in the middle of an answer: the caller cannot know what happened."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})
    raise Dropped
