"""Ten thousand things due at a start: begun in bounded time and memory, and none waits for all the others."""

import time
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import sqlalchemy as sa
from engine.house import NOON

from stackhub.contract import Event, Message, Part, Severity, Speaks
from stackhub.decide import create
from stackhub.decide.message import Post
from stackhub.decide.routes import RouteIn
from stackhub.decide.run import Begin, decide
from stackhub.engine.incidents import posted
from stackhub.model.ids import Ids
from stackhub.model.run import Interval, Trigger
from stackhub.store import tables as t
from stackhub.store.rows import run_made

MANY = 10_000


def insert(connection, ops):
    """Write rows without waiting for a hub."""
    rows = {}
    for op in ops:
        rows.setdefault(op.statement, []).append(dict(op.row))
    for statement in sorted(rows, key=lambda one: one.rank):
        connection.execute(statement.sql, rows[statement])


def memory() -> float:
    """Return what this process holds, in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


@asynccontextmanager
async def within(house, store, *, seconds, megabytes):
    """A life of the hub that may take so much of a processor and of memory."""
    began, held = time.process_time(), memory()
    async with house.killed(store=store) as hub:
        yield hub
        assert time.process_time() - began < seconds
        assert memory() - held < megabytes


async def by_itself(hub, holds):
    """Wait while nobody rings: each look of a lane at thousands of steps takes its time."""
    with anyio.fail_after(120):
        while not holds():
            await hub.engine.board.crier.wait(0.1)


async def test_messages(house):
    """A notifier that was away: a route with one message does not wait for one with thousands."""
    house.instances("tap").write("post.env", "POST_WIDTH=16\n")
    house.pipeline("pipeline: shop\ntasks: {load: {uses: tap.sync, with: {connection: orders}}}\n")
    made = Ids()

    def message(nth, channel):
        route = RouteIn(
            id=f"post:{channel}", instance="post", speaks=Speaks.PLAIN, on=frozenset(), options={"channel": channel}
        )
        told = Message(
            incident=f"I{nth:05}",
            dedup=f"d{nth}",
            part=Part.ENTRY,
            event=Event.OPENED,
            severity=Severity.ERROR,
            title=f"{channel} {nth}",
            at=NOON,
            since=NOON,
        )
        post = Post(route=route, seq=1, part=Part.ENTRY, message=told, due=NOON - timedelta(minutes=1))
        return posted(made.make(NOON), told.incident, post, NOON)

    rows = [message(nth, "#busy") for nth in range(MANY)] + [message(MANY, "#quiet")]
    async with house.store() as store:
        await store.call(lambda connection: insert(connection, rows))
        order = house["post"].order
        async with within(house, store, seconds=10, megabytes=30) as hub:
            await hub.now_until(lambda: len(order) > 1000)
    first = [title for _, _, title in order[:100]]
    assert f"#quiet {MANY}" in first
    assert len({title for _, _, title in order}) == len(order), "none twice"


async def test_ticks(house):
    """A schedule of every minute, whose hub was away for a week."""
    house.scheduled = True
    house.instances("tap").pipeline(
        'pipeline: shop\nschedule: {cron: "* * * * *"}\ntasks: {load: {uses: tap.sync, with: {connection: orders}}}\n'
    )
    async with house.store() as store:
        async with house.hub(store=store):
            pass
        house.clock.pass_time(timedelta(minutes=MANY))
        async with within(house, store, seconds=10, megabytes=60) as hub:
            await hub.ticked()
            await hub.until(lambda: not hub.engine.board.runs())
            runs = await hub.runs()
            query = sa.select(t.tick.c.verdict, sa.func.count()).group_by(t.tick.c.verdict)
            kept = dict(await hub.store.read(lambda connection: connection.execute(query).all()))
            oldest = sa.select(t.tick.c.reason).order_by(t.tick.c.at).limit(1)
            folded = await hub.store.read(lambda connection: connection.scalar(oldest))
    assert len(runs) == 1
    assert sum(kept.values()) == 1000
    assert f"{MANY - 1000} older ticks" in folded, "and how many the oldest of them stands for"


async def test_steps(house):
    """Runs that a dead hub left: each goes on, and a lane with one step does not wait for one with thousands."""
    house.instances("mill").write("tap.env", "TAP_WIDTH=16\n")
    tasks = "\n".join(f"  t{nth}: {{uses: tap.sync, with: {{connection: c{nth}}}}}" for nth in range(100))
    house.pipeline(f"pipeline: wide\ntasks:\n{tasks}\n")
    house.pipeline("pipeline: narrow\ntasks: {only: {uses: mill.build}}\n")
    pipelines, ids = house.read().pipelines, Ids()

    def run(name):
        made = create.new(
            pipelines[name],
            run_id=ids.make(NOON),
            trigger=Trigger.MANUAL,
            interval=Interval(start=NOON, end=NOON),
            now=NOON,
        )
        begun = decide(made, [Begin()], {}, NOON)
        return run_made(begun.open)

    rows = [op for _ in range(MANY // 100) for op in run("wide")] + run("narrow")
    async with house.store() as store:
        await store.call(lambda connection: insert(connection, rows))
        async with within(house, store, seconds=15, megabytes=120) as hub:
            await by_itself(hub, lambda: house["mill"].count("start") == 1)
            assert house["tap"].count("start") < 500
            await by_itself(hub, lambda: house["tap"].count("start") > 60)
