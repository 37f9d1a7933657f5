"""The graph that will run, and why each edge of it is there."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from stackhub.cli import named, words
from stackhub.cli.tree import tree
from stackhub.cli.where import Where
from stackhub.config.read import Configuration
from stackhub.model.pipeline import Pipeline, Route, Schedule, Sla, Task
from stackhub.model.words import say
from stackhub.server.views import pipeline_view
from stackhub.store import queries
from stackhub.store.queries import Known

DECLARED: Final = "declared under needs"
RULE: Final = "a transform without needs waits for every extract"


def plan(where: Where, pipeline: str, *, as_json: bool, mermaid: bool) -> int:
    """Show one pipeline, or all of them, as they are configured."""
    configuration = where.configuration()
    if pipeline:
        named.pipeline(pipeline, configuration.pipelines)
    chosen = [one for name, one in configuration.pipelines.items() if pipeline in ("", name)]
    if mermaid:
        print(diagram(chosen), end="")
        return 0
    with where.reader() as reader:
        kept = reader(queries.pipelines) if reader else {}
    if as_json:
        words.document([_view(one, kept, configuration) for one in chosen])
        return 0
    out = words.console()
    for at, one in enumerate(chosen):
        if at:
            out.print()
        _draw(one, kept.get(one.name), configuration, out)
    if not chosen:
        print(f"no pipelines: write one to {configuration.directory / 'pipelines'}")
    return 0


def edges(pipeline: Pipeline) -> list[dict[str, Any]]:
    """Return every edge with its reason."""
    return [
        {"from": need.task, "to": task.name, "complete": need.complete, "why": _reason(task)}
        for task in pipeline.tasks
        for need in task.needs
    ]


def diagram(pipelines: Sequence[Pipeline]) -> str:
    """Write pipelines as one Mermaid flowchart; edges by rule are dotted."""
    lines = ["flowchart LR"]
    for at, pipeline in enumerate(pipelines):
        lines.append(f'  subgraph p{at}["{pipeline.name}"]')
        ids = {task.name: f"p{at}t{number}" for number, task in enumerate(pipeline.tasks)}
        lines += [f'    {ids[task.name]}["{task.name}<br/>{uses(task)}"]' for task in pipeline.tasks]
        lines += [
            f"    {ids[need.task]} {'-->' if task.needs_given else '-.->'} {ids[task.name]}"
            for task in pipeline.tasks
            for need in task.needs
        ]
        lines.append("  end")
    return "\n".join(lines) + "\n"


def uses(task: Task) -> str:
    """Write what a task does, and with whom where that is not the default instance."""
    at = f" at {task.instance}" if task.instance != task.connector else ""
    return f"{task.connector}.{task.operation}{at}"


def _reason(task: Task) -> str:
    return DECLARED if task.needs_given else RULE


def _view(pipeline: Pipeline, kept: Mapping[str, Known], configuration: Configuration) -> dict[str, Any]:
    was = kept.get(pipeline.name)
    known = Known(
        pipeline=pipeline,
        snapshot="",
        retired=False,
        paused_at=was.paused_at if was else None,
        paused_reason=was.paused_reason if was else "",
    )
    view = pipeline_view(known)
    return {
        **{name: value for name, value in view.items() if name not in {"last_run", "next_at"}},
        "edges": edges(pipeline),
        "routes": [{"to": route.to, "on": sorted(route.on)} for route in routes(pipeline, configuration)],
    }


def routes(pipeline: Pipeline, configuration: Configuration) -> Sequence[Route]:
    """Return whom a pipeline tells."""
    return configuration.routes if pipeline.alerts is None else pipeline.alerts


# --- drawn -----------------------------------------------------------------------------------------------------------


def _draw(pipeline: Pipeline, kept: Known | None, configuration: Configuration, out: Console) -> None:
    out.print(Text(pipeline.name, style="bold").append(_aside(pipeline, kept), style="dim"))
    words.table(out, (), [_line(branch.task, branch.prefix) for branch in tree(pipeline)])
    facts = [
        ("starts", _starts(pipeline)),
        ("must end", _sla(pipeline.sla)),
        ("tells", _told(pipeline, configuration)),
        ("when missed", f"catchup {pipeline.catchup}, overlap {pipeline.overlap}" if pipeline.schedules else ""),
    ]
    words.table(out, (), [(Text(f"  {name}", style="dim"), text) for name, text in facts if text])


def _aside(pipeline: Pipeline, kept: Known | None) -> str:
    paused = f"paused: {kept.paused_reason or 'no reason given'}" if kept is not None and kept.paused_at else ""
    parts = [pipeline.description, f"owner {pipeline.owner}" if pipeline.owner else "", paused]
    said = "; ".join(part for part in parts if part)
    return f"  {said}" if said else ""


def _line(task: Task, prefix: str) -> tuple[Text, Text, Text]:
    name = Text(f"  {prefix}", style="dim").append(task.name, style="default not dim")
    return name, Text(uses(task), style="cyan"), Text(_why(task), style="dim")


def _why(task: Task) -> str:
    connection = task.options.get("connection") or task.options.get("select")
    what = [str(connection)] if isinstance(connection, str) else []
    if task.needs:
        names = [f"{need.task}{' (complete)' if need.complete else ''}" for need in task.needs]
        what.append(f"waits for {words.listed(names, 8)}: {_reason(task)}")
    elif task.needs_given:
        what.append("waits for nothing: needs is []")
    return "; ".join(what)


def _starts(pipeline: Pipeline) -> str:
    ways = [*map(_schedule, pipeline.schedules), *(f"after {name} succeeded" for name in pipeline.after)]
    return "; ".join(ways) or f"when asked: stackhub trigger {pipeline.name}"


def _schedule(schedule: Schedule) -> str:
    when = (
        f"every {say(schedule.every)}" if schedule.every is not None else f"cron {schedule.cron} ({schedule.timezone})"
    )
    days = [(" on days of ", schedule.only), (" except on days of ", schedule.without)]
    return when + "".join(f"{word}{' or '.join(names)}" for word, names in days if names)


def _sla(sla: Sla | None) -> str:
    if sla is None:
        return ""
    ways = [
        f"by {sla.finish_by:%H:%M} ({sla.timezone})" if sla.finish_by else "",
        f"within {say(sla.max_duration)}" if sla.max_duration else "",
    ]
    return ", and ".join(way for way in ways if way)


def _told(pipeline: Pipeline, configuration: Configuration) -> str:
    found = [_route(route) for route in routes(pipeline, configuration)]
    default = " (the hub's default)" if pipeline.alerts is None and found else ""
    return "; ".join(found) + default if found else "nobody: there is no alerts block, and no notifier has an env file"


def _route(route: Route) -> str:
    where = route.options.get("channel")
    at = f" {where}" if isinstance(where, str) else ""
    return f"{route.to}{at} of {', '.join(sorted(route.on))}"
