"""What mutes and reminders must never do: keep a problem from anybody for longer than they last, or tell in between."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from simulation.oracle import Oracle, Violation, instant


@dataclass(frozen=True)
class Silence:
    """One mute as its row says: nobody is told anew from its first to its last moment."""

    key: str
    since: int
    end: int

    def covers(self, incident: dict[str, Any]) -> bool:
        kind, _, name = self.key.partition(":")
        return incident["key"] == self.key or (kind == "pipeline" and incident.get("pipeline") == name)


def silences(oracle: Oracle) -> list[Silence]:
    """Return every mute there was."""
    rows = oracle.reader.rows("SELECT key, since, until, ended_at FROM mute")
    return [Silence(row["key"], row["since"], min(row["until"], row["ended_at"] or row["until"])) for row in rows]


def were_muted(oracle: Oracle) -> set[str]:
    """Return the incidents of which some may have been told to nobody: they were muted for a while."""
    found = silences(oracle)
    return {id_ for id_, incident in oracle.incidents.items() if any(one.covers(incident) for one in found)}


def check(oracle: Oracle, *, exact: bool) -> None:
    """Check that what lasts is told once no mute holds, and, where clocks are ``exact``, that nothing was before."""
    now, found = oracle.hub_now(), silences(oracle)
    for id_, incident in oracle.incidents.items():
        if incident.get("resolved_at") is not None or not incident.get("untold"):
            continue
        if not any(one.covers(incident) and instant(one.end) > now for one in found):
            raise Violation(4, f"incident {id_} ({incident['key']}) lasts, nothing mutes it, and nobody was told")
    if not exact:
        return
    for row in oracle.reader.rows(
        "SELECT incident, route, created_at, message FROM outbox WHERE route NOT LIKE 'fallback:%'"
    ):
        incident = oracle.incidents.get(row["incident"])
        if incident is None or '"event":"resolved"' in row["message"]:
            continue
        if any(one.covers(incident) and one.since < row["created_at"] < one.end for one in found):
            raise Violation(4, f"{row['route']} was told of incident {row['incident']} while it was muted")


STILL = "still, after"  # how a line says that nothing has changed
AWAY = timedelta(minutes=40)  # that a reminder may be late: idle loops look seldom in these worlds


def reminded(oracle: Oracle) -> None:
    """Check that who wants to be reminded is, and no sooner; where nobody has edited any route, and clocks are exact."""
    found = silences(oracle)
    for id_, incident in oracle.incidents.items():
        name = incident.get("pipeline", "")
        if not incident["key"].startswith("pipeline:") or name not in oracle.pipelines:
            continue
        often = _often(oracle.snapshot(oracle.pipelines[name]).get("alerts") or [])
        for instance, least in often.items():
            _not_too_often(oracle, id_, instance, least)
        if incident.get("resolved_at") is None and name not in oracle.retired:
            muted = [instant(one.end) for one in found if one.covers(incident)]
            _not_too_seldom(oracle, id_, incident, often, max(muted, default=None))


def _often(alerts: list[dict[str, Any]]) -> dict[str, timedelta]:
    """Return for each instance after how long it is reminded, where that is the same for all of its routes."""
    found: dict[str, set[float | None]] = {}
    for one in alerts:
        given = one.get("renotify")
        seconds = float(given.removeprefix("PT").removesuffix("S")) if given else None
        found.setdefault(one["to"], set()).add(seconds)
    return {name: timedelta(seconds=one) for name, (one, *more) in found.items() if one is not None and not more}


def _not_too_often(oracle: Oracle, id_: str, instance: str, least: timedelta) -> None:
    query = "SELECT route, created_at, message FROM outbox WHERE incident = ? AND instance = ? ORDER BY created_at"
    last: dict[str, int] = {}
    for row in oracle.reader.rows(query, id_, instance):
        before = last.get(row["route"])
        last[row["route"]] = row["created_at"]
        if before is None or STILL not in json.loads(row["message"]).get("summary", ""):
            continue
        if instant(row["created_at"]) - instant(before) < least - timedelta(seconds=1):
            raise Violation(4, f"{row['route']} was reminded of incident {id_} within less than {least}")


def _not_too_seldom(
    oracle: Oracle, id_: str, incident: dict[str, Any], often: dict[str, timedelta], muted: datetime | None
) -> None:
    now = oracle.hub_now()
    for route, knows in incident.get("routes", {}).items():
        least, told = often.get(knows["instance"]), knows.get("told_at")
        if least is None or told is None or route.startswith("fallback:"):
            continue
        since = max(datetime.fromisoformat(told), muted or datetime.fromisoformat(told))
        if now > since + least + AWAY:
            raise Violation(4, f"{route} was told of incident {id_} at {told}, and is to be reminded after {least}")
