"""What must hold of schedules that keep to some days: a tick on a day left out is a recorded skip, any other never is for that."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from simulation.audit import Change
from simulation.oracle import Oracle, Violation, instant

BY_CALENDAR = ("calendar ", "not on calendar ")  # how the reason of such a skip begins


def left_out(schedule: Mapping[str, Any], calendars: Mapping[str, Any], at: datetime) -> bool:
    """Say whether a tick falls on a day that its schedule does not keep."""
    day = at.astimezone(ZoneInfo(schedule.get("timezone", "UTC"))).date()
    only, without = schedule.get("only") or (), schedule.get("without") or ()
    kept = not only or any(_on(calendars[name], day) for name in only)
    return not kept or any(_on(calendars[name], day) for name in without)


def _on(calendar: Mapping[str, Any], day: date) -> bool:
    return any(span["first"] <= day.isoformat() <= span["last"] for span in calendar["spans"])


class Days:
    """Watches the ticks of schedules that name calendars."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._fell: list[Change] = []
        self._was: dict[str, str] = {}  # of each pipeline the snapshot before this commit
        self.sees = {"tick": self._tick}

    def _tick(self, change: Change) -> None:
        if change.act == "insert" and ('"only":["' in change.two or '"without":["' in change.two):
            self._fell.append(change)

    def committed(self) -> None:
        """Check the ticks that fell."""
        fell, self._fell = self._fell, []
        for tick in fell:
            self._check(tick)
        self._was = dict(self._oracle.pipelines)

    def _check(self, tick: Change) -> None:
        oracle, schedule, at = self._oracle, json.loads(tick.two), instant(tick.more)
        known = {oracle.pipelines[tick.one], self._was.get(tick.one, oracle.pipelines[tick.one])}
        calendars = [oracle.snapshot(name).get("calendars") or {} for name in sorted(known)]
        named = {*(schedule.get("only") or ()), *(schedule.get("without") or ())}
        said = {left_out(schedule, one, at) for one in calendars if named <= one.keys()}
        what = f"the tick of {tick.one} at {at} ({tick.two})"
        if tick.new != "skip" and said == {True}:
            raise Violation(5, f"{what} is on a day left out, and its verdict is {tick.new}")
        where = "SELECT reason FROM tick WHERE pipeline = ? AND spec = ? AND at = ?"
        reason = oracle.reader.rows(where, tick.one, tick.two, tick.more)[0]["reason"]
        if said == {False} and reason.startswith(BY_CALENDAR):
            raise Violation(5, f"{what} is on a day that is kept: {reason}")

    def unquiet(self) -> list[str]:
        """Say nothing: a tick that is not decided is seen by others."""
        return []

    def check(self) -> None:
        """Check nothing more."""
