"""From what was asked for to a backfill: its intervals, and the key by which the same request is known again. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from stackhub.decide import backfill as decide
from stackhub.decide import create
from stackhub.decide.stretch import bound, by_distance, by_schedule, check_stretch
from stackhub.errors import Refused
from stackhub.model.backfill import RESYNC, Backfill, Part
from stackhub.model.codec import dump
from stackhub.model.pipeline import Pipeline, Schedule
from stackhub.model.run import Interval
from stackhub.model.words import say

DAY: Final = timedelta(days=1)  # of an interval where neither a schedule nor anybody says otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a request comes to."""

    backfill: Backfill
    key: str
    parts: tuple[Part, ...]


def planned(
    pipeline: Pipeline,
    anchors: Mapping[Schedule, datetime],
    args: Mapping[str, Any],
    *,
    timezone: str,
    reloads: Mapping[str, str],
    now: datetime,
    backfill_id: str,
    by: str,
) -> Plan:
    """Turn a request, as `Backfilling.ask` describes it, into a backfill and its intervals.

    ``anchors`` says when the pipeline's schedules were put in force, those that are; ``reloads`` which tasks can load
    everything anew.

    Raises:
        Refused: it makes no sense, and why.
    """
    chosen = _schedule(pipeline, args)
    zone = chosen.timezone if chosen else pipeline.schedules[0].timezone if pipeline.schedules else timezone
    start, end = bound(str(args["from"]), zone, "--from"), bound(str(args["to"]), zone, "--to")
    check_stretch(start, end, now)
    if chosen is not None:
        intervals = by_schedule(chosen, anchors.get(chosen, now), pipeline.calendars, start, end, now)
        how = f"as scheduled: {_line(chosen)}"
        if not intervals:
            raise Refused(
                f"no interval of the schedule ({_line(chosen)}) begins there and is over by now: give --every"
            )
    else:
        every = timedelta(seconds=float(args["every"])) if args.get("every") else DAY
        intervals = by_distance(start, min(end, now), every, zone)
        how = f"every {say(every)}"
    only = tuple(args.get("only") or ())
    backfill = Backfill(
        id=backfill_id,
        pipeline=pipeline.name,
        start=start,
        end=end,
        how=how,
        parallel=int(args.get("parallel") or 1),
        newest_first=bool(args.get("newest_first")),
        keep_going=bool(args.get("keep_going")),
        resync_first=bool(args.get("resync_first")),
        extracts=bool(args.get("extracts")),
        only=only,
        options=args.get("with") or {},
        by=by,
        created_at=now,
    )
    create.only(pipeline, only)
    decide.check_work(pipeline, backfill)
    parts = [Part(seq=seq, interval=one) for seq, one in enumerate(intervals, start=1)]
    if backfill.resync_first:
        decide.resynced(pipeline, reloads)
        parts.insert(0, Part(seq=RESYNC, interval=Interval(start=intervals[0].start, end=intervals[-1].end)))
    meant = [pipeline.name, how, start, end, only, backfill.options, backfill.resync_first, backfill.extracts]
    key = sha256(dump(meant).encode()).hexdigest()[:32]
    return Plan(backfill=backfill, key=key, parts=tuple(parts))


def _schedule(pipeline: Pipeline, args: Mapping[str, Any]) -> Schedule | None:
    """Return the schedule whose ticks cut the stretch; None where a distance does."""
    number = args.get("schedule")
    if args.get("every"):
        if number:
            raise Refused("--every and --schedule: give one")
        return None
    many = len(pipeline.schedules)
    if number is not None:
        if not 1 <= int(number) <= many:
            raise Refused(f"--schedule {number}: {pipeline.name} has {many} schedules, counted from 1")
        return pipeline.schedules[int(number) - 1]
    if many > 1:
        listed = "; ".join(f"{at} is {_line(one)}" for at, one in enumerate(pipeline.schedules, start=1))
        raise Refused(f"{pipeline.name} has {many} schedules: choose with --schedule ({listed}), or give --every")
    return pipeline.schedules[0] if many else None


def _line(schedule: Schedule) -> str:
    if schedule.every is not None:
        return f"every {say(schedule.every)}"
    return f"cron {schedule.cron} ({schedule.timezone})"
