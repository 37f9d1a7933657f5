"""Stands in for a connector that has no fake vendor: its jobs take the time that is said of them, and do nothing.

A rehearsal starts no dbt, no script and no shell. Whoever tells people by such a connector tells nobody, and is noted.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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


class Understudy:
    """A connector with the name, the operations and the options of another."""

    def __init__(self, connector: Connector, script: Script, now: Callable[[], datetime]) -> None:
        self.name: str = connector.name
        self.summary: str = connector.summary
        self.settings: type[Settings] = connector.settings
        self.operations: Mapping[str, Operation] = connector.operations
        self.route: type[Options] | None = connector.route
        self._connector = connector
        self._jobs = _Jobs(self.operations, script, now)

    def limits(self, settings: Any) -> Limits:
        """Return the other's."""
        return self._connector.limits(settings)

    @asynccontextmanager
    async def open(self, settings: Any, context: Context) -> AsyncIterator[object]:
        """Open nothing."""
        del settings, context
        yield _Teller() if self.route is not None else self._jobs

    def sandbox(self, world: object) -> None:
        """Have no fake vendor: that is why this one is here."""
        del world


class _Jobs:
    """`Jobs` of a script."""

    def __init__(self, operations: Mapping[str, Operation], script: Script, now: Callable[[], datetime]) -> None:
        self._operations = operations
        self._script = script
        self._now = now
        self._begun: dict[str, dict[str, Any]] = {}  # handles by key
        self._stopped: set[str] = set()

    async def prepare(self, job: Job) -> Baseline:
        del job
        return {}

    async def start(self, job: Job, baseline: Baseline, key: str) -> Handle:
        del baseline
        role = self._operations[job.operation].role
        ends = self._now() + self._script.lasts(job.task, role, job.timeout or timedelta.max)
        made = {"key": key, "task": job.task, "extract": role is Role.EXTRACT, "ends": ends.isoformat()}
        return self._begun.setdefault(key, made)

    async def poll(self, handles: Sequence[Handle]) -> Sequence[Answer]:
        return [self._look(handle) for handle in handles]

    async def find(self, job: Job, baseline: Baseline, key: str) -> Search:
        del job, baseline
        return Found(handle=self._begun[key]) if key in self._begun else Absent()

    async def cancel(self, handle: Handle) -> None:
        self._stopped.add(handle["key"])

    def _look(self, handle: Handle) -> Answer:
        ends = datetime.fromisoformat(handle["ends"])
        if handle["key"] in self._stopped:
            return Finished(outcome=Outcome.CANCELLED, note="stopped")
        if self._now() < ends:
            return Pending()
        if handle["task"] in self._script.fail:
            return Finished(outcome=Outcome.FAILED, note=FAILURE)
        landed = Landing(connection=handle["task"], mark=handle["ends"], ended_at=ends) if handle["extract"] else None
        return Finished(outcome=Outcome.OK, landing=landed)


class _Teller:
    """A `Notifier` that tells nobody."""

    speaks = Speaks.PLAIN
    promise = Promise.ONCE

    async def deliver(self, message: Message, receipt: Receipt | None, key: str, *, doubt: bool) -> Receipt:
        del message, key, doubt
        return receipt or {}
