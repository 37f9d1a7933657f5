"""How the jobs of a fake Airbyte go: each status is computed from the clock and from what the script wants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from stackhub.contract.sandbox import Ends, Feed, Turn
from stackhub_airbyte.answers import ENDED

PAUSE: Final = 0.1  # of a job's length: how long it is pending


@dataclass(slots=True, kw_only=True)
class PlayedJob:
    """One job. ``phases`` are (seconds after its creation, status), in order."""

    id: int
    feed: Feed
    kind: str
    created_at: datetime  # to the second, as Airbyte keeps its times
    began: datetime
    phases: tuple[tuple[float, str], ...]
    reason: str = ""
    cancelled_at: datetime | None = None
    said: str = ""  # a status that stands in for the true one
    settled: bool = False
    rows: int = 0

    def status(self, now: datetime) -> str:
        """Return Airbyte's word for how it stands."""
        if self.said:
            return self.said
        if self.cancelled_at is not None:
            return "cancelled"
        elapsed = max((now - self.began).total_seconds(), 0.0)
        return [word for at, word in self.phases if at <= elapsed][-1]

    def ends_at(self) -> datetime | None:
        """Return when it has ended or will; None when it never does."""
        at, word = self.phases[-1]
        return self.cancelled_at or (self.began + timedelta(seconds=at) if word in ENDED else None)

    def body(self, now: datetime) -> dict[str, Any]:
        """Return the public API's body."""
        status = self.status(now)
        updated = now
        if status in ENDED:
            updated = min(self.ends_at() or now, now)
        took = max(int((updated - self.began).total_seconds()), 0)
        return {
            "jobId": self.id,
            "status": status,
            "jobType": self.kind,
            "startTime": java_time(self.created_at),
            "connectionId": self.feed.id,
            "lastUpdatedAt": java_time(updated) if status in ENDED else None,
            "duration": None if status == "pending" else java_duration(took),
            "bytesSynced": self.rows * 100,
            "rowsSynced": self.rows,
        }

    def full_body(self, now: datetime) -> dict[str, Any]:
        """Return the Config API's body, with the reason of a failure."""
        status = self.status(now)
        failure = {
            "failureOrigin": "source",
            "failureType": "system_error",
            "externalMessage": self.reason or "Something went wrong in the connector.",
            "internalMessage": "java.lang.RuntimeException",
        }
        summary = {"failures": [failure], "partialSuccess": False} if status == "failed" else None
        return {
            "job": {"id": self.id, "configType": self.kind, "configId": self.feed.id, "status": status},
            "attempts": [{"attempt": {"id": 0, "status": status, "failureSummary": summary}}],
        }


@dataclass(slots=True)
class Script:
    """What the next jobs of each feed do."""

    turns: dict[str, list[Turn]] = field(default_factory=dict)
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def phases(self, feed: Feed) -> tuple[tuple[tuple[float, str], ...], str]:
        """Take the next turn of a feed: its phases, and the reason of a bad end."""
        turns = self.turns.get(feed.id) or []
        turn = turns.pop(0) if turns else Turn()
        seconds = feed.seconds if turn.seconds is None else turn.seconds
        words = self.words.pop(feed.id, None)
        if words is not None:
            step = seconds / max(len(words) - 1, 1)
            return tuple((number * step, word) for number, word in enumerate(words)), turn.reason
        return _phases(turn.ends, seconds), turn.reason


def _phases(ends: Ends, seconds: float) -> tuple[tuple[float, str], ...]:
    begins = ((0.0, "pending"), (PAUSE * seconds, "running"))
    match ends:
        case Ends.WELL:
            return (*begins, (seconds, "succeeded"))
        case Ends.BADLY:  # as Airbyte fails: not before it has tried again
            return (*begins, (0.5 * seconds, "incomplete"), (0.6 * seconds, "running"), (seconds, "failed"))
        case Ends.CANCELLED:
            return (*begins, (seconds, "cancelled"))
        case Ends.RESCHEDULED:  # it waits for capacity as long as it then runs
            return ((0.0, "pending"), (PAUSE * seconds, "queued"), (seconds, "running"), (2 * seconds, "succeeded"))
        case Ends.NEVER:
            return begins


def notification(job: PlayedJob, workspace: str, now: datetime) -> dict[str, Any]:
    """Return the body of the notification that Airbyte sends at the end of a job."""
    well = job.status(now) == "succeeded"
    ended = job.ends_at() or now
    return {
        "text": f"Sync {'completed' if well else 'failed'}: {job.feed.name}",
        "data": {
            "workspace": {"id": workspace, "name": "Sandbox", "url": ""},
            "connection": {"id": job.feed.id, "name": job.feed.name, "url": ""},
            "jobId": job.id,
            "startedAt": job.began.isoformat(),
            "finishedAt": ended.isoformat(),
            "recordsCommitted": job.rows,
            "success": well,
            "errorMessage": None if well else job.reason or "Something went wrong in the connector.",
            "errorType": None if well else "system_error",
            "errorOrigin": None if well else "source",
        },
    }


def connection_body(feed: Feed, workspace: str, state: Mapping[str, str]) -> dict[str, Any]:
    """Return the public API's body of a connection; ``state`` holds its status and cron line, where it has any."""
    cron = state.get("cron")
    return {
        "connectionId": feed.id,
        "name": feed.name,
        "sourceId": f"source-of-{feed.id}",
        "destinationId": f"{feed.database}-destination",
        "workspaceId": workspace,
        "status": state.get("status", "active"),
        "schedule": {"scheduleType": "cron", "cronExpression": cron} if cron else {"scheduleType": "manual"},
        "namespaceDefinition": "custom_format",
        "namespaceFormat": feed.schema,
        "prefix": "",
        "configurations": {"streams": [{"name": table, "syncMode": "incremental_append"} for table in feed.tables]},
        "createdAt": 1_767_225_600,
        "tags": [],
    }


def full_connection_body(feed: Feed, workspace: str, state: Mapping[str, str]) -> dict[str, Any]:
    """Return the Config API's body of a connection."""
    body = connection_body(feed, workspace, state)
    streams = body.pop("configurations")["streams"]
    listed = [{"stream": {"name": stream["name"]}, "config": {"selected": True}} for stream in streams]
    return {**body, "namespaceDefinition": "customformat", "syncCatalog": {"streams": listed}}


def destination_bodies(feeds: Sequence[Feed], workspace: str) -> list[dict[str, Any]]:
    """Return the destinations that the feeds load into, one for each database."""
    return [
        {
            "destinationId": f"{database}-destination",
            "name": database,
            "destinationType": "duckdb",
            "workspaceId": workspace,
            "configuration": {"database": database, "schema": "main", "password": "**********"},
        }
        for database in sorted({feed.database for feed in feeds})
    ]


def java_time(value: datetime) -> str:
    """Write a time as `OffsetDateTime.toString` does: no seconds when they are zero."""
    utc = value.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%SZ" if utc.second else "%Y-%m-%dT%H:%MZ")


def java_duration(seconds: int) -> str:
    """Write a duration as `Duration.toString` does: hours, minutes, seconds, without zeros."""
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    parts = "".join(f"{amount}{unit}" for amount, unit in ((hours, "H"), (minutes, "M"), (rest, "S")) if amount)
    return f"PT{parts or '0S'}"
