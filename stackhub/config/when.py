"""When a pipeline runs and by when it must be done: schedules and the SLA, from text to values."""

import re
from datetime import time, timedelta
from typing import Final

from stackhub.config.page import Page
from stackhub.config.pipeline_file import PipelineFile, ScheduleFile
from stackhub.config.zones import known_zone
from stackhub.decide.cron import problem
from stackhub.decide.schedule import LONGEST, SHORTEST
from stackhub.model.pipeline import Schedule, Sla
from stackhub.model.words import say

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_NAMED: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def schedules(file: PipelineFile, page: Page, timezone: str) -> tuple[Schedule, ...]:
    """Read the schedules; ``timezone`` is the hub's. What is wrong is told, and left out."""
    found = (_schedule(at, one, page, timezone) for at, one in file.schedule.items())
    return tuple(schedule for schedule in found if schedule is not None)


def sla(file: PipelineFile, page: Page, declared: tuple[Schedule, ...], timezone: str) -> Sla | None:
    """Read the SLA. Its time of day is in its own zone, else in the one its schedules share, else in the hub's."""
    one = file.sla
    if one is None:
        return None
    if not any(page.document.holds(("sla", key)) for key in ("finish_by", "max_duration")):
        page.wrong(("sla",), "needs finish_by or max_duration")
    if one.max_duration is not None and one.max_duration <= timedelta():
        page.wrong(("sla", "max_duration"), "should be longer than nothing")
    finish_by = _time_of_day(one.finish_by, page) if one.finish_by is not None else None
    if one.finish_by is not None and not file.schedule:
        page.warn(("sla", "finish_by"), "without a schedule nothing is ever due: there is no tick to count from")
    zones = {schedule.timezone: None for schedule in declared if schedule.cron}
    if one.finish_by is not None and one.timezone is None and len(zones) > 1:
        page.wrong(
            ("sla", "finish_by"),
            f"in which zone? The schedules are in {' and '.join(zones)}: add timezone under sla",
        )
    zone = _zone(one.timezone, ("sla", "timezone"), page) if one.timezone is not None else next(iter(zones), timezone)
    return Sla(finish_by=finish_by, max_duration=one.max_duration, timezone=zone or timezone)


def cron_fault(line: str) -> str | None:
    """Say what is wrong with a cron line, naming the field; None when nothing is."""
    named = _NAMED.get(line.strip().lower())
    return f"{line.strip()} is not read: write {named!r}" if named else problem(line)


def _schedule(at: int, one: ScheduleFile, page: Page, timezone: str) -> Schedule | None:
    loc = ("schedule", at)
    good = True
    written = [key for key in ("cron", "every") if page.document.holds((*loc, key))]
    if len(written) != 1:
        page.wrong(loc, "has both cron and every: keep one" if written else "needs cron or every")
        good = False
    if one.cron is not None and (fault := cron_fault(one.cron)):
        page.wrong((*loc, "cron"), fault)
        good = False
    if one.every is not None and not SHORTEST <= one.every <= LONGEST:
        page.wrong((*loc, "every"), f"should lie between {say(SHORTEST)} and {say(LONGEST)}")
        good = False
    zone = _zone(one.timezone, (*loc, "timezone"), page) if one.timezone is not None else timezone
    if not good or zone is None or (one.cron is None and one.every is None):
        return None
    return Schedule(cron=one.cron or "", every=one.every, timezone=zone)


def _zone(name: str, loc: tuple[str | int, ...], page: Page) -> str | None:
    try:
        return known_zone(name)
    except ValueError as error:
        page.wrong(loc, str(error))
        return None


def _time_of_day(written: str, page: Page) -> time | None:
    found = _TIME.fullmatch(written)
    if found:
        return time(int(found[1]), int(found[2]))
    short = re.fullmatch(r"([0-9]):([0-5][0-9])", written)
    page.wrong(
        ("sla", "finish_by"),
        f"should be a time of day, HH:MM{f': write 0{short[0]}' if short else ', such as 07:30'}",
    )
    return None
