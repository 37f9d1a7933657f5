"""What a connector is handed for a step: its options as they are at this moment, and what earlier tries left behind."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial as bound
from typing import Any

from stackhub.config.instances import Instance
from stackhub.config.options import RunContext, check_changed, job_options, route_options
from stackhub.contract import ConfigError, Connector, Job, Node, Options, Role
from stackhub.decide import partial
from stackhub.engine.inforce import InForce
from stackhub.errors import Refused
from stackhub.model.pipeline import Pipeline, Route
from stackhub.model.run import OpenRun
from stackhub.model.step import Step
from stackhub.store import queries
from stackhub.store.nodes import left
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
        consumed: Mapping[str, str] = {}
        if task.stands_for:  # what waits in its place takes some of its options
            known = operation.options.model_fields
            task = replace(task, options={name: one for name, one in task.options.items() if name in known})
        if operation.role is Role.EXTRACT and task.stands_for in {"", task.operation}:  # else: what lands from now on
            query = bound(queries.consumed, pipeline=run.pipeline, task=task.name, instance=task.instance)
            consumed = await self._store.read(query)
        interval = (run.interval.start, run.interval.end)
        context = RunContext(run=run.id, pipeline=run.pipeline, interval=interval, values=run.origin.get("params", {}))
        return Job(
            operation=task.operation,
            options=job_options(task, instance.connector, self._environ, context),
            pipeline=run.pipeline,
            run=run.id,
            task=task.name,
            attempt=step.attempt,
            interval=interval,
            timeout=task.timeout,
            consumed=consumed,
            nodes=await self._nodes(open_run, step),
            leave=partial.sources(task, step.without),
            only=task.only,
        )

    def route(self, instance: Instance, options: Mapping[str, Any]) -> Options:
        """Build a route's options as they are at this moment. Raises `ConfigError`."""
        return route_options(Route(to=instance.name, options=options), instance.connector, self._environ)

    def check(self, pipeline: Pipeline, changed: Iterable[str]) -> None:
        """Check the options of tasks that somebody has changed for one run.

        Raises:
            Refused: something is wrong with them; the text names each option.
        """
        problems = check_changed(pipeline, changed, self._connector, self._environ)
        if problems:
            raise Refused("; ".join(map(str, problems)))

    def _connector(self, name: str) -> Connector | None:
        instance = self._in_force.instance(name)
        return instance.connector if instance is not None else None

    async def _nodes(self, open_run: OpenRun, step: Step) -> tuple[Node, ...]:
        """Return how earlier tries left each node: of this step, and in the runs that this one goes on from."""
        run = open_run.run
        if step.attempt == 1 and not run.retry_of:
            return ()
        return await self._store.read(bound(left, run=run, task=step.task))
