"""Which ticks there must be, found the slow way, and what became of each."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from decide.cron_oracle import cron_ticks
from simulation.days import left_out
from simulation.oracle import Oracle, SeenRun, Violation, instant

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
FURTHEST = timedelta(hours=6)  # that clocks are set, all in all
BEFORE = timedelta(days=8)  # in which a tick before another is looked for


def between(spec: str, anchor: datetime, after: datetime, until: datetime) -> list[datetime]:
    """Return the ticks of a schedule in (after, until]."""
    schedule = json.loads(spec)
    if not schedule.get("cron"):
        every = timedelta(seconds=float(schedule["every"].removeprefix("PT").removesuffix("S")))
        nth = max((after - anchor) // every + 1, 1)
        found = []
        while anchor + nth * every <= until:
            found.append(anchor + nth * every)
            nth += 1
        return found
    day = after.replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    while day <= until:
        found += [at for at in _of_day(schedule["cron"], schedule.get("timezone", "UTC"), day) if after < at <= until]
        day += DAY
    return found


@lru_cache(maxsize=20_000)
def _of_day(cron: str, zone: str, day: datetime) -> list[datetime]:
    """Return the ticks of one day of UTC: many worlds look at the same."""
    return cron_ticks(cron, zone, day, day + DAY - MINUTE)


def check(oracle: Oracle) -> None:
    """Check that each tick is a run, or a recorded skip: none lost, none doubled, none made up."""
    runs: dict[str, tuple[str, int]] = {}
    for (pipeline, spec), lives in oracle.schedules.items():
        decided = {instant(at) for at in oracle.ticks[pipeline, spec]}
        wanted: set[datetime] = set()
        perhaps: set[datetime] = set()
        for life in lives:
            anchor = instant(life["anchor"])
            until = instant(life["next_at"]) - timedelta(microseconds=1) if life["next_at"] else instant(life["seen"])
            wanted |= set(between(spec, anchor, anchor, until))
            if life["gone"] is not None and life["next_at"]:
                if oracle.town.jumped:  # a hub may not have noticed yet that its clock was set
                    perhaps |= set(between(spec, anchor, until, life["gone"] + FURTHEST))
                else:
                    wanted |= set(between(spec, anchor, until, life["gone"]))
        if missing := sorted(wanted - decided):
            raise Violation(5, f"{pipeline} {spec}: no word of its ticks {[str(at) for at in missing[:5]]}")
        if invented := sorted(decided - wanted - perhaps):
            raise Violation(5, f"{pipeline} {spec}: it has no tick at {[str(at) for at in invented[:5]]}")
        for at, (verdict, run) in oracle.ticks[pipeline, spec].items():
            if verdict == "run" and run is not None:
                if run in runs:
                    raise Violation(5, f"run {run} came of two ticks of {pipeline}")
                runs[run] = spec, at
    for run_id, seen in _made_by_ticks(oracle):
        if run_id not in runs:
            raise Violation(5, f"run {run_id} says that a tick made it: there is none")
        spec, at = runs[run_id]
        _check_interval(oracle, seen, spec, at)


def _made_by_ticks(oracle: Oracle) -> Iterator[tuple[str, SeenRun]]:
    return ((run_id, seen) for run_id, seen in oracle.every_run.items() if seen.data["trigger"] == "schedule")


def _before(spec: str, anchor: datetime, tick: datetime, calendars: Mapping[str, Any]) -> list[datetime]:
    """Return the tick before another that was not left out, found the slow way: day by day, back into the past."""
    schedule = json.loads(spec)
    until = tick - MINUTE
    for back in range(BEFORE // DAY):
        found = between(spec, anchor, max(tick - BEFORE, until - DAY * (back + 1)), until)
        found = [at for at in found if not left_out(schedule, calendars, at)]
        if found:
            return found[-1:]
    return []


def _check_interval(oracle: Oracle, seen: SeenRun, spec: str, at: int) -> None:
    """Check that a run stands for what lies between its tick and the one before."""
    tick = instant(at)
    interval = seen.data["interval"]
    start, end = (datetime.fromisoformat(interval[name]) for name in ("start", "end"))
    if end != tick:
        raise Violation(5, f"a run of {seen.data['pipeline']} for the tick at {tick} stands for {start} to {end}")
    anchors = [instant(life["anchor"]) for life in oracle.schedules[seen.data["pipeline"], spec]]
    schedule = json.loads(spec)
    calendars = oracle.snapshot(seen.snapshot).get("calendars") or {}
    if schedule.get("cron"):
        wanted = _before(spec, anchors[0], tick, calendars) or [start]
    else:
        every = timedelta(seconds=float(schedule["every"].removeprefix("PT").removesuffix("S")))
        kept = (tick - nth * every for nth in range(1, BEFORE // every))
        wanted = [next((at for at in kept if not left_out(schedule, calendars, at)), start)]
    if start != wanted[0]:
        raise Violation(
            5, f"a run of {seen.data['pipeline']} for the tick at {tick} begins at {start}, not {wanted[0]}"
        )
