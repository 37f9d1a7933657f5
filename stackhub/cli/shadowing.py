"""`stackhub replay --shadow`: what runs in shadow would have begun and when, beside what really landed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from rich.text import Text

from stackhub.cli import exits, words
from stackhub.cli.replaying import since_when
from stackhub.cli.where import Where
from stackhub.decide.shadowed import Shadow, Sums, Would, sums, told
from stackhub.errors import Refused
from stackhub.server.views import moment
from stackhub.store import past, tallied


def shadows(where: Where, since: str, other: str, pipelines: Sequence[str], *, as_json: bool) -> int:
    """Tell of every run in shadow; exit 1 where a build would have begun before its data was in."""
    if other:
        raise Refused("--shadow tells what was recorded: leave out --config, or leave out --shadow")
    zone, now = where.hub().timezone, datetime.now(UTC)
    with where.reader() as reader:
        found = reader(partial(_told, since=since_when(since, now, zone), until=now)) if reader is not None else []
    found = [one for one in found if not pipelines or one.pipeline in pipelines]
    if not found:
        raise Refused("no run in shadow since then: write `mode: shadow` in a pipeline's file, and let it run a while")
    summed = sums(found)
    if as_json:
        words.document({"runs": [_view(one) for one in found], "sums": _sums(summed)})
    else:
        _show(found, summed, zone)
    return exits.FAILED if summed.early else exits.OK


def _told(connection: sa.Connection, since: datetime, until: datetime) -> list[Shadow]:
    deadlines = tallied.facts(connection, since, until).deadlines
    return [
        shadow
        for runs in past.chunks(connection, since, until)
        for one in runs
        if (shadow := told(one, deadlines)) is not None
    ]


def _show(found: Sequence[Shadow], summed: Sums, zone: str) -> None:
    out = words.console()
    out.print(
        Text(f"What runs in shadow would have done; nothing of it was started. Times are in {zone}.", style="dim")
    )
    for run in found:
        head = Text(f"\n{words.stamp(run.at, zone)}  {run.pipeline}  {words.said(run.state)}  ", style="bold")
        out.print(head.append(run.id, style="dim"))
        words.table(out, [], ([f"  {step.task}", *_cells(step, zone)] for step in run.steps))
        for one in run.deadlines:
            text = f"  {one.text}: {'met' if one.met else 'missed'}"
            out.print(Text(text, style="green" if one.met else "red"))
    out.print(Text(f"\n{'; '.join(_said(summed))}", style="bold red" if summed.early else "bold"))
    if summed.deadlines:
        out.print(Text("a build takes no time in shadow: add its own to what is said of deadlines", style="dim"))


def _cells(step: Would, zone: str) -> Iterator[Text]:
    if step.began_at is None:
        yield Text(f"would not have started: {words.said(step.state)}", style="dim")
        return
    yield Text(f"{words.stamp(step.began_at, zone)[11:]} would have started {step.what}")
    if step.early:
        yield Text(f"before its data was in: {', '.join(step.early)}", style="bold red")
    elif step.landed_at is not None:
        yield Text(f"landed {words.stamp(step.landed_at, zone)[11:]}", style="green")
    elif step.extract:
        yield Text(f"has not landed: {words.said(step.state)}", style="yellow")


def _said(summed: Sums) -> Iterator[str]:
    yield words.counted(summed.runs, "run")
    yield f"would have started {words.counted(summed.syncs, 'extract')} and {words.counted(summed.builds, 'build')}"
    yield f"{summed.early} of them before the data was in"
    if summed.deadlines:
        yield f"{words.counted(summed.deadlines, 'deadline')}, {summed.missed} missed"


def _view(run: Shadow) -> dict[str, Any]:
    return {
        "id": run.id,
        "pipeline": run.pipeline,
        "at": moment(run.at),
        "state": run.state,
        "ended_at": moment(run.ended_at),
        "steps": [
            {
                "task": step.task,
                "would_have_started": step.what,
                "at": moment(step.began_at),
                "extract": step.extract,
                "landed_at": moment(step.landed_at),
                "state": step.state,
                "before_data_of": list(step.early),
            }
            for step in run.steps
        ],
        "deadlines": [{"text": one.text, "at": moment(one.at), "met": one.met} for one in run.deadlines],
    }


def _sums(summed: Sums) -> dict[str, int]:
    return {
        "runs": summed.runs,
        "extracts": summed.syncs,
        "builds": summed.builds,
        "before_data_was_in": summed.early,
        "deadlines": summed.deadlines,
        "missed": summed.missed,
    }
