"""A mute: for a while nobody is told of what happens to one incident's key; it is kept all the same."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """One mute. In force until its time has come, or somebody ends it. Immutable."""

    id: str
    key: str  # of what is muted: "pipeline:shop", "instance:fivetran", "connection:fivetran/warm_tank"
    until: datetime
    reason: str
    by: str
    since: datetime
    ended_at: datetime | None = None
    ended_by: str = ""  # "" where its time had come
