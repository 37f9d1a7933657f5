"""Who may ask: the token, and without one this machine only, and no web page that was opened on it.

A web page of anybody's can make the browser send requests to 127.0.0.1. What it cannot do is send them with another
`Origin`, or as `application/json` without asking first, or read our `Host` from a name that it points at us: so those
three are looked at. The Unix socket needs none of this, since only its owner can open it.
"""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stackhub.config.settings import is_loopback

MOST: Final = 1_000_000  # bytes of a body
PATIENCE: Final = 10.0  # seconds for a body to arrive
PROBES: Final = frozenset({"/livez", "/readyz", "/metrics"})
HOOKS: Final = "/hooks/"
SAFE: Final = frozenset({"GET", "HEAD"})
NAMED: Final = "stackhub.named"  # key of the scope: whether the answer may name pipelines and instances
TRUSTED: Final = "stackhub.trusted"  # key of the scope: whether this came through the Unix socket

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is looked at of a request. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, Sequence[str]]
    client: str | None  # its address; None where there is none

    def one(self, name: str) -> str | None:
        """Return a header that was sent exactly once."""
        found = self.headers.get(name, ())
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further."""

    status: int
    text: str


def judge(asked: Asked, token: str | None, *, trusted: bool) -> Refusal | None:
    """Say why a request is refused; None when it may pass. Pure."""
    if asked.path in PROBES or asked.path.startswith(HOOKS) or trusted:
        return None
    if token is not None:
        if not shows(asked, token):
            return Refusal(401, "the token is missing or wrong: send Authorization: Bearer STACKHUB_API_TOKEN")
    elif (refusal := _not_from_here(asked)) is not None:
        return refusal
    if asked.method not in SAFE and not _is_json_or_empty(asked):
        return Refusal(415, "send application/json, or nothing")
    return None


def shows(asked: Asked, token: str | None) -> bool:
    """Say whether a request shows the token, in a time that tells nothing about how near it came."""
    kind, _, shown = (asked.one("authorization") or "").partition(" ")
    if token is None or kind.lower() != "bearer":
        return False
    return hmac.compare_digest(shown.strip().encode("latin-1", "replace"), token.encode())


def _not_from_here(asked: Asked) -> Refusal | None:
    """Say why a request without a token was not made by somebody at this machine."""
    if asked.client is None or not is_loopback(asked.client):
        return Refusal(403, "without STACKHUB_API_TOKEN only this machine may ask")
    host = asked.one("host")
    if host is None or not is_loopback(_name(host)):
        return Refusal(403, "this host name is not answered without STACKHUB_API_TOKEN: use localhost or 127.0.0.1")
    site = asked.headers.get("sec-fetch-site", ())
    opened = asked.method in SAFE and list(asked.headers.get("sec-fetch-mode", ())) == ["navigate"]
    if any(one not in {"same-origin", "none"} for one in site) and not opened:
        return Refusal(403, "a web page of another site may not ask")
    origins = asked.headers.get("origin", ())
    if any(origin.lower() not in {f"http://{host}".lower(), f"https://{host}".lower()} for origin in origins):
        return Refusal(403, "a web page of another site may not ask")
    return None


def _name(host: str) -> str:
    """Return the name in a Host header, without its port."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        return name if bracket and (not port or port.startswith(":")) and ":" in name else ""
    name, _, port = host.partition(":")
    return name if ":" not in port and (not port or port.isdecimal()) else ""


def _is_json_or_empty(asked: Asked) -> bool:
    kinds = asked.headers.get("content-type", ())
    if kinds:
        return len(kinds) == 1 and kinds[0].partition(";")[0].strip().lower() == "application/json"
    length = asked.headers.get("content-length", ("0",))
    return "transfer-encoding" not in asked.headers and list(length) == ["0"]


class Guard:
    """Stands before the app: judges, limits bodies, adds the headers that browsers heed."""

    def __init__(self, app: ASGIApp, token: Callable[[], str | None], *, trusted: bool = False) -> None:
        self._app = app
        self._token = token  # asked for anew each time: a reload may change it
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":  # no websockets, no lifespan
            return
        asked, token = _asked(scope), self._token()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                added = [header for header in _HEADERS if header[0] not in given]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        refusal = judge(asked, token, trusted=self._trusted) or _too_long(asked)
        match refusal if refusal is not None else await _whole(receive):
            case Refusal() as refused:
                await _refuse(refused, scope, receive, answer)
            case bytes() as body:
                seen = {NAMED: self._trusted or shows(asked, token), TRUSTED: self._trusted}
                await self._app({**scope, **seen}, _replayed(body, receive), answer)
            case None:
                pass  # the caller has gone


def _asked(scope: Scope) -> Asked:
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    client = scope.get("client")
    return Asked(method=scope["method"], path=scope["path"], headers=headers, client=client[0] if client else None)


def _too_long(asked: Asked) -> Refusal | None:
    length = asked.one("content-length")
    if length is not None and (not length.isdecimal() or len(length) > len(str(MOST)) or int(length) > MOST):
        return Refusal(413, f"a body may have {MOST} bytes at most")
    return None


async def _whole(receive: Receive) -> bytes | Refusal | None:
    """Read the body, at most so much and for so long; None when the caller has gone."""
    body = bytearray()
    with anyio.move_on_after(PATIENCE):
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if len(body) > MOST:
                return Refusal(413, f"a body may have {MOST} bytes at most")
            if not message.get("more_body", False):
                return bytes(body)
    return Refusal(408, f"the body did not arrive within {PATIENCE:g} s")


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"connection": "close"}
    if refusal.status == 401:  # noqa: PLR2004 - HTTP's word for it
        headers["www-authenticate"] = "Bearer"
    await JSONResponse({"error": refusal.text}, refusal.status, headers)(scope, receive, send)
