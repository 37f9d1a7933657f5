"""A completed load of a connection, whoever started it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """One successful load. Vendor times are compared with vendor times only, never with our clock."""

    connection: str  # the vendor's id
    mark: str  # what the vendor knows this landing by: a timestamp, a job id; grows from landing to landing
    ended_at: datetime  # when the vendor says the load ended; aware, UTC
    rows: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what the store keeps."""
        return {
            "connection": self.connection,
            "mark": self.mark,
            "ended_at": self.ended_at.isoformat(),
            "rows": self.rows,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            connection=data["connection"],
            mark=data["mark"],
            ended_at=datetime.fromisoformat(data["ended_at"]),
            rows=data["rows"],
        )
