"""Fivetran, played: as awkward as the real one, and deterministic.

What it plays is what https://fivetran.com/docs/rest-api documents (read 2026-11) and what its clients report: a sync
has no id in the REST API, `syncing` shows only after a lag, a cancelled sync leaves no trace, a failure only a
timestamp, and a connection under a manual schedule does not resume by itself what was put off.
"""

import base64
import json
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from stackhub.contract.sandbox import Fault, Receive, Scope, Send, World, faulty, heard, reply
from stackhub_fivetran.sandbox_lines import GROUP, Line, Lines, stamp

Answer: TypeAlias = tuple[int, dict[str, Any]]


class FakeFivetran(Lines):
    """A Fivetran account with one destination.

    Further knobs: ``page`` rows at most in a list, ``conflicts`` whether a start while syncing is a 409 or a 200 that
    does nothing, ``most`` requests in a minute before 429 (None: any number).
    """

    key = "played-fivetran-key"
    secret = "played-fivetran-secret"  # noqa: S105 - opens nothing

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.page = 1000
        self.conflicts = False
        self.most: int | None = None
        self._recent: deque[datetime] = deque()
        self._app = faulty(self._serve, self.faults, self.requests, world)

    def environment(self, url: str) -> Mapping[str, str]:
        """Return the variables that point an instance here."""
        known = {"FIVETRAN_API_KEY": self.key, "FIVETRAN_API_SECRET": self.secret, "FIVETRAN_API_URL": url}
        return {**known, **({"FIVETRAN_WEBHOOK_SECRET": self.hook_secret} if self.hook_secret else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, late or wrongly where a fault is planned."""
        await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.tick()
        body = await heard(receive)
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        query = {name: values[0] for name, values in parse_qs(scope.get("query_string", b"").decode()).items()}
        status, answer = self._refusal(scope["method"], path, headers) or self._route(
            scope["method"], path, query, body
        )
        patience = {"retry-after": "7"} if status == HTTPStatus.TOO_MANY_REQUESTS else {}
        headers = {"content-type": "application/json;charset=utf-8", **patience}
        await reply(send, status, headers, json.dumps(answer).encode())
        await self.tick()

    def _refusal(self, method: str, path: str, headers: Mapping[str, str]) -> Answer | None:
        basic = base64.b64encode(f"{self.key}:{self.secret}".encode()).decode()
        if headers.get("authorization") != f"Basic {basic}":
            return _no(HTTPStatus.UNAUTHORIZED, "AuthFailed", "Invalid authorization credentials")
        now = self._world.now()
        while self._recent and self._recent[0] <= now - timedelta(minutes=1):
            self._recent.popleft()
        if self.most is not None and len(self._recent) >= self.most:
            return _no(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", "API rate limit exceeded")
        self._recent.append(now)
        of_connections = "/connections" in path and not path.endswith("/schemas")
        wanted = "application/json;version=2" if of_connections else "application/json"
        if wanted not in headers.get("accept", "").replace(" ", ""):
            return _no(HTTPStatus.NOT_ACCEPTABLE, "UnsupportedAcceptHeader", f"Accept must be {wanted}")
        if method in {"POST", "PATCH"} and not headers.get("content-type", "").startswith("application/json"):
            return _no(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedContentType", "Content-Type must be JSON")
        return None

    def _route(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        try:
            wanted = json.loads(body or b"{}")
        except ValueError:
            return _no(HTTPStatus.BAD_REQUEST, "InvalidInput", "The body is not JSON")
        match [method, *path.strip("/").split("/")]:
            case ["GET", "v1", "account", "info"]:
                return _yes({"account_id": "played_account", "account_name": "Played", "system_key_id": "played_key"})
            case ["GET", "v1", "groups"]:
                return _yes({"items": [{"id": GROUP, "name": "Played"}]})
            case ["GET", "v1", "destinations", found] if found == GROUP:
                return self._destination()
            case ["GET", "v1", "connections"]:
                return self._list(query)
            case ["GET", "v1", "groups", group, "connections"]:
                return self._list({**query, "group_id": group})
            case [_, "v1", "connections", id_, *rest]:
                line = self.lines.get(id_)
                if line is None:
                    return _no(HTTPStatus.NOT_FOUND, "NotFound_Connection", f"Connection '{id_}' does not exist")
                self.bring_up(line)
                return self._one(line, [method, *rest], wanted)
            case _:
                return _no(HTTPStatus.NOT_FOUND, "NotFound", f"No such resource: {method} {path}")

    def _destination(self) -> Answer:
        databases = sorted({line.feed.database for line in self.lines.values()})
        config = {"database": databases[0], "password": "******"} if databases else {}
        known = {"id": GROUP, "group_id": GROUP, "service": "snowflake", "setup_status": "connected"}
        return _yes({**known, "config": config})

    def _list(self, query: Mapping[str, str]) -> Answer:
        asked = query.get("limit", "100")
        limit = int(asked) if asked.isdecimal() else 0
        if not 1 <= limit <= 1000:  # noqa: PLR2004 - the documented bounds
            return _no(HTTPStatus.BAD_REQUEST, "InvalidInput", "limit must be from 1 to 1000")
        chosen = [
            line
            for line in self.lines.values()
            if query.get("group_id") in {None, GROUP} and query.get("schema") in {None, line.feed.name}
        ]
        ids = [line.feed.id for line in chosen]
        if (cursor := query.get("cursor")) is not None and cursor not in ids:
            return _no(HTTPStatus.BAD_REQUEST, "InvalidInput", "Unknown cursor")
        first = 0 if cursor is None else ids.index(cursor)
        last = first + min(limit, self.page)
        data: dict[str, Any] = {"items": [_row(line) for line in chosen[first:last]]}
        return _yes(data if last >= len(ids) else {**data, "next_cursor": ids[last]})

    def _one(self, line: Line, asked: Sequence[str], wanted: Any) -> Answer:
        match asked:
            case ["GET"]:
                return _yes(_row(line))
            case ["GET", "schemas"]:
                return _schemas(line)
            case ["PATCH"]:
                line.paused = wanted.get("paused", line.paused)
                line.schedule_type = wanted.get("schedule_type", line.schedule_type)
                return _yes(_row(line))
            case ["POST", "sync" | "resync"] if line.paused or line.setup_state != "connected":
                return _no(HTTPStatus.BAD_REQUEST, "IllegalState", "The connection is paused or not connected")
            case ["POST", "resync"] if wanted.get("scope", True) in ({}, []):
                return _no(HTTPStatus.BAD_REQUEST, "InvalidInput", "scope must not be empty")
            case ["POST", "sync" | "resync" as verb]:
                if line.sync is not None and (self.conflicts or verb == "resync"):
                    return _no(HTTPStatus.CONFLICT, "Conflict", "A sync is already in progress")
                line.historical = line.historical or (verb == "resync" and "scope" not in wanted)
                self.begin(line.feed.id)
                said = f"Sync has been successfully triggered for connection with id '{line.feed.id}'"
                return HTTPStatus.OK, {"code": "Success", "message": said}
            case _:
                return _no(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", "Method not allowed")


def _yes(data: Mapping[str, Any]) -> Answer:
    return HTTPStatus.OK, {"code": "Success", "message": "Operation performed.", "data": data}


def _no(status: int, code: str, message: str) -> Answer:
    return status, {"code": code, "message": message}


def _row(line: Line) -> dict[str, Any]:
    return {
        "id": line.feed.id,
        "group_id": GROUP,
        "service": line.service,
        "service_version": 1,
        "schema": line.feed.name,
        "paused": line.paused,
        "connected_by": "played_user",
        "created_at": "2024-01-01T00:00:00.000000Z",
        "succeeded_at": line.succeeded and stamp(line.succeeded),
        "failed_at": line.failed and stamp(line.failed),
        "sync_frequency": 360,
        "schedule_type": line.schedule_type,
        "daily_sync_time": None,
        "status": {
            "setup_state": line.setup_state,
            "schema_status": line.schema_status,
            "sync_state": line.sync_state,
            "update_state": "on_schedule",
            "is_historical_sync": line.historical,
            "rescheduled_for": line.rescheduled and stamp(line.rescheduled),
            "tasks": [{"code": "reconnect", "message": words} for words in line.tasks],
            "warnings": [],
        },
        "config": {},
        "networking_method": "Directly",
    }


def _schemas(line: Line) -> Answer:
    if not line.feed.tables or line.succeeded is None:
        return _no(HTTPStatus.NOT_FOUND, "NotFound_SchemaConfig", "The connection has never synced its schema")
    tables = {name: {"name_in_destination": name, "enabled": True} for name in line.feed.tables}
    dropped = {"not_loaded": {"name_in_destination": "not_loaded", "enabled": False}}
    schema = {"name_in_destination": line.feed.schema, "enabled": True, "tables": {**tables, **dropped}}
    return _yes({"enable_new_by_default": True, "schema_change_handling": "ALLOW_ALL", "schemas": {"public": schema}})
