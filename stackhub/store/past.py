"""What is asked of the store to play a part of its history again; and what a store begins with that is to play it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from stackhub.contract import Connection
from stackhub.decide.deeds import Asked
from stackhub.decide.history import learnt
from stackhub.decide.past import Moved, lasted_before
from stackhub.model.codec import dump, load
from stackhub.model.landing import Landing
from stackhub.model.pipeline import Schedule
from stackhub.model.run import OpenRun
from stackhub.store import connections, queries
from stackhub.store import tables as t
from stackhub.store.inferences import inferences
from stackhub.store.tables import instant, maybe_instant, micros

CHUNK = 200  # runs that are held with their steps at once
TAUGHT = 2000  # runs before a time, at most, of which it is read how long they took
CARRIED = (t.inference, t.project, t.connection)  # what was found out, which nobody can find out again here


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What stood around the runs."""

    asked: tuple[Asked, ...]  # oldest first, of all times that are kept
    landings: tuple[tuple[str, Landing], ...]  # with their accounts, oldest first; the newest before the time as well
    accounts: Mapping[str, Mapping[str, Connection]]  # as last seen
    projects: Mapping[str, str]  # by instance: the name of its project's files, by which something was found out
    anchors: Mapping[tuple[str, str], datetime]  # of schedules, by pipeline and spec
    paused: Mapping[str, datetime]  # pipelines that are, and since when
    edits: int  # configurations put in force meanwhile
    backfilled: int  # runs of backfills meanwhile


def known_since(connection: sa.Connection) -> datetime | None:
    """Return when the oldest run that is kept was made; None where there is none."""
    found = connection.scalar(sa.select(sa.func.min(t.run.c.created_at)))
    return maybe_instant(found)


def last_moment(connection: sa.Connection) -> datetime | None:
    """Return when something last happened, as far as is recorded."""
    return maybe_instant(connection.scalar(sa.select(t.event.c.at).order_by(t.event.c.id.desc()).limit(1)))


def chunks(connection: sa.Connection, since: datetime, until: datetime) -> Iterator[list[OpenRun]]:
    """Yield the runs made in a time, oldest first and a few at a time; none of backfills."""
    last = ""
    made = (t.run.c.created_at >= micros(since), t.run.c.created_at < micros(until), t.run.c.backfill == "")
    while True:
        ids: list[str] = list(
            connection.scalars(sa.select(t.run.c.id).where(*made, t.run.c.id > last).order_by(t.run.c.id).limit(CHUNK))
        )
        if not ids:
            return
        yield sorted(queries.whole_runs(connection, ids), key=lambda found: found.run.id)
        last = ids[-1]


def moves(connection: sa.Connection, runs: Sequence[str]) -> dict[str, dict[str, list[Moved]]]:
    """Return the history of every step of these runs, by run and task, oldest first."""
    lines: dict[str, dict[str, list[Moved]]] = {}
    kept = t.event.c
    query = sa.select(kept.run, kept.task, kept.kind, kept.at, kept.text).where(kept.run.in_(runs), kept.task != "")
    for row in connection.execute(query.order_by(kept.id)):
        moved = Moved(at=instant(row.at), kind=row.kind, text=row.text)
        lines.setdefault(row.run, {}).setdefault(row.task, []).append(moved)
    return lines


def around(connection: sa.Connection, since: datetime, until: datetime) -> Around:
    """Read what stood around the runs of a time."""
    done = t.command.c
    obeyed = sa.select(t.command).where(done.done_at.is_not(None), done.error.is_(None), done.done_at < micros(until))
    begun, ended = micros(since), micros(until)
    within = (t.run.c.created_at >= begun, t.run.c.created_at < ended, t.run.c.backfill != "")
    applied = t.revision.c.applied_at
    count = sa.func.count()
    edits = sa.select(count).select_from(t.revision).where(applied >= begun, applied < ended)
    kept = [
        (row.instance, Landing(connection=row.connection, mark=row.mark, ended_at=instant(row.ended_at), rows=row.rows))
        for row in connection.execute(_landings(begun, ended))
    ]
    return Around(
        asked=tuple(
            Asked(id=row.id, kind=row.kind, args=load(dict[str, Any], row.args), by=row.by, at=instant(row.done_at))
            for row in connection.execute(obeyed.order_by(done.done_at, done.id))
        ),
        landings=tuple(kept),
        accounts=connections.connections(connection),
        projects=_projects(connection),
        anchors={
            (row.pipeline, row.spec): instant(row.anchor)
            for row in connection.execute(sa.select(t.schedule.c.pipeline, t.schedule.c.spec, t.schedule.c.anchor))
        },
        paused={
            name: known.paused_at
            for name, known in queries.pipelines(connection).items()
            if known.paused_at is not None
        },
        edits=connection.scalar(edits) or 0,
        backfilled=connection.scalar(sa.select(count).select_from(t.run).where(*within)) or 0,
    )


def _landings(begun: int, ended: int) -> sa.Select[Any]:
    """Select what has landed in a time, and of each connection what had landed last before."""
    kept = t.landing.c
    before = t.landing.alias("before")
    same = (before.c.instance == kept.instance, before.c.connection == kept.connection)
    newest = sa.select(sa.func.max(before.c.ended_at)).where(*same, before.c.ended_at < begun).scalar_subquery()
    columns = (kept.instance, kept.connection, kept.mark, kept.ended_at, kept["rows"])
    meant = sa.or_(kept.ended_at >= begun, kept.ended_at == newest)
    return sa.select(*columns).where(kept.ended_at < ended, meant).order_by(kept.ended_at, kept.mark)


def _projects(connection: sa.Connection) -> dict[str, str]:
    """Return the newest name of each project's files; the tasks of a project were found out at one time, as a rule."""
    found = inferences(connection)
    known = queries.pipelines(connection)
    named: dict[str, str] = {}
    for (pipeline, task), one in sorted(found.items()):
        tasks = {each.name: each for each in known[pipeline].pipeline.tasks} if pipeline in known else {}
        if task in tasks and one.project:
            named[tasks[task].instance] = one.project
    return named


# --- what a store begins with -----------------------------------------------------------------------------------------


Rows = dict[str, list[dict[str, Any]]]


def carried(connection: sa.Connection) -> Rows:
    """Return the rows of what was found out."""
    return {table.name: [dict(row._mapping) for row in connection.execute(sa.select(table))] for table in CARRIED}  # noqa: SLF001 - SQLAlchemy's public name


def taught(connection: sa.Connection, since: datetime) -> Rows:
    """Return rows of how long work took before a time, as far as the newest runs before it say."""
    before = (t.run.c.created_at < micros(since), t.run.c.backfill == "", t.run.c.ended_at.is_not(None))
    newest = sa.select(t.run.c.id).where(*before).order_by(t.run.c.id.desc()).limit(TAUGHT)
    ids: list[str] = list(connection.scalars(newest))[::-1]
    found: dict[tuple[str, str], tuple[float, ...]] = {}
    for start in range(0, len(ids), CHUNK):
        runs = queries.whole_runs(connection, ids[start : start + CHUNK])
        for one in (one for run in sorted(runs, key=lambda run: run.run.id) for one in lasted_before(run)):
            found[one.instance, one.key] = learnt(found.get((one.instance, one.key), ()), one.seconds)
    return {
        "duration": [
            {"instance": instance, "key": key, "ended_at": micros(since), "data": dump(seconds)}
            for (instance, key), seconds in found.items()
        ]
    }


def anchored(anchors: Mapping[tuple[str, str], datetime], next_at: Mapping[tuple[str, str], datetime | None]) -> Rows:
    """Return rows for schedules that count from where they did count: `configure.apply` leaves those as they are."""
    return {
        "schedule": [
            {
                "pipeline": pipeline,
                "spec": spec,
                "anchor": micros(anchor),
                "next_at": None if (at := next_at.get((pipeline, spec))) is None else micros(at),
            }
            for (pipeline, spec), anchor in anchors.items()
        ]
    }


def begin(connection: sa.Connection, *rows: Rows) -> None:
    """Put rows into a store that has just been made."""
    tables = {table.name: table for table in (*CARRIED, t.schedule, t.duration)}
    for each in rows:
        for name, found in each.items():
            if found:
                connection.execute(sa.insert(tables[name]), found)


def schedule_of(spec: str) -> Schedule:
    """Read a schedule by its name."""
    return load(Schedule, spec)
