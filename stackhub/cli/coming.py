"""What will fire: next, also around the days on which clocks are turned."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.text import Text

from stackhub.cli import named, plan, words
from stackhub.cli.where import Where
from stackhub.decide import dst, facets
from stackhub.decide.clockwork import works
from stackhub.decide.schedule import first, left_out, upcoming
from stackhub.model.codec import dump
from stackhub.model.pipeline import Mode
from stackhub.server import forecasting
from stackhub.server.pipeline_views import next_view, waiting_view
from stackhub.server.views import moment
from stackhub.store import configure, queries
from stackhub.store.configure import Scheduled, runs_next
from stackhub.store.queries import Known
from stackhub.store.waiting import waiting

LEFT_OUT: Final = 3  # days that a calendar leaves out which are shown
WORTH_SAYING: Final = 0.05  # of probability to miss a deadline
TURNS: Final = 2  # of each zone's clock


def following(where: Where, pipeline: str, *, many: int, as_json: bool) -> int:
    """List what will fire, soonest first: of schedules in force, or as configured where none ever was."""
    now = datetime.now(UTC)
    known, mine, in_force = _scheduled(where, pipeline, now)
    ticks = sorted(
        (view for one in mine for view in _ticks(one, known[one.pipeline], now, many)),
        key=lambda view: (view["at"], view["pipeline"]),
    )[:many]
    ticks = [{**view, "forecast": ahead} for view, ahead in zip(ticks, _ahead(where, known, ticks, now), strict=True)]
    ticks = _waits(where, known, {one.pipeline for one in mine}) + ticks
    if as_json:
        words.document(ticks)
        return 0
    _list_ticks(ticks, now)
    for one in mine:
        _tell_left_out(one, known[one.pipeline], now, ticks)
    for name in sorted(known):
        _tell_others(known[name], pipeline, {s.pipeline for s in mine})
    if not known:
        print(f"no pipelines: write one to {where.directory / 'pipelines'}")
    elif not in_force:
        print("\nas configured: no daemon has ever run here, and schedules fall due only while one does")
    return 0


def _ahead(
    where: Where, known: Mapping[str, Known], ticks: Sequence[dict[str, Any]], now: datetime
) -> list[dict[str, Any] | None]:
    """Look ahead of each tick to come; of nothing while there is no store."""
    with where.reader() as reader:
        if reader is None:
            return [None] * len(ticks)
        return [
            reader(
                partial(
                    forecasting.of_tick,
                    pipeline=known[view["pipeline"]].pipeline,
                    tick=datetime.fromisoformat(view["at"]),
                    now=now,
                )
            )
            for view in ticks
        ]


def _scheduled(where: Where, pipeline: str, now: datetime) -> tuple[dict[str, Known], list[Scheduled], bool]:
    """Return the pipelines, the schedules that are asked after, and whether these were ever in force."""
    with where.reader() as reader:
        known = {name: one for name, one in reader(queries.pipelines).items() if not one.retired} if reader else {}
        scheduled = reader(configure.schedules) if reader else []
    in_force = bool(known)
    if not in_force:
        known, scheduled = _configured(where, now)
    if pipeline:
        named.pipeline(pipeline, known)
    return known, [one for one in scheduled if pipeline in ("", one.pipeline) and one.pipeline in known], in_force


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
    calendars = known.pipeline.calendars
    one = runs_next(one, calendars)
    if one.next_at is None:
        return []
    ticks = upcoming(one.schedule, one.next_at - timedelta.resolution, one.anchor, 1, calendars)
    ticks += upcoming(one.schedule, max(now, one.next_at), one.anchor, many, calendars)
    labels = {tick.at: tick.label for tick in ticks}
    instants = [one.next_at, *(at for at in labels if at > max(now, one.next_at))][:many]
    views = []
    for at in instants:
        view = next_view(replace(one, next_at=at), known)
        local = labels.get(at) or at.astimezone(ZoneInfo(one.schedule.timezone)).isoformat(timespec="minutes")
        views.append({**view, "local": local, "overdue": at <= now})
    return views


def _waits(where: Where, known: Mapping[str, Known], wanted: Collection[str]) -> list[dict[str, Any]]:
    """Return the ticks that have fallen and wait for data."""
    with where.reader() as reader:
        found = reader(waiting) if reader else []
    mine = [one for one in found if one.pipeline in wanted]
    return [{**waiting_view(one, known[one.pipeline]), "local": one.label, "overdue": False} for one in mine]


def _list_ticks(ticks: Sequence[dict[str, Any]], now: datetime) -> None:
    rows = []
    for view in ticks:
        at = datetime.fromisoformat(view["at"])
        note = "overdue: decided when a daemon runs" if view["overdue"] else f"in {words.length(at - now)}"
        if "waiting" in view:
            until = f", until {words.stamp(datetime.fromisoformat(view['until']), 'UTC')} UTC" if view["until"] else ""
            note = f"{view['waiting']}{until}"
        if (ahead := view.get("forecast")) and ahead["finish_p50"]:
            note += (
                f", done at {words.stamp(datetime.fromisoformat(ahead['finish_p50']), view['schedule']['timezone'])}"
            )
            note += "".join(
                f" ({facets.percent(one['risk'])} to miss {one['text'].removeprefix('finish ')})"
                for one in ahead["deadlines"]
                if one["risk"] >= WORTH_SAYING
            )
        if view.get("mode") == Mode.SHADOW:
            note = f"in shadow; {note}" if note else "in shadow"
        if view["paused"]:
            note = f"paused: {view['paused_reason']}" if view["paused_reason"] else "paused"
        zone = view["schedule"]["timezone"]
        local = f"{words.stamp(at, zone)} {zone}"
        rows.append((words.stamp(at, "UTC"), local, view["pipeline"], Text(note, style="dim")))
    if rows:
        words.table(words.console(), ("at (UTC)", "local", "pipeline", ""), rows)


def _tell_left_out(one: Scheduled, known: Known, now: datetime, shown: Sequence[dict[str, Any]]) -> None:
    """Say which days a calendar leaves out between now and the last tick that is shown."""
    until = max((datetime.fromisoformat(view["at"]) for view in shown if view["pipeline"] == one.pipeline), default=now)
    found: dict[str, str] = {}
    for at, reason in left_out(one.schedule, now, until, one.anchor, 1000, known.pipeline.calendars):
        found.setdefault(at.astimezone(ZoneInfo(one.schedule.timezone)).date().isoformat(), reason)
    if found:
        days = [f"{day} ({reason})" for day, reason in list(found.items())[:LEFT_OUT]]
        more = f", and {words.counted(len(found) - LEFT_OUT, 'day')} more" if len(found) > LEFT_OUT else ""
        print(f"{one.pipeline}: not on {', '.join(days)}{more}")


def _tell_others(known: Known, wanted: str, scheduled: set[str]) -> None:
    pipeline = known.pipeline
    if wanted not in ("", pipeline.name):
        return
    ways = [*(f"after {name} succeeded" for name in pipeline.after), *map(plan.landed, pipeline.landed)]
    if ways:
        print(f"{pipeline.name}: {', or '.join(ways)}")
    elif pipeline.name not in scheduled:
        print(f"{pipeline.name}: when asked (stackhub trigger {pipeline.name})")


# --- around the days on which clocks are turned ----------------------------------------------------------------------


def around_dst(where: Where, pipeline: str, *, many: int, as_json: bool) -> int:
    """Show what each schedule does around the coming turns of its zone's clock."""
    now = datetime.now(UTC)
    known, mine, _ = _scheduled(where, pipeline, now)
    found = [view for one in mine for view in _turns(one, known[one.pipeline], now, many)]
    if as_json:
        words.document(found)
        return 0
    for view in found:
        schedule = view["schedule"]
        line = schedule["cron"] or f"every {words.length(schedule['every'])}"
        print(f"{view['pipeline']}: {line} {schedule['timezone']}; {view['turn']}")
        rows = [(tick["at"], tick["local"], Text(tick["note"], style="dim")) for tick in view["ticks"]]
        words.table(words.console(), ("at (UTC)", "local", ""), rows)
        if view["dropped"]:
            print(f"  {', '.join(view['dropped'])}: left out by the clock, and by a line that steps along with it")
        print()
    quiet = sorted({one.pipeline for one in mine} - {view["pipeline"] for view in found})
    for name in quiet:
        zones = sorted({one.schedule.timezone for one in mine if one.pipeline == name})
        print(f"{name}: the clock of {' and '.join(zones)} is not turned in the next two years")
    if not mine:
        print("no schedule")
    return 0


def _turns(one: Scheduled, known: Known, now: datetime, many: int) -> list[dict[str, Any]]:
    clockwork = works(one.schedule, one.anchor, known.pipeline.calendars)
    views = []
    for turn in dst.turns(one.schedule.timezone, now, TURNS):
        ticks = dst.around(one.schedule, clockwork, turn, many)
        views.append(
            {
                "pipeline": one.pipeline,
                "schedule": next_view(one, known)["schedule"],
                "turn_at": moment(turn.at),
                "turn": turn.text,
                "ticks": [{"at": moment(tick.at), "local": tick.label, "note": tick.note} for tick in ticks],
                "dropped": list(dst.dropped(one.schedule, turn)),
            }
        )
    return views
