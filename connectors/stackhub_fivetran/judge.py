"""What a sync has come to: pure, from Fivetran's timestamps.

Fivetran names no sync and keeps no history, so a sync of ours is over when either timestamp of its connection has
moved past both of the baseline, and it went well if the good one is the later. Timestamps of Fivetran's are compared
with each other only. Two ends leave no trace there: a sync that a person cancelled, and a start that got lost. Both
look like a connection at rest, and are told by how long it has been seen so. These waits are by our own clock, which
may be set, and looks may fail for an hour: only so much counts as seen between two looks. A restart of the hub begins
them anew. All of this only delays.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from stackhub.contract import Answer, Deferred, Finished, Handle, Outcome, Pending, Unknown
from stackhub_fivetran.row import Row, moment

CANCELLED_AFTER: Final = timedelta(minutes=5)  # at rest after it was seen syncing, or paused
LOST_AFTER: Final = timedelta(minutes=10)  # at rest, and never seen syncing
BETWEEN: Final = timedelta(minutes=1)  # that at most counts as seen between two looks
RESTING: Final = frozenset({"scheduled", "paused"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What this process has seen of one job: the only thing kept in memory, and none of it is needed."""

    looked_at: datetime
    syncing: bool = False  # seen at it at least once
    resting: bool = False  # at the last look
    rested: timedelta = timedelta()  # how long it was seen at rest, without a break


def see(sight: Sight | None, row: Row, now: datetime) -> Sight:
    """Add one look to what was seen before."""
    sight = sight or Sight(looked_at=now)
    if row.sync_state not in RESTING:
        syncing = sight.syncing or row.sync_state == "syncing"
        return replace(sight, looked_at=now, resting=False, rested=timedelta(), syncing=syncing)
    seen = min(max(now - sight.looked_at, timedelta()), BETWEEN) if sight.resting else timedelta()
    return replace(sight, looked_at=now, resting=True, rested=sight.rested + seen)


def judge(handle: Handle, row: Row, sight: Sight) -> Answer:
    """Say what has become of a job."""
    if handle["operation"] == "wait":
        return _awaited(handle, row, sight)
    before = max(moment(handle["succeeded_at"]), moment(handle["failed_at"]))
    if max(row.succeeded, row.failed) > before:
        if row.succeeded <= row.failed:
            return _failed(row)
        if not (handle["operation"] == "resync" and handle["whole"] and row.historical):
            return _landed(row)
    return _going_on(row) or _at_rest(handle, row, sight)


def _awaited(handle: Handle, row: Row, sight: Sight) -> Answer:
    """Look for the next landing after the last one consumed, whoever brings it; a failure is Fivetran's to mend."""
    after = moment(handle["after"])
    if row.succeeded > after:
        return _landed(row)
    if (answer := _going_on(row)) is not None:
        return replace(answer, must_start_again=False) if isinstance(answer, Deferred) else answer
    if row.paused:
        return _at_rest(handle, row, sight)
    if row.failed > max(after, row.succeeded):
        return Pending(note=f"the last sync failed at {row.failed_at}{_said(row)}")
    return Pending(note=f"waiting for the next sync{_said(row)}")


def _landed(row: Row) -> Finished:
    return Finished(outcome=Outcome.OK, landing=row.landing)


def _failed(row: Row) -> Finished:
    """Tell a failure; Fivetran's API gives no reason but what it asks a person to do."""
    note = row.words or f"failed at {row.failed_at}; Fivetran's API gives no reason, its dashboard does: {row.url}"
    return Finished(outcome=Outcome.FAILED, note=note, retryable=row.setup_state == "connected")


def _going_on(row: Row) -> Pending | Deferred | Unknown | None:
    if row.sync_state == "syncing":
        return Pending(note="paused at Fivetran; the sync under way goes on" if row.paused else "syncing")
    if row.sync_state == "rescheduled":
        note = f"put off by Fivetran{_said(row)}"
        return Deferred(until=row.rescheduled_for, must_start_again=row.manual, note=note)
    return None if row.sync_state in RESTING else Unknown(raw=f"sync_state {row.sync_state!r}")


def _at_rest(handle: Handle, row: Row, sight: Sight) -> Answer:
    """Judge a connection that does nothing and has nothing to show for it."""
    if row.setup_state != "connected":
        if sight.rested > CANCELLED_AFTER:
            note = f"the connection is {row.setup_state or 'not connected'} at Fivetran{_said(row)}"
            return Finished(outcome=Outcome.FAILED, note=note, retryable=False)
        return Pending(note=f"the connection is {row.setup_state or 'not connected'} at Fivetran{_said(row)}")
    if row.paused:
        if sight.rested > CANCELLED_AFTER:
            return Finished(outcome=Outcome.CANCELLED, note="the connection was paused at Fivetran")
        return Pending(note="paused at Fivetran")
    if sight.syncing or handle["joined"]:
        if sight.rested > CANCELLED_AFTER:
            note = "the sync stopped without success or failure: cancelled at Fivetran, or its configuration was edited"
            return Finished(outcome=Outcome.CANCELLED, note=note)
        return Pending(note="no longer syncing; waiting for its result")
    if sight.rested > LOST_AFTER:
        note = f"no sync was seen within {LOST_AFTER.seconds // 60} minutes of asking for one"
        return Finished(outcome=Outcome.FAILED, note=note)
    return Pending(note="asked for; not syncing yet")


def _said(row: Row) -> str:
    return f": {row.words}" if row.words else ""
