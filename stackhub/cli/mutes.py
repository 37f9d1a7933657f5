"""Muting from the command line: until when, as people write it, and what is in force."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import anyio
from rich.text import Text

from stackhub.cli import asking, exits, words
from stackhub.cli.where import Where
from stackhub.config.duration import parse
from stackhub.decide.mute import in_force, objection
from stackhub.errors import Refused
from stackhub.model.mute import Mute
from stackhub.store import muted
from stackhub.store.reading import Reader

HOW: Final = "write 2h, 18:00, 2026-11-23 or 2026-11-23T08:00"


def mute(where: Where, what: str, *, until: str, reason: str) -> int:
    """Mute something; with no daemon the wish is kept for the one that comes."""
    zone, now = where.hub().timezone, datetime.now(UTC)
    end = moment(until, ZoneInfo(zone), now)

    def check() -> None:
        if why := objection(end, reason, now):
            raise Refused(why)

    check()
    done = anyio.run(partial(asking.ask, where, asking.mute(what, end, reason)))
    exits.say(done.told or f"{done.result.get('key', what)} is muted until {words.stamp(end, zone)} {zone}")
    return exits.OK


def unmute(where: Where, what: str) -> int:
    """End a mute."""

    def check() -> None:
        with where.reader() as reader:
            found = reader(muted.in_force) if reader else []
        if not any(what == one.key or one.key.partition(":")[2] == what for one in found):
            raise Refused(f"{what} is not muted; muted: {', '.join(one.key for one in found) or 'nothing'}")

    done = anyio.run(asking.ask, where, asking.unmute(what), check)
    exits.say(done.told or f"{done.result.get('key', what)} is muted no more")
    return exits.OK


def moment(written: str, zone: ZoneInfo, now: datetime) -> datetime:
    """Read when something ends: a length of time from now, a time of day that comes next, a day, or both.

    Raises:
        Refused: it is none of these; says how to write it.
    """
    text = written.strip()
    if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}", text):
        return _time_of_day(text, zone, now)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now + parse(text)
        except ValueError:
            raise Refused(f"--until {written!r} is no time: {HOW}") from None
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


def _time_of_day(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    hour, minute = (int(part) for part in text.split(":"))
    local = now.astimezone(zone)
    try:
        at = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    except ValueError:
        raise Refused(f"--until {text!r} is no time of day: {HOW}") from None
    return (at if at > local else at + timedelta(days=1)).astimezone(UTC)


def listed(reader: Reader, now: datetime) -> list[Mute]:
    """Return the mutes in force, by what they mute."""
    return sorted((one for one in reader(muted.in_force) if in_force(one, now)), key=lambda one: one.key)


def show(found: Sequence[Mute], zone: str, now: datetime) -> None:
    """List mutes."""
    out = words.console()
    for one in found:
        said = f"muted  {one.key} until {words.stamp(one.until, zone)} {zone}, for {words.length(one.until - now)} more"
        out.print(Text(words.clean(said), style="magenta"))
        out.print(Text(f"  {words.clean(one.reason)} ({words.clean(one.by)})", style="dim"))
