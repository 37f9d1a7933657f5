"""A long life: one hub after another on one database for many weeks, and what is kept of them, week by week.

What is kept must be bounded by retention: rows, the database's file, and what hubs hold in memory.
"""

import gc
import sqlite3
import sys
import tracemalloc
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from simulation.spec import Spec
from simulation.world import World, ground

WEEK = timedelta(weeks=1)
DEATHS = (3, 6, 12, 24)  # weeks at whose end a hub dies: each lives longer, so what grows in one does not start anew
SETTLED = 2  # times the retention, after which nothing grows any more
ROOM = 1.5  # by how much a busy week may differ from a quiet one
FEW = 60  # rows, or files, that mean nothing
SOME = 3 * 2**20  # bytes of the database's file that mean nothing
LITTLE = 128 * 2**10  # bytes of memory that mean nothing: sqlite3 drops what it knows of old cursors at each 200th
OURS = tracemalloc.Filter(inclusive=False, filename_pattern=__file__)  # these notes grow with each week
TASKS = {
    "load": {"uses": "tap.sync", "with": {"connection": "c0"}, "retries": {"attempts": 2, "wait": "1m"}},
    "build": {"uses": "mill.build", "with": {"select": "s0"}, "needs": ["load"], "retries": {"attempts": 1}},
}


@dataclass
class Kept:
    """What there is at the end of a week."""

    week: int
    rows: dict[str, int]
    database: int  # bytes
    files: int
    memory: int  # bytes of all that Python holds, be it the hub's or a library's; 0 where that is not measured
    resident: int  # bytes of this process


def spec(weeks: int, *, every: str, retention: str, seed: int) -> Spec:
    """Write down a long and eventful life."""
    day = 24 * 3600.0
    return Spec.model_validate(
        {
            "seed": seed,
            "start": "2026-01-05T00:00:00+00:00",
            "hours": weeks * 7 * 24,
            "looks": 3600.0,
            "retention": retention,
            "instances": {"tap": {"look": 300}, "mill": {"look": 300}, "bell": {}, "horn": {}},
            "pipelines": [
                {"pipeline": "often", "schedule": {"every": every}, "sla": {"max_duration": "30m"}, "tasks": TASKS},
                {
                    "pipeline": "after",
                    "triggers": [{"pipeline": "often"}],
                    "tasks": {"build": TASKS["build"] | {"needs": []}},
                },
                {"pipeline": "nightly", "schedule": {"cron": "0 3 * * *", "timezone": "Europe/Berlin"}, "tasks": TASKS},
            ],
            "turns": {
                "tap:c0": [{"seconds": 600}, {"seconds": 60}, {"seconds": 3000}, {"seconds": 60, "ends": "failed"}],
                "mill:s0": [{"seconds": 300}] * 6 + [{"seconds": 60, "ends": "fatal"}],
            },
            "faults": [
                {"instance": name, "kind": kind, "at": week * 7 * day + at, "until": week * 7 * day + at + 7200}
                for week in range(weeks)
                for name, kind, at in (("tap", "down", day), ("bell", "down", 2 * day), ("tap", "after", 3 * day))
            ],
        }
    )


def live_long(life: Spec, weeks: int, *, measured: bool, show: Any = lambda kept: None) -> list[Kept]:
    """Live for so many weeks; return what was kept at the end of each."""
    found = []
    with ground() as root:
        world = World(life, root)
        _look_away(world)
        try:
            world._begin()
            if measured:
                tracemalloc.start()
            for week in range(1, weeks + 1):
                world.universe.run_until(WEEK)
                _die_and_come_back(world, week)
                found.append(_kept(world, root, week))
                show(found[-1])
        finally:
            tracemalloc.stop()
            world.close()
    return found


def _look_away(world: World) -> None:
    """Keep no record of each change: this is about what the hub keeps."""
    connection = sqlite3.connect(world.crowd.database)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("DROP TABLE audit")
    connection.commit()
    connection.execute("VACUUM")
    connection.close()


def _die_and_come_back(world: World, week: int) -> None:
    assert world.life is not None
    if week in DEATHS:
        world.life.kill()
        world._begin()
    world.universe.run_until(timedelta(hours=2))
    for account in world.town.accounts.values():  # what a vendor remembers is no memory of the hub's
        account.forget(world.universe.line.now - WEEK)


def _kept(world: World, root: Path, week: int) -> Kept:
    connection = sqlite3.connect(world.crowd.database)
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in sorted(names)}
    connection.close()
    gc.collect()
    memory = 0
    if tracemalloc.is_tracing():
        memory = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([OURS]).traces)
    files = [path for path in root.rglob("*") if path.is_file()]
    return Kept(week, rows, world.crowd.database.stat().st_size, len(files), memory, _resident())


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def grown(found: list[Kept], settled: int) -> list[str]:
    """Say what has grown though retention should have bounded it, from the week on by which it had come to rest."""
    before, after = found[settled - 1 : (settled + len(found)) // 2], found[(settled + len(found)) // 2 :]
    wrong = []
    for name in found[-1].rows:
        most, now = max(one.rows.get(name, 0) for one in before), max(one.rows.get(name, 0) for one in after)
        if now > most * ROOM + FEW:
            wrong.append(f"rows of {name}: {most}, then {now}")
    for name, room, slack in (("database", ROOM, SOME), ("files", ROOM, FEW), ("memory", 1, LITTLE)):
        most, now = (max(getattr(one, name) for one in part) for part in (before, after))
        if now > most * room + slack:
            wrong.append(f"{name}: {most}, then {now}")
    return wrong


def main(weeks: int, seed: int) -> int:
    """Live for so many weeks, print each, and say whether anything has grown."""
    life = spec(weeks, every="3h", retention="14d", seed=seed)

    def show(kept: Kept) -> None:
        rows = " ".join(f"{name} {count}" for name, count in kept.rows.items() if count)
        print(
            f"week {kept.week}: {kept.database // 1024} KB, {kept.files} files, {kept.memory // 1024} KB in memory, "
            f"resident {kept.resident // 2**20} MB; {rows}",
            flush=True,
        )

    found = live_long(life, weeks, measured=True, show=show)
    settled = 2 * SETTLED
    if weeks < settled * 2:
        print(f"too short to say whether anything grows: {settled * 2} weeks or more would tell", file=sys.stderr)
        return 0
    wrong = grown(found, settled)
    print(*(wrong or ["nothing has grown"]), sep="\n")
    return 1 if wrong else 0
