"""What a connector is handed for a step: its options as they are at this moment, and what earlier tries left behind."""

from collections.abc import Mapping
from functools import partial

from stackhub.config import job_options
from stackhub.contract import ConfigError, Job, Node, Role
from stackhub.engine.inforce import InForce
from stackhub.model.run import OpenRun
from stackhub.model.step import Step
from stackhub.store import queries
from stackhub.store.store import Store


class Work:
    """Builds jobs."""

    def __init__(self, store: Store, in_force: InForce, environ: Mapping[str, str]) -> None:
        self._store = store
        self._in_force = in_force
        self._environ = environ

    async def job(self, open_run: OpenRun, step: Step) -> Job:
        """Build the job of a step, ``${VAR}`` and ``{{ run.id }}`` filled in.

        Raises:
            ConfigError: its instance is not configured, or its options cannot be used as they are now.
        """
        run, task = open_run.run, open_run.pipeline.task(step.task)
        instance = self._in_force.instance(task.instance)
        operation = self._in_force.operation(open_run.pipeline, step.task)
        if instance is None or operation is None:
            raise ConfigError(f"{task.connector}.{task.operation}: there is no instance {task.instance!r} any more")
        consumed = None
        if operation.role is Role.EXTRACT:
            query = partial(queries.consumed, pipeline=run.pipeline, task=task.name, instance=task.instance)
            consumed = await self._store.read(query)
        return Job(
            operation=task.operation,
            options=job_options(task, instance.connector, self._environ, names(open_run, step.task)),
            pipeline=run.pipeline,
            run=run.id,
            task=task.name,
            attempt=step.attempt,
            interval=(run.interval.start, run.interval.end),
            timeout=task.timeout,
            consumed=consumed,
            nodes=await self._nodes(open_run, step),
        )

    async def _nodes(self, open_run: OpenRun, step: Step) -> tuple[Node, ...]:
        """Return how earlier tries left each node: of this step, else of the run that this one retries."""
        run = open_run.run
        if step.attempt == 1 and not run.retry_of:
            return ()
        found = (await self._store.read(partial(queries.nodes, run_id=run.id, task=step.task))).get(step.task, [])
        if not found and run.retry_of and not run.origin.get("from_start"):
            older = await self._store.read(partial(queries.nodes, run_id=run.retry_of, task=step.task))
            found = older.get(step.task, [])
        return tuple(found)


def names(open_run: OpenRun, task: str) -> dict[str, str]:
    """Return what ``{{ }}`` may name in a task's options."""
    run = open_run.run
    return {
        "interval.start": run.interval.start.isoformat(),
        "interval.end": run.interval.end.isoformat(),
        "run.id": run.id,
        "run.pipeline": run.pipeline,
        "run.trigger": run.trigger.value,
        "task.name": task,
    }
