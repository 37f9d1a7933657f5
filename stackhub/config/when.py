"""When a pipeline runs and by when it must be done: schedules and the SLA, from text to values."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from stackhub.config.findings import Loc
from stackhub.config.instances import Instances
from stackhub.config.nearest import hint
from stackhub.config.page import Page
from stackhub.config.pipeline_file import PipelineFile, ScheduleFile
from stackhub.config.triggers import watches
from stackhub.config.zones import known_zone
from stackhub.decide.cron import problem
from stackhub.decide.schedule import LONGEST, SHORTEST, following
from stackhub.model.calendar import Calendar
from stackhub.model.pipeline import Otherwise, Schedule, Sla
from stackhub.model.words import say

_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_EARLY: Final = date(2020, 1, 1)  # from where a schedule without listed days is followed: any day will do
_NAMED: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def schedules(
    file: PipelineFile, page: Page, timezone: str, calendars: Mapping[str, Calendar], instances: Instances
) -> tuple[Schedule, ...]:
    """Read the schedules; ``timezone`` is the hub's. What is wrong is told, and left out."""
    told = len(page.findings.problems)
    found = [(at, _schedule(at, one, page, timezone, calendars, instances)) for at, one in file.schedule.items()]
    used = {
        name for one in file.schedule.values() for part in (one.only, one.without) for name in (part or {}).values()
    }
    for name in calendars:
        if name not in used:
            page.warn(("calendars", name), "no schedule names it: add it under only or except")
    good = [(at, schedule) for at, schedule in found if schedule is not None]
    if len(page.findings.problems) == told:
        for at, schedule in good:
            _comes_round(schedule, ("schedule", at), page, calendars)
    return tuple(schedule for _, schedule in good)


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
    ends = one.at_risk / 2 if one.at_risk_ends is None else one.at_risk_ends
    if ends > one.at_risk:
        page.wrong(("sla", "at_risk_ends"), f"should not lie above at_risk, which is {one.at_risk:g}")
    return Sla(
        finish_by=finish_by,
        max_duration=one.max_duration,
        timezone=zone or timezone,
        at_risk=one.at_risk,
        at_risk_ends=ends,
    )


def cron_fault(line: str) -> str | None:
    """Say what is wrong with a cron line, naming the field; None when nothing is."""
    named = _NAMED.get(line.strip().lower())
    return f"{line.strip()} is not read: write {named!r}" if named else problem(line)


def _schedule(
    at: int, one: ScheduleFile, page: Page, timezone: str, calendars: Mapping[str, Calendar], instances: Instances
) -> Schedule | None:
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
    only = _named(one.only, (*loc, "only"), page, calendars)
    without = _named(one.without, (*loc, "except"), page, calendars)
    waits = requirement(one, loc, page, instances)
    if not good or zone is None or (one.cron is None and one.every is None) or only is None or without is None:
        return None
    return replace(waits, cron=one.cron or "", every=one.every, timezone=zone, only=only, without=without)


def _named(
    written: Mapping[int, str] | None, loc: Loc, page: Page, calendars: Mapping[str, Calendar]
) -> tuple[str, ...] | None:
    """Return the calendars that a schedule names; None where one of them is unknown."""
    if written is None:
        return ()
    if not written:
        page.wrong(loc, "names no calendar: name one, or leave it out")
    unknown = {at: name for at, name in written.items() if not page.document.holds(("calendars", name))}
    for at, name in unknown.items():
        near = hint(name, calendars) or ": declare it under calendars"
        page.wrong((*loc, at), f"unknown calendar {name!r}{near}")
    names = tuple(dict.fromkeys(written.values()))
    return names if names and all(name in calendars for name in names) else None


def _comes_round(schedule: Schedule, loc: Loc, page: Page, calendars: Mapping[str, Calendar]) -> None:
    """Tell of a schedule that its calendars leave nothing of; one whose days are over is merely odd."""
    if not schedule.only and not schedule.without:
        return
    days = [span.first for name in schedule.only for span in calendars[name].spans]
    earliest = datetime.combine(min(days, default=_EARLY), time(), UTC) - timedelta(days=2)
    key = "only" if schedule.only else "except"
    names = " and ".join((*schedule.only, *schedule.without))
    if following(schedule, earliest, earliest, calendars) is None:
        page.wrong((*loc, key), f"never comes round: {names} leaves no tick of it")
    elif following(schedule, (now := datetime.now(UTC)), now, calendars) is None:
        page.warn((*loc, key), f"does not come round any more: {names} leaves no tick from today on")


def _zone(name: str, loc: tuple[str | int, ...], page: Page) -> str | None:
    try:
        return known_zone(name)
    except ValueError as error:
        page.wrong(loc, str(error))
        return None


def requirement(one: ScheduleFile, loc: Loc, page: Page, instances: Instances) -> Schedule:
    """Read what a schedule's ticks wait for, and until when; the rest of the schedule is not filled in."""
    required = watches(one.require, (*loc, "require"), page, instances) if one.require is not None else ()
    at = (*loc, "not_later_than")
    until = _time_of_day(one.not_later_than, page, at) if one.not_later_than is not None else None
    if one.not_later_than is not None and one.require is None:
        page.wrong(at, "without require there is nothing to wait for: add require, or leave it out", key=True)
    if one.otherwise is not None and one.not_later_than is None:
        page.wrong((*loc, "otherwise"), "says what a tick does when its time is up: add not_later_than", key=True)
    return Schedule(require=required, not_later_than=until, otherwise=one.otherwise or Otherwise.RUN)


def _time_of_day(written: str, page: Page, loc: Loc = ("sla", "finish_by")) -> time | None:
    found = _TIME.fullmatch(written)
    if found:
        return time(int(found[1]), int(found[2]))
    short = re.fullmatch(r"([0-9]):([0-5][0-9])", written)
    page.wrong(
        loc,
        f"should be a time of day, HH:MM{f': write 0{short[0]}' if short else ', such as 07:30'}",
    )
    return None
