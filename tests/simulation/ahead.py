"""What must hold of warnings: a run is told to be at risk once, before its deadline, and it ends or comes to pass."""

import json
from typing import Any

from simulation.audit import Change
from simulation.oracle import RUN_OVER, Oracle, Violation

RISK = "at_risk"
COME_TO_PASS = {"failed", "late"}


class Ahead:
    """Watches the facet `at_risk` of incidents."""

    def __init__(self, oracle: Oracle, *, exact: bool) -> None:
        """``exact``: one hub, which is never held still, cut off, or told another time."""
        self._oracle, self._exact = oracle, exact
        self._risks: dict[str, dict[str, Any]] = {}  # by incident
        self._told: list[tuple[str, dict[str, Any]]] = []  # pipelines that were told to be, in this commit
        self.sees = {"incident": self._incident}

    def _incident(self, change: Change) -> None:
        found = json.loads(change.more)
        facets = found.get("facets", {})
        now, was = facets.get(RISK), self._risks.pop(change.one, None)
        if change.act == "delete" or change.new is not None or now is None:
            return
        if facets.keys() & COME_TO_PASS:
            raise Violation(4, f"incident {change.one} ({change.two}) is at risk of what has come to pass: {[*facets]}")
        self._risks[change.one] = now
        if was is None:
            self._told.append((found.get("pipeline", ""), now))
        elif now != was and (now.get("cause"), now.get("covers")) == (was.get("cause"), was.get("covers")):
            raise Violation(4, f"incident {change.one} ({change.two}) is told again to be at risk of the same: {now}")

    def committed(self) -> None:
        """Check that what is told to be at risk can still be saved."""
        told, self._told = self._told, []
        oracle, now = self._oracle, self._oracle.hub_now()
        for pipeline, facet in told:
            run = oracle.runs.get(facet.get("run", ""))
            if run is None or run.state in RUN_OVER or run.data["pipeline"] != pipeline:
                raise Violation(4, f"{pipeline} is at risk by a run that is not going: {facet}")
            ahead = [one for one in oracle.deadlines.values() if one["pipeline"] == pipeline and one["state"] == "open"]
            latest = max((one["at"] for one in ahead), default=now)
            if self._exact and latest <= now:
                raise Violation(4, f"{pipeline} is told to be at risk at {now}, and no deadline is ahead")

    def unquiet(self) -> list[str]:
        """Say which warnings last although nothing goes on that could prove them right."""
        oracle = self._oracle
        gone = [one for one in self._risks.values() if oracle.runs.get(one["run"], None) is None]
        over = [one for one in self._risks.values() if one not in gone and oracle.runs[one["run"]].state in RUN_OVER]
        return [f"a warning of run {one['run']} lasts" for one in (*gone, *over)]

    def check(self) -> None:
        """Check nothing more."""
