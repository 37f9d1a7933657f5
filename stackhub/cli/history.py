"""What has run: runs, show, why. Reads the store, with a daemon or without."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from rich.text import Text

from stackhub.cli import named, picture, progress, words
from stackhub.cli.where import Where
from stackhub.decide.mute import of_key
from stackhub.errors import Refused
from stackhub.model.pipeline import Mode
from stackhub.model.run import Run, RunState
from stackhub.server import forecasting
from stackhub.server.views import View, run_view, show_view
from stackhub.server.why_asked import about, about_run
from stackhub.store import muted, queries
from stackhub.store.reading import Reader


def runs(where: Where, *, pipeline: str, state: str, limit: int, as_json: bool) -> int:
    """List runs, newest first."""
    if state and state not in set(RunState):
        raise Refused(f"no state {state!r}; there are: {', '.join(RunState)}")
    now = datetime.now(UTC)
    with where.reader() as reader:
        if reader and pipeline:
            named.pipeline(pipeline, reader(queries.pipelines))
        found = reader(partial(queries.runs, pipeline=pipeline, state=state, limit=limit)) if reader else []
    if as_json:
        words.document([run_view(run, now) for run in found])
    elif not found:
        print(named.NOTHING if reader is None else "no such run" if pipeline or state else named.NOTHING)
    else:
        _list(found, where.hub().timezone, now)
    return 0


def _list(found: Sequence[Run], zone: str, now: datetime) -> None:
    out = words.console()
    short = out.width < words.ROOMY
    rows = [
        (
            run.id,
            run.pipeline,
            Text(f"{words.icon(run.state, out.encoding)} {words.said(run.state)}", style=words.style(run.state)),
            words.stamp(run.started_at or run.created_at, zone, short=short),
            words.length((run.ended_at or now) - run.started_at) if run.started_at else "",
            ("shadow: " if run.mode is Mode.SHADOW else "")
            + (words.first_line(run.cancel_reason or run.reason) or run.trigger.value),
        )
        for run in found
    ]
    words.table(out, ("run", "pipeline", "state", f"started ({zone})", "took", "because"), rows, cut=True)


def show(where: Where, typed: str, *, as_json: bool) -> int:
    """Show a run with its steps."""
    now = datetime.now(UTC)
    with where.reader() as reader:
        there = named.there(reader)
        found, _ = named.step(there, typed)
        nodes = there(partial(queries.nodes, run_id=found.run.id))
        events = there(partial(queries.events, run_id=found.run.id))
        usual = there(partial(queries.usual, pipeline=found.run.pipeline))
        ahead = there(partial(forecasting.of_run, open_run=found, now=now))
        mute = of_key(there(muted.in_force), f"pipeline:{found.run.pipeline}", now)
    if as_json:
        words.document(show_view(found, events, nodes, usual, now, mute, ahead))
        return 0
    run, zone, out = found.run, where.hub().timezone, words.console()
    interval = f"{words.stamp(run.interval.start, zone)} to {words.stamp(run.interval.end, zone)} {zone}"
    started = f"{words.stamp(run.started_at, zone)} {zone}" if run.started_at else "not started"
    out.print(Text(f"started {started}; data of {interval}", style="dim"))
    if run.mode is Mode.SHADOW:
        out.print(Text("in shadow: it starts nothing and tells nobody", style="magenta"))
    if mute is not None:
        said = f"muted until {words.stamp(mute.until, zone)} {zone} by {mute.by}: {mute.reason}"
        out.print(Text(words.clean(said), style="magenta"))
    for line in forecasting.said(ahead, zone) if ahead is not None else ():
        out.print(Text(words.clean(line), style="cyan"))
    progress.summary(out, found, usual, picture.failures(found, nodes))
    return 0


def why(where: Where, typed: str, *, as_json: bool) -> int:
    """Say why a run, a step, a model, a connection or a pipeline is as it is."""
    with where.reader() as reader:
        view = _explained(named.there(reader), typed.strip(), datetime.now(UTC))
    if as_json:
        words.document(view)
        return 0
    out = words.console()
    whose = view["pipeline"] if view["subject"] in {"run", "step"} else view["subject"]
    said = Text(f"{whose} ", style="bold").append(f"{view['name']} is ", style="not bold")
    out.print(said.append(words.said(view["state"]), style=words.style(view["state"])))
    for sentence in view["because"]:
        for at, line in enumerate(words.shortened(sentence)):
            out.print(Text(f"{'    ' if at else '  - '}{line}"))
    return 0


def _explained(reader: Reader, typed: str, now: datetime) -> View:
    """Find out what is meant, a run before all else but for a pipeline's own name."""
    first, rest = named.split(typed)
    if ":" not in typed and (rest or typed not in reader(queries.pipelines)):
        task = rest.partition(".")[0]
        try:
            found, _ = named.step(reader, f"{first}.{task}" if task else first)
        except Refused:
            view = reader(partial(about, name=typed, now=now))
            if view is None:
                raise
            return view
        return reader(partial(about_run, open_run=found, task=rest or None, now=now))
    view = reader(partial(about, name=typed, now=now))
    if view is None:
        raise Refused(f"nothing is known of {typed!r}: `stackhub connections` lists them")
    return view
