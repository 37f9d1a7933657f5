"""What mutes and reminders must never do: keep a problem from anybody for longer than they last, or tell in between."""

from dataclasses import dataclass
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
