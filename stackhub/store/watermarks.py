"""The marks up to which each trigger has taken the landings of the connections it watches."""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from stackhub.decide.triggers import Mark
from stackhub.model.codec import dump
from stackhub.model.landing import Landing
from stackhub.model.pipeline import Landed, Pipeline, Schedule, Watched
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.tables import instant, micros
from stackhub.store.transaction import Op


def spec(trigger: Landed | Schedule) -> str:
    """Name a trigger by what it says."""
    return dump(trigger)


def wanted(pipeline: Pipeline) -> dict[str, tuple[Watched, ...]]:
    """Return the connections that each trigger of a pipeline watches, by its name."""
    found = {spec(landed): landed.connections for landed in pipeline.landed}
    return found | {spec(schedule): schedule.require for schedule in pipeline.schedules if schedule.require}


def apply(connection: sa.Connection, pipeline: Pipeline) -> None:
    """Bring the marks of a pipeline to what is configured.

    A trigger that was reworded goes on from where the old one had come to; what is watched anew is in force once its
    account has been looked at.
    """
    mine = t.watermark.c.pipeline == pipeline.name
    kept = connection.execute(sa.select(t.watermark).where(mine)).all()
    known = {(row.trigger, row.instance, row.name) for row in kept}
    older = {(row.instance, row.name): row for row in kept if row.connection is not None}
    triggers = wanted(pipeline)
    for trigger, watches in triggers.items():
        for watched in watches:
            if (trigger, watched.instance, watched.connection) in known:
                continue
            was = older.get((watched.instance, watched.connection))
            row = {
                "pipeline": pipeline.name,
                "trigger": trigger,
                "instance": watched.instance,
                "name": watched.connection,
                "connection": was.connection if was else None,
                "mark": was.mark if was else "",
                "ended_at": was.ended_at if was else 0,
                "run": was.run if was else "",
            }
            connection.execute(sa.insert(t.watermark), row)
    for old in kept:
        if Watched(instance=old.instance, connection=old.name) not in triggers.get(old.trigger, ()):
            at = (t.watermark.c.trigger == old.trigger, t.watermark.c.instance == old.instance)
            connection.execute(sa.delete(t.watermark).where(mine, *at, t.watermark.c.name == old.name))


def forget(connection: sa.Connection, pipeline: str) -> None:
    """Forget the marks of a pipeline that is retired."""
    connection.execute(sa.delete(t.watermark).where(t.watermark.c.pipeline == pipeline))


def marks(connection: sa.Connection, pipeline: str = "") -> dict[tuple[str, str], list[Mark]]:
    """Return the marks by pipeline and trigger, each beside the newest landing of its connection."""
    of_it = (t.landing.c.instance == t.watermark.c.instance, t.landing.c.connection == t.watermark.c.connection)
    order = (t.landing.c.ended_at.desc(), t.landing.c.seen_at.desc(), t.landing.c.mark.desc())
    newest = sa.select(t.landing.c.mark).where(*of_it).order_by(*order).limit(1).correlate(t.watermark)
    landed = t.landing.alias("landed")
    same = sa.and_(
        landed.c.instance == t.watermark.c.instance,
        landed.c.connection == t.watermark.c.connection,
        landed.c.mark == newest.scalar_subquery(),
    )
    query = sa.select(t.watermark, landed.c.mark.label("new_mark"), landed.c.ended_at.label("new_at"))
    query = query.select_from(t.watermark.outerjoin(landed, same))
    if pipeline:
        query = query.where(t.watermark.c.pipeline == pipeline)
    found: dict[tuple[str, str], list[Mark]] = {}
    for row in connection.execute(query.order_by(t.watermark.c.instance, t.watermark.c.name)):
        found.setdefault((row.pipeline, row.trigger), []).append(_mark(row))
    return found


def _mark(row: sa.Row[Any]) -> Mark:
    newest = None
    if row.connection is not None and row.new_mark is not None:
        newest = Landing(connection=row.connection, mark=row.new_mark, ended_at=instant(row.new_at))
    return Mark(
        instance=row.instance,
        name=row.name,
        connection=row.connection,
        mark=row.mark,
        ended_at=instant(row.ended_at),
        newest=newest,
    )


def names(connection: sa.Connection, instance: str) -> dict[tuple[str, str], str | None]:
    """Return what is watched at an account, by pipeline and name, with its connection where it is known."""
    query = sa.select(t.watermark).where(t.watermark.c.instance == instance)
    return {(row.pipeline, row.name): row.connection for row in connection.execute(query)}


def based(instance: str, name: str, connection: str, last: Landing | None) -> Op:
    """Put what is watched in force: what has landed before is no news."""
    at = {"mark": last.mark if last else "", "ended_at": micros(last.ended_at) if last else 0}
    return Op(tx.MARK_BASED, {"instance": instance, "name": name, "connection": connection, **at})


def moved(instance: str, name: str, connection: str, was: str) -> Op:
    """Say that a name means another connection now."""
    return Op(tx.MARK_MOVED, {"instance": instance, "name": name, "connection": connection, "was": was})


def taken(pipeline: str, trigger: str, marks: Iterable[Mark], run: str) -> list[Op]:
    """Move marks to what has landed; `StaleRun` where somebody else has."""
    return [
        Op(
            tx.MARK_TAKEN,
            {
                "b_pipeline": pipeline,
                "b_trigger": trigger,
                "b_instance": mark.instance,
                "b_name": mark.name,
                "b_connection": mark.connection,
                "b_mark": mark.mark,
                "n_mark": mark.newest.mark,
                "n_ended_at": micros(mark.newest.ended_at),
                "n_run": run,
            },
        )
        for mark in marks
        if mark.newest is not None
    ]


def own(pipeline: str, instance: str, landing: Landing, run: str) -> Op:
    """Move the marks of a pipeline over a landing that a run of its own has brought in."""
    row: Mapping[str, Any] = {"pipeline": pipeline, "instance": instance, "connection": landing.connection, "run": run}
    return Op(tx.MARK_OWN, {**row, "mark": landing.mark, "ended_at": micros(landing.ended_at)})


def open_runs(connection: sa.Connection, pipelines: Iterable[str]) -> dict[str, list[str]]:
    """Return the data of every open run of these pipelines."""
    where = (sa.text("run.state IN ('queued', 'running')"), t.run.c.pipeline.in_(sorted(pipelines)))
    found: dict[str, list[str]] = {}
    for row in connection.execute(sa.select(t.run.c.pipeline, t.run.c.data).where(*where)):
        found.setdefault(row.pipeline, []).append(row.data)
    return found
