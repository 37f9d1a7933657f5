"""The graph that will run, and why each edge of it is there."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import anyio
from rich.console import Console
from rich.text import Text

from stackhub.cli import exits, feeds, found, named, words
from stackhub.cli.found import Found
from stackhub.cli.tree import tree
from stackhub.cli.where import Where
from stackhub.config.read import Configuration
from stackhub.lineage.infer import ANY
from stackhub.model.pipeline import Landed, Mode, Need, Pipeline, Route, Schedule, Sla, Task
from stackhub.model.words import say
from stackhub.server.pipeline_views import pipeline_view
from stackhub.store import inferences, queries
from stackhub.store.queries import Known

DECLARED: Final = "declared under needs"
RULE: Final = ANY
LISTED: Final = 8


def plan(where: Where, pipeline: str, *, as_json: bool, mermaid: bool, live: bool = False, check: bool = False) -> int:
    """Show one pipeline, or all of them, as a run made now would follow them.

    ``live`` asks projects and accounts; else what the hub has kept is shown, as far as it holds for the files as they
    are. ``check`` makes a source without a loader a failure.
    """
    configuration = where.configuration()
    if pipeline:
        named.pipeline(pipeline, configuration.pipelines)
    chosen = [one for name, one in configuration.pipelines.items() if pipeline in ("", name)]
    with where.reader() as reader:
        kept = reader(queries.pipelines) if reader else {}
        known = reader(inferences.inferences) if reader and not live else {}
    if live:
        asked, troubles = anyio.run(found.live, configuration, where.environ, chosen)
    else:
        asked, troubles = anyio.run(found.kept, configuration, where.environ, chosen, known), []
    if mermaid:
        print(diagram([one.pipeline for one in asked]), end="")
    elif as_json and live:
        words.document({"tasks": feeds.view(asked), "troubles": troubles})
    elif as_json:
        words.document([_view(one, kept, configuration) for one in asked])
    else:
        _show(asked, kept, configuration, live=live)
    for trouble in troubles if mermaid or not as_json else ():
        exits.say(trouble)
    return exits.FAILED if troubles or (check and feeds.unfed(asked)) else exits.OK


def _show(asked: Sequence[Found], kept: Mapping[str, Known], configuration: Configuration, *, live: bool) -> None:
    out = words.console()
    for at, one in enumerate(asked):
        if at:
            out.print()
        _draw(one, kept.get(one.pipeline.name), configuration, out)
        for name, inferred in sorted(one.tasks.items()) if live else ():
            feeds.draw(one.pipeline.task(name), inferred, out)
    if not asked:
        print(f"no pipelines: write one to {configuration.directory / 'pipelines'}")


def edges(pipeline: Pipeline) -> list[dict[str, Any]]:
    """Return every edge with its reason."""
    return [
        {
            "from": need.task,
            "to": task.name,
            "complete": need.complete,
            "why": _reason(task, need),
            "confidence": need.confidence,
        }
        for task in pipeline.tasks
        for need in task.needs
    ]


def diagram(pipelines: Sequence[Pipeline]) -> str:
    """Write pipelines as one Mermaid flowchart; edges that nobody wrote are dotted, and say how sure they are."""
    lines = ["flowchart LR"]
    for at, pipeline in enumerate(pipelines):
        lines.append(f'  subgraph p{at}["{pipeline.name}"]')
        ids = {task.name: f"p{at}t{number}" for number, task in enumerate(pipeline.tasks)}
        lines += [f'    {ids[task.name]}["{task.name}<br/>{uses(task)}"]' for task in pipeline.tasks]
        lines += [
            f"    {ids[need.task]} {_arrow(task, need)} {ids[task.name]}"
            for task in pipeline.tasks
            for need in task.needs
        ]
        lines.append("  end")
    return "\n".join(lines) + "\n"


def uses(task: Task) -> str:
    """Write what a task does, and with whom where that is not the default instance."""
    at = f" at {task.instance}" if task.instance != task.connector else ""
    return f"{task.connector}.{task.operation}{at}"


def _arrow(task: Task, need: Need) -> str:
    if task.needs_given:
        return "-->"
    return f'-. "{need.confidence}" .->' if need.confidence else "-.->"


def _reason(task: Task, need: Need) -> str:
    return DECLARED if task.needs_given else need.why or RULE


def _view(one: Found, kept: Mapping[str, Known], configuration: Configuration) -> dict[str, Any]:
    pipeline = one.pipeline
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
        "feeding": {name: feeds.task_view(pipeline.task(name), known) for name, known in sorted(one.tasks.items())},
        "routes": [{"to": route.to, "on": sorted(route.on)} for route in routes(pipeline, configuration)],
    }


def routes(pipeline: Pipeline, configuration: Configuration) -> Sequence[Route]:
    """Return whom a pipeline tells."""
    return configuration.routes if pipeline.alerts is None else pipeline.alerts


# --- drawn -----------------------------------------------------------------------------------------------------------


def _draw(one: Found, kept: Known | None, configuration: Configuration, out: Console) -> None:
    pipeline = one.pipeline
    out.print(Text(pipeline.name, style="bold").append(_aside(pipeline, kept), style="dim"))
    words.table(out, (), [row for branch in tree(pipeline) for row in drawn(branch.task, branch.prefix)])
    facts = [
        ("starts", _starts(pipeline)),
        ("must end", _sla(pipeline.sla)),
        ("tells", _told(pipeline, configuration)),
        ("when missed", f"catchup {pipeline.catchup}, overlap {pipeline.overlap}" if pipeline.schedules else ""),
        *(note for name, inferred in sorted(one.tasks.items()) for note in feeds.notes(pipeline.task(name), inferred)),
    ]
    words.table(out, (), [(Text(f"  {name}", style="dim"), text) for name, text in facts if text])


def _aside(pipeline: Pipeline, kept: Known | None) -> str:
    paused = f"paused: {kept.paused_reason or 'no reason given'}" if kept is not None and kept.paused_at else ""
    shadow = "in shadow: it starts nothing and tells nobody" if pipeline.mode is Mode.SHADOW else ""
    parts = [shadow, pipeline.description, f"owner {pipeline.owner}" if pipeline.owner else "", paused]
    said = "; ".join(part for part in parts if part)
    return f"  {said}" if said else ""


def drawn(task: Task, prefix: str) -> list[tuple[Text, Text, Text]]:
    """Write a task, and below it a line for each edge that was inferred."""
    name = Text(f"  {prefix}", style="dim").append(task.name, style="default not dim")
    connection = task.options.get("connection") or task.options.get("select")
    what = [str(connection)] if isinstance(connection, str) else []
    inferred = [need for need in task.needs if need.why and not task.wide and not task.needs_given]
    if inferred:
        what.append(f"waits for {words.listed([need.task for need in inferred], LISTED)}, which it reads")
    elif task.needs:
        names = [f"{need.task}{' (complete)' if need.complete else ''}" for need in task.needs]
        what.append(f"waits for {words.listed(names, LISTED)}: {_reason(task, task.needs[0])}")
    elif task.needs_given:
        what.append("waits for nothing: needs is []")
    lines = [(name, Text(uses(task), style="cyan"), Text("; ".join(what), style="dim"))]
    for need in inferred:
        sure = f"{need.confidence}: " if need.confidence else ""
        lines.append((Text(""), Text(f"  {need.task}"), Text(f"{sure}{need.why}", style="dim")))
    return lines


def _starts(pipeline: Pipeline) -> str:
    ways = [
        *map(_schedule, pipeline.schedules),
        *(f"after {name} succeeded" for name in pipeline.after),
        *map(landed, pipeline.landed),
        *(f"when there are new files: {files.url}" for files in pipeline.files),
        *([f"by a signed request to /hooks/pipelines/{pipeline.name}"] if pipeline.hook else []),
    ]
    return "; ".join(ways) or f"when asked: stackhub trigger {pipeline.name}"


def _schedule(schedule: Schedule) -> str:
    when = (
        f"every {say(schedule.every)}" if schedule.every is not None else f"cron {schedule.cron} ({schedule.timezone})"
    )
    days = [(" on days of ", schedule.only), (" except on days of ", schedule.without)]
    return when + "".join(f"{word}{' or '.join(names)}" for word, names in days if names)


def landed(one: Landed) -> str:
    """Say when a `landed` trigger begins a run."""
    names = [str(watched) for watched in one.connections]
    if len(names) == 1:
        return f"when {names[0]} has landed"
    return f"when {'one' if one.any else 'each'} of {words.listed(names, 8)} has landed"


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
