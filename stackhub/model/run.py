"""A run: one execution of a pipeline, for one data interval.

    queued ──▶ running ──▶ succeeded · partial · failed · cancelled
       └──────────────────────────────────────────▶ cancelled

A run ends if and only if all its steps have. Its ``version`` grows with every decision about any of its steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from msgspec import field
from msgspec.structs import replace

from stackhub.model.pipeline import Mode, Pipeline
from stackhub.model.step import Step
from stackhub.model.value import Value


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


_R = RunState
RUN_MOVES: Final[Mapping[RunState, frozenset[RunState]]] = {
    _R.QUEUED: frozenset({_R.RUNNING, _R.CANCELLED}),
    _R.RUNNING: frozenset({_R.SUCCEEDED, _R.PARTIAL, _R.FAILED, _R.CANCELLED}),
    _R.SUCCEEDED: frozenset(),
    _R.PARTIAL: frozenset(),
    _R.FAILED: frozenset(),
    _R.CANCELLED: frozenset(),
}
RUN_OPEN: Final = frozenset({_R.QUEUED, _R.RUNNING})


class Trigger(StrEnum):
    """What a run came of."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    API = "api"
    PIPELINE = "pipeline"
    LANDED = "landed"
    FILE = "file"
    WEBHOOK = "webhook"
    RETRY = "retry"
    OWED = "owed"  # what an earlier run has left, now that its inputs have landed
    BACKFILL = "backfill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The half-open period of data [start, end) that a run stands for; aware, UTC."""

    start: datetime
    end: datetime


class Run(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One execution. Immutable: every change is a new Run from `move` or `dataclasses.replace`."""

    id: str
    pipeline: str
    trigger: Trigger
    interval: Interval
    state: RunState = RunState.QUEUED
    version: int = 0
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    tick: datetime | None = None  # the scheduled instant, where a schedule made it
    reason: str = ""  # in a person's words: "asked for by ada", "retry of 01J..."
    retry_of: str = ""
    mode: Mode = Mode.LIVE  # its pipeline's, as that was when the run began
    cancel_at: datetime | None = None  # when a person, or `overlap: cancel`, asked for its end
    cancel_reason: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)  # the upstream run, the request's idempotency key, ...

    def move(self, to: RunState, **changes: Any) -> Self:
        """Return this run in state ``to``.

        Raises:
            ValueError: `RUN_MOVES` has no such arrow; this is a bug, not a condition.
        """
        if to not in RUN_MOVES[self.state]:
            raise ValueError(f"run {self.id}: no move from {self.state} to {to}")
        return replace(self, state=to, **changes)


class OpenRun(Value, frozen=True, kw_only=True):
    """A run with all that a decision about it needs: the pipeline as it was when the run began, and every step."""

    run: Run
    pipeline: Pipeline
    steps: Mapping[str, Step]  # by task, in the pipeline's order
