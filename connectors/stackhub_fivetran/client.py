"""Fivetran's REST API, as far as it is used.

Source: https://fivetran.com/docs/rest-api (read 2026-11). Bodies come in an envelope, ``{"code", "message", "data"}``;
lists come in pages of up to 1000, ``data.next_cursor`` naming the next one and absent on the last.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from stackhub.wire import Reply, Wire

PAGE: Final = 1000  # the most that `limit` allows
VERSION: Final = {"Accept": "application/json;version=2"}  # asked for by the paths of connections; else 406
PLAIN: Final = {"Accept": "application/json"}


class Account:
    """What one pair of key and secret can see."""

    def __init__(self, wire: Wire, group: str | None = None) -> None:
        self._wire = wire
        self._group = group

    async def sweep(self, wanted: frozenset[str] | None = None) -> dict[str, Mapping[str, Any]]:
        """Return connections by id: all of them, or pages until all that are ``wanted`` (by id) have been seen.

        A page that fails fails the whole: what is returned is complete, so absence from it is evidence.
        """
        found: dict[str, Mapping[str, Any]] = {}
        cursor: str | None = None
        seen: set[str] = set()
        while True:
            params = {"limit": PAGE, "group_id": self._group, "cursor": cursor}
            reply = await self._wire.get(
                "/v1/connections", params={k: v for k, v in params.items() if v is not None}, headers=VERSION
            )
            data = _data(reply)
            items = data.get("items")
            if not isinstance(items, list) or not all(
                isinstance(i, dict) and isinstance(i.get("id"), str) for i in items
            ):
                reply.unreadable("not a list of connections")
            found |= {item["id"]: item for item in items}
            # The documentation and Fivetran's own client say next_cursor; recordings with nextCursor are about.
            cursor = data.get("next_cursor") or data.get("nextCursor")
            if cursor is None or (wanted is not None and wanted <= found.keys()):
                return found
            if not isinstance(cursor, str) or cursor in seen:
                reply.unreadable("a page that leads to one already read")
            seen.add(cursor)

    async def one(self, connection: str) -> tuple[Mapping[str, Any] | None, Reply]:
        """Return one connection by id, None when there is no such, and the reply to blame what it says on."""
        path = f"/v1/connections/{quote(connection, safe='')}"
        reply = await self._wire.get(path, headers=VERSION, accept={HTTPStatus.NOT_FOUND})
        return (None if reply.status == HTTPStatus.NOT_FOUND else _data(reply)), reply

    async def destination(self, group: str) -> Mapping[str, Any] | None:
        """Return the destination of a group, which has the group's id; None when there is no such."""
        path = f"/v1/destinations/{quote(group, safe='')}"
        reply = await self._wire.get(path, headers=PLAIN, accept={HTTPStatus.NOT_FOUND})
        return None if reply.status == HTTPStatus.NOT_FOUND else _data(reply)

    async def schemas(self, connection: str) -> Mapping[str, Any] | None:
        """Return a connection's schema config; None when it has none, as before its first sync."""
        path = f"/v1/connections/{quote(connection, safe='')}/schemas"
        reply = await self._wire.get(path, headers=PLAIN, accept={HTTPStatus.NOT_FOUND})
        return None if reply.status == HTTPStatus.NOT_FOUND else _data(reply)

    async def sync(self, connection: str) -> bool:
        """Ask for a sync; returns False when Fivetran says that one is under way (it may also say nothing of it)."""
        path = f"/v1/connections/{quote(connection, safe='')}/sync"
        reply = await self._wire.send(
            "POST", path, body={"force": False}, headers=VERSION, accept={HTTPStatus.CONFLICT}
        )
        return reply.status != HTTPStatus.CONFLICT

    async def resync(self, connection: str, scope: Mapping[str, Any] | None) -> bool:
        """Ask for all data anew, of the whole connection or of tables by schema; returns False when declined."""
        path = f"/v1/connections/{quote(connection, safe='')}/resync"
        body = {} if scope is None else {"scope": scope}
        reply = await self._wire.send("POST", path, body=body, headers=VERSION, accept={HTTPStatus.CONFLICT})
        return reply.status != HTTPStatus.CONFLICT

    async def name(self) -> str:
        """Return the account's name: the cheapest question that needs good credentials."""
        data = _data(await self._wire.get("/v1/account/info", headers=PLAIN))
        return str(data.get("account_name") or data.get("account_id") or "")

    async def sample(self) -> int:
        """Ask for a list of one connection; returns how many came."""
        params = {"limit": 1, **({"group_id": self._group} if self._group else {})}
        items = _data(await self._wire.get("/v1/connections", params=params, headers=VERSION)).get("items")
        return len(items) if isinstance(items, list) else 0


def _data(reply: Reply) -> Mapping[str, Any]:
    data = reply.object().get("data")
    if not isinstance(data, dict):
        reply.unreadable("no Fivetran envelope")
    return data
