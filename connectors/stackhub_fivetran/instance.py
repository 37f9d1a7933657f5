"""One Fivetran account: its syncs, its connections, its webhooks, its credentials."""

import difflib
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, NoReturn

from stackhub.contract import (
    Absent,
    Answer,
    Baseline,
    ConfigError,
    Connection,
    Context,
    Finished,
    Found,
    Handle,
    Hint,
    Job,
    Missing,
    Outcome,
    Permission,
    Rejected,
    Search,
    Unavailable,
    Unknown,
)
from stackhub.wire import Reply
from stackhub_fivetran import hooks
from stackhub_fivetran.catalog import Catalogue
from stackhub_fivetran.client import Account
from stackhub_fivetran.judge import Sight, judge, see
from stackhub_fivetran.row import NEVER, Odd, Row, moment

NAMES_KEPT: Final = timedelta(minutes=5)  # how long a name is believed to mean the same id
SIGHTS_KEPT: Final = 2000  # those looked at last: of jobs that have ended none is asked for again

KEYS: Final = (
    "make a system key at fivetran.com > Account settings > General > System keys, and put it into FIVETRAN_API_KEY "
    "and FIVETRAN_API_SECRET"
)
SEE: Final = (
    "give the key's role the permission to see connections of every destination it is to run, and to start their syncs "
    "(Account settings > Roles); without it nothing can be run"
)


class Fivetran:
    """Starts syncs, joins those under way, and asks after all of them with one sweep.

    API: https://fivetran.com/docs/rest-api/api-reference/connections (read 2026-11)
    """

    def __init__(self, account: Account, context: Context, webhook_secret: str) -> None:
        self._account = account
        self._catalogue = Catalogue(account)
        self._context = context
        self._webhook_secret = webhook_secret
        self._names: dict[str, tuple[str, datetime]] = {}  # name -> id, believed until
        self._sights: dict[str, Sight] = {}  # by the attempt's key

    # --- jobs ---------------------------------------------------------------------------------------------------

    async def prepare(self, job: Job) -> Baseline:
        """Note when the connection last succeeded and failed.

        Raises:
            Rejected: no such connection or several, paused, or not connected; with Fivetran's words on what to do.
        """
        row = await self._look_up(job.options.connection)
        if row.setup_state != "connected":
            raise Rejected(f"fivetran connection {row.name} is {row.setup_state}: {row.words or row.url}")
        if row.paused:
            raise Rejected(f"fivetran connection {row.name} is paused: unpause it at {row.url}")
        return {
            "connection": row.id,
            "name": row.name,
            "succeeded_at": row.succeeded_at,
            "failed_at": row.failed_at,
            "sync_state": row.sync_state,
        }

    async def start(self, job: Job, baseline: Baseline, key: str) -> Handle | Finished:
        """Ask for a sync; one under way is joined, never restarted. A wait asks for nothing."""
        self._sights.pop(key, None)
        joined = baseline["sync_state"] == "syncing"
        if job.operation == "sync":
            joined = not await self._account.sync(baseline["connection"]) or joined
        elif job.operation == "resync":
            if joined:  # its end could not be told from the resync's, and Fivetran would decline or wait
                return _declined("a sync is under way, and a resync has to wait for its end")
            if not await self._account.resync(baseline["connection"], job.options.scope):
                return _declined("Fivetran declined: a sync is under way and could not be completed")
        return _handle(job, baseline, key, joined=joined)

    async def poll(self, handles: Sequence[Handle]) -> Sequence[Answer]:
        """Ask once how all of these stand: one sweep of the account, whatever their number."""
        if not handles:
            return []
        rows = await self._account.sweep(frozenset(handle["connection"] for handle in handles))
        now = self._context.now()
        answers = [self._answer(handle, rows.get(handle["connection"]), now) for handle in handles]
        for key in list(self._sights)[: -max(SIGHTS_KEPT, len(handles))]:
            del self._sights[key]
        return answers

    async def find(self, job: Job, baseline: Baseline, key: str) -> Search:
        """Look whether the connection is syncing, or has ended a sync since the baseline."""
        found = _handle(job, baseline, key, joined=baseline["sync_state"] == "syncing")
        if job.operation == "wait":
            return Found(handle=found)
        data, reply = await self._account.one(baseline["connection"])
        if data is None:
            return Absent()
        row = _read(data, reply)
        moved = max(row.succeeded, row.failed) > max(moment(baseline["succeeded_at"]), moment(baseline["failed_at"]))
        put_off = row.sync_state == "rescheduled" != baseline["sync_state"]
        return Found(handle=found) if moved or put_off or row.sync_state == "syncing" else Absent()

    async def cancel(self, handle: Handle) -> None:
        """Let go: Fivetran has no call that stops a sync, and pausing the connection would stop the ones after it."""

    def _answer(self, handle: Handle, data: Mapping[str, Any] | None, now: datetime) -> Answer:
        if data is None:
            return Missing(note=f"connection {handle['name']} ({handle['connection']}) is not in the account's list")
        try:
            row = Row.read(data)
        except Odd as err:
            return Unknown(raw=str(err))
        sight = see(self._sights.pop(handle["key"], None), row, now)
        self._sights[handle["key"]] = sight  # put last: the first to be forgotten is the one not asked for longest
        return judge(handle, row, sight)

    async def _look_up(self, name: str) -> Row:
        """Find a connection by its name (Fivetran's schema) or its id, as it is now."""
        now = self._context.now()
        known, until = self._names.get(name, ("", NEVER))
        if now < until:
            data, reply = await self._account.one(known)
            if data is not None and name in {(row := _read(data, reply)).id, row.name}:
                return row
        rows = await self._account.sweep()
        matches = [id_ for id_, data in rows.items() if name in {id_, data.get("schema")}]
        if len(matches) != 1:
            _not_one(name, rows, matches)
        self._names[name] = (matches[0], now + NAMES_KEPT)
        try:
            return Row.read(rows[matches[0]])
        except Odd as err:
            raise Unavailable(f"fivetran connection {name} cannot be understood: {err}") from err

    # --- what the account holds ---------------------------------------------------------------------------------

    async def connections(self) -> Sequence[Connection]:
        """List every connection."""
        return await self._catalogue.connections()

    # --- what is heard from it ----------------------------------------------------------------------------------

    async def receive(self, headers: Mapping[str, str], body: bytes, path: str) -> Sequence[Hint]:
        """Verify a webhook and say which connection it speaks of."""
        if not self._webhook_secret or path:
            raise Rejected("no such hook: set FIVETRAN_WEBHOOK_SECRET to open it", status=HTTPStatus.NOT_FOUND)
        hooks.verify(self._webhook_secret, headers, body)
        return [hooks.hint(body)]

    # --- its credentials ----------------------------------------------------------------------------------------

    async def check(self) -> Sequence[Permission]:
        """Try the key, and the list of connections; that a sync may be started cannot be tried harmlessly."""
        return [
            await _try("key", self._account.name(), KEYS, "account {}"),
            await _try("connections", self._account.sample(), SEE, "{} listed"),
        ]


def _handle(job: Job, baseline: Baseline, key: str, *, joined: bool) -> Handle:
    known = {name: baseline[name] for name in ("connection", "name", "succeeded_at", "failed_at")}
    handle = {**known, "operation": job.operation, "key": key, "joined": joined or job.operation == "wait"}
    if job.operation == "resync":
        handle["whole"] = job.options.scope is None
    if job.operation == "wait":
        handle["after"] = job.consumed.get(baseline["connection"]) or baseline["succeeded_at"]
    return {**handle, "url": f"https://fivetran.com/dashboard/connectors/{baseline['connection']}/status"}


def _declined(note: str) -> Finished:
    return Finished(outcome=Outcome.FAILED, note=note, retryable=True)


def _read(data: Mapping[str, Any], reply: Reply) -> Row:
    try:
        return Row.read(data)
    except Odd as err:
        reply.unreadable(f"no connection ({err})")


def _not_one(name: str, rows: Mapping[str, Mapping[str, Any]], matches: Sequence[str]) -> NoReturn:
    """Refuse a name that means no connection, or several: nobody guesses which to sync."""
    if matches:
        listed = ", ".join(f"{id_} (group {rows[id_].get('group_id')})" for id_ in sorted(matches))
        raise Rejected(f"fivetran has {len(matches)} connections named {name}: say which by its id: {listed}")
    near = difflib.get_close_matches(name, [str(data.get("schema")) for data in rows.values()], n=3)
    meant = f"; did you mean {' or '.join(near)}?" if near else f"; it shows {len(rows)} connections to this key"
    raise Rejected(f"fivetran has no connection named {name}{meant}")


async def _try(name: str, asked: Awaitable[object], remedy: str, detail: str) -> Permission:
    try:
        return Permission(name=name, ok=True, detail=detail.format(await asked))
    except (ConfigError, Rejected) as err:
        return Permission(name=name, ok=False, detail=str(err), remedy=remedy)
