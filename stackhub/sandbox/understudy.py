"""Stands in for a connector that has no fake vendor: its jobs take the time that is said of them, and do nothing.

A rehearsal starts no dbt, no script and no shell. Whoever tells people by such a connector tells nobody, and is noted.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from stackhub.contract import (
    Absent,
    Answer,
    Baseline,
    Connector,
    Context,
    Finished,
    Found,
    Handle,
    Job,
    Landing,
    Limits,
    Message,
    Operation,
    Options,
    Outcome,
    Pending,
    Promise,
    Receipt,
    Role,
    Search,
    Settings,
    Speaks,
)

FAILURE: Final = "made to fail for the rehearsal"
USUAL: Final[Mapping[Role, float]] = {Role.EXTRACT: 300.0, Role.TRANSFORM: 600.0, Role.OTHER: 60.0}  # seconds


SHARE: Final = 4  # of its timeout that a task takes at most, where nobody knows better


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """How one job goes."""

    seconds: float
    outcome: Outcome = Outcome.OK
    note: str = ""
    retryable: bool = True
    connection: str = ""  # what it brings in, of which account's connection; "" for what is no extract
    rows: int | None = None
    joined: bool = False  # somebody else has begun it
    after: str | None = None  # it only waits: for what lands there next after this mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What is to happen."""

    fail: frozenset[str] = frozenset()  # tasks, at every try
    late: Mapping[str, timedelta] = field(default_factory=dict)  # by task: how much longer than usual
    usual: Mapping[str, float] = field(default_factory=dict)  # seconds by task, from history

    def lasts(self, task: str, role: Role, timeout: timedelta) -> timedelta:
        """Return how long a task takes this time; without a history well within its timeout."""
        known = self.usual.get(task)
        usual = min(timedelta(seconds=USUAL[role]), timeout / SHARE) if known is None else timedelta(seconds=known)
        return usual + self.late.get(task, timedelta())

    def act(self, job: Job, role: Role) -> Act:
        """Say how a job goes."""
        seconds = self.lasts(job.task, role, job.timeout or timedelta.max).total_seconds()
        if job.task in self.fail:
            return Act(seconds=seconds, outcome=Outcome.FAILED, note=FAILURE)
        return Act(seconds=seconds, connection=job.task if role is Role.EXTRACT else "")


class Understudy:
    """A connector with the name, the operations and the options of another."""

    def __init__(self, connector: Connector, script: Script, now: Callable[[], datetime]) -> None:
        self.name: str = connector.name
        self.summary: str = connector.summary
        self.settings: type[Settings] = connector.settings
        self.operations: Mapping[str, Operation] = connector.operations
        self.route: type[Options] | None = connector.route
        self._connector = connector
        self._jobs = PlayedJobs(self.operations, script.act, now)

    def limits(self, settings: Any) -> Limits:
        """Return the other's."""
        return self._connector.limits(settings)

    @asynccontextmanager
    async def open(self, settings: Any, context: Context) -> AsyncIterator[object]:
        """Open nothing."""
        del settings, context
        yield Teller() if self.route is not None else self._jobs

    def sandbox(self, world: object) -> None:
        """Have no fake vendor: that is why this one is here."""
        del world


async def nobody(requests: int) -> None:
    """Count no requests: there is no account behind it."""
    del requests


class PlayedJobs:
    """`Jobs` that go as ``acts`` says and do nothing; ``knock`` hears how many requests each verb would have made."""

    def __init__(
        self,
        operations: Mapping[str, Operation],
        acts: Callable[[Job, Role], Act],
        now: Callable[[], datetime],
        *,
        knock: Callable[[int], Awaitable[None]] = nobody,
        pages: int = 1,
        landed: Callable[[str, str], Landing | None] = lambda _connection, _after: None,
        on_begun: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """``pages``: requests of one look; ``landed``: what has landed after a mark; ``on_begun`` hears how long."""
        self._operations = operations
        self._acts = acts
        self._now = now
        self._knock = knock
        self._pages = pages
        self._landed = landed
        self._on_begun = on_begun
        self._begun: dict[str, dict[str, Any]] = {}  # handles by key, of those that have not been seen to end
        self._stopped: set[str] = set()

    async def prepare(self, job: Job) -> Baseline:
        """Note nothing."""
        del job
        await self._knock(1)
        return {}

    async def start(self, job: Job, baseline: Baseline, key: str) -> Handle:
        """Begin, or join what was begun by this key."""
        del baseline
        await self._knock(1)
        if key in self._begun:
            return self._begun[key]
        act = self._acts(job, self._operations[job.operation].role)
        made = {
            "key": key,
            "ends": (self._now() + timedelta(seconds=act.seconds)).isoformat(timespec="microseconds"),
            "outcome": act.outcome.value,
            "note": act.note,
            "retryable": act.retryable,
            "connection": act.connection,
            "rows": act.rows,
            "after": act.after,
            **({"joined": True} if act.joined else {}),
        }
        self._on_begun(act.seconds)
        return self._begun.setdefault(key, made)

    async def poll(self, handles: Sequence[Handle]) -> Sequence[Answer]:
        """Say how far they are by now."""
        await self._knock(self._pages)
        return [self._look(handle) for handle in handles]

    async def find(self, job: Job, baseline: Baseline, key: str) -> Search:
        """Find what was begun."""
        del job, baseline
        await self._knock(1)
        return Found(handle=self._begun[key]) if key in self._begun else Absent()

    async def cancel(self, handle: Handle) -> None:
        """Let it stop."""
        await self._knock(1)
        self._stopped.add(handle["key"])

    def _look(self, handle: Handle) -> Answer:
        if handle["key"] in self._stopped:
            self._stopped.discard(handle["key"])
            return self._over(handle, Finished(outcome=Outcome.CANCELLED, note="stopped"))
        if handle["after"] is not None:
            landing = self._landed(handle["connection"], handle["after"])
            return Pending() if landing is None else self._over(handle, Finished(outcome=Outcome.OK, landing=landing))
        ends = datetime.fromisoformat(handle["ends"])
        if self._now() < ends:
            return Pending()
        outcome, landing = Outcome(handle["outcome"]), None
        if outcome is Outcome.OK and handle["connection"]:
            landing = Landing(connection=handle["connection"], mark=handle["ends"], ended_at=ends, rows=handle["rows"])
        end = Finished(outcome=outcome, note=handle["note"], retryable=handle["retryable"], landing=landing)
        return self._over(handle, end)

    def _over(self, handle: Handle, end: Finished) -> Finished:
        self._begun.pop(handle["key"], None)
        return end


@dataclass(slots=True)
class Teller:
    """A `Notifier` that tells nobody."""

    speaks: Speaks = Speaks.PLAIN
    promise: Promise = Promise.ONCE
    knock: Callable[[int], Awaitable[None]] = nobody

    async def deliver(self, message: Message, receipt: Receipt | None, key: str, *, doubt: bool) -> Receipt:
        """Tell nobody."""
        del message, key, doubt
        await self.knock(1)
        return receipt or {}
