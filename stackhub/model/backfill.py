"""A backfill: one run of a pipeline for each interval of a stretch of the past.

running ──▶ succeeded            every interval is done
   │  └───▶ failed ──▶ running    an interval has failed; the same request goes on with what is left
   └──▶ cancelling ──▶ cancelled ──▶ running
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from stackhub.model.pipeline import Mode
from stackhub.model.run import Interval, OpenRun, Run


class BackfillState(StrEnum):
    """Where a backfill stands."""

    RUNNING = "running"
    CANCELLING = "cancelling"  # its runs have been asked to end
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PartState(StrEnum):
    """Where one interval of it stands."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


GOING: Final = frozenset({BackfillState.RUNNING, BackfillState.CANCELLING})
LEFT: Final = frozenset({PartState.FAILED, PartState.CANCELLED})  # what the same request does again
RESYNC: Final = 0  # the part that loads everything anew, before all others


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """One backfill, as it was asked for."""

    id: str
    pipeline: str
    state: BackfillState = BackfillState.RUNNING
    version: int = 0
    start: datetime  # of the stretch, which is half-open; UTC
    end: datetime
    how: str  # "every 1d", "as scheduled: cron 0 6 * * * (Europe/Berlin)"
    parallel: int = 1
    newest_first: bool = False
    keep_going: bool = False  # begin further intervals although one has failed
    resync_first: bool = False
    extracts: bool = False  # run the extract tasks in every interval
    only: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # in place of the configured ones, by task
    by: str = ""
    created_at: datetime
    ended_at: datetime | None = None
    reason: str = ""  # why it ended as it did


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One interval of a backfill."""

    seq: int  # from 1, oldest first; `RESYNC` stands before them
    interval: Interval
    state: PartState = PartState.WAITING
    run: str = ""  # the newest run for it


def rivals(runs: Iterable[OpenRun], mode: Mode) -> list[Run]:
    """Return those of a pipeline's open runs that a new one of this mode may have to give way to.

    Those of backfills are in nobody's way. Neither do live runs and runs in shadow see each other.
    """
    return [one.run for one in runs if one.run.mode is mode and not backfill_of(one.run)]


def backfill_of(run: Run) -> str:
    """Return the backfill that a run belongs to, retries included; "" for any other run."""
    return str(run.origin.get("backfill", ""))


def key_of(backfill: Backfill) -> str:
    """Name the incident of a backfill."""
    return f"backfill:{backfill.id}"
