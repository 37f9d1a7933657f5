"""What Airbyte's words mean: its jobs, its times, its conflicts. Pure.

Statuses: `JobStatus` of airbyte-platform (read 2026-11). ``incomplete`` is no end: an attempt failed and Airbyte tries
again. ``queued`` came in 2026 and broke every client with a closed list, so what is unknown here is `Unknown`, never
an end. A failed job may have loaded part of its data.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any, Final

from stackhub.contract import Answer, Deferred, Finished, Json, Landing, Outcome, Pending, Progress, Unknown

ENDED: Final = frozenset({"succeeded", "failed", "cancelled"})
LOADS: Final = frozenset({"sync", "refresh"})  # kinds of job whose success is a landing; a clear takes data away
SAME: Final[Mapping[str, frozenset[str]]] = {
    "sync": frozenset({"sync"}),
    "clear": frozenset({"clear", "reset"}),  # one handler serves both, and answers with either word
    "refresh": frozenset({"refresh"}),
}
"""The words for a kind of job in Airbyte's answers."""

_DURATION: Final = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One job as Airbyte lists it; times are Airbyte's own, to the second."""

    id: int  # grows over the whole installation
    kind: str  # "sync", "reset", "refresh", "clear"; "" where an older server leaves it out
    status: str
    connection: str
    created_at: datetime | None  # when it was queued, whatever the field is called
    ended_at: datetime | None
    rows: int | None  # committed so far

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it; a status nobody has heard of is no end."""
        return self.status in ENDED


class Conflict(Enum):
    """What a 409 to a start says."""

    RUNNING = auto()  # something of this connection is going
    REFUSED = auto()  # locked, deleted, not in a state for it


def moment(value: Json) -> datetime | None:
    """Read a time as Java writes it: seconds are left out when they are zero (``2026-06-01T10:00Z``)."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def duration(value: Json) -> timedelta | None:
    """Read an ISO 8601 duration: ``PT1M33S``, ``PT26H3M``."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        return timedelta(**{unit: float(number) for unit, number in found.groupdict().items() if number is not None})
    except OverflowError:
        return None


def number(value: Json) -> int | None:
    """Read an id or a count, which some servers write as text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def row(body: Json) -> Row | None:
    """Read one job; None when it is none. The documents' examples say ``id``, servers say ``jobId``."""
    if not isinstance(body, dict) or (job := number(body.get("jobId"))) is None:
        return None
    created, took = moment(body.get("startTime")), duration(body.get("duration"))
    ended = moment(body.get("lastUpdatedAt"))
    if ended is None and created is not None and took is not None:
        ended = created + took
    return Row(
        id=job,
        kind=str(body.get("jobType") or ""),
        status=str(body.get("status") or ""),
        connection=str(body.get("connectionId") or ""),
        created_at=created,
        ended_at=ended,
        rows=number(body.get("rowsSynced")),
    )


def landing(job: Row) -> Landing | None:
    """Return what a successful job brought in; None when it brought nothing, or Airbyte names no time for it."""
    ended = job.ended_at or job.created_at
    if job.status != "succeeded" or ended is None:
        return None
    return Landing(connection=job.connection, mark=str(job.id), ended_at=ended, rows=job.rows)


def answer(job: Row, kind: str) -> Answer:
    """Say how a job of this kind (`SAME`'s keys) stands."""
    match job.status:
        case "pending":
            return Pending(note="created, not yet running")
        case "queued":
            return Deferred(note="queued: Airbyte waits for free capacity")
        case "running":
            return Pending(progress=_progress(job))
        case "incomplete":
            return Pending(note="an attempt failed, Airbyte retries", progress=_progress(job))
        case "succeeded" if kind not in LOADS:
            return Finished(outcome=Outcome.OK, result={"job": job.id})
        case "succeeded" if (landed := landing(job)) is not None:
            return Finished(outcome=Outcome.OK, landing=landed, result={"job": job.id, "rows": job.rows})
        case "succeeded":
            return Unknown(raw="succeeded, at no time")
        case "failed":
            note = f"job {job.id} failed after all of Airbyte's attempts; Airbyte's page of the connection says why"
            return Finished(outcome=Outcome.FAILED, note=note, result={"job": job.id, "rows": job.rows})
        case "cancelled":
            return Finished(outcome=Outcome.CANCELLED, note=f"job {job.id} was cancelled at Airbyte")
        case other:
            return Unknown(raw=other)


def _progress(job: Row) -> Progress | None:
    return Progress(done=job.rows, text="rows") if job.rows else None


def conflict(raw: bytes) -> Conflict:
    """Read a 409 to a start, in the public API's shape (a problem) or the Config API's (a message).

    One class of error stands for *already running* and for a deleted connection, so the words decide.
    """
    body = _json(raw)
    said = f"{_text(_dict(body, 'data'), 'message')} {_text(body, 'message')} {_text(body, 'detail')}".lower()
    if "already running" in said:
        return Conflict.RUNNING
    if "try-again-later" in f"{_text(body, 'type')} {_text(body, 'title')}" and "deleted" not in said:
        return Conflict.RUNNING
    return Conflict.REFUSED


def words(raw: str | bytes) -> str:
    """Return what a refusal says to people: its message stands at the far end of a long body; "" when it has none."""
    body = _json(raw)
    said = _text(_dict(body, "data"), "message") or _text(body, "message") or _text(body, "detail")
    title = _text(body, "title")
    return f"{title}: {said}" if title and said else said or title


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a job failed, as its last attempt says."""

    text: str
    retryable: bool  # a `config_error` needs a person


def reason(body: Json) -> Reason | None:
    """Read the failure of a job from the Config API's ``jobs/get_without_logs``; None when it names none."""
    for attempt in reversed(_list(body, "attempts")):
        summary = _dict(_dict(attempt, "attempt"), "failureSummary")
        for failure in _list(summary, "failures"):
            words = _text(failure, "externalMessage") or _text(failure, "internalMessage")
            if words:
                origin, kind = _text(failure, "failureOrigin"), _text(failure, "failureType")
                part = " (part of the data was loaded)" if summary.get("partialSuccess") is True else ""
                return Reason(
                    text=f"{origin}: {words}{part}" if origin else f"{words}{part}",
                    retryable=kind != "config_error",
                )
    return None


def _json(raw: str | bytes) -> Json:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _list(body: Json, key: str) -> list[Any]:
    found = body.get(key) if isinstance(body, dict) else None
    return found if isinstance(found, list) else []


def _dict(body: Json, key: str) -> dict[str, Any]:
    found = body.get(key) if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def _text(body: Json, key: str) -> str:
    found = body.get(key) if isinstance(body, dict) else None
    return found if isinstance(found, str) else ""
