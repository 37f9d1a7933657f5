"""Puts a configuration in force: pipelines by content, their schedules, one revision; all in one `Store.call`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from stackhub.decide.schedule import first, following
from stackhub.model.calendar import Calendar
from stackhub.model.codec import dump, load
from stackhub.model.pipeline import Pipeline, Schedule
from stackhub.store import filed, watermarks
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.rows import happened, snapshot, snapshot_hash
from stackhub.store.tables import instant, maybe_instant, maybe_micros, micros
from stackhub.store.undecided import let_go


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What putting a configuration in force changed."""

    revision: int
    added: tuple[str, ...]
    changed: tuple[str, ...]
    retired: tuple[str, ...]

    @property
    def any(self) -> bool:
        """Whether anything changed."""
        return bool(self.added or self.changed or self.retired)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """One schedule of one pipeline, as it stands."""

    pipeline: str
    spec: str
    schedule: Schedule
    anchor: datetime
    next_at: datetime | None


def apply(connection: sa.Connection, pipelines: Mapping[str, Pipeline], now: datetime) -> Applied:
    """Bring the store to what is configured. New and changed schedules tick from now, never for the past."""
    content = snapshot_hash(dump(dict(sorted(pipelines.items()))))
    known = {row.name: row for row in connection.execute(sa.select(t.pipeline))}
    last = connection.execute(sa.select(t.revision).order_by(t.revision.c.id.desc()).limit(1)).first()
    number = last.id if last else 0
    added, changed = [], []
    for name, pipeline in pipelines.items():
        kept, snap = snapshot(pipeline)
        old = known.get(name)
        if old is not None and old.snapshot == snap and not old.retired:
            continue
        connection.execute(kept.statement.sql, dict(kept.row))
        values = {"snapshot": snap, "retired": 0, "revision": number + 1}
        if old is None:
            added.append(name)
            connection.execute(sa.insert(t.pipeline), {"name": name, "paused_at": None, "paused_reason": "", **values})
        else:
            changed.append(name)
            connection.execute(sa.update(t.pipeline).where(t.pipeline.c.name == name).values(values))
        _schedules(connection, pipeline, now)
        watermarks.apply(connection, pipeline)
        filed.apply(connection, pipeline)
    retired = [name for name, row in known.items() if name not in pipelines and not row.retired]
    for name in retired:
        connection.execute(sa.update(t.pipeline).where(t.pipeline.c.name == name).values(retired=1))
        let_go(connection, t.schedule.c.pipeline == name, now)
        watermarks.forget(connection, name)
        filed.forget(connection, name)
    applied = Applied(revision=number, added=tuple(added), changed=tuple(changed), retired=tuple(retired))
    if not applied.any and last is not None:
        return applied
    summary = "; ".join(
        f"{word}: {', '.join(names)}"
        for word, names in (("added", added), ("changed", changed), ("retired", retired))
        if names
    )
    row = {"id": number + 1, "applied_at": micros(now), "hash": content, "summary": summary or "no pipelines"}
    connection.execute(sa.insert(t.revision), row)
    line = happened(now, "configuration", text=f"revision {number + 1}: {row['summary']}")
    connection.execute(line.statement.sql, dict(line.row))
    return Applied(revision=number + 1, added=applied.added, changed=applied.changed, retired=applied.retired)


def _schedules(connection: sa.Connection, pipeline: Pipeline, now: datetime) -> None:
    wanted = {dump(schedule): schedule for schedule in pipeline.schedules}
    mine = t.schedule.c.pipeline == pipeline.name
    kept: set[str] = set(connection.scalars(sa.select(t.schedule.c.spec).where(mine)))
    let_go(connection, sa.and_(mine, t.schedule.c.spec.not_in(wanted)), now)
    for spec in (spec for spec in wanted if spec not in kept):  # in their own order: a set has another in each process
        connection.execute(
            sa.insert(t.schedule),
            {
                "pipeline": pipeline.name,
                "spec": spec,
                "anchor": micros(now),
                "next_at": maybe_micros(first(wanted[spec], now)),
            },
        )


_SCHEDULES: Final = sa.select(t.schedule)


def schedules(connection: sa.Connection) -> list[Scheduled]:
    """Return every schedule in force."""
    return [
        Scheduled(
            pipeline=row.pipeline,
            spec=row.spec,
            schedule=load(Schedule, row.spec),
            anchor=instant(row.anchor),
            next_at=maybe_instant(row.next_at),
        )
        for row in connection.execute(_SCHEDULES)
    ]


def runs_next(scheduled: Scheduled, calendars: Mapping[str, Calendar]) -> Scheduled:
    """Return a schedule with its next tick that is not left out in place of the next that is to be decided."""
    schedule, at = scheduled.schedule, scheduled.next_at
    if at is None or not (schedule.only or schedule.without):
        return scheduled
    return replace(scheduled, next_at=following(schedule, at - timedelta.resolution, scheduled.anchor, calendars))


def ticks(connection: sa.Connection, pipeline: str, spec: str) -> set[datetime]:
    """Return every tick of one schedule that has been decided."""
    mine = (t.tick.c.pipeline == pipeline, t.tick.c.spec == spec)
    return {instant(row.at) for row in connection.execute(sa.select(t.tick.c.at).where(*mine))}


def pause(connection: sa.Connection, name: str, reason: str, now: datetime | None) -> None:
    """Pause a pipeline from ``now`` on, or resume it when that is None."""
    values = {"paused_at": maybe_micros(now), "paused_reason": reason if now else ""}
    connection.execute(sa.update(t.pipeline).where(t.pipeline.c.name == name).values(values))


def name_installation(connection: sa.Connection, name: str) -> str:
    """Return this installation's random name, giving it one when it is new."""
    found = connection.scalar(sa.select(t.meta.c.value).where(t.meta.c.key == "installation"))
    if found is None:
        connection.execute(tx.META.sql, {"key": "installation", "value": name})
    return found or name
