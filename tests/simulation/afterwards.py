"""What must hold once all has been made well and left alone for some hours: nothing waits, and everyone has heard."""

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from simulation import quiet, ticks
from simulation.oracle import OVER, RUN_OVER, Oracle, SeenRun, Violation, instant, moment
from simulation.vendors import Account, Told

SPEAKS = {"bell": "live", "horn": "alarm", "post": "plain"}
DEFAULT_ON = ["failed", "late", "at_risk", "stalled"]
ANYTHING = {"failed", "late", "at_risk", "stalled"}


def unquiet(oracle: Oracle, slack: timedelta) -> str:
    """Say what still waits for something; "" when nothing does."""
    now = oracle.hub_now()
    waiting = [f"run {run_id} is {run.state}" for run_id, run in oracle.runs.items() if run.state not in RUN_OVER]
    waiting += [f"message {place} is pending" for place, (state, _) in oracle.outbox.items() if state == "pending"]
    due = [found for found in oracle.deadlines.values() if found["state"] == "open" and found["at"] < now - slack]
    waiting += [f"a deadline of {found['pipeline']} at {found['at']} is not judged" for found in due]
    open_commands = oracle.reader.rows("SELECT kind FROM command WHERE done_at IS NULL")
    waiting += [f"a command ({row['kind']}) is not obeyed" for row in open_commands]
    for (pipeline, spec), lives in oracle.schedules.items():
        life = lives[-1]
        active = life["gone"] is None and oracle.paused.get(pipeline) is None and pipeline not in oracle.retired
        if active and life["next_at"] is not None and instant(life["next_at"]) < now - slack:
            waiting.append(f"{pipeline} {spec}: the tick at {instant(life['next_at'])} is not decided")
    waiting += [line for eye in oracle.eyes for line in eye.unquiet()]
    return "; ".join(waiting[:5])


def check(oracle: Oracle, *, whole: bool = True, exact: bool = False, notifiers: set[str] | None = None) -> None:
    """Check everything that only shows at the end.

    ``whole``: nothing has been forgotten meanwhile; ``exact``: one hub whose clock was never set. ``notifiers``: who hears by
    default, in a world that nobody edited and whose mutes are all remembered.
    """
    ticks.check(oracle)
    _tables_agree(oracle)
    _messages(oracle)
    if whole:
        _deadlines(oracle)
    for incident_id, incident in oracle.incidents.items():
        _incident(oracle, incident_id, incident)
    quiet.check(oracle, exact=exact)
    for eye in oracle.eyes:
        eye.check()
    if notifiers is not None:
        _forgotten(oracle, notifiers, quiet.were_muted(oracle))
    if exact and notifiers is not None:
        quiet.reminded(oracle)


def _tables_agree(oracle: Oracle) -> None:
    """Check that the tables say what was seen of them, change by change."""
    rows = oracle.reader.rows("SELECT id, state, version, data FROM run")
    if {row["id"]: row["state"] for row in rows} != {run_id: run.state for run_id, run in oracle.runs.items()}:
        raise Violation(3, "the table of runs is not what was written into it")
    for row in oracle.reader.rows("SELECT run, task, state, data FROM step"):
        if row["run"] not in oracle.runs:
            raise Violation(3, f"step {row['run']}.{row['task']} is of no run")
        data = json.loads(row["data"])
        if (data.get("state", row["state"]), row["state"]) != (
            row["state"],
            oracle.runs[row["run"]].steps[row["task"]].state,
        ):
            raise Violation(3, f"step {row['run']}.{row['task']} contradicts itself")
        if row["state"] in OVER and data.get("ended_at") is None:
            raise Violation(3, f"step {row['run']}.{row['task']} is over and has no end")


# --- messages --------------------------------------------------------------------------------------------------------


def _messages(oracle: Oracle) -> None:
    for account in oracle.town.accounts.values():
        by_key: dict[str, list[Told]] = {}
        for told in account.told:
            by_key.setdefault(told.key, []).append(told)
        speaks = SPEAKS.get(account.name.partition(".")[0], "")
        for key, place in oracle.keys.items():
            if _instance(place) == account.name and speaks:
                _message(oracle, account, key, by_key.get(key, []), speaks)
        if speaks == "live":
            fresh = Counter(oracle.keys[t.key][0] for t in account.told if t.new and t.part == "root")
            for incident, times in fresh.items():
                rows = [state for place, (state, _) in oracle.outbox.items() if place[0] == incident]
                if times > 1 + rows.count("undeliverable"):  # one that was given up in doubt may have been seen
                    raise Violation(4, f"{account.name} shows incident {incident} in {times} messages")


def _instance(place: tuple[str, str]) -> str:
    route = place[0].partition("|")[2].removeprefix("fallback:")
    return route.partition(":")[0]


def _message(oracle: Oracle, account: Account, key: str, tries: list[Told], speaks: str) -> None:
    state, _ = oracle.outbox[oracle.keys[key]]
    shown = sum(told.new for told in tries)
    lost = (
        sum(not told.answered for told in tries) + len({told.life for told in tries}) - 1
    )  # killed before it was kept
    if state == "sent" and not any(told.effect for told in tries):
        raise Violation(4, f"{account.name} was to be told {key}: the outbox says it was, and nobody saw it")
    if state == "sent" and sum(told.answered for told in tries) == 0:
        raise Violation(4, f"{account.name} was to be told {key}: the outbox says it was, and there was no answer")
    if speaks == "plain" and shown > 1 + lost:
        raise Violation(4, f"{account.name} was told {key} {shown} times, and only {lost} answers were lost")
    late = any(told.effect and not told.answered for told in tries)  # it may have been seen after we had looked for it
    if speaks != "plain" and shown > 1 + (late and speaks == "live"):
        raise Violation(4, f"{account.name} was told {key} {shown} times")


def _incident(oracle: Oracle, incident_id: str, incident: dict[str, Any]) -> None:
    """Check that every route which knows of an incident has heard how it goes on, to its end."""
    over = incident.get("resolved_at") is not None
    for route, knows in incident.get("routes", {}).items():
        mine = {place[1]: state for place, (state, _) in oracle.outbox.items() if place[0] == f"{incident_id}|{route}"}
        if not mine:
            raise Violation(4, f"{route} is said to know of incident {incident_id}, and nothing was written to it")
        account = oracle.town.accounts.get(knows["instance"])
        if account is None or route.startswith("fallback:"):
            continue
        seen = [
            t
            for t in account.told
            if t.incident == incident_id and t.effect and oracle.keys[t.key][0] == f"{incident_id}|{route}"
        ]
        given_up = "undeliverable" in mine.values()
        if not seen and not given_up:
            raise Violation(4, f"{route} never heard of incident {incident_id} ({incident['key']}): {mine}")
        if seen and not given_up and over != (seen[-1].event == "resolved"):
            raise Violation(4, f"{route} heard last that incident {incident_id} is {seen[-1].event}, over: {over}")


def _forgotten(oracle: Oracle, defaults: set[str], muted: set[str]) -> None:
    """Check that every incident of a pipeline knows each route that hears of anything, where nobody has edited any."""
    for incident_id, incident in oracle.incidents.items():
        kind, _, name = incident["key"].partition(":")
        if kind != "pipeline" or incident_id in muted:
            continue
        alerts = oracle.snapshot(oracle.pipelines[name]).get("alerts")
        told = {knows["instance"] for knows in incident.get("routes", {}).values()}
        should = (
            defaults if alerts is None else {one["to"] for one in alerts if set(one.get("on", DEFAULT_ON)) >= ANYTHING}
        )
        for instance in should - told:
            raise Violation(
                4, f"{instance} is to hear of {name}, and incident {incident_id} does not know it: {sorted(told)}"
            )


# --- deadlines -------------------------------------------------------------------------------------------------------


def _deadlines(oracle: Oracle) -> None:
    """Check that each deadline was judged by what was there by then."""
    rows = oracle.reader.rows("SELECT id, pipeline, run, at, state, covers FROM deadline WHERE state <> 'open'")
    for row in rows:
        at, covers = instant(row["at"]), None if row["covers"] is None else instant(row["covers"])
        kept = any(_keeps(oracle, run_id, run, row, at, covers) for run_id, run in oracle.every_run.items())
        if kept != (row["state"] == "met"):
            raise Violation(4, f"deadline {row['id']} at {at} is {row['state']}, and was {'' if kept else 'not '}kept")


def _keeps(
    oracle: Oracle, run_id: str, run: SeenRun, row: dict[str, Any], at: datetime, covers: datetime | None
) -> bool:
    ended, end = moment(run.data.get("ended_at")), moment(run.data["interval"]["end"])
    if run.data["pipeline"] != row["pipeline"] or run.state != "succeeded" or not run.whole:
        return False
    answers = run_id == row["run"] or covers is None or (end is not None and end >= covers)
    return answers and ended is not None and ended <= at
