"""What must always hold, checked after every event, by what the tables and the far ends show.

It shares nothing with what decides and acts: the states, the words and the rules are written down here once more. The
numbers are those of the seven invariants in the architecture.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

from simulation.audit import Change, Reader
from simulation.vendors import Town

OVER = {"succeeded", "partial", "failed", "upstream_failed", "skipped", "cancelled"}
GOES_ON = {"succeeded", "partial", "skipped"}
RUN_OVER = {"succeeded", "partial", "failed", "cancelled"}
CLOSED = {"sent", "superseded", "undeliverable"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Violation(AssertionError):
    """An invariant does not hold; says which (0: something waits for ever), and what was seen."""

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        super().__init__(f"invariant {number}: {text}")


@dataclass
class SeenStep:
    """A step, as it was committed last."""

    state: str
    data: dict[str, Any]
    ready: int | None = None  # the order of the world when it first could be started


@dataclass
class SeenRun:
    """A run, as it was committed last."""

    state: str
    data: dict[str, Any]
    snapshot: str
    steps: dict[str, SeenStep] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether it was made of all of its pipeline, for now."""
        origin = self.data.get("origin", {})
        return not origin.get("only") and not origin.get("backfill")


def instant(micros: int) -> datetime:
    """Turn what the tables keep into a time."""
    return EPOCH + timedelta(microseconds=micros)


def moment(text: str | None) -> datetime | None:
    """Turn what a document keeps into a time."""
    return None if text is None else datetime.fromisoformat(text)


class Eye(Protocol):
    """Watches one part of a world, of which an oracle tells it."""

    sees: Mapping[str, Callable[[Change], None]]  # by table

    def committed(self) -> None:
        """Check what was written since the last time."""
        ...

    def unquiet(self) -> list[str]:
        """Say what still waits for something."""
        ...

    def check(self) -> None:
        """Check what only shows at the end."""
        ...


class Oracle:
    """Watches one world."""

    def __init__(self, reader: Reader, town: Town, hub_now: Callable[[], datetime]) -> None:
        self.reader, self.town, self.hub_now = reader, town, hub_now
        self.runs: dict[str, SeenRun] = {}
        self.every_run: dict[str, SeenRun] = {}  # also those that were forgotten
        self.schedules: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)  # each time it was in force
        self.ticks: dict[tuple[str, str], dict[int, tuple[str, str | None]]] = defaultdict(dict)
        self.outbox: dict[tuple[str, str], tuple[str, int]] = {}  # (incident|route, seq.part) -> state, doubt
        self.keys: dict[str, tuple[str, str]] = {}  # of a message -> its place in the outbox
        self.rests: dict[str, tuple[datetime, int]] = {}  # instance -> not before, and how often a clock had been set
        self.owners: dict[str, str | None] = {}  # of lanes
        self.paused: dict[str, datetime | None] = {}
        self.retired: set[str] = set()
        self.pipelines: dict[str, str] = {}  # of each its snapshot
        self.incidents: dict[str, dict[str, Any]] = {}
        self.open: dict[str, str] = {}  # key -> the incident
        self.deadlines: dict[str, dict[str, Any]] = {}
        self.intents: set[tuple[str, str]] = set()  # what was to be started, and under which key
        self._snapshots: dict[str, dict[str, Any]] = {}
        self.eyes: list[Eye] = []
        self._failed: list[str] = []  # runs in which a step has failed, in this commit
        self._late: list[str] = []  # deadlines that were missed, in this commit
        self._sees: dict[str, Callable[[Change], None]] = {
            "run": self._run,
            "step": self._step,
            "tick": self._tick,
            "schedule": self._schedule,
            "outbox": self._message,
            "incident": self._incident,
            "deadline": self._deadline,
            "lane": self._rest,
            "pipeline": self._pipeline,
        }

    def __call__(self) -> None:
        """Look at what was committed since the last look."""
        news = self.reader.news()
        if news:
            self._committed(news)

    def _committed(self, news: list[Change]) -> None:
        runs: set[str] = set()
        self._failed, self._late = [], []
        for change in news:
            if change.table in {"run", "step"}:
                runs.add(change.one)
            seen = self._sees.get(change.table)
            if seen is not None:
                seen(change)
            for eye in self.eyes:
                if change.table in eye.sees:
                    eye.sees[change.table](change)
        for change in news:
            if change.table == "tick" and change.new == "run" and change.most not in self.every_run:
                text = f"the tick of {change.one} at {instant(change.more)} made run {change.most}: there is none"
                raise Violation(5, text)
        for eye in self.eyes:
            eye.committed()
        for run_id in sorted(runs & self.runs.keys()):
            self._ends(run_id, self.runs[run_id])
        for run_id in self._failed:
            data = self.every_run[run_id].data
            self._is_told(data["pipeline"], "failed", f"run {run_id}", data.get("origin", {}).get("backfill", ""))
        for deadline in self._late:
            self._is_told(self.deadlines[deadline]["pipeline"], "late", f"deadline {deadline}")

    # --- runs ---

    def _run(self, change: Change) -> None:
        if change.act == "delete":
            if change.old not in RUN_OVER:
                raise Violation(3, f"run {change.one} was forgotten while it was {change.old}")
            self.runs.pop(change.one, None)
            return
        if change.act == "insert":
            self.runs[change.one] = self.every_run[change.one] = SeenRun(
                change.new, json.loads(change.more), change.most
            )
            self.snapshot(change.most)  # as long as it is kept: ticks are checked at the end
            return
        if change.old in RUN_OVER:
            raise Violation(3, f"run {change.one} was {change.old} and is written again as {change.new}")
        seen = self.runs[change.one]
        seen.state, seen.data = change.new, json.loads(change.more)

    def _step(self, change: Change) -> None:
        run = self.runs.get(change.one)
        if run is None or change.act == "delete":
            return
        if change.act == "update" and change.old in OVER:
            raise Violation(3, f"step {change.one}.{change.two} was {change.old} and is written again as {change.new}")
        seen = run.steps.get(change.two)
        if seen is None:
            seen = run.steps[change.two] = SeenStep(change.new, {})
        seen.state, seen.data = change.new, json.loads(change.more)
        if change.new == "ready" and seen.ready is None:
            seen.ready = self.town.tick()
        if change.new == "starting":
            self._intended(change, run, seen)
        if change.new == "succeeded" and change.act == "update":
            self._landed(change, seen)
        if change.new == "failed" and change.act == "update" and run.data.get("cancel_at") is None:
            self._failed.append(change.one)
        if change.new == "partial" and change.most != "press":
            raise Violation(7, f"{change.one}.{change.two} is partial, and no vendor here leaves anything undone")

    def _intended(self, change: Change, run: SeenRun, seen: SeenStep) -> None:
        """Check that what a step needs has gone well before it is to be started."""
        tasks = {one["name"]: one for one in self.snapshot(run.snapshot)["tasks"]}
        options = tasks[change.two].get("options", {})
        what = options.get("connection") or options.get("select") or ""
        self.intents.add((what, f"{change.one}.{change.two}.{seen.data.get('serial', 1)}"))
        for need in self.needs(run, change.two):
            left = change.most == "press" and need in (
                seen.data.get("without") or ()
            )  # what it builds without: `debts`
            if run.steps[need].state not in GOES_ON and not left:
                text = f"{change.one}.{change.two} is to be started while {need}, which it needs, was {run.steps[need].state}"
                raise Violation(1, text)

    def _landed(self, change: Change, seen: SeenStep) -> None:
        """Check that the load a step ended on is one that its vendor had, and no old one."""
        landing = seen.data.get("landing")
        if landing is None or seen.ready is None or change.most not in self.town.accounts:
            return
        end = int(landing["mark"])
        loads = {job.ended: job for job in self.town[change.most].jobs if job.end is not None and job.end.ok}
        job = loads.get(end)
        if job is None or job.what != landing["connection"]:
            raise Violation(1, f"{change.one}.{change.two} ended on a load that there never was: {landing}")
        waits = "wait" in (seen.data.get("handle") or {})
        if end < seen.ready and not waits:
            raise Violation(1, f"{change.one}.{change.two} took a load that had landed before it could be started")

    def _ends(self, run_id: str, run: SeenRun) -> None:
        over = bool(run.steps) and all(step.state in OVER for step in run.steps.values())
        if over != (run.state in RUN_OVER):
            states = {name: step.state for name, step in run.steps.items()}
            raise Violation(3, f"run {run_id} is {run.state} while its steps are {states}")
        key = f"pipeline:{run.data['pipeline']}"
        if run.state == "succeeded" and run.whole and key in self.open:
            until = moment(run.data["interval"]["end"])
            for kind, facet in self.incidents[self.open[key]].get("facets", {}).items():
                covers = moment(facet.get("covers"))
                if covers is None or (until is not None and covers <= until):
                    raise Violation(4, f"run {run_id} has succeeded, and {key} is still {kind}")

    def needs(self, run: SeenRun, task: str) -> list[str]:
        """Return what a task of a run needs, as the run's snapshot says."""
        tasks = {one["name"]: one for one in self.snapshot(run.snapshot)["tasks"]}
        return [need["task"] for need in tasks[task].get("needs", ())]

    def snapshot(self, name: str) -> dict[str, Any]:
        """Return a pipeline as it was kept."""
        if name not in self._snapshots:
            (row,) = self.reader.rows("SELECT definition FROM snapshot WHERE hash = ?", name)
            self._snapshots[name] = json.loads(row["definition"])
        return self._snapshots[name]

    # --- ticks and deadlines ---

    def _tick(self, change: Change) -> None:
        if change.act == "delete":
            return
        at, verdict, run = change.more, change.new, change.most
        if verdict == "skip" and run is not None:
            raise Violation(5, f"the tick of {change.one} at {instant(at)} is skipped and has run {run}")
        self.ticks[change.one, change.two][at] = (verdict, run)

    def _schedule(self, change: Change) -> None:
        lives = self.schedules[change.one, change.two]
        if change.act == "insert":
            lives.append({"anchor": change.more, "next_at": change.new, "gone": None, "seen": 0})
            return
        life = lives[-1]
        life["seen"] = max(life["next_at"] or 0, life["seen"])
        if change.act == "delete":
            (newest,) = self.reader.rows(
                "SELECT max(applied_at) AS at FROM revision"
            )  # as of when, whenever it was kept
            life["gone"] = instant(newest["at"])
            return
        if life["next_at"] is not None and change.new is not None and change.new < life["next_at"]:
            raise Violation(5, f"a schedule of {change.one} was set back to {instant(change.new)}")
        life["next_at"] = change.new

    def _rest(self, change: Change) -> None:
        self.owners[change.one] = change.most
        if change.new is not None and change.new != change.old:
            self.rests[change.one] = instant(change.new), self.town.jumped

    def _pipeline(self, change: Change) -> None:
        self.paused[change.one] = None if change.new is None else instant(change.new)
        self.pipelines[change.one] = change.more
        (self.retired.add if change.most else self.retired.discard)(change.one)

    def _deadline(self, change: Change) -> None:
        if change.act == "delete":
            self.deadlines.pop(change.one, None)
            return
        if change.act == "update" and change.old not in {"open", change.new}:
            raise Violation(4, f"deadline {change.one} was {change.old} and is {change.new}")
        self.deadlines[change.one] = {"pipeline": change.two, "state": change.new, "at": instant(change.more)}
        if change.new == "late" and change.old == "open":
            self._late.append(change.one)

    # --- what is told ---

    def _is_told(self, pipeline: str, kind: str, what: str, backfill: str = "") -> None:
        """Check that a problem is an open incident with that facet, in the transaction that made it known."""
        key = f"backfill:{backfill}" if backfill else f"pipeline:{pipeline}"
        if kind == "late" and pipeline in self.retired:
            return  # nobody waits for it any more
        if key not in self.open or kind not in self.incidents[self.open[key]].get("facets", {}):
            raise Violation(4, f"{what} of {pipeline} is {kind}, and no open incident says so")

    def _incident(self, change: Change) -> None:
        if change.act == "delete":
            return
        found = self.incidents[change.one] = json.loads(change.more)
        if change.act == "update" and change.old is not None:
            raise Violation(4, f"incident {change.one} was resolved and is written again")
        if change.new is not None:
            self.open.pop(change.two, None)
            return
        if self.open.setdefault(change.two, change.one) != change.one:
            raise Violation(4, f"{change.two} has two open incidents")
        if not found.get("facets", {}):
            raise Violation(4, f"incident {change.one} is open about nothing")

    def _message(self, change: Change) -> None:
        if change.act == "delete":
            return
        place = (change.one, change.two)
        incident, _, route = change.one.partition("|")
        known = {one for one, _ in self.outbox if one.startswith(f"{incident}|")}
        stands_in = change.act == "insert" and route.startswith("fallback:") and change.one not in known
        if stands_in and change.most in {one.partition("|")[2].partition(":")[0] for one in known}:
            raise Violation(4, f"{change.most} hears of incident {incident}, and is told of it for another as well")
        if change.act == "update" and change.old in CLOSED and change.new != change.old:
            raise Violation(4, f"message {place} was {change.old} and is {change.new}")
        self.outbox[place] = (change.new, change.more)
        seq, _, part = change.two.partition(".")
        self.keys[f"{incident}.{seq}.{part}.{sha256(route.encode()).hexdigest()[:8]}"] = place
