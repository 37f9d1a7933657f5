"""What is asked of the store. Each function reads within one transaction; none changes anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from stackhub.decide.history import task_key
from stackhub.errors import StoreUnusable
from stackhub.model.codec import load
from stackhub.model.incident import Incident
from stackhub.model.node import Node
from stackhub.model.pipeline import Mode, Pipeline
from stackhub.model.run import OpenRun, Run
from stackhub.model.step import Step
from stackhub.store import tables as t
from stackhub.store.tables import instant, maybe_instant, micros

OPEN_RUN = sa.text("run.state IN ('queued', 'running')")
LIVE = ~t.run.c.data.contains('"mode":"shadow"', autoescape=True)  # text of a person's has its quotes escaped
MANY = 400  # parameters in one IN list

# Made once, since hubs ask these at every look: making such a query anew takes longer than the database does to answer.
_OPEN_RUNS: Final = sa.select(t.run).where(OPEN_RUN)
_RUN: Final = sa.select(t.run).where(t.run.c.id == sa.bindparam("which"))
_VERSIONS: Final = sa.select(t.run.c.id, t.run.c.version).where(OPEN_RUN)
_SNAPSHOTS: Final = sa.select(t.snapshot).where(t.snapshot.c.hash.in_(sa.bindparam("hashes", expanding=True)))
_STEPS: Final = sa.select(t.step.c.run, t.step.c.data).where(t.step.c.run.in_(sa.bindparam("runs", expanding=True)))
_PIPELINES: Final = sa.select(t.pipeline, t.snapshot.c.definition).join(
    t.snapshot, t.snapshot.c.hash == t.pipeline.c.snapshot
)
_OPEN_INCIDENTS: Final = sa.select(t.incident.c.data).where(t.incident.c.resolved_at.is_(None))
_TURNS: Final = sa.select(t.pipeline.c.name, t.pipeline.c.turn)
_SCHEMA: Final = sa.select(t.schema.c.oldest_reader, t.schema.c.written_by)
_CONSUMED: Final = sa.select(t.consumed.c.connection, t.consumed.c.mark).where(
    t.consumed.c.pipeline == sa.bindparam("pipeline"),
    t.consumed.c.task == sa.bindparam("task"),
    t.consumed.c.instance == sa.bindparam("instance"),
)
_DURATIONS: Final = sa.select(t.duration.c.key, t.duration.c.data).where(
    t.duration.c.instance == sa.bindparam("instance")
)
_HISTORIES: Final = _DURATIONS.where(t.duration.c.key.in_(sa.bindparam("keys", expanding=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of history."""

    id: int
    at: datetime
    pipeline: str
    run: str
    task: str
    kind: str
    text: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A pipeline as the store knows it."""

    pipeline: Pipeline
    snapshot: str
    retired: bool
    paused_at: datetime | None
    paused_reason: str


def open_runs(connection: sa.Connection) -> list[OpenRun]:
    """Return every run that has not ended, oldest first."""
    found = _whole(connection, _OPEN_RUNS)  # sorted by SQLite, it would walk through all history
    return sorted(found, key=lambda open_run: open_run.run.id)


def run(connection: sa.Connection, run_id: str) -> OpenRun | None:
    """Return a run with its steps, ended or not."""
    found = _whole(connection, _RUN, {"which": run_id})
    return found[0] if found else None


def runs(
    connection: sa.Connection,
    *,
    pipeline: str = "",
    state: str = "",
    limit: int = 50,
    before: str = "",
    backfills: bool = True,
) -> list[Run]:
    """Return runs, newest first; those of backfills too, unless that is not wanted."""
    query = sa.select(t.run.c.data).order_by(t.run.c.id.desc()).limit(limit)
    if pipeline:
        query = query.where(t.run.c.pipeline == pipeline)
    if state:
        query = query.where(t.run.c.state == state)
    if before:
        query = query.where(t.run.c.id < before)
    if not backfills:
        query = query.where(t.run.c.backfill == "")
    return [load(Run, row.data) for row in connection.execute(query)]


def run_ids(connection: sa.Connection, beginning: str) -> list[str]:
    """Return at most ten ids that begin, or end, with what a person typed."""
    typed = beginning.upper()
    where = sa.or_(t.run.c.id.startswith(typed, autoescape=True), t.run.c.id.endswith(typed, autoescape=True))
    return list(connection.scalars(sa.select(t.run.c.id).where(where).order_by(t.run.c.id.desc()).limit(10)))


def whole_runs(connection: sa.Connection, ids: Sequence[str]) -> list[OpenRun]:
    """Return these runs with their steps, ended or not."""
    return [found for part in _parts(ids) for found in _whole(connection, sa.select(t.run).where(t.run.c.id.in_(part)))]


def _whole(connection: sa.Connection, query: sa.Select[Any], asked: Mapping[str, str] | None = None) -> list[OpenRun]:
    rows = connection.execute(query, asked).all()
    ids = [row.id for row in rows]
    hashes = sorted({row.snapshot for row in rows})
    pipelines = {
        row.hash: load(Pipeline, row.definition)
        for part in _parts(hashes)
        for row in connection.execute(_SNAPSHOTS, {"hashes": part})
    }
    steps: dict[str, dict[str, Step]] = {run_id: {} for run_id in ids}
    for part in _parts(ids):
        for row in connection.execute(_STEPS, {"runs": part}):
            step = load(Step, row.data)
            steps[row.run][step.task] = step
    found = []
    for row in rows:
        pipeline = pipelines[row.snapshot]
        ordered = {task.name: steps[row.id][task.name] for task in pipeline.tasks}
        found.append(OpenRun(run=load(Run, row.data), pipeline=pipeline, steps=ordered))
    return found


def _parts(values: Sequence[str]) -> list[Sequence[str]]:
    return [values[start : start + MANY] for start in range(0, len(values), MANY)]


def nodes(connection: sa.Connection, run_id: str, task: str = "") -> dict[str, list[Node]]:
    """Return the nodes of a run's steps, by task."""
    query = sa.select(t.node.c.task, t.node.c.data).where(t.node.c.run == run_id).order_by(t.node.c.id)
    if task:
        query = query.where(t.node.c.task == task)
    found: dict[str, list[Node]] = {}
    for row in connection.execute(query):
        found.setdefault(row.task, []).append(load(Node, row.data))
    return found


def events(connection: sa.Connection, *, run_id: str, after: int = 0, limit: int = 1000) -> list[Line]:
    """Return a run's history, oldest first."""
    query = sa.select(t.event).where(t.event.c.run == run_id, t.event.c.id > after).order_by(t.event.c.id).limit(limit)
    return [Line(**{**row._mapping, "at": instant(row.at)}) for row in connection.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name


def pipelines(connection: sa.Connection) -> dict[str, Known]:
    """Return every pipeline that was ever configured, by name."""
    return {
        row.name: Known(
            pipeline=load(Pipeline, row.definition),
            snapshot=row.snapshot,
            retired=bool(row.retired),
            paused_at=maybe_instant(row.paused_at),
            paused_reason=row.paused_reason,
        )
        for row in connection.execute(_PIPELINES)
    }


def last_run(connection: sa.Connection, pipeline: str) -> Run | None:
    """Return the newest run of a pipeline that is no backfill's."""
    found = runs(connection, pipeline=pipeline, limit=1, backfills=False)
    return found[0] if found else None


def stood_for(connection: sa.Connection, pipeline: str, mode: Mode) -> datetime | None:
    """Return the end of the data that a pipeline's newest run stands for: where that of its next one begins.

    What runs in shadow stood for, no live run has brought in: they count for the first live one alone.
    """
    query = sa.select(t.run.c.data).where(t.run.c.pipeline == pipeline, t.run.c.backfill == "")
    query = query.order_by(t.run.c.id.desc()).limit(1)
    live = query.where(LIVE) if mode is Mode.LIVE else query
    data = connection.scalar(live) or connection.scalar(query)
    return load(Run, data).interval.end if data else None


def open_incidents(connection: sa.Connection) -> list[Incident]:
    """Return every incident that is open."""
    return [load(Incident, row.data) for row in connection.execute(_OPEN_INCIDENTS)]


def turns(connection: sa.Connection) -> dict[str, int]:
    """Return how often what a pipeline's incident hangs on has changed, by pipeline; see `Incidents.guard`."""
    return {row.name: row.turn for row in connection.execute(_TURNS)}


def check_reader(connection: sa.Connection) -> None:
    """See that a migration by a newer stackhub still lets this one work here.

    Raises:
        StoreUnusable: it does not.
    """
    row = connection.execute(_SCHEMA).one()
    if row.oldest_reader > t.VERSION:
        raise StoreUnusable(
            f"stackhub {row.written_by} has brought the tables to a version too new for this one: upgrade this hub"
        )


def versions(connection: sa.Connection) -> dict[str, int]:
    """Return the version of every run that has not ended."""
    return {row.id: row.version for row in connection.execute(_VERSIONS)}


def incidents(connection: sa.Connection, limit: int = 50) -> list[Incident]:
    """Return incidents, newest first."""
    query = sa.select(t.incident.c.data).order_by(t.incident.c.id.desc()).limit(limit)
    return [load(Incident, row.data) for row in connection.execute(query)]


def incident(connection: sa.Connection, incident_id: str) -> Incident | None:
    """Return one incident."""
    data = connection.scalar(sa.select(t.incident.c.data).where(t.incident.c.id == incident_id))
    return load(Incident, data) if data else None


def consumed(connection: sa.Connection, pipeline: str, task: str, instance: str) -> dict[str, str]:
    """Return the mark of the landing a task last ended on, by connection: the task may have named another before."""
    asked = {"pipeline": pipeline, "task": task, "instance": instance}
    return {row.connection: row.mark for row in connection.execute(_CONSUMED, asked)}


def durations(connection: sa.Connection, instance: str) -> dict[str, tuple[float, ...]]:
    """Return how long the work of an instance took, in seconds and the newest last, by what it was."""
    rows = connection.execute(_DURATIONS, {"instance": instance})
    return {row.key: load(tuple[float, ...], row.data) for row in rows}


def histories(connection: sa.Connection, pipeline: Pipeline) -> dict[str, tuple[float, ...]]:
    """Return how long the tasks of a pipeline took, in seconds and the newest last, by task."""
    names = {task_key(pipeline.name, task.name): task.name for task in pipeline.tasks}
    found: dict[str, tuple[float, ...]] = {}
    for instance in sorted({task.instance for task in pipeline.tasks}):
        for part in _parts(sorted(names)):
            for row in connection.execute(_HISTORIES, {"instance": instance, "keys": part}):
                found[names[row.key]] = load(tuple[float, ...], row.data)
    return found


def usual(connection: sa.Connection, pipeline: str, last: int = 10) -> dict[str, float]:
    """Return the median seconds each task took in the last good runs, by task."""
    good = (
        sa.select(t.run.c.id)
        .where(t.run.c.pipeline == pipeline, t.run.c.state == "succeeded", t.run.c.backfill == "", LIVE)
        .order_by(t.run.c.id.desc())
        .limit(last)
    )
    query = sa.select(t.step.c.task, t.step.c.began_at, t.step.c.ended_at).where(
        t.step.c.run.in_(good), t.step.c.state == "succeeded", t.step.c.began_at.is_not(None)
    )
    spans: dict[str, list[int]] = {}
    for row in connection.execute(query):
        if row.ended_at is not None:
            spans.setdefault(row.task, []).append(row.ended_at - row.began_at)
    return {task: sorted(found)[len(found) // 2] / 1_000_000 for task, found in spans.items()}


def installation(connection: sa.Connection) -> str | None:
    """Return the random name of this installation."""
    return connection.scalar(sa.select(t.meta.c.value).where(t.meta.c.key == "installation"))


def old_runs(connection: sa.Connection, before: datetime, limit: int = 200) -> list[str]:
    """Return runs that ended before ``before``, oldest first; never one that an open run carries from."""
    carried = sa.select(t.run.c.retry_of).where(OPEN_RUN, t.run.c.retry_of != "")
    query = (
        sa.select(t.run.c.id)
        .where(t.run.c.ended_at < micros(before), t.run.c.id.not_in(carried))
        .order_by(t.run.c.ended_at)
        .limit(limit)
    )
    return list(connection.scalars(query))


def due_messages(connection: sa.Connection, now: datetime) -> int:
    """Count the messages that should have been told by now."""
    where = (t.outbox.c.state == "pending", t.outbox.c.due <= micros(now))
    return connection.scalar(sa.select(sa.func.count()).select_from(t.outbox).where(*where)) or 0
