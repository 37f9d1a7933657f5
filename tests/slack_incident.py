"""An incident as Slack is told it, for the tests of the Slack connector."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from stackhub.contract import Event, Fact, Link, Message, Part, Severity
from stackhub.contract.sandbox import Breaks, Fault

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)

FAILED = Message(
    incident="01INCIDENT",
    dedup="5f2d9c0e",
    part=Part.ROOT,
    event=Event.OPENED,
    severity=Severity.CRITICAL,
    title="revenue failed: fct_orders",
    summary="Tried 3 times; the next run is at 07:00.",
    facts=(Fact(label="Attempts", text="3 of 3"), Fact(label="Blocked", text="Revenue dashboard")),
    error='column "amount" does not exist',
    links=(Link(text="Run", url="https://hub.example/runs/1"),),
    at=AT,
    since=AT - timedelta(minutes=8),
    pipeline="revenue",
)
RETRY = replace(FAILED, part=Part.ENTRY, event=Event.UPDATED, title="Second attempt failed", at=AT)
OVER = replace(FAILED, event=Event.RESOLVED, title="revenue is well", at=AT + timedelta(minutes=64), error="")


def refuse(vendor, error, *, path="chat", times=1, **more):
    """Let Slack say no, the way it does: with 200."""
    body = json.dumps({"ok": False, "error": error, **more})
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=200, path=path, times=times, body=body))


def calls(vendor):
    return [path.rpartition("/")[2] for _, path in vendor.requests]


def sent(vendor, number=-1):
    return json.loads(vendor.bodies[number])
