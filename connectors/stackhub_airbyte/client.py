"""Airbyte's API, call by call: listings, connections by name, jobs.

Source: the public API v1 and its server's code, airbyte-platform (read 2026-11). Its traps: lists come oldest first
unless asked otherwise; ``next`` stands on every page that holds anything, with a host that may be wrong, so only its
offset is taken and a listing ends with an empty page; a list of jobs without a ``jobType`` holds syncs and resets and
hides the other kinds.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from stackhub.contract import ConfigError, ConnectorError, Rejected, Unavailable
from stackhub.wire import Reply, Wire
from stackhub_airbyte.answers import Reason, Row, number, reason, row

PAGE: Final = 100  # rows of a page, the most that Airbyte gives
PAGES: Final = 500  # of one listing; beyond it the server is taken to be going round in circles
NEWEST: Final = "createdAt|DESC"
START_TIMEOUT: Final = timedelta(seconds=110)  # a start may block until the job runs; below the operations' own limit
UNKNOWN_JOB: Final = frozenset({403, 404, 409, 500})  # what servers answer to a job id they do not know
LISTED: Final[Mapping[str, tuple[Mapping[str, str], ...]]] = {
    "sync": ({"jobType": "sync"},),
    "refresh": ({"jobType": "refresh"},),
    "clear": ({}, {"jobType": "clear"}),  # made as ``reset`` or as ``clear``, by the server's age
}
"""The lists that together hold every job of a kind."""


class Api:
    """One Airbyte, as far as its configured workspace."""

    def __init__(self, wire: Wire, config: Wire | None, workspace: str | None) -> None:
        self._wire = wire
        self._config = config
        self._workspaces = {"workspaceIds": workspace} if workspace else {}
        self._ids: dict[str, str] = {}  # by name; only ever a hint

    @property
    def has_config(self) -> bool:
        """Whether the Config API may be used."""
        return self._config is not None

    def needs_config(self) -> Wire:
        """Return the Config API.

        Raises:
            Rejected: it is not configured.
        """
        if self._config is None:
            raise Rejected("this needs Airbyte's Config API: set AIRBYTE_CONFIG_API_URL, as http://host:8000/api/v1")
        return self._config

    # --- lists --------------------------------------------------------------------------------------------------

    async def pages(
        self, path: str, params: Mapping[str, Any], size: int = PAGE, accept: frozenset[int] = frozenset()
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the pages of a list, none of them empty, to its end; nothing when it answers a status of ``accept``."""
        offset = 0
        for _ in range(PAGES):
            reply = await self._wire.get(path, params={**params, "limit": size, "offset": offset}, accept=accept)
            if reply.status in accept:
                return
            body = reply.object()
            rows = body.get("data")
            if not isinstance(rows, list) or not all(isinstance(entry, dict) for entry in rows):
                reply.unreadable("not a page of a list")
            if not rows:
                return
            yield rows
            following = _offset(body.get("next"))
            offset = following if offset < following <= offset + size else offset + len(rows)
        raise Unavailable(f"airbyte: the list {path} has no end")

    async def jobs(self, params: Mapping[str, Any], size: int = PAGE) -> AsyncIterator[list[Row]]:
        """Yield the pages of a list of jobs, newest first."""
        # Older servers know no lists of some kinds and answer 422: they have no such jobs either.
        accept = frozenset({HTTPStatus.UNPROCESSABLE_ENTITY}) if params.get("jobType") in {"clear", "refresh"} else ()
        scope = {} if "connectionId" in params else self._workspaces
        async for page in self.pages("jobs", {**scope, **params, "orderBy": NEWEST}, size, frozenset(accept)):
            yield _rows(page, params.get("jobType", ""))

    async def newest(self, params: Mapping[str, Any], size: int = 20) -> list[Row]:
        """Return the first page of a list of jobs, newest first."""
        async for page in self.jobs(params, size):
            return page
        return []

    async def first(self, path: str) -> dict[str, Any] | None:
        """Return the first entry of a list."""
        async for page in self.pages(path, self._workspaces, 1):
            return page[0]
        return None

    async def connections(self) -> list[dict[str, Any]]:
        """List every connection that is not deleted."""
        return await self._all("connections", "connectionId")

    async def destinations(self) -> dict[str, dict[str, Any]]:
        """Return the destinations by id; none where we may not read them."""
        try:
            found = await self._all("destinations", "destinationId")
        except Rejected:
            return {}
        return {entry["destinationId"]: entry for entry in found}

    async def _all(self, path: str, key: str) -> list[dict[str, Any]]:
        """Return each entry once, though entries may move between the pages while they are read."""
        found: dict[str, dict[str, Any]] = {}
        async for page in self.pages(path, self._workspaces):
            for entry in page:
                if not isinstance(entry.get(key), str):
                    raise Unavailable(f"airbyte: the list {path} holds an entry without `{key}`")
                found.setdefault(entry[key], entry)
        return list(found.values())

    # --- one connection -----------------------------------------------------------------------------------------

    async def connection(self, wanted: str) -> dict[str, Any]:
        """Return the connection of this id or name.

        Raises:
            Rejected: there is none, or there are several of the name; their ids are listed.
        """
        if _is_id(wanted):
            return await self._by_id(wanted)
        if wanted in self._ids:
            reply = await self._wire.get(f"connections/{self._ids[wanted]}", accept={HTTPStatus.NOT_FOUND})
            if reply.status != HTTPStatus.NOT_FOUND and (known := reply.object()).get("name") == wanted:
                return known
        listed = await self.connections()
        found = [c for c in listed if c["connectionId"] == wanted] or [c for c in listed if c.get("name") == wanted]
        if len(found) > 1:
            candidates = ", ".join(f"{c['connectionId']} (workspace {c.get('workspaceId')})" for c in found)
            raise Rejected(f"{len(found)} connections are called {wanted!r}: name one by its id: {candidates}")
        if not found:
            near = get_close_matches(wanted, [str(c.get("name")) for c in listed], n=3)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise Rejected(f"no connection is called {wanted!r} among the {len(listed)} that can be seen{hint}")
        self._ids[wanted] = found[0]["connectionId"]
        return found[0]

    async def _by_id(self, wanted: str) -> dict[str, Any]:
        reply = await self._wire.get(f"connections/{wanted}", accept={HTTPStatus.NOT_FOUND})
        if reply.status == HTTPStatus.NOT_FOUND:
            raise Rejected(f"no connection has the id {wanted}", status=reply.status)
        found = reply.object()
        if not isinstance(found.get("connectionId"), str):
            reply.unreadable("not a connection")
        return found

    # --- one job ------------------------------------------------------------------------------------------------

    async def job(self, job: int) -> tuple[int, Row | None]:
        """Return the status of the answer, and the job where there is one."""
        reply = await self._wire.get(f"jobs/{job}", accept=UNKNOWN_JOB)
        if reply.status in UNKNOWN_JOB:
            return reply.status, None
        found = row(reply.object())
        if found is None:
            reply.unreadable("not a job")
        return reply.status, found

    async def begin(self, connection: str, kind: str) -> Reply:
        """Start a job; the answer is good or a 409."""
        body = {"connectionId": connection, "jobType": kind}
        return await self._wire.send("POST", "jobs", body=body, accept={409}, timeout=START_TIMEOUT)

    async def refresh(self, connection: str, mode: str) -> Reply:
        """Start a refresh, which the public API cannot; the answer is good or a 409."""
        body = {"connectionId": connection, "refreshMode": mode.capitalize()}
        return await self.needs_config().send(
            "POST", "connections/refresh", body=body, accept={409}, timeout=START_TIMEOUT
        )

    async def stop(self, job: int) -> None:
        """Cancel a job; one that has ended, or is not known, is left alone."""
        await self._wire.send("DELETE", f"jobs/{job}", accept={404, 409})

    # --- the Config API -----------------------------------------------------------------------------------------

    async def reason(self, job: int) -> Reason | None:
        """Return why a job failed; None where nobody says, since a missing reason must not hide an end."""
        if self._config is None:
            return None
        try:
            return reason((await self._config.ask("jobs/get_without_logs", body={"id": job})).json())
        except (ConnectorError, ConfigError):
            return None

    async def catalogs(self, workspaces: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the full connections by id, of those workspaces that the Config API shows us."""
        found: dict[str, dict[str, Any]] = {}
        for workspace in workspaces if self.has_config else ():
            try:
                found |= await self.catalog(workspace)
            except Rejected:
                continue
        return found

    async def catalog(self, workspace: str) -> dict[str, dict[str, Any]]:
        """Return the full connections of one workspace by id."""
        reply = await self.needs_config().ask("connections/list", body={"workspaceId": workspace})
        listed = reply.object().get("connections")
        if not isinstance(listed, list):
            reply.unreadable("not a list of connections")
        return {str(body["connectionId"]): body for body in listed if isinstance(body, dict) and "connectionId" in body}


def _rows(page: Sequence[Mapping[str, Any]], kind: str) -> list[Row]:
    """Read a page of jobs; ``kind`` is what was asked for, since older servers leave it out of what they answer."""
    rows = [found for entry in page if (found := row(entry)) is not None]
    if len(rows) < len(page):
        raise Unavailable("airbyte: the list of jobs holds an entry without `jobId`")
    return [found if found.kind else replace(found, kind=kind) for found in rows]


def _offset(following: Any) -> int:
    """Read the offset of a ``next``; its host is the server's idea of itself."""
    try:
        given = parse_qs(urlsplit(str(following)).query).get("offset", [""])
    except ValueError:
        return 0
    return number(given[-1]) or 0


def _is_id(wanted: str) -> bool:
    try:
        return str(UUID(wanted)) == wanted.lower()
    except ValueError:
        return False
