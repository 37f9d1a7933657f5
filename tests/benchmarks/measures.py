"""P1, P2, P2b and P3: from seen to started, a chain, the same with a process for each task, a fan-out."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

import anyio
import noop
from places import place
from row import Row

from stackhub.launch import Launcher

REPEATS: Final = 7
CHAIN: Final = 30
PROCESSES: Final = 10
WIDTH: Final = 100
PYTHON: Final = (
    "{{uses: python.run, with: {{function: 'time:monotonic'}}{needs}}}"  # the least that an interpreter can be asked
)


def chained(length: int, task: Callable[[str], str]) -> str:
    """Write so many tasks, each of which needs the one before; ``task`` writes one, given what it needs."""
    needs = ["", *(f", needs: [t{n}]" for n in range(length - 1))]
    return "".join(f"  t{n}: {task(need)}\n" for n, need in enumerate(needs))


def nothing(needs: str) -> str:
    """Write a task that ends at once."""
    return f"{{uses: noop.run{needs}}}"


async def timed(engine: noop.Engine, pipeline: str, repeats: int = REPEATS) -> list[float]:
    """Run a pipeline again and again, once more than is counted; return the milliseconds of each."""
    await noop.run_once(engine, pipeline)
    spans = []
    for _ in range(repeats):
        start = time.perf_counter()
        await noop.run_once(engine, pipeline)
        spans.append((time.perf_counter() - start) * 1000)
    return spans


async def _chain(kind: str) -> list[Row]:
    with place(kind) as where:
        async with noop.hub(where, chain=chained(CHAIN, nothing)) as (engine, _):
            floor = where.floor()
            whole = await timed(engine, "chain")
    each = [span / CHAIN for span in whole]
    two = floor * 2 * CHAIN
    return [
        Row("P2", f"a task of a chain of {CHAIN}", "ms", each, floor, "a durable commit", "at most 8 floors", kind),
        Row("P2", "the whole chain, trigger to end", "ms", whole, two, "two commits a task", "150 ms", kind),
    ]


async def _processes(kind: str) -> list[Row]:
    with place(kind) as where:
        tasks = chained(PROCESSES, lambda needs: PYTHON.format(needs=needs))
        async with noop.hub(where, chain=tasks) as (engine, _):
            floor = 2 * _python()
            each = [span / PROCESSES for span in await timed(engine, "chain")]
    return [Row("P2b", "a task that is a Python process", "ms", each, floor, "starting Python twice", "50 ms", kind)]


async def _fan_out(kind: str) -> list[Row]:
    with place(kind) as where:
        async with noop.hub(where, fan=fan(WIDTH)) as (engine, _):
            floor = where.floor()
            whole = await timed(engine, "fan")
    bar = f"300 floors + 50 ms = {300 * floor + 50:.0f} ms"
    return [Row("P3", f"1 -> {WIDTH} -> 1", "ms", whole, floor, "a durable commit", bar, kind)]


def fan(width: int) -> str:
    """Write one task, so many that need it, and one that needs them all."""
    names = ", ".join(f"t{n}" for n in range(width))
    middle = "".join(f"  t{n}: {{uses: noop.run, needs: [a]}}\n" for n in range(width))
    return f"  a: {{uses: noop.run}}\n{middle}  z: {{uses: noop.run, needs: [{names}]}}\n"


async def _hand_off(kind: str) -> list[Row]:
    tasks = "  load: {uses: noop.load}\n  built: {uses: shell.run, needs: [load], with: {command: [/bin/true]}}\n"
    spans: list[float] = []
    seen = 0.0
    spawned = Launcher.spawn

    async def clocked(self: Launcher, *args: object, **more: object) -> object:
        handle = await spawned(self, *args, **more)  # type: ignore[arg-type]
        spans.append((time.perf_counter() - seen) * 1000)
        return handle

    Launcher.spawn = clocked  # type: ignore[method-assign,assignment]
    try:
        with place(kind) as where:
            async with noop.hub(where, handoff=tasks) as (engine, played):
                floor = where.floor(rare=True)
                for _ in range(REPEATS * 3):
                    played.ended = False
                    made = await engine.commands.submit("trigger", {"pipeline": "handoff"}, "bench")
                    while engine.board.get(made["run"]).steps["load"].state.value != "running":  # type: ignore[union-attr]
                        await engine.board.crier.wait(1)
                    played.ended = True
                    seen = time.perf_counter()
                    played.context.wake()
                    while engine.board.get(made["run"]) is not None:
                        await engine.board.crier.wait(5)
    finally:
        Launcher.spawn = spawned  # type: ignore[method-assign]
    return [
        Row("P1", "seen -> the spawn returned", "ms", spans, floor * 2, "two commits, each after a pause", "5 ms", kind)
    ]


def _python() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return (time.perf_counter() - start) * 1000


def hand_off(kind: str) -> list[Row]:
    """P1: an extract is seen to have ended -> the process that waited for it has been spawned."""
    return anyio.run(_hand_off, kind)


def chain(kind: str) -> list[Row]:
    """P2: a chain of no-op tasks, each step durable before the next."""
    return anyio.run(_chain, kind)


def processes(kind: str) -> list[Row]:
    """P2b: the same, each task a Python process of its own."""
    return anyio.run(_processes, kind)


def fan_out(kind: str) -> list[Row]:
    """P3: one, a hundred, one."""
    return anyio.run(_fan_out, kind)
