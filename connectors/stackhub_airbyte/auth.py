"""How Airbyte lets us in: an application's short-lived token, fetched by one request for all who need it.

Source: docs.airbyte.com and ApplicationsController of airbyte-platform (read 2026-11). A token lives 15 minutes by
default, 3 on servers in the wild, so its life is read, never assumed; and a 401 is answered with a new token and the
same request once more, a start included: what was refused with 401 was not carried out.
"""

import base64
import json
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import anyio
import httpx
from pydantic import SecretStr

from stackhub.contract import ConfigError, Context, Unavailable
from stackhub.wire import RESTING, Reply, Wire, quote

EARLY: Final = timedelta(seconds=30)  # a token is renewed so long before its end, or at half of a shorter life
UNTOLD: Final = timedelta(minutes=2)  # the life of a token that says nothing of it: below the shortest seen
READ: Final = frozenset(range(400, 501)) - RESTING  # bad credentials are 400, 401 or 500, depending on the backend
PATIENCE: Final = 3  # 500s in a row, after which they count as bad credentials


class Application(httpx.Auth):
    """Signs requests with an application's token; safe for many requests at once."""

    def __init__(
        self, wire: Wire, context: Context, *, url: str, older: str | None, client_id: str, secret: SecretStr
    ) -> None:
        self._wire = wire
        self._context = context
        self._url = url
        self._older = older  # where servers before 1.x have it; None: the given one is the only one
        self._id = client_id
        self._secret = secret
        self._lock = anyio.Lock()
        self._token = ""
        self._until: datetime | None = None
        self._broken = 0

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the request with a token; with a new one when it is refused."""
        token = await self._sign(request)
        response = yield request
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            await self._sign(request, refused=token)
            yield request

    async def _sign(self, request: httpx.Request, refused: str = "") -> str:
        token, fetched = await self.token(refused)
        if fetched or refused:  # time has passed, and this is one more request: the lane may be another's by now
            await self._context.gate(wait=False)
        request.headers["Authorization"] = f"Bearer {token}"
        return token

    async def token(self, refused: str = "") -> tuple[str, bool]:
        """Return a token other than ``refused``, and whether it had to be fetched.

        Raises:
            ConfigError: the credentials are refused, or there is no such endpoint.
            Unavailable: the endpoint did not oblige; nothing else was sent.
        """
        async with self._lock:
            good = self._token and self._token != refused and self._until is not None
            if good and self._until is not None and self._context.now() < self._until:
                return self._token, False
            asked = self._context.now()
            try:
                body = self._read(await self._ask())
            except Unavailable as err:  # not the kind that a read would try again: that was done here
                raise Unavailable(str(err), retry_after=err.retry_after) from err
            life = lifetime(body, asked)
            self._token, self._until = body["access_token"], asked + life - min(EARLY, life / 2)
            return self._token, True

    async def _ask(self) -> Reply:
        keys = {"client_id": self._id, "client_secret": self._secret.get_secret_value()}
        reply = await self._wire.ask(self._url, body={**keys, "grant-type": "client_credentials"}, accept=READ)
        if reply.status == HTTPStatus.NOT_FOUND and self._older is not None:
            older = await self._wire.ask(self._older, body=keys, accept=READ)
            if older.status != HTTPStatus.NOT_FOUND:
                self._url, self._older = self._older, None
                return older
        return reply

    def _read(self, reply: Reply) -> Mapping[str, Any]:
        if reply.status >= HTTPStatus.BAD_REQUEST:
            self._refusal(reply)
        self._broken = 0
        try:
            body = json.loads(reply.body)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("access_token"), str) or not body["access_token"]:
            # Never quoted: half of this body may be a token.
            raise Unavailable(f"{reply.what}: answered {reply.status} with no token")
        return body

    def _refusal(self, reply: Reply) -> None:
        said = f"{reply.what}: {reply.status} {quote(reply.hide(reply.text))}".rstrip()
        if reply.status == HTTPStatus.NOT_FOUND:
            raise ConfigError(f"{said}; no token is given out there: check AIRBYTE_API_URL, or set AIRBYTE_TOKEN_URL")
        if reply.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self._broken += 1
            if self._broken < PATIENCE:
                raise Unavailable(said)
            said += f"; {self._broken} times in a row, as some servers answer wrong credentials"
        raise ConfigError(
            f"{said}; the application is refused: check AIRBYTE_CLIENT_ID and AIRBYTE_CLIENT_SECRET "
            "(Airbyte: Settings, Applications)"
        )


def lifetime(body: Mapping[str, Any], asked: datetime) -> timedelta:
    """Return how long a token will be good, from the time it was asked for: the shorter of what two places say.

    ``expires_in`` is the server's setting and not the token's, so the token's own ``exp`` is read as well, against its
    ``iat`` where it has one: our clock may be wrong, and the two of theirs are one clock.
    """
    lives = [_seconds(body.get("expires_in"))]
    claims = _claims(str(body.get("access_token")))
    since = claims.get("iat", asked.timestamp())
    if isinstance(claims.get("exp"), int | float) and isinstance(since, int | float):
        lives.append(_seconds(claims["exp"] - since))
    return min((life for life in lives if life is not None), default=UNTOLD)


def _seconds(value: Any) -> timedelta | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 1:
        return None
    return timedelta(seconds=min(value, 86400.0))


def _claims(token: str) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - a JWT has three
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
