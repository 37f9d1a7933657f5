"""Which incidents a mute covers, and whether it is in force. Pure.

    pipeline:shop                  the pipeline's incident, and any other that is the pipeline's alone
    instance:fivetran              the account's incident, and those of its connections
    connection:fivetran/warm_tank  that connection's incident

A pipeline that fails because of a muted connection is told: what is muted is one problem, not what follows from it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from stackhub.model.incident import Incident
from stackhub.model.mute import Mute

LONGEST: Final = timedelta(days=366)
KINDS: Final = ("pipeline", "instance", "connection")  # of what can be muted


def covers(mute: Mute, incident: Incident) -> bool:
    """Say whether a mute is about an incident."""
    kind, _, name = mute.key.partition(":")
    match kind:
        case "pipeline":
            return incident.key == mute.key or incident.pipeline == name
        case "instance":
            return incident.key == mute.key or incident.key.startswith(f"connection:{name}/")
        case _:
            return incident.key == mute.key


def muting(mutes: Iterable[Mute], incident: Incident, now: datetime) -> Mute | None:
    """Return the mute that an incident is under now, of several the one that lasts longest."""
    found = [mute for mute in mutes if in_force(mute, now) and covers(mute, incident)]
    return max(found, key=lambda mute: mute.until, default=None)


def of_key(mutes: Iterable[Mute], key: str, now: datetime) -> Mute | None:
    """Return the mute in force for exactly this key."""
    return next((mute for mute in mutes if mute.key == key and in_force(mute, now)), None)


def in_force(mute: Mute, now: datetime) -> bool:
    """Say whether a mute holds anything back now."""
    return mute.ended_at is None and now < mute.until


def objection(until: datetime, reason: str, now: datetime) -> str:
    """Say why something cannot be muted like this; "" where it can."""
    if not reason.strip():
        return "a mute needs a reason: --reason TEXT"
    if until <= now:
        return f"{until.isoformat(timespec='minutes')} has passed already: a mute ends in the future"
    if until - now > LONGEST:
        return f"a mute ends within {LONGEST.days} days: take the route out of alerts: to silence it for good"
    return ""
