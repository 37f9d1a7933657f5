"""What is committed together: rows for known statements, and the lanes that must still be ours.

Statements run in the order they are declared here, each once for all rows of a group of transactions. ``exactly``
statements must touch one row for each given: a row that does not is a conflict, and only its transaction fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

import sqlalchemy as sa

from stackhub.errors import StackhubError, StaleRun
from stackhub.store import tables as t


@dataclass(frozen=True, slots=True)
class Shape:
    """What a statement does, where it may be said once for many rows: no two of them touch the same row unnoticed."""

    table: sa.Table
    changed: tuple[str, ...]
    keys: tuple[str, ...] = ()  # by which rows are found; none: they are new
    names: tuple[str, ...] = ()  # of the values in a row: those of ``changed``, then those of ``keys``


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One prepared statement. ``conflict`` is raised where it touches fewer rows than it was given."""

    rank: int
    sql: sa.Insert | sa.Update | sa.TextClause
    conflict: type[StackhubError] | None = None
    shape: Shape | None = None


class Op(NamedTuple):
    """One row for one statement."""

    statement: Statement
    row: Mapping[str, Any]


@dataclass(slots=True)
class Transaction:
    """Rows that are committed together; ``lanes`` are the epochs under which they may be."""

    ops: list[Op] = field(default_factory=list)
    lanes: dict[str, int] = field(default_factory=dict)

    def add(self, *ops: Op) -> Self:
        """Add rows."""
        self.ops.extend(ops)
        return self


_ranks = iter(range(1000))


def _insert(table: sa.Table, conflict: type[StackhubError] | None = StaleRun) -> Statement:
    names = tuple(column.name for column in table.columns if column.autoincrement is not True)
    return Statement(next(_ranks), sa.insert(table).inline(), conflict, Shape(table, names, names=names))


def _update(table: sa.Table, where: tuple[str, ...], columns: tuple[str, ...], *, exactly: bool = True) -> Statement:
    condition = sa.and_(*(table.c[name] == sa.bindparam(f"b_{name}") for name in where))
    changes: dict[str, Any] = {name: sa.bindparam(f"n_{name}") for name in columns}
    sql = sa.update(table).where(condition).values(changes)
    if not exactly:  # of two rows for one key the last counts, so they are carried out one by one
        return Statement(next(_ranks), sql)
    names = (*(f"n_{name}" for name in columns), *(f"b_{name}" for name in where))
    return Statement(next(_ranks), sql, StaleRun, Shape(table, columns, where, names))


def _text(sql: str) -> Statement:
    return Statement(next(_ranks), sa.text(sql))


def _upsert(table: sa.Table, key: tuple[str, ...]) -> Statement:
    names = [column.name for column in table.columns]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key)
    action = f"UPDATE SET {changes}" if changes else "NOTHING"
    return _conflict(table, key, action)


def _keep_first(table: sa.Table, key: tuple[str, ...]) -> Statement:
    return _conflict(table, key, "NOTHING")


def _conflict(table: sa.Table, key: tuple[str, ...], action: str) -> Statement:
    names = [column.name for column in table.columns]
    quoted = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(f":{name}" for name in names)
    sql = f'INSERT INTO "{table.name}" ({quoted}) VALUES ({values}) ON CONFLICT ({", ".join(key)}) DO {action}'  # noqa: S608
    return _text(sql)


# In the order in which they run. What may conflict comes first: less is undone.
RUN_MOVED: Final = _update(t.run, ("id", "version"), ("state", "version", "ended_at", "data"))
RUN_STANDS: Final = _update(t.run, ("id", "version"), ("version",))  # which stays: it has not moved meanwhile
TURN: Final = _update(t.pipeline, ("name", "turn"), ("turn",))
SCHEDULE_MOVED: Final = _update(t.schedule, ("pipeline", "spec", "next_at"), ("next_at",))
INCIDENT_MOVED: Final = _update(t.incident, ("id", "version"), ("version", "resolved_at", "data"))
INCIDENT_OPENED: Final = _insert(t.incident)
BACKFILL: Final = _insert(t.backfill)
BACKFILL_MOVED: Final = _update(t.backfill, ("id", "version"), ("state", "version", "ended_at", "data"))
PART: Final = _insert(t.backfill_part)
PART_BEGUN: Final = _update(t.backfill_part, ("backfill", "seq", "state"), ("state", "run"))
TICK: Final = _insert(t.tick)
HOOK: Final = _insert(t.hook)
FILES_TURN: Final = _update(t.filed, ("pipeline", "trigger", "path", "mark"), ("mark",))
FILED: Final = _upsert(t.filed, ("pipeline", "trigger", "path"))
FILE_GONE: Final = _text("DELETE FROM filed WHERE pipeline = :pipeline AND trigger = :trigger AND path = :path")
TICK_DECIDED: Final = _update(t.tick, ("pipeline", "spec", "at", "verdict"), ("verdict", "reason", "run"))
TICK_TOLD: Final = _update(t.tick, ("pipeline", "spec", "at", "verdict"), ("reason", "until"))
SNAPSHOT: Final = _keep_first(t.snapshot, ("hash",))
RUN: Final = _insert(t.run)
STEP: Final = _insert(t.step)
STEP_MOVED: Final = _update(t.step, ("run", "task"), ("state", "began_at", "ended_at", "data"))
NODE: Final = _upsert(t.node, ("run", "task", "id"))
LANDING: Final = _keep_first(t.landing, ("instance", "connection", "mark"))
CONNECTION: Final = _upsert(t.connection, ("instance", "id"))
CONNECTION_GONE: Final = _text("DELETE FROM connection WHERE instance = :instance AND id = :id")
CONSUMED: Final = _upsert(t.consumed, ("pipeline", "task", "instance", "connection"))
MARK_BASED: Final = _text(  # in force from now on; of two looks the first counts
    "UPDATE watermark SET connection = :connection, mark = :mark, ended_at = :ended_at"
    " WHERE instance = :instance AND name = :name AND connection IS NULL"
)
MARK_MOVED: Final = _text(  # the name means another connection now, all of whose landings are news
    "UPDATE watermark SET connection = :connection, mark = '', ended_at = 0"
    " WHERE instance = :instance AND name = :name AND connection = :was"
)
MARK_TAKEN: Final = _update(
    t.watermark, ("pipeline", "trigger", "instance", "name", "connection", "mark"), ("mark", "ended_at", "run")
)
MARK_OWN: Final = _text(  # what a run of the pipeline itself has brought in is no news to it
    "UPDATE watermark SET mark = :mark, ended_at = :ended_at, run = :run"
    " WHERE pipeline = :pipeline AND instance = :instance AND connection = :connection AND ended_at < :ended_at"
)
DURATION: Final = _upsert(t.duration, ("instance", "key"))
PART_ENDED: Final = _update(
    t.backfill_part, ("backfill", "seq"), ("state", "run"), exactly=False
)  # it may be forgotten
EVENT: Final = _insert(t.event, None)
DEADLINE: Final = _keep_first(t.deadline, ("id",))
DEADLINE_MOVED: Final = _update(t.deadline, ("id", "at"), ("state",))  # not one that was put off meanwhile
DEADLINE_PUT_OFF: Final = _text("UPDATE deadline SET at = :at WHERE id = :id AND state = 'open'")
OUTBOX_SUPERSEDED: Final = _text(  # not one that may have been sent: what it raised must be taken back in order
    "UPDATE outbox SET state = 'superseded' WHERE incident = :incident AND route = :route AND part = 'root'"
    " AND state = 'pending' AND doubt = 0"
)
OUTBOX: Final = _insert(t.outbox)
OUTBOX_MOVED: Final = _update(
    t.outbox, ("id",), ("state", "due", "attempts", "doubt", "error", "sent_at"), exactly=False
)
OUTBOX_SENDING: Final = _update(t.outbox, ("id", "state"), ("attempts", "doubt"))
RECEIPT: Final = _upsert(t.receipt, ("incident", "route"))
MUTE_ENDED: Final = _text(
    "UPDATE mute SET ended_at = :ended_at, ended_by = :ended_by WHERE id = :id AND ended_at IS NULL"
)
MUTE: Final = _insert(t.mute)
INFERENCE: Final = _upsert(t.inference, ("pipeline", "task"))
PROJECT: Final = _upsert(t.project, ("instance",))
OWED: Final = _upsert(t.owed, ("pipeline", "task", "node", "extract", "since"))
COMMAND: Final = _insert(t.command)
COMMAND_DONE: Final = _update(t.command, ("id",), ("done_at", "result", "error"), exactly=False)
LANE: Final = _keep_first(t.lane, ("instance",))
LANE_RESTS: Final = _update(t.lane, ("instance",), ("not_before",), exactly=False)
LANE_CIRCUIT: Final = _update(t.lane, ("instance",), ("circuit",), exactly=False)
META: Final = _upsert(t.meta, ("key",))
TELL: Final = _text("SELECT pg_notify('stackhub', :name)")  # PostgreSQL: to other hubs, once it is committed
