"""What must hold of builds of a part: nothing is built on what has not landed, and what was left is built when it has."""

import json
from typing import Any

from simulation.audit import Change
from simulation.oracle import Oracle, Violation
from simulation.press import built, sources

LANDED = {"succeeded", "skipped"}  # states of an extract whose data may be built on; of one skipped a person said so
Debt = tuple[str, str, str, str, Any]  # pipeline, task, model, extract, since


class Debts:
    """Watches the ledger, and what the far end builds."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle, self._models = oracle, oracle.town.spec.models
        self.owed: dict[Debt, tuple[str, Any]] = {}  # -> paid by, landed at
        self._paid: list[tuple[Debt, str]] = []
        self._seen = 0  # jobs looked at
        self.sees = {"owed": self._owes}

    def _owes(self, change: Change) -> None:
        pipeline, _, task = change.one.partition("|")
        node, _, extract = change.two.partition("|")
        debt = (pipeline, task, node.rpartition(".")[2], extract, change.most)
        if change.act == "delete":
            self.owed.pop(debt, None)
            return
        if change.old and change.new != change.old:
            raise Violation(7, f"the debt {debt} was paid by {change.old}, and is by {change.new or 'nobody'}")
        if change.new and not change.old:
            self._paid.append((debt, change.new))
        self.owed[debt] = change.new, change.more

    def committed(self) -> None:
        """Check what was paid."""
        paid, self._paid = self._paid, []
        for debt, by in paid:
            if by in self._oracle.every_run:
                self._is_built(debt, by)

    def _is_built(self, debt: Debt, run: str) -> None:
        """Check that a run which pays has built the model well."""
        _, task, model, _, _ = debt
        jobs = [job for job in self._oracle.town["press"].jobs if job.key.startswith(f"{run}.{task}.")]
        if not any(job.end is not None and job.end.ok and model in built(self._models, job) for job in jobs):
            raise Violation(7, f"the debt {debt} is paid by run {run}, which has not built it")

    def jobs(self) -> None:
        """Check that nothing is built on a source that has not landed."""
        if "press" not in self._oracle.town.accounts:
            return
        all_jobs = self._oracle.town["press"].jobs
        for job in all_jobs[self._seen :]:
            run_id, task, _ = job.key.split(".")
            run = self._oracle.runs.get(run_id)
            if run is None:
                continue
            for model in built(self._models, job):
                if run.data["trigger"] == "owed":
                    self._has_landed(run.data["pipeline"], task, model, job.key)
                else:
                    self._was_loaded(run, task, model, job.key)
        self._seen = len(all_jobs)

    def _was_loaded(self, run: Any, task: str, model: str, key: str) -> None:
        needed = sources(self._models, model)
        for one in self._oracle.snapshot(run.snapshot)["tasks"]:
            step = run.steps.get(one["name"])
            mine = one.get("extract") and one.get("options", {}).get("connection") in needed
            if mine and step is not None and one["name"] != task and step.state not in LANDED:
                raise Violation(7, f"{key} builds {model} while {one['name']}, which it reads, is {step.state}")

    def _has_landed(self, pipeline: str, task: str, model: str, key: str) -> None:
        waits: dict[str, list[Any]] = {}
        for (of, whose, node, extract, _), (by, landed) in self.owed.items():
            if (of, whose, node) == (pipeline, task, model) and not by:
                waits.setdefault(extract, []).append(landed)
        for extract, landings in waits.items():
            if not any(landings):
                raise Violation(7, f"{key} builds {model}, and {extract}, which it waits for, has not landed")

    # --- at the end ---

    def unpaid(self) -> list[str]:
        """Return the connections of extracts for which something is owed."""
        rows = self._oracle.reader.rows("SELECT DISTINCT connection FROM owed WHERE paid_by = '' ORDER BY 1")
        return [row["connection"] for row in rows]

    def unquiet(self) -> list[str]:
        """Say what is still owed."""
        return [f"{json.dumps(debt[:4])} is owed" for debt, (by, _) in self.owed.items() if not by]

    def check(self) -> None:
        """Check nothing more."""
