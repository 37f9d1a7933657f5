"""P1, P2 and P3: from seen to started, a chain, a fan-out."""

import os
import tempfile
import time
from pathlib import Path

import noop
from row import Row, commit_floor

from stackhub.launch import Launcher

REPEATS = 7


async def chain(length: int = 30) -> list[Row]:
    """P2: a chain of no-op tasks, each step durable before the next."""
    tasks = "".join(f"  t{n}: {{uses: noop.run{f', needs: [t{n - 1}]' if n else ''}}}\n" for n in range(length))
    each, whole = [], []
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        async with noop.hub(Path(name), chain=tasks) as (engine, _):
            await noop.run_once(engine, "chain")
            floor = commit_floor(Path(name))
            for _ in range(REPEATS):
                start = time.perf_counter()
                await noop.run_once(engine, "chain")
                whole.append((time.perf_counter() - start) * 1000)
                each.append(whole[-1] / length)
    return [
        Row("P2", f"a task of a chain of {length}", "ms", each, floor, "a durable commit", "at most 8 floors"),
        Row("P2", "the whole chain, trigger to end", "ms", whole, floor * 2 * length, "two commits a task", "150 ms"),
    ]


async def fan_out(width: int = 100) -> list[Row]:
    """P3: one, a hundred, one."""
    names = ", ".join(f"t{n}" for n in range(width))
    tasks = (
        "  a: {uses: noop.run}\n"
        + "".join(f"  t{n}: {{uses: noop.run, needs: [a]}}\n" for n in range(width))
        + f"  z: {{uses: noop.run, needs: [{names}]}}\n"
    )
    whole = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        async with noop.hub(Path(name), fan=tasks) as (engine, _):
            await noop.run_once(engine, "fan")
            floor = commit_floor(Path(name))
            for _ in range(REPEATS):
                start = time.perf_counter()
                await noop.run_once(engine, "fan")
                whole.append((time.perf_counter() - start) * 1000)
    bar = f"300 floors + 50 ms = {300 * floor + 50:.0f} ms"
    return [Row("P3", f"1 -> {width} -> 1", "ms", whole, floor, "a durable commit", bar)]


async def hand_off() -> list[Row]:
    """P1: an extract is seen to have ended -> the process that waited for it has been spawned."""
    tasks = "  load: {uses: noop.load}\n  built: {uses: shell.run, needs: [load], with: {command: [/bin/true]}}\n"
    spans: list[float] = []
    seen = 0.0
    spawned = Launcher.spawn

    async def timed(self: Launcher, *args: object, **more: object) -> object:
        handle = await spawned(self, *args, **more)  # type: ignore[arg-type]
        spans.append((time.perf_counter() - seen) * 1000)
        return handle

    Launcher.spawn = timed  # type: ignore[method-assign,assignment]
    try:
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
            async with noop.hub(Path(name), handoff=tasks) as (engine, played):
                floor = commit_floor(Path(name))
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
    return [Row("P1", "seen -> the spawn returned", "ms", spans, floor * 2, "two durable commits", "5 ms")]
