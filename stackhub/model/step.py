"""A step: one task inside one run, and the only ways it may move.

    waiting ──▶ ready ──▶ starting ──▶ running ◀──▶ deferred
       │         │ ▲         │  │        │ │           │
       │         │ └─────────┘  │        │ └─▶ ready ◀─┘      start again: rescheduled, or a newer load is wanted
       │         │   absent     ▼        ▼
       │         │           retrying ──▶ ready | running     running: the attempt before let the job go
       ▼         ▼              ▼               of a run in shadow, what would be started is succeeded at once
    upstream_failed · skipped · cancelled · failed · partial · succeeded      terminal: nothing moves from here

STARTING is kept *before* the vendor is called and RUNNING after it has answered, so a hub that dies in between leaves
a trace of what it was about to do. A step that started is looked for before it is started again.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self

from msgspec import field
from msgspec.structs import replace

from stackhub.model.landing import Landing
from stackhub.model.value import Value


class StepState(StrEnum):
    """Where a step stands."""

    WAITING = "waiting"  # for what it needs
    READY = "ready"  # to be started, not before `due`
    STARTING = "starting"  # the call is about to be made, under way, or had no answer
    RUNNING = "running"  # the vendor has the job; `handle` says how to ask after it
    DEFERRED = "deferred"  # the vendor has put it off
    RETRYING = "retrying"  # failed, to be tried again at `due`
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"  # done but for what it owes
    FAILED = "failed"
    UPSTREAM_FAILED = "upstream_failed"
    SKIPPED = "skipped"  # a person or a rule said: go on without it
    CANCELLED = "cancelled"


_S = StepState
MOVES: Final[Mapping[StepState, frozenset[StepState]]] = {
    _S.WAITING: frozenset({_S.READY, _S.UPSTREAM_FAILED, _S.SKIPPED, _S.CANCELLED}),
    _S.READY: frozenset({_S.READY, _S.STARTING, _S.SUCCEEDED, _S.PARTIAL, _S.FAILED, _S.SKIPPED, _S.CANCELLED}),
    _S.STARTING: frozenset(
        {_S.STARTING, _S.READY, _S.RUNNING, _S.RETRYING, _S.SUCCEEDED, _S.PARTIAL, _S.FAILED, _S.SKIPPED, _S.CANCELLED}
    ),
    _S.RUNNING: frozenset(
        {
            _S.RUNNING,
            _S.DEFERRED,
            _S.READY,
            _S.RETRYING,
            _S.SUCCEEDED,
            _S.PARTIAL,
            _S.FAILED,
            _S.SKIPPED,
            _S.CANCELLED,
        }
    ),
    _S.DEFERRED: frozenset(
        {
            _S.DEFERRED,
            _S.RUNNING,
            _S.READY,
            _S.RETRYING,
            _S.SUCCEEDED,
            _S.PARTIAL,
            _S.FAILED,
            _S.SKIPPED,
            _S.CANCELLED,
        }
    ),
    _S.RETRYING: frozenset({_S.RETRYING, _S.READY, _S.RUNNING, _S.FAILED, _S.SKIPPED, _S.CANCELLED}),
    _S.SUCCEEDED: frozenset(),
    _S.PARTIAL: frozenset(),
    _S.FAILED: frozenset(),
    _S.UPSTREAM_FAILED: frozenset(),
    _S.SKIPPED: frozenset(),
    _S.CANCELLED: frozenset(),
}
TERMINAL: Final = frozenset(state for state, moves in MOVES.items() if not moves)
OPEN: Final = frozenset(StepState) - TERMINAL
DONE: Final = frozenset({_S.SUCCEEDED, _S.PARTIAL, _S.SKIPPED})  # lets what needs it go on
AT_WORK: Final = frozenset({_S.STARTING, _S.RUNNING, _S.DEFERRED})  # the vendor has, or may have, a job


class Stop(StrEnum):
    """Why a step that is at work is being ended by us; what it becomes when its job has ended."""

    NO = ""
    CANCEL = "cancel"
    TIMEOUT = "timeout"
    SKIP = "skip"


class Step(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One task of one run. Immutable: every change is a new Step from `move`."""

    run: str
    task: str
    instance: str
    state: StepState = StepState.WAITING
    attempt: int = 1  # the try this is, from 1
    serial: int = 1  # grows when a job is known to have ended: names the job, not the try
    due: datetime | None = None  # READY: not before; STARTING: look for it then; DEFERRED, RETRYING: see `state`
    baseline: Mapping[str, Any] | None = None
    handle: Mapping[str, Any] | None = None
    call_deadline: datetime | None = None  # the start call cannot be under way after this
    began_at: datetime | None = None  # when the hub first tried to start it
    attempt_at: datetime | None = None  # the committed start of this attempt; its timeout counts from here
    stalled_at: datetime | None = None  # since when starts could not reach the vendor, in this attempt
    deferred_at: datetime | None = None
    deferred_for: timedelta = timedelta()  # in this attempt, before `deferred_at`
    ended_at: datetime | None = None
    again: bool = False  # DEFERRED: the vendor will not resume by itself
    stalls: int = 0  # starts in a row that could not reach the vendor
    odd_since: datetime | None = None  # since when the vendor's answers make no sense, or there are none
    lost_sight: bool = False
    stop: Stop = Stop.NO
    stop_at: datetime | None = None  # when it was asked to stop
    stop_tries: int = 0
    note: str = ""  # the last thing worth telling a person
    error: str = ""  # of the last failed attempt, in the vendor's words
    warning: str = ""
    may_have_run: bool = False  # a start had no answer and nobody can tell
    done: int | None = None  # progress, in the job's own units
    total: int | None = None
    landing: Landing | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()  # extracts that had not landed when a part was begun without them
    carried: str = ""  # the run this result was carried over from

    @property
    def key(self) -> str:
        """Name the job: the same while one may exist, another once it is known to have ended."""
        return f"{self.run}.{self.task}.{self.serial}"

    @property
    def joined(self) -> bool:
        """Whether somebody else started the job."""
        return bool(self.handle and self.handle.get("joined"))

    def move(self, to: StepState, **changes: Any) -> Self:
        """Return this step in state ``to``.

        Raises:
            ValueError: `MOVES` has no such arrow; this is a bug, not a condition.
        """
        if to not in MOVES[self.state]:
            raise ValueError(f"step {self.run}.{self.task}: no move from {self.state} to {to}")
        return replace(self, state=to, **changes)
