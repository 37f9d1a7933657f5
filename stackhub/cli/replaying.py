"""`stackhub replay`: recorded history, played again as it was and under another configuration, side by side."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog
from rich.text import Text

from stackhub.cli import exits, words
from stackhub.cli.where import Where
from stackhub.config.duration import parse
from stackhub.config.read import Configuration
from stackhub.decide.past import How
from stackhub.decide.tally import Facts, Fate, Promise, Tally, fates, promises, tally
from stackhub.errors import ConfigError, Refused
from stackhub.sandbox.replay import Recorded, Replayed, record, replay
from stackhub.server.views import moment
from stackhub.store import past

AS_IT_WAS: Final = "as it was"
AGAIN: Final = "replayed as it was"
LISTED: Final = 20  # differences that are listed for people
MOMENT: Final = timedelta(minutes=1)  # before the first run, and after the last event: what made them is played too
UNKNOWN: Final = "not recorded"
GUESSES: Final[Mapping[How, str]] = {
    How.NEAREST: "as its task went nearest in time",
    How.SAME_JOB: "as the same work went elsewhere",
    How.USUAL: "as long as is usual for its account",
    How.ASSUMED: "of which nothing is known",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One telling of the same time."""

    name: str
    facts: Facts
    sums: Tally
    played: Replayed | None = None  # None: as it was


def replayed(where: Where, since: str, other: str, pipelines: list[str], *, as_json: bool) -> int:
    """Play recorded history again and print what would have been otherwise."""
    where, under = _places(where, other)
    configuration = where.configuration()
    another = under.configuration() if under is not None else None
    _check(pipelines, configuration, another)
    zone, now = configuration.hub.timezone, datetime.now(UTC)
    recorded, known = _recorded(where, since_when(since, now, zone), now, pipelines)
    columns = [Column(name=AS_IT_WAS, facts=recorded.facts, sums=tally(recorded.facts))]
    with _quietly():
        columns.append(_column(AGAIN, replay(configuration, recorded, where.environ, pipelines)))
        if another is not None and under is not None:
            columns.append(
                _column(f"under {under.directory.name}", replay(another, recorded, where.environ, pipelines))
            )
    if as_json:
        words.document(_document(recorded, known, columns))
    else:
        _show(recorded, known, columns, zone)
    return exits.OK


def _places(where: Where, other: str) -> tuple[Where, Where | None]:
    """Return whose history is played, and under what else.

    Where only one directory is named and the history is there, it is played under what is in force there.
    """
    if not other:
        return where, None
    under = Where.found(other, where.environ)
    if under.directory.resolve() == where.directory.resolve():
        return where, None
    return (where, under) if _has_history(where) or not _has_history(under) else (under, None)


def _has_history(where: Where) -> bool:
    try:
        with where.reader() as reader:
            return reader is not None and reader(past.known_since) is not None
    except ConfigError:
        return False


def _check(pipelines: Sequence[str], *configurations: Configuration | None) -> None:
    known = {name for one in configurations if one is not None for name in one.pipelines}
    for name in pipelines:
        if name not in known:
            raise Refused(f"no pipeline {name!r}; there are: {', '.join(sorted(known)) or 'none'}")


def since_when(written: str, now: datetime, zone: str) -> datetime:
    """Read ``30d`` or ``2026-11-01``, whose midnight is the hub's."""
    try:
        return datetime.combine(date.fromisoformat(written), time(), ZoneInfo(zone)).astimezone(UTC)
    except ValueError:
        pass
    try:
        return now - parse(written)
    except (ValueError, OverflowError) as err:
        raise Refused(f"--since {written}: {err}, or a date such as 2026-11-01") from None


def _recorded(where: Where, since: datetime, now: datetime, pipelines: Sequence[str]) -> tuple[Recorded, datetime]:
    if since >= now:
        raise Refused("--since names a time that has not come yet")
    with where.reader() as reader:
        known = reader(past.known_since) if reader is not None else None
        if reader is None or known is None:
            raise Refused(
                f"nothing has run yet in {where.directory}: name the hub's own directory before the command,"
                " stackhub --config HUB replay --config OTHER"
            )
        if known >= now:
            raise Refused("the history begins in the future: is the clock of this machine right?")
        until = min((reader(past.last_moment) or now) + MOMENT, now)  # a hub that is down makes no history
        if since >= until:
            raise Refused(f"nothing has happened since then: history ends at {until:%Y-%m-%d %H:%M} UTC")
        return reader(partial(record, since=max(since, known - MOMENT), until=until, pipelines=pipelines)), known


def _column(name: str, played: Replayed) -> Column:
    return Column(name=name, facts=played.facts, sums=tally(played.facts), played=played)


@contextmanager
def _quietly() -> Iterator[None]:
    """Leave the log alone: what is played is no news."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


# --- for people -------------------------------------------------------------------------------------------------------


def _show(recorded: Recorded, known: datetime, columns: Sequence[Column], zone: str) -> None:
    out = words.console()
    span = f"{words.stamp(recorded.since, zone)} to {words.stamp(recorded.until, zone)}, {zone}"
    out.print(Text(f"history from {span}: nothing was started, nobody was told.", style="dim"))
    for note in _notes(recorded, known, columns):
        out.print(Text(note, style="yellow"))
    rows = [[label, *(_cell(one, value) for one in columns)] for label, value in _lines(columns)]
    words.table(out, ["", *(one.name for one in columns)], rows)
    for before, after in pairwise(columns):
        _differences(out, before, after, zone)


def _notes(recorded: Recorded, known: datetime, columns: Sequence[Column]) -> Iterator[str]:
    around = recorded.around
    if recorded.since <= known:
        yield f"history is known from {known:%Y-%m-%d %H:%M} UTC on"
    if around.edits:
        edits = words.counted(around.edits, "time")
        yield f"the configuration was changed {edits} meanwhile: it is played as it is in force now"
    if recorded.shadows:
        shadows = words.counted(recorded.shadows, "run")
        yield f"{shadows} were in shadow, and are played so: replay --shadow says what they would have begun"
    if around.backfilled:
        yield f"{words.counted(around.backfilled, 'run')} of backfills are not played"
    for one in columns:
        if one.played is None:
            continue
        jobs, known_jobs = sum(one.played.hows.values()), one.played.hows.get(How.RECORDED, 0)
        if known_jobs < jobs:
            guesses = [f"{many} {GUESSES[how]}" for how, many in one.played.hows.items() if how in GUESSES]
            yield f"{one.name}: {jobs - known_jobs} of {jobs} jobs are guessed: {', '.join(guesses)}"
        yield from (f"{one.name}: could not be done again: {said}" for said in one.played.undone[:LISTED])


Value = Callable[[Column], str]


def _cell(one: Column, value: Value) -> str:
    return value(one)


def _lines(columns: Sequence[Column]) -> Iterator[tuple[str, Value]]:
    yield "runs", lambda one: str(one.sums.runs)
    states = ("succeeded", "partial", "failed", "cancelled", "running", "queued")
    for state in states:
        if state in {"succeeded", "failed"} or any(one.sums.states.get(state) for one in columns):
            yield f"  {state}", lambda one, state=state: str(one.sums.states.get(state, 0))  # type: ignore[misc]  # a default binds the loop's value
    yield "deadlines", lambda one: str(one.sums.deadlines)
    yield "  missed", lambda one: str(one.sums.missed)
    yield "at risk told", lambda one: str(one.sums.warned)
    yield "  of which missed", lambda one: _share(one.sums.right, one.sums.warned)
    yield "  of all misses", lambda one: _share(one.sums.right, one.sums.missed)
    yield "  before the deadline", lambda one: words.length(one.sums.lead) or "-"
    for place in sorted({place for one in columns for place in one.sums.heard}):
        yield f"messages to {place}", partial(_heard, place)
    for account in sorted({name for one in columns if one.played is not None for name in one.played.calls}):
        yield f"API calls to {account}", partial(_calls, account)
    yield "data in to built, median", lambda one: words.length(one.sums.ready_median) or "-"
    yield "  95 of 100 within", lambda one: words.length(one.sums.ready_p95) or "-"


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.0%})" if whole else "-"


def _heard(place: str, one: Column) -> str:
    heard = one.sums.heard.get(place)
    return "0" if heard is None else f"{heard.messages} ({words.counted(heard.problems, 'problem')})"


def _calls(account: str, one: Column) -> str:
    return UNKNOWN if one.played is None else str(one.played.calls.get(account, 0))


def _differences(out: Any, before: Column, after: Column, zone: str) -> None:
    kept, ends = promises(before.facts, after.facts), fates(before.facts, after.facts)
    if not kept and not ends:
        out.print(Text(f"\n{after.name}: every run ends and every deadline is kept as {_named(before)}", style="green"))
        return
    out.print(Text(f"\n{after.name}, unlike {_named(before)}:"))
    for promise in kept[:LISTED]:
        one = promise.deadline
        text = f"  {words.stamp(one.at, zone, short=True)}  {one.pipeline}, {one.text}: {_kept(promise)}"
        out.print(Text(text, style="red" if promise.after is False else "green"))
    for fate in ends[:LISTED]:
        was, is_now = (words.said(state) if state else "no such run" for state in (fate.before, fate.after))
        out.print(Text(f"  {words.stamp(fate.at, zone, short=True)}  {fate.pipeline}: {is_now}, not {was}"))
    left = max(len(kept) - LISTED, 0) + max(len(ends) - LISTED, 0)
    if left:
        out.print(Text(f"  and {left} more: --json lists them all", style="dim"))


def _named(one: Column) -> str:
    return "it was" if one.played is None else one.name


def _kept(promise: Promise) -> str:
    said = {True: "met", False: "missed", None: "no such deadline"}
    return f"{said[promise.after]}, not {said[promise.before]}"


# --- for scripts ------------------------------------------------------------------------------------------------------


def _document(recorded: Recorded, known: datetime, columns: Sequence[Column]) -> dict[str, Any]:
    return {
        "since": moment(recorded.since),
        "until": moment(recorded.until),
        "known_since": moment(known),
        "configuration_changes": recorded.around.edits,
        "backfill_runs_not_played": recorded.around.backfilled,
        "tellings": [_telling(one) for one in columns],
        "differences": [
            {
                "before": before.name,
                "after": after.name,
                "deadlines": [_promise(one) for one in promises(before.facts, after.facts)],
                "runs": [_fate(one) for one in fates(before.facts, after.facts)],
            }
            for before, after in pairwise(columns)
        ],
    }


def _telling(one: Column) -> dict[str, Any]:
    sums = one.sums
    return {
        "name": one.name,
        "runs": sums.runs,
        "states": dict(sums.states),
        "deadlines": sums.deadlines,
        "missed": sums.missed,
        "at_risk": {
            "told": sums.warned,
            "right": sums.right,
            "precision": sums.precision,
            "recall": sums.recall,
            "lead_seconds": _seconds(sums.lead),
        },
        "messages": {
            place: {"sent": heard.messages, "problems": heard.problems} for place, heard in sums.heard.items()
        },
        "api_calls": None if one.played is None else dict(one.played.calls),
        "data_ready": {
            "runs": sums.ready,
            "median_seconds": _seconds(sums.ready_median),
            "p95_seconds": _seconds(sums.ready_p95),
        },
        "jobs": None if one.played is None else {how.value: many for how, many in one.played.hows.items()},
        "not_done_again": [] if one.played is None else list(one.played.undone),
    }


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


def _promise(one: Promise) -> dict[str, Any]:
    said = {True: "met", False: "missed", None: None}
    due = one.deadline
    return {
        "pipeline": due.pipeline,
        "at": moment(due.at),
        "text": due.text,
        "before": said[one.before],
        "after": said[one.after],
    }


def _fate(one: Fate) -> dict[str, Any]:
    return {"pipeline": one.pipeline, "at": moment(one.at), "before": one.before or None, "after": one.after or None}
