"""`stackhub rehearse`: what a pipeline would do, and what would be said; nothing is done, and nobody is told."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from threading import Event
from typing import Any, Final

import structlog
from rich.text import Text

from stackhub.cli import exits, words
from stackhub.cli.where import Where
from stackhub.config.duration import parse
from stackhub.contract import Part
from stackhub.errors import Refused, StackhubError
from stackhub.model.run import RunState
from stackhub.sandbox.rehearsal import Rehearsed, rehearse
from stackhub.sandbox.understudy import Script
from stackhub.server.views import moment
from stackhub.store import queries
from stackhub.store.shown import Posted

LATE: Final = timedelta(hours=1)  # where a task is said to be late, and not by how much
SLOWEST: Final = 5.0  # seconds between two lines, whatever --speed says


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One line of the time table."""

    at: datetime
    who: str  # a task, or whom a message goes to
    text: str
    more: tuple[str, ...] = ()
    message: bool = False


def rehearsal(where: Where, pipeline: str, fail: list[str], late: list[str], speed: float, *, as_json: bool) -> int:
    """Rehearse a pipeline and print what was to be seen; exit 1 where it did not succeed."""
    configuration = where.configuration()
    script = Script(fail=frozenset(fail), late=dict(map(_late, late)), usual=_usual(where, pipeline))
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        found = rehearse(configuration, pipeline, script, where.environ, datetime.now(UTC))
    finally:
        structlog.configure(**before)
    if as_json:
        words.document(_view(found))
    else:
        _show(found, where.hub().timezone, speed)
    return exits.OK if found.run.run.state is RunState.SUCCEEDED else exits.FAILED


def _late(written: str) -> tuple[str, timedelta]:
    """Read TASK or TASK=DURATION."""
    task, given, by = written.partition("=")
    try:
        return task, parse(by) if given else LATE
    except ValueError as err:
        raise Refused(f"--late {written}: {err}") from None


def _usual(where: Where, pipeline: str) -> Mapping[str, float]:
    """Return how long the tasks take, where there is a history to say so."""
    try:
        with where.reader() as reader:
            return reader(partial(queries.usual, pipeline=pipeline)) if reader is not None else {}
    except StackhubError:
        return {}


# --- what is shown ----------------------------------------------------------------------------------------------------


def _said(found: Rehearsed) -> list[Said]:
    several = len({line.run for line in found.lines}) > 1
    lines = [
        Said(at=line.at, who=f"{line.pipeline}.{line.task}".rstrip(".") if several else line.task, text=_line(line))
        for line in found.lines
    ]
    return sorted([*lines, *map(_post, found.posts)], key=lambda one: one.at)


def _line(line: queries.Line) -> str:
    tried = f" (try {line.attempt})" if line.attempt > 1 else ""
    return f"{line.kind}{tried}{f': {line.text}' if line.text else ''}"


def _post(post: Posted) -> Said:
    told = post.message
    how = (
        "in its thread"
        if post.part == Part.ENTRY
        else {"open": "says", "update": "now says"}.get(told.event, told.event)
    )
    lost = f" (not delivered: {post.error})" if post.state != "sent" else ""
    more = (told.summary, *(f"{fact.label}: {fact.text}" for fact in told.facts)) if post.part == Part.ROOT else ()
    return Said(
        at=post.sent_at or post.created_at,
        who=f"→ {post.instance}",
        text=f"{how}: {told.title}{lost}",
        more=tuple(filter(None, more)),
        message=True,
    )


def _show(found: Rehearsed, zone: str, speed: float) -> None:
    out = words.console()
    run, said = found.run.run, _said(found)
    out.print(
        Text(f"{run.pipeline}, rehearsed: nothing was started, nobody was told. Times are in {zone}.", style="dim")
    )
    width = max((len(one.who) for one in said), default=0)
    for one in _paced(said, speed):
        line = Text(f"{words.stamp(one.at, zone)}  {one.who:<{width}}  ", style="cyan" if one.message else "")
        out.print(line.append(words.clean(words.first_line(one.text))))
        for more in one.more:
            out.print(Text(f"{'':{len(line.plain) - len(words.first_line(one.text))}}{words.clean(more)}", style="dim"))
    for name, step in found.run.steps.items():
        took = words.length(step.ended_at - step.began_at) if step.began_at and step.ended_at else ""
        out.print(
            Text(f"{words.icon(step.state)} {name}: {words.said(step.state)} {took}", style=words.style(step.state))
        )
    whole = words.length((run.ended_at or run.created_at) - run.created_at)
    end = f"{words.said(run.state)} after {whole}" if found.ended else "still going after two days"
    out.print(Text(f"{run.pipeline} {end}", style=words.style(run.state)))


def _paced(said: Iterable[Said], speed: float) -> Iterator[Said]:
    """Yield lines, so many times as quickly as they would come; 0: at once."""
    lines = list(said)
    yield from lines[:1]
    for before, line in pairwise(lines):
        if speed:
            Event().wait(min((line.at - before.at).total_seconds() / speed, SLOWEST))
        yield line


def _view(found: Rehearsed) -> dict[str, Any]:
    run = found.run.run
    return {
        "pipeline": run.pipeline,
        "state": run.state.value,
        "ended": found.ended,
        "created_at": moment(run.created_at),
        "ended_at": moment(run.ended_at),
        "steps": [
            {
                "task": name,
                "state": step.state.value,
                "began_at": moment(step.began_at),
                "ended_at": moment(step.ended_at),
            }
            for name, step in found.run.steps.items()
        ],
        "timeline": [
            {"at": moment(one.at), "who": one.who, "text": one.text, "message": one.message, "more": list(one.more)}
            for one in _said(found)
        ],
    }
