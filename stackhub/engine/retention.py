"""Forgets what is old: ended runs with all that hangs on them, told messages, job directories. In small bites."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Final

import anyio
import sqlalchemy as sa
import structlog

from stackhub.clock import Clock
from stackhub.contract import Context
from stackhub.launch import Launcher
from stackhub.store import queries
from stackhub.store import tables as t
from stackhub.store.store import Store
from stackhub.store.tables import micros

log = structlog.get_logger()
EVERY: Final = timedelta(hours=1)
HOOKS: Final = timedelta(days=3)  # that a sender may go on delivering one request
BITE: Final = 200  # runs, or rows, of one transaction


async def run(store: Store, clock: Clock, retention: Callable[[], timedelta]) -> None:
    """Sweep the store once an hour until cancelled: one hub does it for all."""
    while True:
        before = clock.now() - retention()
        await store.call(partial(forget_hooks, before=clock.now() - HOOKS))
        gone = await sweep(store, before)
        if gone:
            log.info("forgot what is old", runs=gone, before=before.isoformat())
        await anyio.sleep(clock.between_looks(EVERY.total_seconds()))


async def run_jobs(clock: Clock, retention: Callable[[], timedelta], state: Path) -> None:
    """Sweep the directories of this host's jobs once an hour until cancelled."""
    while True:
        gone = await _sweep_jobs(clock, state, retention())
        if gone:
            log.info("removed old job directories", count=gone)
        await anyio.sleep(clock.between_looks(EVERY.total_seconds()))


async def _sweep_jobs(clock: Clock, state: Path, age: timedelta) -> int:
    try:
        with Launcher(Context(instance="retention", state=state, now=clock.now)) as launcher:
            return await launcher.sweep(age)
    except OSError as err:  # tried again in an hour; nothing else hangs on it
        log.warning("job directories cannot be swept", reason=str(err))
        return 0


async def sweep(store: Store, before: datetime) -> int:
    """Delete what ended before ``before``; returns how many runs went."""
    gone = 0
    while True:
        old = await store.read(partial(queries.old_runs, before=before, limit=BITE))
        if not old:
            break
        await store.call(partial(_forget_runs, ids=old))
        gone += len(old)
    await store.call(partial(_forget_rest, before=micros(before)))
    return gone


def forget_hooks(connection: sa.Connection, before: datetime) -> None:
    """Forget requests that nobody delivers again, since their own time is not believed any more."""
    connection.execute(sa.delete(t.hook).where(t.hook.c.at < micros(before)))


def _forget_runs(connection: sa.Connection, ids: list[str]) -> None:
    for table, column in (
        (t.step, t.step.c.run),
        (t.node, t.node.c.run),
        (t.event, t.event.c.run),
        (t.deadline, t.deadline.c.run),
        (t.run, t.run.c.id),
    ):
        connection.execute(sa.delete(table).where(column.in_(ids)))


def _forget_rest(connection: sa.Connection, before: int) -> None:
    """Delete old history of the hub itself; of landings and configurations the newest stays."""
    for statement in _rest():
        connection.execute(statement, {"before": before})


@cache
def _rest() -> tuple[sa.Delete, ...]:
    """Say what deletes it, in this order; made once."""
    before: sa.BindParameter[int] = sa.bindparam("before", type_=sa.BigInteger)
    incidents = sa.select(t.incident.c.id).where(t.incident.c.resolved_at < before)
    over = sa.select(t.backfill.c.id).where(t.backfill.c.ended_at < before)
    active = sa.select(t.pipeline.c.name).where(t.pipeline.c.retired == 0)
    newer = t.landing.alias("newer")
    same = sa.and_(newer.c.instance == t.landing.c.instance, newer.c.connection == t.landing.c.connection)
    later = sa.exists().where(same, newer.c.seen_at > t.landing.c.seen_at)
    newest = sa.select(sa.func.max(t.revision.c.id)).scalar_subquery()
    used = sa.union(sa.select(t.run.c.snapshot), sa.select(t.pipeline.c.snapshot))
    return (
        sa.delete(t.receipt).where(t.receipt.c.incident.in_(incidents)),
        sa.delete(t.outbox).where(t.outbox.c.created_at < before, t.outbox.c.state != "pending"),
        sa.delete(t.incident).where(t.incident.c.resolved_at < before),
        sa.delete(t.mute).where(t.mute.c.ended_at < before),
        sa.delete(t.backfill_part).where(t.backfill_part.c.backfill.in_(over)),
        sa.delete(t.backfill).where(t.backfill.c.ended_at < before),
        sa.delete(t.event).where(t.event.c.run == "", t.event.c.at < before),
        sa.delete(t.tick).where(t.tick.c.at < before),
        sa.delete(t.deadline).where(t.deadline.c.at < before, t.deadline.c.state != "open"),
        sa.delete(t.command).where(t.command.c.done_at < before),
        sa.delete(t.inference).where(t.inference.c.pipeline.not_in(active)),
        sa.delete(t.owed).where(t.owed.c.paid_at < before),
        sa.delete(t.duration).where(t.duration.c.ended_at < before),
        sa.delete(t.landing).where(t.landing.c.seen_at < before, later),
        sa.delete(t.snapshot).where(t.snapshot.c.hash.not_in(used)),
        sa.delete(t.revision).where(t.revision.c.applied_at < before, t.revision.c.id < newest),
    )
