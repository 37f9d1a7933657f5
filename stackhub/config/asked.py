"""What can be found out for a task of what feeds it: the job to read, and the connections its pipeline loads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stackhub.config.instances import Instance
from stackhub.config.options import RunContext, job_options
from stackhub.contract import Job, Role
from stackhub.errors import ConfigError
from stackhub.lineage.infer import Wiring, digest, subject
from stackhub.model.codec import dump
from stackhub.model.pipeline import Pipeline, Task

OF_THE_RUN = "what it selects hangs on the run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question about one task."""

    job: Job
    wirings: tuple[Wiring, ...]
    subject: str  # its name: the same question has the same answer as long as project and accounts stay the same


def asked(
    pipeline: Pipeline,
    task: Task,
    instance_of: Callable[[str], Instance | None],
    environ: Mapping[str, str],
    *,
    every: bool = False,
) -> Asked | str | None:
    """Return what to ask for a task; why nothing can be, where that is worth telling; None where there is no need.

    What a run would fill in is made up, so what is read must not hang on it. ``every``: ask also where the pipeline
    loads nothing itself.
    """
    instance = instance_of(task.instance)
    operation = instance.connector.operations.get(task.operation) if instance is not None else None
    if instance is None or operation is None or operation.role is not Role.TRANSFORM or task.only:
        return None
    if not every and not any(one.extract for one in pipeline.tasks):
        return None
    read = {name: value for name, value in task.options.items() if name not in operation.options.unread}
    if "{{" in dump(read):
        return OF_THE_RUN
    try:
        options = job_options(task, instance.connector, environ, RunContext.made_up(pipeline.name))
    except ConfigError as err:
        return f"its options cannot be used: {err}"
    wirings = tuple(_wiring(one, pipeline, instance_of, environ) for one in pipeline.tasks if one.extract)
    job = Job(operation=task.operation, options=options, pipeline=pipeline.name, task=task.name)
    name = digest([subject(task, wirings), options.model_dump(mode="json")])
    return Asked(job=job, wirings=wirings, subject=name)


def _wiring(
    task: Task, pipeline: Pipeline, instance_of: Callable[[str], Instance | None], environ: Mapping[str, str]
) -> Wiring:
    instance, written = instance_of(task.instance), task.options.get("connection")
    connection = ""
    if instance is not None and isinstance(written, str) and "{{" not in written:
        try:
            options = job_options(task, instance.connector, environ, RunContext.made_up(pipeline.name))
        except ConfigError:
            options = None  # it will fail by itself; until then it may load anything
        connection = str(getattr(options, "connection", "") or "")
    return Wiring(task=task.name, instance=task.instance, connection=connection)
