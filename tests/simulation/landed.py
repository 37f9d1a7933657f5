"""What must hold of runs that begin because data has come in, and of ticks that wait for it.

The far ends' own loads are the truth: a mark that nobody loaded, a load that was taken twice, and one that was never
taken are told apart by them, whatever the store says has landed.
"""

import json
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from simulation.audit import Change
from simulation.oracle import RUN_OVER, Oracle, Violation, instant

Place = tuple[str, str]  # a pipeline, and a trigger of it as the store names it
NOT_OF_ITS_OWN = "backfill"  # in the origin of runs that neither wait for others nor are waited for


class Landed:
    """Watches marks, the runs that take them, and ticks that wait."""

    def __init__(self, oracle: Oracle, *, alone: bool) -> None:
        """``alone``: one hub, so that no other begins runs at the same time."""
        self._oracle, self._alone = oracle, alone
        self.marks: dict[Place, dict[str, tuple[str | None, str]]] = defaultdict(dict)  # "tap:c0" -> connection, mark
        self._taken: dict[str, dict[Place, set[str]]] = defaultdict(lambda: defaultdict(set))  # by run
        self._born: list[str] = []  # runs that began because something landed, in this commit
        self._waits: dict[tuple[Place, int], dict[str, Any]] = {}  # ticks that wait, as they fell
        self._decided: list[tuple[Place, int, str, str | None]] = []
        self.sees = {"watermark": self._mark, "run": self._run, "tick": self._tick}

    # --- what is written ---

    def _mark(self, change: Change) -> None:
        pipeline, _, name = change.one.partition("|")
        place, mine = (pipeline, change.two), self.marks[pipeline, change.two]
        if change.act == "delete":
            mine.pop(name, None)
            return
        was = mine.get(name)
        mine[name] = change.most, change.new
        if was is None or was[0] is None or was[1] == change.new:
            return
        if was[0] != change.most:
            raise Violation(8, f"{pipeline}: {name} means {change.most} now, and meant {was[0]}")
        if change.new < was[1] and not self._at_once(change.most, was[1], change.new):
            raise Violation(8, f"{pipeline}: the mark of {name} was {was[1]} and is set back to {change.new}")
        self._is_load(pipeline, change.most, change.new)
        self._taken[change.more][place].add(name)

    def _is_load(self, pipeline: str, connection: str, mark: str) -> None:
        if not self._oracle.town.accounts.keys() & {"tap"}:
            return  # the true connectors' vendors keep their own record
        loads = self._oracle.town["tap"].jobs
        if not any(job.what == connection and f"{job.ended:09}" == mark and job.end and job.end.ok for job in loads):
            raise Violation(8, f"{pipeline} takes a load of {connection} that there never was: {mark}")

    def _at_once(self, connection: str, *marks: str) -> bool:
        """Say whether these loads ended at one time, as their vendor tells it: which was first, a hub cannot know."""
        jobs = self._oracle.town["tap"].jobs if "tap" in self._oracle.town.accounts else []
        ends = [job.end.landing.ended_at for job in jobs if job.what == connection and f"{job.ended:09}" in marks]
        return len(ends) == len(marks) and len(set(ends)) == 1

    def _run(self, change: Change) -> None:
        if change.act == "insert" and json.loads(change.more)["trigger"] == "landed":
            self._born.append(change.one)

    def _tick(self, change: Change) -> None:
        if change.act == "delete":
            self._waits.pop(((change.one, change.two), change.more), None)
        elif change.new == "wait" and change.act == "insert":
            self._waits[(change.one, change.two), change.more] = {"until": self._until(change)}
        elif change.old == "wait" and change.new != "wait":
            self._decided.append(((change.one, change.two), change.more, change.new, change.most))

    def _until(self, change: Change) -> datetime | None:
        """Return until when a tick waits, which its schedule must bear out."""
        where = "SELECT until FROM tick WHERE pipeline = ? AND spec = ? AND at = ?"
        (row,) = self._oracle.reader.rows(where, change.one, change.two, change.more)
        schedule, tick = json.loads(change.two), instant(change.more)
        if (row["until"] is None) != (schedule.get("not_later_than") is None):
            raise Violation(8, f"the tick of {change.one} at {tick} waits until {row['until']}: {change.two}")
        if row["until"] is None:
            return None
        until, zone = instant(row["until"]), ZoneInfo(schedule.get("timezone", "UTC"))
        local = until.astimezone(zone)
        steady = (until - timedelta(hours=3)).astimezone(zone).utcoffset() == local.utcoffset()
        wrong = steady and local.strftime("%H:%M:%S") != schedule["not_later_than"][:8]
        if wrong or not tick < until <= tick + timedelta(hours=25):
            raise Violation(8, f"the tick of {change.one} at {tick} waits until {local}: {change.two}")
        return until

    # --- after a commit ---

    def committed(self) -> None:
        """Check the runs that began, and the ticks that were decided."""
        born, self._born = self._born, []
        decided, self._decided = self._decided, []
        for run_id in born:
            self._begun(run_id)
        for place, at, verdict, run in decided:
            self._was_decided(place, at, verdict, run)

    def _begun(self, run_id: str) -> None:
        """Check that a run by `landed` has taken, with its birth, all that it needs."""
        data = self._oracle.every_run[run_id].data
        told = data["origin"]["landed"]
        found = [(place, names) for place, names in self._taken[run_id].items() if place[0] == data["pipeline"]]
        if len(found) != 1 or found[0][1] != set(told):
            raise Violation(8, f"run {run_id} began because {sorted(told)} landed, and took {found}")
        place, names = found[0]
        trigger = json.loads(place[1])
        wanted = {f"{one['instance']}:{one['connection']}" for one in trigger["connections"]}
        if not trigger.get("any") and names != wanted:
            raise Violation(8, f"run {run_id} began when {sorted(names)} had landed, and all of {sorted(wanted)} must")
        queued = (
            self._oracle.every_run[run_id].state == "queued"
        )  # made for the same moment as another: it waits for it
        if self._alone and not queued and (others := self._going(data["pipeline"], run_id)):
            raise Violation(8, f"run {run_id} began because something landed while {others} was going")

    def _going(self, pipeline: str, but: str) -> list[str]:
        return [
            run_id
            for run_id, run in self._oracle.runs.items()
            if run_id != but
            and run.data["pipeline"] == pipeline
            and run.state not in RUN_OVER
            and not run.data.get("origin", {}).get(NOT_OF_ITS_OWN)
        ]

    def _was_decided(self, place: Place, at: int, verdict: str, run: str | None) -> None:
        """Check that a tick waited until its data was in, or until its time was up."""
        waited, schedule = self._waits.pop((place, at)), json.loads(place[1])
        now, until, otherwise = self._oracle.hub_now(), waited["until"], schedule.get("otherwise", "run")
        over = until is not None and now >= until
        what = f"the tick of {place[0]} at {instant(at)}, which waits until {until},"
        if verdict == "run":
            wanted = {f"{one['instance']}:{one['connection']}" for one in schedule["require"]}
            if self._taken[run or ""][place] != wanted and not (over and otherwise == "run"):
                raise Violation(8, f"{what} began run {run} at {now} with {self._taken[run or ''][place]} of {wanted}")
            return
        retired = place[0] in self._oracle.retired or self._oracle.schedules[place][-1]["gone"] is not None
        later = any(other == place and tick > at for other, tick in self._waits)
        clashed = bool(self._going(place[0], ""))
        if not (retired or later or clashed or (over and otherwise == "skip")):
            raise Violation(8, f"{what} is skipped at {now}")

    # --- at the end ---

    def overdue(self, slack: timedelta) -> str:
        """Say which tick waits past its time, or although its data is in, where nobody keeps the hub from deciding."""
        now, oracle = self._oracle.hub_now(), self._oracle
        for (place, at), waited in self._waits.items():
            if place[0] in oracle.retired or oracle.paused.get(place[0]) is not None:
                continue
            until, schedule = waited["until"], json.loads(place[1])
            if until is not None and until + slack < now and schedule.get("otherwise", "run") != "alert":
                return f"the tick of {place[0]} at {instant(at)} waits, and was to until {until}"
            if self._landed_before(place, now - slack) and instant(at) + slack < now:
                return f"the tick of {place[0]} at {instant(at)} waits, and all that it requires has landed"
        return ""

    def _landed_before(self, place: Place, at: datetime) -> bool:
        """Say whether all that a trigger watches has landed by a time, as far as the store was told."""
        rows = self._oracle.reader.rows("SELECT connection, mark FROM landing WHERE seen_at < ?", at.timestamp() * 1e6)
        seen = {(row["connection"], row["mark"]) for row in rows}
        mine = self.marks[place].values()
        return bool(mine) and all(any(one == known and mark > was for one, mark in seen) for known, was in mine)

    def unquiet(self) -> list[str]:
        """Say which loads a trigger in force has not taken yet."""
        oracle, found = self._oracle, []
        for (pipeline, trigger), mine in self.marks.items():
            said = json.loads(trigger)
            if "connections" not in said or not mine:
                continue
            if pipeline in oracle.retired or oracle.paused.get(pipeline) is not None:
                continue
            news = [name for name, (connection, mark) in mine.items() if self._news(connection, mark)]
            if news and (said.get("any") or len(news) == len(mine)):
                found.append(f"{pipeline} has not taken what landed of {', '.join(news)}")
        return found

    def _news(self, connection: str | None, mark: str) -> bool:
        if "tap" not in self._oracle.town.accounts:
            return False
        newest = self._oracle.town["tap"].landed(connection) if connection is not None else None
        return newest is not None and f"{newest.ended:09}" > mark

    def check(self) -> None:
        """Check that no load has begun two runs."""
        taken: dict[tuple[str, str, str, str], str] = {}
        for run_id, run in self._oracle.every_run.items():
            for name, mark in run.data.get("origin", {}).get("landed", {}).items():
                for place in self._taken[run_id]:
                    other = taken.setdefault((*place, name, mark), run_id)
                    if other != run_id and not run.data.get("retry_of"):
                        raise Violation(8, f"the load {mark} of {name} has begun run {other} and run {run_id}")
