"""What is to be expected of a run, or of a tick to come: for ``show`` and ``next``, read anew each time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from stackhub.decide import facets, forecast
from stackhub.decide.deadline import Deadline, Kind, deadlines
from stackhub.decide.forecast import Outlook
from stackhub.decide.history import ENOUGH
from stackhub.model.pipeline import Pipeline
from stackhub.model.run import OpenRun
from stackhub.server.views import moment
from stackhub.store import queries
from stackhub.store import tables as t
from stackhub.store.tables import instant

View: TypeAlias = dict[str, Any]
LISTED: Final = 3  # tasks without history that are named


def of_run(connection: sa.Connection, open_run: OpenRun, now: datetime) -> View | None:
    """Look ahead of an open run; None where it is over, or cannot succeed any more."""
    histories = queries.histories(connection, open_run.pipeline)
    outlook = forecast.of_run(open_run, histories, now)
    return None if outlook is None else view(outlook, _promised(connection, open_run))


def of_tick(connection: sa.Connection, pipeline: Pipeline, tick: datetime, now: datetime) -> View | None:
    """Look ahead of a run that will begin at a tick; None where that has passed."""
    if tick <= now:
        return None
    outlook = forecast.of_tick(pipeline, queries.histories(connection, pipeline), tick)
    promised = deadlines(pipeline.sla, tick=tick, started_at=None, created_at=tick) if pipeline.sla else ()
    return view(outlook, promised)


def view(outlook: Outlook, promised: Sequence[Deadline]) -> View:
    """Show an outlook; ``unknown`` are the tasks whose history is too short, without which no finish is named."""
    first = min(promised, key=lambda deadline: deadline.at, default=None)
    return {
        "finish_p50": moment(outlook.finish(0.5)),
        "finish_p90": moment(outlook.finish(0.9)),
        "waits_on": outlook.waits_on(first.at if first else outlook.now) or None,
        "unknown": list(outlook.unknown),
        "deadlines": [
            {"kind": one.kind.value, "at": moment(one.at), "text": one.text, "risk": round(outlook.risk(one.at), 3)}
            for one in promised
        ],
    }


def said(seen: View, zone: str) -> list[str]:
    """Say it in a person's words, a sentence each."""
    lines = []
    if seen["unknown"]:
        names = seen["unknown"][:LISTED]
        more = f" and {len(seen['unknown']) - LISTED} more" if len(seen["unknown"]) > LISTED else ""
        lines.append(f"no finish is predicted: {', '.join(names)}{more} ended well fewer than {ENOUGH} times")
    else:
        half, most = (_clock(seen[key], zone) for key in ("finish_p50", "finish_p90"))
        waits = f"; waiting on {seen['waits_on']}" if seen["waits_on"] else ""
        lines.append(f"expected at {half} {zone}, by {most} in nine of ten cases{waits}")
    least = "at the least " if seen["unknown"] else ""
    worth = [one for one in seen["deadlines"] if one["risk"] > 0 or not seen["unknown"]]
    return [*lines, *(f"{one['text']}: {least}{facets.percent(one['risk'])} to miss it" for one in worth)]


def _clock(written: str, zone: str) -> str:
    return f"{datetime.fromisoformat(written).astimezone(ZoneInfo(zone)):%H:%M}"


def _promised(connection: sa.Connection, open_run: OpenRun) -> list[Deadline]:
    """Return the deadlines that a run answers for, its own or those of the one that it retries."""
    runs = [run for run in (open_run.run.id, open_run.run.retry_of) if run]
    ids = [f"{run}:{kind}" for run in runs for kind in Kind]
    found = connection.execute(sa.select(t.deadline).where(t.deadline.c.id.in_(ids)).order_by(t.deadline.c.at))
    return [Deadline(kind=Kind(row.kind), at=instant(row.at), text=row.text) for row in found]
