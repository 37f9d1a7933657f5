"""P7: durable transitions a second, from independent tasks and from the steps of a few runs."""

import time
from datetime import UTC, datetime
from typing import Final

import anyio
from msgspec.structs import replace
from places import place
from row import Row

from stackhub.decide import create
from stackhub.model.pipeline import Pipeline, Task
from stackhub.model.run import Interval, OpenRun, Trigger
from stackhub.store import rows
from stackhub.store.store import Store, open_store
from stackhub.store.transaction import Transaction

EACH: Final = 10  # transitions of one task
BARS: Final = {"sqlite": "30,000/s", "postgresql": "15,000/s"}


def transitions(kind: str) -> list[Row]:
    """P7: measure both shapes."""
    return anyio.run(_transitions, kind)


async def _transitions(kind: str) -> list[Row]:
    found = []
    for shape, runs, steps in (("1,000 independent tasks", 1000, 1), ("20 runs of 50 steps", 20, 50)):
        rates = []
        for _ in range(3):
            with place(kind) as where:
                async with open_store(where.url, where.directory, written_by="bench") as store:
                    rates.append(await _measure(store, runs, steps))
        found.append(Row("P7", f"durable transitions, {shape}", "/s", rates, bar=BARS[kind], database=kind))
    return found


async def _measure(store: Store, runs: int, steps: int) -> float:
    now = datetime.now(UTC)
    tasks = tuple(Task(name=f"t{n}", connector="noop", operation="run", instance="noop") for n in range(steps))
    pipeline = Pipeline(name="bench", tasks=tasks)
    made = [
        create.new(pipeline, run_id=f"R{n:05}", trigger=Trigger.MANUAL, interval=Interval(start=now, end=now), now=now)
        for n in range(runs)
    ]
    async with anyio.create_task_group() as group:
        for one in made:
            group.start_soon(store.apply, Transaction().add(*rows.run_made(one)))
    start = time.perf_counter()
    async with anyio.create_task_group() as group:
        for one in made:
            group.start_soon(_move, store, one, steps)
    return runs * steps * EACH / (time.perf_counter() - start)


async def _move(store: Store, made: OpenRun, steps: int) -> None:
    """Move each step of a run; the steps of one run go together, as the board decides them."""
    run, now = made.run, made.run.created_at
    for turn in range(EACH):
        moved = replace(run, version=run.version + 1)
        transaction = Transaction().add(rows.run_moved(moved, run.version))
        for step in made.steps.values():
            transaction.add(
                rows.step_moved(replace(step, note=f"turn {turn}")),
                rows.happened(now, "running", pipeline="bench", run=run.id, task=step.task, attempt=1),
            )
        await store.apply(transaction)
        run = moved
