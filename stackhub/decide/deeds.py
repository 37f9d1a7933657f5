"""What people and other systems did in a part of history, to be done again; and which run repeats which. Pure.

What the engine does by itself (ticks, landings, a pipeline behind another, debts that are paid) is not in here: it is
done anew, or not, as the configuration has it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from stackhub.model.run import Run, Trigger

AGAIN: Final = frozenset({"trigger", "retry", "cancel", "skip", "pause", "resume", "mute", "unmute"})
OF_RUNS: Final = frozenset({"retry", "cancel", "skip"})
LEVELS: Final = frozenset({"pause", "resume", "mute", "unmute"})  # what was done before the time goes on counting
ASKED: Final = frozenset({Trigger.MANUAL, Trigger.API, Trigger.WEBHOOK, Trigger.FILE, Trigger.RETRY})
NEAR: Final = timedelta(hours=1)  # a run that nobody asked for repeats one of the same kind that was made so near


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command that was obeyed."""

    id: str
    kind: str
    args: Mapping[str, Any]
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One command, to be given again at its time."""

    at: datetime
    kind: str
    args: Mapping[str, Any]
    by: str
    makes: str = ""  # the recorded run that came of it


def deeds(asked: Iterable[Asked], runs: Sequence[Run], since: datetime) -> list[Deed]:
    """Return what is to be done again, oldest first; what held at ``since`` is done then."""
    made = {run.id: run for run in runs}
    found = [_deed(one, made, since) for one in asked if one.kind in AGAIN]
    files = [
        Deed(
            at=run.created_at,
            kind="trigger",
            args={"pipeline": run.pipeline, "trigger": run.trigger.value, "params": run.origin.get("params", {})},
            by="a file",
            makes=run.id,
        )
        for run in runs
        if run.trigger is Trigger.FILE
    ]
    return sorted([*(one for one in found if one is not None), *files], key=lambda one: one.at)


def _deed(one: Asked, made: Mapping[str, Run], since: datetime) -> Deed | None:
    if one.kind in LEVELS:
        return Deed(at=max(one.at, since), kind=one.kind, args=one.args, by=one.by)
    of = str(one.args.get("run", ""))
    if one.kind in OF_RUNS and of not in made:
        return None
    if one.kind in {"trigger", "retry"} or (one.kind == "skip" and one.id in made):  # a skip may make a retry
        run = made.get(one.id)
        if run is None:
            return None
        args = {name: value for name, value in one.args.items() if name not in {"hook", "idempotency_key"}}
        return Deed(at=run.created_at, kind=one.kind, args=args, by=one.by, makes=run.id)
    return Deed(at=one.at, kind=one.kind, args=one.args, by=one.by) if one.at >= since else None


@dataclass(slots=True)
class Twins:
    """Which recorded run each run repeats."""

    recorded: Sequence[Run]
    of: dict[str, str] = field(default_factory=dict)  # by the id of the run that is played; "": it repeats none
    _ticks: dict[tuple[str, datetime], str] = field(default_factory=dict)
    _behind: dict[tuple[str, str], str] = field(default_factory=dict)  # by pipeline and upstream run
    _others: dict[tuple[str, Trigger], list[Run]] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _asked: str = ""

    def __post_init__(self) -> None:
        """Put them in order."""
        for run in self.recorded:
            if run.retry_of or run.trigger in ASKED:
                continue
            if run.tick is not None:
                self._ticks[run.pipeline, run.tick] = run.id
            elif run.trigger is Trigger.PIPELINE:
                self._behind[run.pipeline, str(run.origin.get("upstream", ""))] = run.id
            elif run.trigger in {Trigger.LANDED, Trigger.OWED}:
                self._others.setdefault((run.pipeline, run.trigger), []).append(run)
        self.recorded = ()

    def asking(self, recorded: str) -> None:
        """Note which run is being asked for again now: the next that was asked for is it; "": none is."""
        self._asked = recorded

    def played(self, recorded: str) -> str:
        """Return the run that repeats a recorded one; "" where there is none yet."""
        return next((played for played, was in self.of.items() if was == recorded), "")

    def find(self, run: Run) -> str:
        """Return the recorded run that this one repeats; "" where there is none."""
        if run.id not in self.of:
            self.of[run.id] = found = self._found(run)
            self._taken.add(found)
        return self.of[run.id]

    def _found(self, run: Run) -> str:
        if run.retry_of or run.trigger in ASKED:
            return self._asked
        if run.tick is not None:
            return self._ticks.get((run.pipeline, run.tick), "")
        if run.trigger is Trigger.PIPELINE:
            upstream = self.of.get(str(run.origin.get("upstream", "")), "")
            return self._behind.get((run.pipeline, upstream), "")
        left = [one for one in self._others.get((run.pipeline, run.trigger), []) if one.id not in self._taken]
        near = min(left, key=lambda one: abs(one.created_at - run.created_at), default=None)
        return near.id if near is not None and abs(near.created_at - run.created_at) <= NEAR else ""
