"""The verbs: what the hub may ask of one Airbyte.

A handle is ``{connection, kind, job, joined, waits, url}``: the job's id, or for a `wait` the id above which a
successful sync counts.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from stackhub.contract import (
    Absent,
    Answer,
    Baseline,
    Connection,
    Finished,
    Found,
    Handle,
    Hint,
    Job,
    Json,
    Permission,
    Rejected,
    Search,
    Unavailable,
    Unclear,
)
from stackhub.wire import quote
from stackhub_airbyte.answers import SAME, Conflict, Row, conflict, number, words
from stackhub_airbyte.auth import Application
from stackhub_airbyte.catalog import CLOSED, Catalogue
from stackhub_airbyte.client import LISTED, Api
from stackhub_airbyte.hook import hints
from stackhub_airbyte.probe import permissions
from stackhub_airbyte.sweep import Sweep

FIND_PAGES: Final = 20  # of one connection's jobs since its baseline


class Account:
    """One Airbyte instance, open."""

    def __init__(self, api: Api, token: Application | None, *, web: str, hook: str | None) -> None:
        self._api = api
        self._token = token
        self._hook = hook
        self._sweep = Sweep(api)
        self._catalogue = Catalogue(api, web)

    async def prepare(self, job: Job) -> Baseline:
        """Find the connection, refuse what cannot run, and note the highest id of the jobs of our kind."""
        kind = _kind(job)
        if kind == "refresh":
            self._api.needs_config()
        connection = await self._api.connection(job.options.connection)
        name, status = connection.get("name") or job.options.connection, str(connection.get("status"))
        if status in CLOSED:
            raise Rejected(f"connection {name!r} is {status}: {CLOSED[status][1]}")
        newest = await self._newest(connection["connectionId"], LISTED[kind])
        return {
            "connection": connection["connectionId"],
            "job": _consumed(job.consumed.get(connection["connectionId"]), newest)
            if job.operation == "wait"
            else max((found.id for found in newest), default=0),
            "status": status,
            "url": self._catalogue.page(connection),
        }

    async def start(self, job: Job, baseline: Baseline, key: str) -> Handle | Finished:  # noqa: ARG002 - it takes no keys
        """Start a job; one already running is joined. For a `wait` there is nothing to start."""
        if job.operation == "wait":
            return _handle(job, baseline, baseline["job"])
        kind, connection = _kind(job), str(baseline["connection"])
        try:
            if kind == "refresh":
                reply = await self._api.refresh(connection, job.options.mode)
            else:
                reply = await self._api.begin(connection, kind)
        except Rejected as err:
            raise _refusal(connection, err.status, err.body) from err
        if reply.status == HTTPStatus.CONFLICT:
            if conflict(reply.body) is Conflict.REFUSED:
                raise _refusal(connection, reply.status, reply.hide(reply.text))
            return await self._join(job, baseline)
        body: Json = reply.object()
        begun = _id(body.get("job"), "id") if kind == "refresh" else _id(body, "jobId")
        if begun is None:
            reply.unreadable("not a job")
        return _handle(job, baseline, begun)

    async def _join(self, job: Job, baseline: Baseline) -> Handle:
        """Join what a start ran into: the newest job that has not ended, where it is of our kind.

        Raises:
            Unavailable: nothing was started, and what is going is not for us.
        """
        kind = _kind(job)
        lists = ({},) if kind == "sync" else ({}, *(params for params in LISTED[kind] if params))
        going = [found for found in await self._newest(str(baseline["connection"]), lists) if not found.ended]
        if not going:
            raise Unavailable("Airbyte says that a job is already running, and lists none: it may be of another kind")
        newest = max(going, key=lambda found: found.id)
        if newest.kind not in SAME[kind]:
            raise Unavailable(f"a {newest.kind} is running (job {newest.id}), and the {kind} has to wait for its end")
        return _handle(job, baseline, newest.id, joined=True)

    async def _newest(self, connection: str, lists: Sequence[Mapping[str, str]]) -> list[Row]:
        return [found for params in lists for found in await self._api.newest({**params, "connectionId": connection})]

    async def poll(self, handles: Sequence[Handle]) -> Sequence[Answer]:
        """Ask once how these jobs stand."""
        return await self._sweep.poll(handles) if handles else []

    async def find(self, job: Job, baseline: Baseline, key: str) -> Search:  # noqa: ARG002 - it takes no keys
        """Look for jobs of our kind above the baseline, the lowest of several; all the way down to it, or say so."""
        floor, kind = int(baseline["job"]), _kind(job)
        if job.operation == "wait":
            return Found(handle=_handle(job, baseline, floor))
        found: set[int] = set()
        for params in LISTED[kind]:
            pages = 0
            async for page in self._api.jobs({**params, "connectionId": baseline["connection"]}):
                found |= {entry.id for entry in page if entry.id > floor and entry.kind in SAME[kind]}
                pages += 1
                if min(entry.id for entry in page) <= floor:
                    break
                if pages >= FIND_PAGES:
                    return Unclear(note=f"more than {FIND_PAGES} pages of jobs since the start")
        return Found(handle=_handle(job, baseline, min(found))) if found else Absent()

    async def cancel(self, handle: Handle) -> None:
        """Cancel the job; one that has ended is left alone, and a `wait` has none."""
        if not handle.get("waits"):
            await self._api.stop(int(handle["job"]))

    async def connections(self) -> Sequence[Connection]:
        """List every connection."""
        return await self._catalogue.connections()

    async def receive(self, headers: Mapping[str, str], body: bytes, path: str) -> Sequence[Hint]:  # noqa: ARG002 - signs nothing
        """Take a notification whose path ends as agreed."""
        return hints(self._hook, body, path)

    async def check(self) -> Sequence[Permission]:
        """Try what can be tried without starting anything."""
        return await permissions(self._api, self._token)


def _kind(job: Job) -> str:
    return "sync" if job.operation == "wait" else job.operation


def _handle(job: Job, baseline: Baseline, number: int, *, joined: bool = False) -> Handle:
    waits = job.operation == "wait"
    return {
        "connection": baseline["connection"],
        "kind": _kind(job),
        "job": number,
        "waits": waits,
        "joined": joined or waits,
        "url": baseline.get("url", ""),
    }


def _refusal(connection: str, status: int, body: str) -> Rejected:
    said = quote(words(body) or body)
    return Rejected(f"connection {connection}: {status} {said}".rstrip(), status=status, body=body)


def _consumed(mark: str | None, newest: Sequence[Row]) -> int:
    """Return the id above which a landing is news: of the last one used, else of the last job that has ended."""
    if (used := number(mark)) is not None:
        return used
    going = [found.id for found in newest if not found.ended]
    return min(going) - 1 if going else max((found.id for found in newest), default=0)


def _id(body: Json, key: str) -> int | None:
    return number(body.get(key)) if isinstance(body, dict) else None
