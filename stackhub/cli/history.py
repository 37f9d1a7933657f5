"""What has run and what will: runs, show, logs, why, next. Reads the store, with a daemon or without."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from rich.text import Text

from stackhub.cli import named, picture, progress, words
from stackhub.cli.where import Where
from stackhub.decide.mute import of_key
from stackhub.decide.schedule import first, upcoming
from stackhub.errors import Refused
from stackhub.model.codec import dump
from stackhub.model.pipeline import Pipeline
from stackhub.model.run import RUN_OPEN, OpenRun, Run, RunState
from stackhub.server.views import next_view, run_view, show_view
from stackhub.server.why import why_view
from stackhub.store import configure, muted, queries, shown
from stackhub.store.configure import Scheduled
from stackhub.store.queries import Known
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
            words.first_line(run.cancel_reason or run.reason) or run.trigger.value,
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
        mute = of_key(there(muted.in_force), f"pipeline:{found.run.pipeline}", now)
    if as_json:
        words.document(show_view(found, events, nodes, usual, now, mute))
        return 0
    run, zone, out = found.run, where.hub().timezone, words.console()
    interval = f"{words.stamp(run.interval.start, zone)} to {words.stamp(run.interval.end, zone)} {zone}"
    started = f"{words.stamp(run.started_at, zone)} {zone}" if run.started_at else "not started"
    out.print(Text(f"started {started}; data of {interval}", style="dim"))
    if mute is not None:
        said = f"muted until {words.stamp(mute.until, zone)} {zone} by {mute.by}: {mute.reason}"
        out.print(Text(words.clean(said), style="magenta"))
    progress.summary(out, found, usual, picture.failures(found, nodes))
    return 0


def why(where: Where, typed: str, *, as_json: bool) -> int:
    """Say why a run, or one of its steps, is as it is."""
    with where.reader() as reader:
        there = named.there(reader)
        found, task = named.step(there, typed)
        view = why_view(
            found,
            task or None,
            events=there(partial(queries.events, run_id=found.run.id)),
            lanes=there(shown.lanes),
            others=_open_runs(there, found),
            now=datetime.now(UTC),
        )
    if as_json:
        words.document(view)
        return 0
    out, name = words.console(), f"{found.run.id}.{task}" if task else found.run.id
    said = Text(f"{found.run.pipeline} ", style="bold").append(f"{name} is ", style="not bold")
    out.print(said.append(words.said(view["state"]), style=words.style(view["state"])))
    for sentence in view["because"]:
        for at, line in enumerate(words.shortened(sentence)):
            out.print(Text(f"{'    ' if at else '  - '}{line}"))
    return 0


def _open_runs(reader: Reader, found: OpenRun) -> list[Run]:
    return [
        run
        for state in RUN_OPEN
        for run in reader(partial(queries.runs, pipeline=found.run.pipeline, state=state.value))
    ]


# --- what comes ------------------------------------------------------------------------------------------------------


def following(where: Where, pipeline: str, *, many: int, as_json: bool) -> int:
    """List what will fire, soonest first: of schedules in force, or as configured where none ever was."""
    now = datetime.now(UTC)
    with where.reader() as reader:
        known = {name: one for name, one in reader(queries.pipelines).items() if not one.retired} if reader else {}
        scheduled = reader(configure.schedules) if reader else []
    in_force = bool(known)
    if not in_force:
        known, scheduled = _configured(where, now)
    if pipeline:
        named.pipeline(pipeline, known)
    mine = [one for one in scheduled if pipeline in ("", one.pipeline)]
    ticks = sorted(
        (view for one in mine for view in _ticks(one, known[one.pipeline], now, many)),
        key=lambda view: (view["at"], view["pipeline"]),
    )[:many]
    if as_json:
        words.document(ticks)
        return 0
    _list_ticks(ticks, now)
    for one in sorted(known):
        _tell_others(known[one], pipeline, {s.pipeline for s in mine})
    if not known:
        print(f"no pipelines: write one to {where.directory / 'pipelines'}")
    elif not in_force:
        print("\nas configured: no daemon has ever run here, and schedules fall due only while one does")
    return 0


def _configured(where: Where, now: datetime) -> tuple[dict[str, Known], list[Scheduled]]:
    pipelines = where.configuration().pipelines
    known = {
        name: Known(pipeline=one, snapshot="", retired=False, paused_at=None, paused_reason="")
        for name, one in pipelines.items()
    }
    scheduled = [
        Scheduled(pipeline=name, spec=dump(plan), schedule=plan, anchor=now, next_at=first(plan, now))
        for name, one in pipelines.items()
        for plan in one.schedules
    ]
    return known, scheduled


def _ticks(one: Scheduled, known: Known, now: datetime, many: int) -> list[dict[str, Any]]:
    """Return the next ticks of a schedule; one that is overdue waits for a daemon, or for the pause to end."""
    if one.next_at is None:
        return []
    ticks = upcoming(one.schedule, one.next_at - timedelta.resolution, one.anchor, 1)
    ticks += upcoming(one.schedule, max(now, one.next_at), one.anchor, many)
    labels = {tick.at: tick.label for tick in ticks}
    instants = [one.next_at, *(at for at in labels if at > max(now, one.next_at))][:many]
    views = []
    for at in instants:
        view = next_view(replace(one, next_at=at), known)
        local = labels.get(at) or at.astimezone(ZoneInfo(one.schedule.timezone)).isoformat(timespec="minutes")
        views.append({**view, "local": local, "overdue": at <= now})
    return views


def _list_ticks(ticks: Sequence[dict[str, Any]], now: datetime) -> None:
    rows = []
    for view in ticks:
        at = datetime.fromisoformat(view["at"])
        note = "overdue: decided when a daemon runs" if view["overdue"] else f"in {words.length(at - now)}"
        if view["paused"]:
            note = f"paused: {view['paused_reason']}" if view["paused_reason"] else "paused"
        zone = view["schedule"]["timezone"]
        local = f"{words.stamp(at, zone)} {zone}"
        rows.append((words.stamp(at, "UTC"), local, view["pipeline"], Text(note, style="dim")))
    if rows:
        words.table(words.console(), ("at (UTC)", "local", "pipeline", ""), rows)


def _tell_others(known: Known, wanted: str, scheduled: set[str]) -> None:
    pipeline: Pipeline = known.pipeline
    if wanted not in ("", pipeline.name):
        return
    if pipeline.after:
        print(f"{pipeline.name}: after {', '.join(pipeline.after)} succeeded")
    elif pipeline.name not in scheduled:
        print(f"{pipeline.name}: when asked (stackhub trigger {pipeline.name})")
