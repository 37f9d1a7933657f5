"""P10: what P2 and P3 cost beside a long history and beside many pipelines, and what ten times the tasks cost."""

import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import anyio
import measures
import noop
import sqlalchemy as sa
from places import Place, place
from row import Row

from stackhub.engine import commands
from stackhub.model.codec import dump
from stackhub.model.run import Interval, Run, RunState, Trigger
from stackhub.model.step import Step, StepState
from stackhub.store import queries
from stackhub.store.store import Store, open_store
from stackhub.store.tables import micros

HISTORY: Final = (0, 100_000, 1_000_000)  # rows of runs that are over
PIPELINES: Final = (1, 10, 100)
TIMES: Final = 10  # as many tasks as P3 has
STEPS, LINES = 5, 14  # of a run that is over
REPEATS: Final = 5
SERIES: Final = {
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < :many)",
    "postgresql": "WITH s(n) AS (SELECT * FROM generate_series(0, CAST(:many AS BIGINT) - 1))",
}
OLD: Final = (  # ids that are older than any made today; {ago} stands for a time in the past
    (
        "INSERT INTO run (id, pipeline, state, version, snapshot, created_at, ended_at, retry_of, backfill, data) {series}"
        " SELECT '00' || (10000000 + n), 'chain', 'succeeded', 3, 'none', {ago}, {ago}, '', '', :run FROM s"
    ),
    (
        "INSERT INTO step (run, task, instance, state, began_at, ended_at, data) {series}"
        " SELECT '00' || (10000000 + n / 5), 't' || (n % 5), 'noop', 'succeeded', {ago}, {ago}, :step FROM s"
    ),
    (
        "INSERT INTO event (at, pipeline, run, task, kind, text, attempt) {series} SELECT {ago}, 'chain',"
        " '00' || (10000000 + n / 14), 't' || (n % 5), 'succeeded', 'some words', 1 FROM s"
    ),
)
AGO: Final = "CAST(:at AS BIGINT) - n"


def growth(kind: str) -> list[Row]:
    """P10: measure beside each history, then beside each number of pipelines, then ten times as many tasks."""
    return anyio.run(_growth, kind)


async def _growth(kind: str) -> list[Row]:
    found: list[Row] = []
    bare: Mapping[str, float] = {}
    for old in HISTORY:
        with place(kind) as where:
            spans = await _beside(where, old=old)
        bare = bare or {name: statistics.median(samples) for name, samples in spans.items()}
        found += [
            Row("P10", f"{name}, {old:,} old rows", "ms", samples, bare[name], "no history", "1.2 times", kind)
            for name, samples in spans.items()
        ]
    for many in PIPELINES[1:]:
        with place(kind) as where:
            spans = await _beside(where, pipelines=many)
        found += [
            Row("P10", f"{name}, {many} pipelines", "ms", samples, bare[name], "one pipeline", "1.2 times", kind)
            for name, samples in spans.items()
        ]
    name, tenfold = f"1 -> {TIMES * measures.WIDTH:,} -> 1", TIMES * bare["a fan-out"]
    with place(kind) as where:
        async with noop.hub(where, fan=measures.fan(TIMES * measures.WIDTH)) as (engine, _):
            samples = await measures.timed(engine, "fan", REPEATS)
    found.append(Row("P10", name, "ms", samples, tenfold, f"{TIMES} times P3", "1.2 times", kind))
    return found


async def _beside(where: Place, *, old: int = 0, pipelines: int = 1) -> dict[str, list[float]]:
    """Return the milliseconds of a chain, of a fan-out, and of the questions that the engine asks while it works."""
    if old:
        async with open_store(where.url, where.directory, written_by="bench") as store:
            await store.call(partial(_fill, many=old // (1 + STEPS + LINES)))
    idle = {f"idle{n}": measures.chained(5, measures.nothing) for n in range(pipelines - 1)}
    chain = measures.chained(measures.CHAIN, measures.nothing)
    async with noop.hub(where, chain=chain, fan=measures.fan(measures.WIDTH), **idle) as (engine, _):
        return {
            "a chain": await measures.timed(engine, "chain", REPEATS),
            "a fan-out": await measures.timed(engine, "fan", REPEATS),
            "hot questions": [min([await _asked(engine.store) for _ in range(5)]) for _ in range(REPEATS)],
        }


async def _asked(store: Store) -> float:
    questions: list[Callable[[sa.Connection], Any]] = [
        queries.open_runs,
        queries.open_incidents,
        partial(commands.unobeyed, until=datetime.now(UTC)),
        partial(queries.due_messages, now=datetime.now(UTC)),
        partial(queries.last_run, pipeline="chain"),
        partial(queries.runs, pipeline="chain"),
        partial(queries.usual, pipeline="chain"),
    ]
    start = time.perf_counter()
    for question in questions:
        await store.read(question)
    return (time.perf_counter() - start) * 1000


def _fill(connection: sa.Connection, many: int) -> None:
    """Put runs that are over into the tables, and let the database take note of how many there are."""
    now = datetime.now(UTC)
    run = Run(
        id="old",
        pipeline="chain",
        trigger=Trigger.MANUAL,
        interval=Interval(start=now, end=now),
        state=RunState.SUCCEEDED,
        created_at=now,
        started_at=now,
        ended_at=now,
    )
    step = Step(run="old", task="t", instance="noop", state=StepState.SUCCEEDED, began_at=now, ended_at=now)
    values = {"run": dump(run), "step": dump(step), "at": micros(now)}
    series = SERIES[connection.dialect.name]
    for sql, times in zip(OLD, (1, STEPS, LINES), strict=True):
        named = {name: value for name, value in values.items() if f":{name}" in sql or name == "at"}
        connection.execute(sa.text(sql.format(series=series, ago=AGO)), {"many": many * times, **named})
    connection.execute(sa.text("ANALYZE"))
