"""Values to rows and back: the one place that knows which column repeats what."""

from datetime import datetime
from hashlib import sha256
from typing import Any

from stackhub.model.backfill import backfill_of
from stackhub.model.codec import dump, legible
from stackhub.model.incident import Incident
from stackhub.model.landing import Landing
from stackhub.model.node import Node
from stackhub.model.pipeline import Pipeline
from stackhub.model.run import OpenRun, Run
from stackhub.model.step import Step
from stackhub.store import transaction as tx
from stackhub.store.tables import maybe_micros, micros
from stackhub.store.transaction import Op


def snapshot_hash(definition: str) -> str:
    """Name a pipeline's snapshot by its content."""
    return sha256(definition.encode()).hexdigest()[:32]


def snapshot(pipeline: Pipeline) -> tuple[Op, str]:
    """Keep a pipeline as it is now; return the row and its name."""
    definition = dump(pipeline)
    name = snapshot_hash(definition)
    return Op(tx.SNAPSHOT, {"hash": name, "definition": definition}), name


def run_made(made: OpenRun) -> list[Op]:
    """Keep a new run with its steps and its pipeline's snapshot."""
    kept, name = snapshot(made.pipeline)
    run = made.run
    row = {
        "id": run.id,
        "pipeline": run.pipeline,
        "state": run.state.value,
        "version": run.version,
        "snapshot": name,
        "created_at": micros(run.created_at),
        "ended_at": maybe_micros(run.ended_at),
        "retry_of": run.retry_of,
        "backfill": backfill_of(run),
        "data": dump(run),
    }
    return [kept, Op(tx.RUN, row), *(Op(tx.STEP, _step(step)) for step in made.steps.values())]


def run_moved(run: Run, was: int) -> Op:
    """Keep a run whose version was ``was``."""
    return Op(
        tx.RUN_MOVED,
        {
            "b_id": run.id,
            "b_version": was,
            "n_state": run.state.value,
            "n_version": run.version,
            "n_ended_at": maybe_micros(run.ended_at),
            "n_data": dump(run),
        },
    )


def run_stands(run: Run) -> Op:
    """See that a run has not moved meanwhile: else `StaleRun`."""
    return Op(tx.RUN_STANDS, {"b_id": run.id, "b_version": run.version, "n_version": run.version})


def step_moved(step: Step) -> Op:
    """Keep a step as it is now."""
    return Op(
        tx.STEP_MOVED,
        {
            "b_run": step.run,
            "b_task": step.task,
            "n_state": step.state.value,
            "n_began_at": maybe_micros(step.began_at),
            "n_ended_at": maybe_micros(step.ended_at),
            "n_data": dump(step),
        },
    )


def _step(step: Step) -> dict[str, Any]:
    return {
        "run": step.run,
        "task": step.task,
        "instance": step.instance,
        "state": step.state.value,
        "began_at": maybe_micros(step.began_at),
        "ended_at": maybe_micros(step.ended_at),
        "data": dump(step),
    }


def node_kept(run: str, task: str, attempt: int, node: Node) -> Op:
    """Keep a node as its tool last spoke of it."""
    return Op(tx.NODE, {"run": run, "task": task, "id": node.id, "attempt": attempt, "data": dump(node)})


def landed(instance: str, landing: Landing, run: str | None, now: datetime) -> Op:
    """Keep a landing; one already known stays as it is. ``run`` None: nobody's here, it was seen in a listing."""
    return Op(
        tx.LANDING,
        {
            "instance": instance,
            "connection": landing.connection,
            "mark": landing.mark,
            "ended_at": micros(landing.ended_at),
            "seen_at": micros(now),
            "run": run,
            "rows": landing.rows,
        },
    )


def consumed(pipeline: str, step: Step, landing: Landing) -> Op:
    """Note on which landing a task of a pipeline last ended."""
    return Op(
        tx.CONSUMED,
        {
            "pipeline": pipeline,
            "task": step.task,
            "instance": step.instance,
            "connection": landing.connection,
            "mark": landing.mark,
            "run": step.run,
        },
    )


def happened(
    at: datetime, kind: str, *, pipeline: str = "", run: str = "", task: str = "", text: str = "", attempt: int = 0
) -> Op:
    """Write a line of history."""
    return Op(
        tx.EVENT,
        {
            "at": micros(at),
            "pipeline": pipeline,
            "run": run,
            "task": task,
            "kind": kind,
            "text": legible(text),
            "attempt": attempt,
        },
    )


def incident_kept(incident: Incident, was: int | None) -> Op:
    """Keep an incident; ``was`` is its version before, None when it is new."""
    row = {
        "version": incident.version,
        "resolved_at": maybe_micros(incident.resolved_at),
        "data": dump(incident),
    }
    if was is None:
        opened = micros(incident.opened_at)
        return Op(tx.INCIDENT_OPENED, {"id": incident.id, "key": incident.key, "opened_at": opened, **row})
    changes = {f"n_{name}": value for name, value in row.items()}
    return Op(tx.INCIDENT_MOVED, {"b_id": incident.id, "b_version": was, **changes})
