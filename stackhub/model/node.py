"""A node of a job that has an inner graph: a dbt model, test, seed, snapshot or source."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class NodeState(StrEnum):
    """Where a node stands. dbt's many words are brought down to what changes what we do."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    WARNED = "warned"  # counts as done
    FAILED = "failed"  # a model's error, a test's failure
    SKIPPED = "skipped"  # upstream of it failed: not built
    UNKNOWN = "unknown"  # a word nobody has heard of: never counts as done


DONE = frozenset({NodeState.SUCCEEDED, NodeState.WARNED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node as its tool last spoke of it."""

    id: str  # "model.shop.orders"
    name: str
    kind: str  # "model", "test", "seed", "snapshot", "source", ...
    state: NodeState
    status: str = ""  # the tool's own word
    message: str = ""  # the error's own words
    started_at: datetime | None = None
    seconds: float | None = None
    rows: int | None = None
    relation: str = ""
    owner: str = ""
    passing: bool | None = None  # of a failure: it may pass by itself, or trying again is no use; None: nobody can tell
