"""Ticks that had fallen when their schedule went are kept as skipped: none is lost."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from decide.worlds import T0, pipeline, task

from stackhub.model.pipeline import Schedule
from stackhub.store import configure
from stackhub.store import tables as t
from stackhub.store.undecided import REASON

HOUR = timedelta(hours=1)
HOURLY, DAILY = Schedule(cron="0 * * * *"), Schedule(cron="30 5 * * *")
SHOP = pipeline(task("orders"), schedules=(HOURLY,))


async def put_in_force(store, *pipelines, now=T0):
    named = {one.name: one for one in pipelines}
    return await store.call(lambda connection: configure.apply(connection, named, now))


async def ticks(store):
    query = sa.select(t.tick).order_by(t.tick.c.at)
    return await store.read(lambda connection: [row._asdict() for row in connection.execute(query)])


@pytest.mark.parametrize("after", [(replace(SHOP, schedules=(DAILY,)),), (replace(SHOP, schedules=()),), ()])
async def test_ticks_that_fell_before_their_schedule_went_are_skipped_with_a_reason(store, after):
    await put_in_force(store, SHOP)
    first = (await store.read(configure.schedules))[0].next_at
    await put_in_force(store, *after, now=first + 2 * HOUR)
    found = await ticks(store)
    assert [tick["at"] for tick in found] == [t.micros(first + n * HOUR) for n in range(3)]
    assert {(tick["verdict"], tick["reason"], tick["run"]) for tick in found} == {("skip", REASON, None)}


async def test_a_schedule_that_goes_before_its_tick_leaves_none(store):
    await put_in_force(store, SHOP)
    await put_in_force(store, now=T0 + timedelta(seconds=1))
    assert await ticks(store) == []


async def test_a_tick_that_was_decided_is_not_skipped_as_well(store):
    await put_in_force(store, SHOP)
    (kept,) = await store.read(configure.schedules)
    row = {"pipeline": "shop", "spec": kept.spec, "at": t.micros(kept.next_at), "label": "", "verdict": "run"}
    await store.call(lambda connection: connection.execute(sa.insert(t.tick), {**row, "reason": "on time", "run": "x"}))
    await put_in_force(store, now=kept.next_at + HOUR)
    assert [tick["verdict"] for tick in await ticks(store)] == ["run", "skip"]


async def test_very_many_are_told_in_one_and_the_newest_are_kept(store):
    often = replace(SHOP, schedules=(Schedule(every=timedelta(minutes=1)),))
    await put_in_force(store, often)
    await put_in_force(store, now=T0 + 3000 * timedelta(minutes=1))
    found = await ticks(store)
    assert len(found) == 1000
    assert found[0]["reason"].endswith("so were 2000 before it")
