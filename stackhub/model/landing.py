"""A completed load of a connection, whoever started it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """One successful load. Vendor times are compared with vendor times only, never with our clock."""

    connection: str  # the vendor's id
    mark: str  # what the vendor knows this landing by: a timestamp, a job id; grows from landing to landing
    ended_at: datetime  # when the vendor says the load ended; aware, UTC
    rows: int | None = None
