"""A connection as Fivetran's list shows it, brought down to what is decided by.

Source: the connection object of https://fivetran.com/docs/rest-api/api-reference/connections (read 2026-11). It knows
no id of a running sync and no time of its start: all it says of syncs is when the last good and the last bad one
ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from stackhub.contract import Landing

NEVER: Final = datetime.min.replace(tzinfo=UTC)  # a null timestamp: older than all others
WORDS: Final = 500  # characters of Fivetran's own words that are kept in a note


def moment(text: str | None) -> datetime:
    """Read one of Fivetran's timestamps ("2026-01-01T06:00:00.123456Z"); null is `NEVER`.

    Raises:
        ValueError: it is no timestamp.
    """
    if not text:
        return NEVER
    then = datetime.fromisoformat(text)
    return then if then.tzinfo else then.replace(tzinfo=UTC)


class Odd(ValueError):
    """Fivetran said something that its documentation does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One connection, now."""

    id: str
    name: str  # Fivetran's `schema`
    service: str
    group: str  # the destination's id as well
    paused: bool
    manual: bool  # Fivetran starts nothing by itself, not even what it has put off
    setup_state: str
    blocked: bool  # its schema waits for a person
    sync_state: str
    historical: bool  # a sync of everything is due or going on
    succeeded: datetime
    failed: datetime
    succeeded_at: str | None  # as given
    failed_at: str | None
    rescheduled_for: datetime | None
    frequency: int | None  # minutes
    daily_at: str  # "14:00", UTC; "" for a connection that is not daily
    words: str  # what Fivetran asks a person to do

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Read one item of the list.

        Raises:
            Odd: it is not what Fivetran documents; the text says what is wrong with it.
        """
        status = data.get("status")
        if not isinstance(data.get("id"), str) or not isinstance(status, Mapping):
            raise Odd("a connection without id or status")
        if not isinstance(sync_state := status.get("sync_state"), str):
            raise Odd(f"sync_state {sync_state!r}")
        later = _stamp(status, "rescheduled_for")
        frequency = data.get("sync_frequency")
        return cls(
            id=data["id"],
            name=str(data.get("schema") or data["id"]),
            service=str(data.get("service") or ""),
            group=str(data.get("group_id") or ""),
            paused=data.get("paused") is True or sync_state == "paused",
            manual=data.get("schedule_type") == "manual",
            setup_state=str(status.get("setup_state") or "").lower(),
            blocked=str(status.get("schema_status") or "").lower().startswith("blocked"),
            sync_state=sync_state,
            historical=status.get("is_historical_sync") is True,
            succeeded=_stamp(data, "succeeded_at"),
            failed=_stamp(data, "failed_at"),
            succeeded_at=data.get("succeeded_at"),
            failed_at=data.get("failed_at"),
            rescheduled_for=None if later == NEVER else later,
            frequency=frequency if isinstance(frequency, int) else None,
            daily_at=str(data.get("daily_sync_time") or ""),
            words=_words(status),
        )

    @property
    def landing(self) -> Landing | None:
        """Return its last good sync."""
        if self.succeeded == NEVER:
            return None
        return Landing(connection=self.id, mark=str(self.succeeded_at), ended_at=self.succeeded)

    @property
    def url(self) -> str:
        """Return the page of the connection in Fivetran's dashboard."""
        return f"https://fivetran.com/dashboard/connectors/{self.id}/status"


def _stamp(data: Mapping[str, Any], name: str) -> datetime:
    text = data.get(name)
    try:
        return moment(text)
    except (TypeError, ValueError):
        raise Odd(f"{name} {text!r}") from None


def _words(status: Mapping[str, Any]) -> str:
    lists = [status.get("tasks"), status.get("warnings")]
    alerts = [alert for alerts in lists if isinstance(alerts, list) for alert in alerts if isinstance(alert, Mapping)]
    words = [str(alert.get("message") or alert.get("code") or "") for alert in alerts]
    return "; ".join(filter(None, words))[:WORDS]
