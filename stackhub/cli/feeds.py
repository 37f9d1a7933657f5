"""What feeds each task, shown: every source that its selection reads, and who loads it."""

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from stackhub.cli import words
from stackhub.cli.found import Found
from stackhub.model.feeding import Inferred, Read, Rule
from stackhub.model.pipeline import Task

LISTED: Final = 12


def unfed(found: Sequence[Found]) -> bool:
    """Say whether some task reads a source that nobody is known to load."""
    return any(one.unfed for each in found for one in each.tasks.values())


def view(found: Sequence[Found]) -> list[dict[str, Any]]:
    """Return what feeds each task as a document."""
    return [
        {"pipeline": each.pipeline.name, "task": name, **task_view(each.pipeline.task(name), one)}
        for each in found
        for name, one in sorted(each.tasks.items())
    ]


def task_view(task: Task, one: Inferred) -> dict[str, Any]:
    """Return what feeds one task."""
    needs = [need.task for need in task.needs]
    return {
        "needs": needs,
        "enough": needs if one.wide else [edge.extract for edge in one.edges],
        "wide": one.wide,
        "manifest": one.manifest,
        "sources": [
            {
                "source": read.source,
                "rule": read.rule.value,
                "loaded_by": [
                    {"connection": by.connection, "confidence": by.confidence, "why": by.why} for by in read.loaders
                ],
            }
            for read in one.reads
        ],
        "without_loader": one.unfed,
        "mistaken": {read.source: read.mistaken for read in one.reads if read.mistaken},
        "read_by_nobody": list(one.idle),
    }


def draw(task: Task, one: Inferred, out: Console) -> None:
    """Draw the sources of one task as a table."""
    said = f"  reads {words.counted(len(one.reads), 'source')}"
    out.print(Text(f"  {task.name}", style="bold").append(said, style="dim"))
    words.table(out, (), [row for read in one.reads for row in _rows(read)])


def notes(task: Task, one: Inferred) -> list[tuple[str, str]]:
    """Return what a person should know of a task's feeding, each line with its heading."""
    lines = []
    if one.unfed:
        lines.append(("no loader", f"{task.name} reads {words.listed(one.unfed, LISTED)}, which nobody loads"))
    if one.wide and not one.unfed:
        lines.append(("not narrowed", f"{task.name}: {one.wide}"))
    if one.wide and task.partial is not None:
        lines.append(("all or nothing", f"{task.name}: which part hangs on which extract is not known"))
    if one.idle:
        lines.append(("read by none", words.listed(list(one.idle), LISTED)))
    return lines


def _rows(read: Read) -> list[tuple[Text, Text, Text]]:
    name = Text(f"    {read.source}").append(" (optional)" if read.rule is Rule.OPTIONAL else "", style="dim")
    if read.mistaken:
        return [
            (name, Text("nobody", style="bold red"), Text(f"its project names {read.mistaken}, which is not there"))
        ]
    if read.elsewhere:
        return [(name, Text("somebody else"), Text("given: the project says so", style="dim"))]
    if not read.loaders:
        return [(name, Text("nobody", style="bold red"), Text("no connection fills this table", style="dim"))]
    return [
        (
            name if not at else Text(""),
            Text(by.connection, style="cyan"),
            Text(f"{by.confidence}: {by.why}", style="dim"),
        )
        for at, by in enumerate(read.loaders)
    ]
