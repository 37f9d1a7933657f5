"""The one HTTP client maker for connectors: every request of every lane passes here.

What an error means depends on the method and on whether bytes went out:

    nothing was sent (refused, no route, TLS, pool)    → Unavailable, whatever the method
    a read had no good answer (cut, timeout, 5xx)      → Unavailable, after a few tries inside the verb
    a send had no answer (cut, timeout)                → Unsure
    a send was answered 500, 502, 504, or unreadably   → Unsure: it may have had its effect
    429, 503 (408 and 425 too)                         → Unavailable with ``Retry-After``; never repeated here
    401                                                → ConfigError: the credentials are refused
    3xx                                                → ConfigError: the URL is not the API's
    any other 4xx                                      → Rejected, with the vendor's own words

A verb that wants to read a status itself names it in ``accept``.
"""

import json
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from typing import Any, Final, NoReturn

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from stackhub.contract import ConfigError, Context, Rejected, Unavailable, Unsure
from stackhub.contract.text import NO_SECRET

MOST: Final = 32 * 1024 * 1024  # bytes of a body that are read
QUOTE: Final = 200  # characters of a bad body that are shown
TRIES: Final = 3  # of a harmless read, inside one verb
FIRST: Final = 0.2  # seconds at most before the second one; then twice as many
SLOWEST: Final = 2.0
RESTING: Final = frozenset({408, 425, 429, 503})  # "later", in the vendors' ways
UNSETTLED: Final = frozenset({500, 502, 504})  # a send may have had its effect all the same
LEAVING: Final = ("send_request_headers.started", "send_request_body.started")  # httpcore's names
LONGEST_REST: Final = timedelta(hours=1)  # no vendor's Retry-After is believed beyond this


class _Passing(Unavailable):
    """A read that may go through in a moment: the only thing tried again here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: the whole body, at most `MOST` bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    what: str  # "fivetran: GET /v1/connections", for errors
    read: bool  # whether the request was a harmless read
    rest: timedelta | None = None  # the patience it asks for, None when it names none
    hide: Callable[[str], str] = field(default=str, repr=False)  # blots out secrets, before a text is shortened

    @property
    def text(self) -> str:
        """Return the body as text, whatever its bytes."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Read the body as JSON.

        Raises:
            Unavailable: it is none, and the request was a read.
            Unsure: it is none, and the request was a send.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):  # the second: brackets nested without end
            self.unreadable("not JSON")

    def object(self) -> dict[str, Any]:
        """Read the body as one JSON object; raises as `json` does."""
        found = self.json()
        if not isinstance(found, dict):
            self.unreadable("not a JSON object")
        return found

    def unreadable(self, why: str) -> NoReturn:
        """Raise the error of an answer that came and cannot be understood; quotes its beginning."""
        message = f"{self.what}: answered {self.status} with a body that is {why}: {quote(self.hide(self.text))}"
        raise (Unavailable if self.read else Unsure)(message)


def quote(text: str, most: int = QUOTE) -> str:
    """Shorten a vendor's text to one line that may be shown."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def rest(value: str | None, now: datetime) -> timedelta | None:
    """Read ``Retry-After`` in both its forms, seconds and HTTP date (RFC 9110, 10.2.3); None when it says nothing."""
    if not value:
        return None
    try:
        wait = timedelta(seconds=float(value))
    except (ValueError, OverflowError):
        try:
            then = parsedate_to_datetime(value)
        except ValueError:
            return None
        wait = (then if then.tzinfo else then.replace(tzinfo=UTC)) - now
    return min(max(wait, timedelta()), LONGEST_REST)


class Wire:
    """One vendor's HTTP, seen through the rules above."""

    def __init__(self, http: httpx.AsyncClient, context: Context, secrets: Collection[str]) -> None:
        self._http = http
        self._context = context
        self._secrets = sorted((s for s in secrets if len(s) > NO_SECRET), key=len, reverse=True)

    async def get(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
    ) -> Reply:
        """Read. Tried a few times while the network blinks."""
        return await self._read("GET", path, accept, params=params, headers=headers)

    async def ask(
        self,
        path: str,
        *,
        body: Any = None,
        form: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
    ) -> Reply:
        """POST a harmless question (a search, a token): tried again as a read is."""
        return await self._read("POST", path, accept, json=body, data=form, headers=headers)

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
        timeout: timedelta | None = None,
    ) -> Reply:
        """Ask for something to happen: one request, never repeated here."""
        extra: dict[str, Any] = {} if timeout is None else {"timeout": timeout.total_seconds()}
        await self._context.gate(wait=False)
        return await self._exchange(
            method, path, accept, read=False, json=body, params=params, headers=headers, **extra
        )

    async def _read(self, method: str, path: str, accept: Collection[int], **request: Any) -> Reply:
        tries = AsyncRetrying(
            stop=stop_after_attempt(TRIES),
            wait=self._pause,
            retry=retry_if_exception_type(_Passing),
            sleep=self._context.sleep,
            reraise=True,
        )
        async for attempt in tries:
            with attempt:
                await self._context.gate(wait=True)
                return await self._exchange(method, path, accept, read=True, **request)
        raise AssertionError  # tenacity reraises before it runs out

    def _pause(self, state: RetryCallState) -> float:
        """Return seconds before the next try, of the context's own randomness: a seed makes them repeatable."""
        return self._context.rng.uniform(0, min(FIRST * 2 ** (state.attempt_number - 1), SLOWEST))

    async def _exchange(self, method: str, path: str, accept: Collection[int], *, read: bool, **request: Any) -> Reply:
        what = self._clean(f"{self._context.instance}: {method} {path.partition('?')[0]}")
        sent = False

        async def trace(event: str, _: Any) -> None:
            nonlocal sent
            if event.endswith(LEAVING):  # written at once after this; what is not said to its end has no effect
                self._context.lease()
                sent = True

        request = {name: value for name, value in request.items() if value is not None}
        try:
            async with self._http.stream(method, path, extensions={"trace": trace}, **request) as response:
                body = await self._body(response, what, read=read)
        except httpx.InvalidURL as err:
            raise ConfigError(f"{what}: {self._clean(str(err))}") from err
        except (httpx.TransportError, httpx.DecodingError) as err:
            self._silence(err, what, sent=sent or self._context.transport is not None, read=read)
        reply = Reply(
            status=response.status_code,
            headers=response.headers,
            body=body,
            what=what,
            read=read,
            rest=rest(response.headers.get("retry-after"), self._context.now()),
            hide=self._clean,
        )
        if reply.status not in accept and not response.is_success:
            self._refusal(reply)
        return reply

    async def _body(self, response: httpx.Response, what: str, *, read: bool) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > MOST:
                raise (Unavailable if read else Unsure)(f"{what}: answered with more than {MOST // 2**20} MB")
            parts.append(part)
        return b"".join(parts)

    def _silence(self, err: httpx.RequestError, what: str, *, sent: bool, read: bool) -> NoReturn:
        words = self._clean(str(err)) or type(err).__name__
        never = isinstance(
            err, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol
        )
        if isinstance(err, httpx.UnsupportedProtocol):
            raise ConfigError(f"{what}: {words}") from err
        if read:
            raise _Passing(f"{what}: {words}") from err
        if never or not sent:
            raise Unavailable(f"{what}: not sent: {words}") from err
        raise Unsure(f"{what}: no answer: {words}") from err

    def _refusal(self, reply: Reply) -> NoReturn:
        said = self._clean(reply.text)
        words = f"{reply.what}: {reply.status} {quote(said)}".rstrip()
        if reply.status in RESTING:
            raise Unavailable(words, retry_after=reply.rest)
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            if reply.read:
                raise _Passing(words)
            raise (Unsure if reply.status in UNSETTLED else Unavailable)(words)
        if reply.status == HTTPStatus.UNAUTHORIZED:
            raise ConfigError(f"{words}; the credentials are refused: check them and restart, or reload, the hub")
        if reply.status < HTTPStatus.BAD_REQUEST:
            raise ConfigError(f"{words}; the server redirects, so the configured URL is not the API's")
        raise Rejected(words, status=reply.status, body=said[:10_000])

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


@cache
def _certificates() -> ssl.SSLContext:
    """Read whom this machine trusts: once for all accounts, since it takes 20 ms."""
    return httpx.create_ssl_context()


@asynccontextmanager
async def connect(
    context: Context,
    *,
    url: str,
    auth: httpx.Auth | tuple[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: timedelta = timedelta(seconds=30),
    secrets: Collection[str] = (),
) -> AsyncIterator[Wire]:
    """Open a client for one vendor's API at ``url``; ``secrets``, and what is sent of a login, never leave in an error.

    Proxies are taken from the environment as httpx does; redirects are not followed, so that credentials stay put.
    """
    async with httpx.AsyncClient(
        base_url=url,
        auth=auth,
        headers={"User-Agent": "stackhub", **(headers or {})},
        timeout=timeout.total_seconds(),
        transport=context.transport,
        verify=_certificates(),
        follow_redirects=False,
    ) as http:
        yield Wire(http, context, (*secrets, *_spoken(auth)))


def _spoken(auth: httpx.Auth | tuple[str, str] | None) -> tuple[str, ...]:
    """Return a Basic login as it travels: whoever has that needs neither name nor password."""
    basic = httpx.BasicAuth(*auth) if isinstance(auth, tuple) else auth
    if not isinstance(basic, httpx.BasicAuth):
        return ()
    signed = next(basic.auth_flow(httpx.Request("GET", "http://anywhere")))
    return (signed.headers["Authorization"].removeprefix("Basic "),)
