"""What feeds each dbt task: its project as it is now, matched with what the accounts say that they load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio
from rich.text import Text

from stackhub.cli import exits, named, words
from stackhub.cli.asked import ask_each
from stackhub.cli.where import Where
from stackhub.config.instances import Instance
from stackhub.config.options import RunContext, job_options
from stackhub.config.read import Configuration
from stackhub.contract import Catalog, Job, Reading, Reads, Role, in_thread
from stackhub.lineage import Graph, Held, Loads, Source, match, read
from stackhub.model.pipeline import Pipeline, Task

PATIENCE: Final = 300.0  # seconds for dbt to read a large project, or an account to list what it loads
LISTED: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Fed:
    """One dbt task, and what was found out of it."""

    pipeline: Pipeline
    task: Task
    graph: Graph
    reads: Sequence[Source]
    loads: Loads

    @property
    def unfed(self) -> list[Source]:
        """Return what it reads that nobody loads."""
        lost = {source.id for source in (*self.loads.orphans, *(source for source, _ in self.loads.mistaken))}
        return [source for source in self.reads if source.id in lost]

    @property
    def enough(self) -> list[str]:
        """Return the extracts of the pipeline that load what it reads; all of them where that is not known for sure."""
        waits = [need.task for need in self.task.needs]
        if self.unfed:
            return waits
        feeding = {
            (load.held.instance, name)
            for source in self.reads
            for load in self.loads.of(source.id)
            for name in (load.held.connection.id, load.held.connection.name)
        }
        tasks = {one.name: one for one in self.pipeline.tasks}
        return [name for name in waits if (tasks[name].instance, tasks[name].options.get("connection")) in feeding]


def feeds(where: Where, pipeline: str, *, as_json: bool, check: bool) -> int:
    """Show what feeds the dbt tasks of one pipeline, or of all."""
    configuration = where.configuration()
    if pipeline:
        named.pipeline(pipeline, configuration.pipelines)
    chosen = [one for name, one in configuration.pipelines.items() if pipeline in ("", name)]
    found, troubles = anyio.run(_found_out, configuration, where.environ, chosen)
    if as_json:
        words.document({"tasks": [_view(one) for one in found], "troubles": troubles})
    else:
        _draw(found, troubles)
    return exits.FAILED if troubles or (check and any(one.unfed for one in found)) else exits.OK


# --- finding out -----------------------------------------------------------------------------------------------------


async def _found_out(
    configuration: Configuration, environ: Mapping[str, str], pipelines: Sequence[Pipeline]
) -> tuple[list[Fed], list[str]]:
    held: list[Held] = []
    readings: list[tuple[Pipeline, Task, Reading]] = []

    async def ask(instance: Instance, opened: object) -> None:
        if isinstance(opened, Catalog):
            held.extend(Held(instance=instance.name, connection=found) for found in await opened.connections())
        if isinstance(opened, Reads):
            for pipeline, task, job in _jobs(instance, pipelines, environ):
                readings.append((pipeline, task, await opened.reading(job)))

    silent = await ask_each(configuration, ask, patience=PATIENCE)
    found = []
    for pipeline, task, reading in sorted(readings, key=lambda item: (item[0].name, item[1].name)):
        graph = await in_thread(read, reading.manifest)
        reads = graph.sources_of(reading.selected)
        found.append(Fed(pipeline=pipeline, task=task, graph=graph, reads=reads, loads=match(graph, held)))
    return found, sorted(f"{name}: {why}" for name, why in silent.items())


def _jobs(
    instance: Instance, pipelines: Sequence[Pipeline], environ: Mapping[str, str]
) -> list[tuple[Pipeline, Task, Job]]:
    found = []
    for pipeline in pipelines:
        for task in pipeline.tasks:
            operation = instance.connector.operations.get(task.operation)
            if task.instance == instance.name and operation is not None and operation.role is Role.TRANSFORM:
                options = job_options(task, instance.connector, environ, RunContext.made_up(pipeline.name))
                job = Job(operation=task.operation, options=options, pipeline=pipeline.name, task=task.name)
                found.append((pipeline, task, job))
    return found


# --- shown -----------------------------------------------------------------------------------------------------------


def _view(one: Fed) -> dict[str, Any]:
    return {
        "pipeline": one.pipeline.name,
        "task": one.task.name,
        "needs": [need.task for need in one.task.needs],
        "enough": one.enough,
        "sources": [
            {
                "source": source.name,
                "loaded_by": [
                    {"connection": load.held.name, "confidence": load.confidence.value, "why": load.why}
                    for load in one.loads.of(source.id)
                ],
            }
            for source in one.reads
        ],
        "without_loader": [source.name for source in one.unfed],
        "mistaken": {source.name: named for source, named in one.loads.mistaken},
        "read_by_nobody": [held.name for held in one.loads.idle],
    }


def _draw(found: Sequence[Fed], troubles: Sequence[str]) -> None:
    out = words.console()
    for at, one in enumerate(found):
        if at:
            out.print()
        said = f"  reads {words.counted(len(one.reads), 'source')}"
        out.print(Text(f"{one.pipeline.name}.{one.task.name}", style="bold").append(said, style="dim"))
        words.table(out, (), [row for source in one.reads for row in _rows(one, source)])
        for note in _notes(one):
            out.print(Text(f"  {note}", style="dim"))
    for trouble in troubles:
        exits.say(trouble)
    if not found and not troubles:
        print("no task builds dbt models")


def _rows(one: Fed, source: Source) -> list[tuple[Text, Text, Text]]:
    name = Text(f"  {source.name}")
    loads = one.loads.of(source.id)
    wrong = next((named for held, named in one.loads.mistaken if held.id == source.id), "")
    if wrong:
        return [(name, Text("nobody", style="bold red"), Text(f"its project names {wrong}, which is not there"))]
    if not loads and source in one.unfed:
        return [(name, Text("nobody", style="bold red"), Text("no connection fills this table", style="dim"))]
    if not loads:
        return [(name, Text("somebody else"), Text("given: the project says so", style="dim"))]
    return [
        (
            name if not at else Text(""),
            Text(load.held.name, style="cyan"),
            Text(f"{load.confidence}: {load.why}", style="dim"),
        )
        for at, load in enumerate(loads)
    ]


def _notes(one: Fed) -> list[str]:
    waits = [need.task for need in one.task.needs]
    notes = []
    if one.unfed:
        notes.append(f"waits for every extract: {words.counted(len(one.unfed), 'source')} without a loader")
    elif len(one.enough) < len(waits) and not one.task.needs_given:
        notes.append(f"waits for {words.listed(waits, LISTED)}; needs: [{', '.join(one.enough)}] would do")
    if one.loads.idle:
        notes.append(f"read by no source: {words.listed([held.name for held in one.loads.idle], LISTED)}")
    return notes
