"""The connections of the played Fivetran: what its syncs do as time goes by.

There are no schedules here: a sync begins when it is asked for, over the API or by `Lines.begin`. Other than that only
time moves anything: every connection is brought up to the world's clock whenever it is looked at, and in `Lines.run`
as things fall due.
"""

import contextlib
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import anyio
import httpx

from stackhub.contract.sandbox import Ends, Feed, Turn, World
from stackhub_fivetran.hooks import SIGNED_IN, sign

GROUP: Final = "played_group"
WEBHOOK_STATUS: Final = {
    Ends.WELL: "SUCCESSFUL",
    Ends.BADLY: "FAILURE_WITH_TASK",
    Ends.CANCELLED: "CANCELED",
    Ends.RESCHEDULED: "RESCHEDULED",
}


@dataclass(slots=True, kw_only=True)
class Sync:
    """One sync under way."""

    id: str
    begins: datetime  # when `syncing` shows
    ends: datetime | None
    turn: Turn
    announced: bool = False


@dataclass(slots=True, kw_only=True)
class Line:
    """One connection; tests may change what a person could change in the dashboard."""

    feed: Feed
    service: str = "google_ads"
    paused: bool = False
    setup_state: str = "connected"
    schema_status: str = "ready"
    schedule_type: str = "auto"
    succeeded: datetime | None = None
    failed: datetime | None = None
    rescheduled: datetime | None = None
    historical: bool = False
    tasks: list[str] = field(default_factory=list)
    turns: deque[Turn] = field(default_factory=deque)
    sync: Sync | None = None
    begun: int = 0
    word: str = ""  # said in place of the true sync_state

    @property
    def resumes(self) -> bool:
        """Whether what was put off is begun again without being asked for."""
        return self.sync is None and self.schedule_type == "auto" and not self.paused

    @property
    def sync_state(self) -> str:
        """Return what the API says; `syncing` shows only once the sync was announced."""
        if self.word:
            return self.word
        if self.sync is not None and self.sync.announced:
            return "syncing"
        if self.paused:
            return "paused"
        return "rescheduled" if self.rescheduled is not None else "scheduled"


class Lines:
    """All connections of one account.

    Knobs: ``lag`` before `syncing` shows, ``put_off`` how long a rescheduled sync is put off, ``hook`` the address
    webhooks go to ("" for none), signed with ``hook_secret`` when there is one.
    """

    name = "fivetran"

    def __init__(self, world: World) -> None:
        self.lag = timedelta(seconds=1)
        self.put_off = timedelta(minutes=5)
        self.hook = ""
        self.hook_secret = ""
        self._world = world
        self.lines: dict[str, Line] = {}
        self._unsent: deque[bytes] = deque()
        self._stirred = anyio.Event()

    # --- the script ---------------------------------------------------------------------------------------------

    def add(self, feed: Feed) -> None:
        """Add a connection that has never synced."""
        self.lines[feed.id] = Line(feed=feed)

    def remove(self, connection: str) -> None:
        """Delete a connection."""
        del self.lines[self.line(connection).feed.id]

    def script(self, connection: str, *turns: Turn) -> None:
        """Say what the next syncs of a connection do."""
        self.line(connection).turns = deque(turns)

    def release(self, connection: str) -> None:
        """Let a sync of a connection that hangs end well now."""
        line = self.line(connection)
        self.bring_up(line)
        if line.sync is not None and line.sync.ends is None:
            line.sync.ends, line.sync.turn = self._world.now(), Turn()
            self._stirred.set()

    def started(self, connection: str) -> int:
        """Return how many syncs of it have begun."""
        line = self.line(connection)
        self.bring_up(line)
        return line.begun

    def line(self, connection: str) -> Line:
        """Return a connection by its id or name."""
        return next(line for line in self.lines.values() if connection in {line.feed.id, line.feed.name})

    def begin(self, connection: str, at: datetime | None = None) -> None:
        """Begin a sync, as a schedule or a person would; one under way goes on."""
        line = self.line(connection)
        self.bring_up(line)
        if line.sync is None:
            self._begin(line, at or self._world.now())

    async def run(self) -> None:
        """Let landings and webhooks happen as they fall due, without waiting for a request. Ends by being cancelled."""
        while True:
            await self.tick()
            self._stirred = anyio.Event()
            async with anyio.create_task_group() as race:
                if (due := self._next_due()) is not None:
                    race.start_soon(self._nap, due)
                await self._stirred.wait()
                race.cancel_scope.cancel()

    # --- time ---------------------------------------------------------------------------------------------------

    async def _nap(self, until: datetime) -> None:
        await self._world.sleep(max(0.0, (until - self._world.now()).total_seconds()))
        self._stirred.set()

    def _next_due(self) -> datetime | None:
        dues = [
            due
            for line in self.lines.values()
            for due in (
                line.sync.begins if line.sync and not line.sync.announced else None,
                line.sync.ends if line.sync else None,
                line.rescheduled if line.resumes else None,
            )
            if due is not None
        ]
        return min(dues, default=None)

    async def tick(self) -> None:
        """Let all happen that has fallen due, and send the webhooks of it."""
        for line in list(self.lines.values()):
            self.bring_up(line)
        while self._unsent:
            body = self._unsent.popleft()
            headers = {"content-type": "application/json"}
            if self.hook_secret:
                headers[SIGNED_IN] = sign(self.hook_secret, body).upper()
            with contextlib.suppress(OSError, httpx.HTTPError):  # nobody at home: a webhook is only a hint
                await self._world.call(self.hook, headers, body)

    def _begin(self, line: Line, at: datetime) -> None:
        turn = line.turns.popleft() if line.turns else Turn()
        lasts = timedelta(seconds=line.feed.seconds if turn.seconds is None else turn.seconds)
        line.begun += 1
        line.rescheduled = None
        begins = at + self.lag
        ends = None if turn.ends is Ends.NEVER else begins + lasts
        line.sync = Sync(id=f"{line.feed.id}-{line.begun}", begins=begins, ends=ends, turn=turn)
        self._stirred.set()

    def bring_up(self, line: Line) -> None:
        """Let all happen to a connection that has fallen due."""
        now = self._world.now()
        while True:
            if (sync := line.sync) is not None:
                if not sync.announced and sync.begins <= now:
                    sync.announced = True
                    self._announce(line, sync, "sync_start", sync.begins, {})
                if sync.ends is None or sync.ends > now:
                    return
                self._end(line, sync, sync.ends)
            elif line.rescheduled and line.rescheduled <= now and line.resumes:
                self._begin(line, line.rescheduled)
            else:
                return

    def _end(self, line: Line, sync: Sync, at: datetime) -> None:
        line.sync = None
        data = {"status": WEBHOOK_STATUS[sync.turn.ends]}
        match sync.turn.ends:
            case Ends.WELL:
                line.succeeded, line.tasks, line.historical = at, [], False
                self._world.land(self.name, line.feed.name)
            case Ends.BADLY:
                line.failed = at
                line.tasks = [sync.turn.reason] if sync.turn.reason else []
                data["reason"] = sync.turn.reason
            case Ends.RESCHEDULED:
                line.rescheduled = at + self.put_off
                data["reason"] = f"Rescheduled for {stamp(line.rescheduled)}, reason: {sync.turn.reason}"
            case _:
                pass  # cancelled: no trace
        self._announce(line, sync, "sync_end", at, data)

    def _announce(self, line: Line, sync: Sync, event: str, at: datetime, data: Mapping[str, str]) -> None:
        if self.hook:
            body = {
                "event": event,
                "created": stamp(at),
                "connector_type": line.service,
                "connector_id": line.feed.id,
                "connector_name": line.feed.name,
                "sync_id": sync.id,
                "destination_group_id": GROUP,
                "data": dict(data),
            }
            self._unsent.append(json.dumps(body).encode())


def stamp(then: datetime) -> str:
    """Write a timestamp as Fivetran does."""
    return f"{then:%Y-%m-%dT%H:%M:%S.%fZ}"
