"""Backfills on the command line: ask for one, see how they stand, cancel."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import anyio
from rich.text import Text

from stackhub.cli import asking, commands, exits, named, words
from stackhub.cli.asking import Done, Wish
from stackhub.cli.where import Where
from stackhub.config.duration import parse
from stackhub.decide.asked import Plan, planned
from stackhub.decide.backfill import in_order
from stackhub.engine.backfills import reloads
from stackhub.errors import Refused
from stackhub.model.backfill import GOING, RESYNC, Backfill, BackfillState, PartState
from stackhub.server.backfill_views import backfill_view, parts_view
from stackhub.store import backfills as rows
from stackhub.store import configure
from stackhub.store.reading import Reader

LOOK: Final = 0.5  # seconds between looks while one is followed
SHOWN: Final = 12  # intervals of a long one
BAR: Final = 20  # characters


def backfill(where: Where, pipeline: str, args: dict[str, Any], *, dry_run: bool, wait: bool, as_json: bool) -> int:
    """Ask for a backfill, or only say what it would be."""
    wanted = {"pipeline": pipeline, **args, "every": _seconds(args["every"]), "with": commands.changed(args["with"])}
    if dry_run:
        _tell_plan(where, _planned(where, wanted), again=bool(args["again"]), as_json=as_json)
        return exits.OK
    body = {**wanted, "every": args["every"] or None}
    del body["pipeline"]
    wish = Wish(kind="backfill", args=wanted, path=f"pipelines/{quote(pipeline)}/backfill", body=body)
    done = anyio.run(asking.ask, where, wish, lambda: _check(where, wanted))
    made = str(done.result.get("backfill") or done.result.get("id", ""))
    exits.say(_accepted(done))
    print(made, flush=True)
    if not wait:
        return exits.OK
    if done.kept:
        raise Refused("--wait needs the daemon: the backfill is kept, and begins when one starts")
    return anyio.run(_follow, where, made)


def backfills(where: Where, *, pipeline: str, limit: int, as_json: bool) -> int:
    """List backfills, newest first."""
    with where.reader() as reader:
        found = reader(partial(rows.backfills, pipeline=pipeline, limit=limit)) if reader else []
        views = [_view(reader, one) for one in found] if reader else []
    if as_json:
        words.document(views)
    elif not views:
        print("no backfill: `stackhub backfill PIPELINE --from DAY --to DAY` makes one")
    else:
        zone, out = where.hub().timezone, words.console()
        table = [
            (
                view["id"],
                view["pipeline"],
                Text(view["state"], style=words.style(view["state"])),
                _progress(view),
                f"{_day(one.start, zone)} to {_day(one.end, zone)}",
                _then(view),
            )
            for one, view in zip(found, views, strict=True)
        ]
        words.table(out, ("backfill", "pipeline", "state", "done", f"stretch ({zone})", ""), table)
    return exits.OK


def show(where: Where, typed: str, *, as_json: bool) -> int:
    """Show a backfill with its intervals."""
    zone = where.hub().timezone
    with where.reader() as reader:
        there = named.there(reader)
        found = _named(there, typed)
        view = _view(there, found)
        parts = there(partial(rows.parts, backfill_id=found.id))
    if as_json:
        words.document({**view, "parts": parts_view(found, parts)})
        return exits.OK
    out = words.console()
    said = Text(f"backfill of {found.pipeline} ", style="bold").append(f"{found.id} is ", style="not bold")
    out.print(said.append(view["state"], style=words.style(view["state"])))
    print(f"{_progress(view)} of {found.how}; {_then(view) or 'nothing is left'}")
    table = [
        (
            words.stamp(part.interval.start, zone),
            words.stamp(part.interval.end, zone),
            Text(part.state.value, style=words.style(part.state.value)),
            part.run,
            "everything is loaded anew" if part.seq == RESYNC else "",
        )
        for part in parts
    ]
    words.table(out, (f"from ({zone})", "to", "state", "run", ""), table)
    return exits.OK


def cancel(where: Where, typed: str, *, reason: str) -> int:
    """Cancel a backfill."""
    with where.reader() as reader:
        found = _named(named.there(reader), typed)
    args = {"backfill": found.id, "reason": reason}
    wish = Wish(kind="cancel_backfill", args=args, path=f"backfills/{found.id}/cancel", body={"reason": reason})
    done = anyio.run(asking.ask, where, wish, lambda: _check_going(found))
    exits.say(done.told or f"backfill {found.id} is cancelled: what is running is asked to end")
    print(found.id)
    return exits.OK


def _seconds(every: str) -> float | None:
    if not every:
        return None
    try:
        return parse(every).total_seconds()
    except ValueError as err:
        raise Refused(f"--every {err}") from None


def _planned(where: Where, args: Mapping[str, Any]) -> Plan:
    """Plan it here, by the configuration as it stands in its files. Raises `Refused`."""
    configuration = where.configuration()
    commands.part(configuration, str(args["pipeline"]), args["only"], args["with"], where.environ)
    pipeline = configuration.pipelines[str(args["pipeline"])]
    with where.reader() as reader:
        scheduled = reader(configure.schedules) if reader else []
    return planned(
        pipeline,
        {one.schedule: one.anchor for one in scheduled if one.pipeline == pipeline.name},
        args,
        timezone=configuration.hub.timezone,
        reloads=reloads(pipeline, configuration.instances.get),
        now=datetime.now(UTC),
        backfill_id="",
        by=asking.somebody(),
    )


def _check(where: Where, args: Mapping[str, Any]) -> None:
    _planned(where, args)


def _check_going(found: Backfill) -> None:
    if found.state not in GOING:
        raise Refused(f"backfill {found.id} is {found.state} already")


def _tell_plan(where: Where, plan: Plan, *, again: bool, as_json: bool) -> None:
    with where.reader() as reader:
        known = reader(partial(rows.by_key, key=plan.key)) if reader else None
        parts = reader(partial(rows.parts, backfill_id=known.id)) if reader and known else list(plan.parts)
    if as_json:
        words.document(
            {
                "backfill": known.id if known else None,
                "how": plan.backfill.how,
                "parts": parts_view(plan.backfill, parts),
            }
        )
        return
    done = [] if again else [part for part in parts if part.state is PartState.SUCCEEDED]
    todo = [part for part in parts if part not in done]
    zone = where.hub().timezone
    said = f"{words.counted(len(todo), 'run')} of {plan.backfill.pipeline}, {plan.backfill.how}"
    exits.say(f"{said}; {len(done)} done before by backfill {known.id}" if known else said)
    ordered = [part for part in in_order(plan.backfill, parts) if part in todo]
    rest = len(ordered) - SHOWN
    shown = ordered if rest <= 1 else ordered[: SHOWN - 1]
    for part in shown:
        anew = "  everything is loaded anew" if part.seq == RESYNC else ""
        print(f"{words.stamp(part.interval.start, zone)} to {words.stamp(part.interval.end, zone)} {zone}{anew}")
    if rest > 1:
        print(f"and {len(ordered) - len(shown)} more, to {words.stamp(ordered[-1].interval.end, zone)}")


def _accepted(done: Done) -> str:
    if done.told:
        return done.told
    result = done.result
    if result.get("already"):
        return f"backfill {result['backfill']} is {result['state']} already"
    finished = result.get("by_state", {}).get("succeeded", 0)
    before = f", {finished} of them done before" if finished else ""
    return f"backfill {result['backfill']}: {words.counted(int(result['intervals']), 'interval')}{before}"


async def _follow(where: Where, backfill_id: str) -> int:
    """Stay until it has ended, and say how far it is whenever that changes."""
    told = ""
    while True:
        with where.reader() as reader:
            there = named.there(reader)
            found = there(partial(rows.backfill, backfill_id=backfill_id))
            view = _view(there, found) if found is not None else None
        if found is None or view is None:
            raise Refused(f"no backfill {backfill_id!r}")
        said = f"{_progress(view)}  {_then(view)}".rstrip()
        if said.split("  about ")[0] != told.split("  about ", maxsplit=1)[0]:
            exits.say(said)
            told = said
        if found.state not in GOING:
            return exits.OK if found.state is BackfillState.SUCCEEDED else exits.FAILED
        await anyio.sleep(LOOK)


def _view(reader: Reader, found: Backfill) -> dict[str, Any]:
    many = reader(partial(rows.counts, ids=[found.id]))[found.id]
    return backfill_view(found, many, reader(partial(rows.usual, backfill_id=found.id)))


def _named(reader: Reader, typed: str) -> Backfill:
    """Find a backfill by its id, one end of it, or ``last``. Raises `Refused`."""
    if typed == named.LAST:
        newest = reader(partial(rows.backfills, limit=1))
        if not newest:
            raise Refused("there is no backfill yet")
        return newest[0]
    ids = reader(partial(rows.named, typed=typed)) if len(typed) >= named.SHORTEST else []
    if len(ids) != 1:
        raise Refused(
            f"{typed} may mean {', '.join(ids)}" if ids else f"no backfill {typed!r}: see `stackhub backfills`"
        )
    found = reader(partial(rows.backfill, backfill_id=ids[0]))
    assert found is not None  # noqa: S101 - its id was read a moment ago
    return found


def _progress(view: Mapping[str, Any]) -> str:
    filled = BAR * view["done"] // max(view["intervals"], 1)
    return f"[{'#' * filled}{'.' * (BAR - filled)}] {view['done']}/{view['intervals']}"


def _then(view: Mapping[str, Any]) -> str:
    if view["left"] is not None:
        return f"about {words.length(view['left'])} left"
    return str(view["reason"])


def _day(at: datetime, zone: str) -> str:
    return words.stamp(at, zone).removesuffix(" 00:00:00")
