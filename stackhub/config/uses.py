"""Who uses which connection of an account: by the names that pipelines write."""

from collections.abc import Iterable, Iterator, Mapping

from stackhub.config.instances import Instance
from stackhub.config.options import connection_of
from stackhub.decide.watch import Use, Uses
from stackhub.model.pipeline import Pipeline, Task


def uses_at(account: Instance, pipelines: Iterable[Pipeline], environ: Mapping[str, str]) -> Uses:
    """Return the tasks that name a connection of an account, by that name; not those whose name hangs on the run."""
    found: dict[str, list[Use]] = {}
    for pipeline, task in naming(account.name, pipelines):
        if name := connection_of(task, pipeline.name, account.connector, environ):
            found.setdefault(name, []).append(Use(pipeline=pipeline.name, task=task.name, owner=pipeline.owner))
    return {name: tuple(uses) for name, uses in found.items()}


def naming(instance: str, pipelines: Iterable[Pipeline]) -> Iterator[tuple[Pipeline, Task]]:
    """Return the tasks of an account that name a connection, filled in or not."""
    for pipeline in pipelines:
        for task in pipeline.tasks:
            if task.instance == instance and "connection" in task.options:
                yield pipeline, task
