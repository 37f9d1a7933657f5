"""What is known of what feeds each task: from what a hub has kept, or asked of the projects and accounts just now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from stackhub.cli.asked import ask_each
from stackhub.config.asked import Asked, asked
from stackhub.config.instances import Instance
from stackhub.config.read import Configuration
from stackhub.contract import Catalog, ConfigError, Reading, Reads, in_thread
from stackhub.lineage import Held, match, read
from stackhub.lineage.infer import infer, narrowed, stale
from stackhub.model.feeding import Inferred
from stackhub.model.pipeline import Pipeline, Task

PATIENCE: Final = 300.0  # seconds for dbt to read a large project, or an account to list what it loads
QUICK: Final = 20.0  # seconds to look at a project's files


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One pipeline as a run made now would follow it, and what is known of its tasks."""

    pipeline: Pipeline
    tasks: Mapping[str, Inferred]  # of the present


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    pipeline: Pipeline
    task: Task
    asked: Asked


async def kept(
    configuration: Configuration,
    environ: Mapping[str, str],
    pipelines: Sequence[Pipeline],
    known: Mapping[tuple[str, str], Inferred],
) -> list[Found]:
    """Return what a hub has found out and what still holds of it: no dbt is started and no vendor asked."""
    present: dict[str, str] = {}

    async def ask(instance: Instance, opened: object) -> None:
        if isinstance(opened, Reads):
            present[instance.name] = ""  # should it fail: nothing is known of now
            present[instance.name] = await opened.fingerprint()

    wanted = {task.instance for pipeline in pipelines for task in pipeline.tasks if not task.extract}
    await ask_each(configuration, ask, patience=QUICK, only=wanted)
    found = []
    for pipeline in pipelines:
        questions, why = _questions(configuration, environ, pipeline, present)
        tasks = {}
        for one in questions:
            was = known.get((pipeline.name, one.task.name))
            flaw = stale(was, one.asked.subject, present[one.task.instance])
            if was is None or flaw:
                why[one.task.name] = flaw
            else:
                tasks[one.task.name] = was
        found.append(Found(pipeline=narrowed(pipeline, tasks, why), tasks=tasks))
    return found


async def live(
    configuration: Configuration, environ: Mapping[str, str], pipelines: Sequence[Pipeline]
) -> tuple[list[Found], list[str]]:
    """Ask projects and accounts now; return what was found out, and what kept one from answering."""
    held: list[Held] = []
    readers: dict[str, str] = {}
    readings: dict[tuple[str, str], Reading] = {}

    async def ask(instance: Instance, opened: object) -> None:
        if isinstance(opened, Catalog):
            held.extend(Held(instance=instance.name, connection=one) for one in await opened.connections())
        if isinstance(opened, Reads):
            readers[instance.name] = ""
            for pipeline in pipelines:
                questions, _ = _questions(configuration, environ, pipeline, {instance.name: ""})
                for one in questions:
                    readings[pipeline.name, one.task.name] = await opened.reading(one.asked.job)

    silent = await ask_each(configuration, ask, patience=PATIENCE)
    found, troubles = [], [f"{name}: {why}" for name, why in silent.items()]
    for pipeline in pipelines:
        one, flaws = await _inferred(configuration, environ, pipeline, readers, readings, held)
        found.append(one)
        troubles += flaws
    return found, sorted(troubles)


async def _inferred(
    configuration: Configuration,
    environ: Mapping[str, str],
    pipeline: Pipeline,
    readers: Mapping[str, str],
    readings: Mapping[tuple[str, str], Reading],
    held: Sequence[Held],
) -> tuple[Found, list[str]]:
    """Find out what feeds the tasks of one pipeline; and what of the projects makes no sense."""
    questions, why = _questions(configuration, environ, pipeline, readers)
    tasks, flaws = {}, []
    for one in questions:
        reading = readings.get((pipeline.name, one.task.name))
        if reading is None:
            why[one.task.name] = "its project cannot be read"
            continue
        try:
            graph = await in_thread(read, reading.manifest)
        except ConfigError as err:  # of one project, which hides no other
            why[one.task.name] = str(err)
            flaws.append(f"{pipeline.name}.{one.task.name}: {err}")
            continue
        loads = match(graph, held)
        made = infer(one.task, one.asked.wirings, graph, reading.selected, held, loads)
        tasks[one.task.name] = replace(made, subject=one.asked.subject, project=reading.project)
    return Found(pipeline=narrowed(pipeline, tasks, why), tasks=tasks), flaws


def _questions(
    configuration: Configuration, environ: Mapping[str, str], pipeline: Pipeline, readers: Mapping[str, str]
) -> tuple[list[_Question], dict[str, str]]:
    """Return what can be asked of a pipeline's tasks, and why it cannot of others."""
    found, why = [], {}
    for task in pipeline.tasks:
        if task.instance not in readers:
            continue
        one = asked(pipeline, task, configuration.instances.get, environ, every=True)
        if isinstance(one, Asked):
            found.append(_Question(pipeline=pipeline, task=task, asked=one))
        elif one is not None:
            why[task.name] = one
    return found, why
