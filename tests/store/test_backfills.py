"""Backfills as rows, on both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from stackhub.errors import StaleRun
from stackhub.model.backfill import Backfill, BackfillState, Part, PartState
from stackhub.model.run import Interval
from stackhub.store import backfills as rows
from stackhub.store.transaction import Transaction

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PARTS = [Part(seq=seq, interval=Interval(start=START + seq * DAY, end=START + (seq + 1) * DAY)) for seq in range(3)]


def backfill(name="01B", **more):
    return Backfill(
        id=name, pipeline="shop", start=START, end=START + 3 * DAY, how="every 1d", created_at=START, **more
    )


async def made(store, name="01B", key="key", **more):
    one = backfill(name, **more)
    await store.apply(Transaction().add(*rows.made(one, key, PARTS)))
    return one


async def test_what_is_kept_is_found_again(store):
    one = await made(store, only=("a",), options={"a": {"select": "x"}})
    assert await store.read(partial(rows.backfill, backfill_id="01B")) == one
    assert await store.read(partial(rows.by_key, key="key")) == one
    assert await store.read(partial(rows.by_key, key="other")) is None
    assert await store.read(partial(rows.parts, backfill_id="01B")) == PARTS
    assert await store.read(rows.backfills) == await store.read(rows.going) == [one]
    assert await store.read(partial(rows.counts, ids=["01B"])) == {"01B": {PartState.WAITING: 3}}
    assert await store.read(partial(rows.named, typed="1b")) == ["01B"]
    assert await store.read(partial(rows.usual, backfill_id="01B")) is None


async def test_one_request_is_one_backfill(store):
    await made(store)
    with pytest.raises(StaleRun):
        await made(store, "01C")
    await made(store, "01D", key="another")
    assert [one.id for one in await store.read(rows.backfills)] == ["01D", "01B"]


async def test_an_interval_begins_once(store):
    await made(store)
    begun = replace(PARTS[1], state=PartState.RUNNING, run="01R")
    await store.apply(Transaction().add(rows.part_moved("01B", begun, PartState.WAITING)))
    with pytest.raises(StaleRun):
        await store.apply(Transaction().add(rows.part_moved("01B", replace(begun, run="01S"), PartState.WAITING)))
    await store.apply(Transaction().add(rows.part_ended("01B", 1, PartState.SUCCEEDED, "01R")))
    assert (await store.read(partial(rows.parts, backfill_id="01B")))[1] == replace(begun, state=PartState.SUCCEEDED)
    await store.apply(Transaction().add(rows.part_ended("forgotten", 1, PartState.SUCCEEDED, "01R")))


async def test_of_two_who_move_it_one_is_told(store):
    one = await made(store)
    after = replace(one, state=BackfillState.FAILED, version=1, ended_at=START)
    await store.apply(Transaction().add(rows.moved(after, 0)))
    with pytest.raises(StaleRun):
        await store.apply(Transaction().add(rows.moved(after, 0)))
    assert await store.read(rows.going) == []
    assert await store.read(rows.failed) == {"01B"}
