"""What must hold of backfills: each interval is done once, no more at a time than asked for, and never before a tick's run."""

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from simulation.audit import Change
from simulation.oracle import RUN_OVER, Oracle, Violation, instant, moment

GOES_ON = {"running", "cancelling"}
OF_RUN = {"succeeded": "succeeded", "cancelled": "cancelled", "failed": "failed", "partial": "failed"}


@dataclass
class Part:
    """One interval, as it was committed last."""

    state: str
    start: int
    end: int
    run: str = ""


class Pasts:
    """Watches backfills and their intervals."""

    def __init__(self, oracle: Oracle, *, alone: bool) -> None:
        """``alone``: one hub, so that no other begins runs at the same time."""
        self._oracle, self._alone = oracle, alone
        self.backfills: dict[str, tuple[str, dict[str, Any]]] = {}  # id -> state, and what was asked for
        self.parts: dict[str, dict[int, Part]] = defaultdict(dict)
        self._new: list[str] = []
        self._begun: list[tuple[str, int, str]] = []  # and why it was not its turn
        self._ended: list[tuple[str, int]] = []
        self.sees = {"backfill": self._backfill, "backfill_part": self._part}

    def _backfill(self, change: Change) -> None:
        if change.act == "delete":
            if change.old in GOES_ON:
                raise Violation(9, f"backfill {change.one} was forgotten while it was {change.old}")
            self.backfills.pop(change.one, None)
            self.parts.pop(change.one, None)
            return
        if change.act == "insert":
            self._new.append(change.one)
        self.backfills[change.one] = change.new, json.loads(change.most)

    def _part(self, change: Change) -> None:
        seq, _, end = change.two.partition(".")
        mine = self.parts[change.one]
        if change.act == "delete":
            mine.pop(int(seq), None)
            return
        mine[int(seq)] = Part(change.new, change.most, int(end), change.more or "")
        if change.act == "insert" or change.old == change.new:
            return
        what = f"interval {seq} of backfill {change.one}"
        if change.old == "succeeded":
            raise Violation(9, f"{what} was done, and is {change.new}")
        if change.new == "running":
            wrong = self._wrong_turn(change.one, int(seq))
            if change.old != "waiting":
                wrong = f"{what} was {change.old}, and begins"
            self._begun.append((change.one, int(seq), wrong))
        elif change.new != "waiting":
            self._ended.append((change.one, int(seq)))

    def _wrong_turn(self, backfill: str, seq: int) -> str:
        """Say why of all intervals it is not this one that begins now; "" when it is."""
        state, asked = self.backfills[backfill]
        parts, what = self.parts[backfill], f"interval {seq} of backfill {backfill}"
        if state != "running":
            return f"{what} begins, and the backfill is {state}"
        running = sum(part.state == "running" for part in parts.values())
        if running > asked.get("parallel", 1):
            return f"{what} begins beside {running - 1} others: {asked.get('parallel', 1)} at once"
        failed = [other for other, part in parts.items() if part.state == "failed"]
        if failed and not asked.get("keep_going"):
            return f"{what} begins although {failed} failed"
        newest = asked.get("newest_first")
        before = [n for n, part in parts.items() if part.state == "waiting" and ((n > seq) if newest else (n < seq))]
        return f"{what} begins before {before}, newest first: {bool(newest)}" if before else ""

    # --- after a commit ---

    def committed(self) -> None:
        """Check what was asked for, what began, and what ended."""
        for backfill in self._new:
            self._stretch(backfill)
        for backfill, seq, wrong in self._begun:
            self._run_of(backfill, seq, wrong)
        for backfill, seq in self._ended:
            part = self.parts[backfill][seq]
            run = self._oracle.every_run[part.run]
            if OF_RUN.get(run.state) != part.state:
                raise Violation(9, f"interval {seq} of backfill {backfill} is {part.state}, and its run is {run.state}")
        self._new, self._begun, self._ended = [], [], []

    def _stretch(self, backfill: str) -> None:
        """Check that the intervals are the stretch, cut without a gap."""
        asked, parts = self.backfills[backfill][1], self.parts[backfill]
        if sorted(parts) != list(range(1, len(parts) + 1)):
            raise Violation(9, f"backfill {backfill} has intervals {sorted(parts)}")
        for seq in range(1, len(parts)):
            if parts[seq].end != parts[seq + 1].start:
                raise Violation(9, f"backfill {backfill} has a gap behind its interval {seq}")
        if not asked["how"].startswith("every"):
            return
        first, last = instant(parts[1].start), instant(parts[len(parts)].end)
        made = moment(asked["created_at"])
        wanted = moment(asked["start"]), min(one for one in (moment(asked["end"]), made) if one is not None)
        if (first, last) != wanted:
            raise Violation(9, f"backfill {backfill} is from {first} to {last}, and was to be {wanted}")

    def _run_of(self, backfill: str, seq: int, wrong: str) -> None:
        """Check the run that began for an interval, and that it is in nobody's way."""
        part, oracle = self.parts[backfill][seq], self._oracle
        what = f"interval {seq} of backfill {backfill}"
        run = oracle.every_run.get(part.run)
        if run is None:
            raise Violation(9, f"{what} began run {part.run}: there is none")
        origin, interval = run.data.get("origin", {}), run.data["interval"]
        mine = moment(interval["start"]), moment(interval["end"])
        if (origin.get("backfill"), origin.get("part"), mine) != (
            backfill,
            seq,
            (instant(part.start), instant(part.end)),
        ):
            raise Violation(9, f"{what} began run {part.run}, which is of {origin} and {interval}")
        if run.data.get("retry_of"):  # somebody wants it now
            return
        if wrong:
            raise Violation(9, wrong)
        others = [
            run_id
            for run_id, other in oracle.runs.items()
            if other.data["pipeline"] == run.data["pipeline"]
            and other.state not in RUN_OVER
            and not other.data.get("origin", {}).get("backfill")
        ]
        if self._alone and others:
            raise Violation(9, f"{what} began while {others} was going")

    # --- at the end ---

    def unquiet(self) -> list[str]:
        """Say which backfills go on."""
        return [f"backfill {one} is {state}" for one, (state, _) in self.backfills.items() if state in GOES_ON]

    def check(self) -> None:
        """Check that each interval came to an end, and was done once where it was done."""
        done: dict[tuple[str, int], list[str]] = defaultdict(list)
        for run_id, run in self._oracle.every_run.items():
            origin = run.data.get("origin", {})
            if origin.get("backfill") and run.state == "succeeded":
                done[origin["backfill"], origin["part"]].append(run_id)
        for backfill, (state, _) in self.backfills.items():
            states = {seq: part.state for seq, part in self.parts[backfill].items()}
            if "running" in states.values() or (state == "succeeded") != (set(states.values()) == {"succeeded"}):
                raise Violation(9, f"backfill {backfill} is {state}, and its intervals are {states}")
            for seq, its in states.items():
                if (len(done[backfill, seq]) == 1) != (its == "succeeded"):
                    raise Violation(9, f"interval {seq} of backfill {backfill} is {its}, done by {done[backfill, seq]}")
