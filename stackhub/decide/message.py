"""The messages that a change of an incident takes, for each way of listening. Pure.

live     the root message on every change (only the newest waits), and from the second on a line in its thread
plain    a message for every change
alarm    raised at first, again when it is worse or has another cause, taken back when it is over, and taken back
         once more a lease later, since a late trigger may overtake the first

A reminder is a line in the thread, a message, an alarm raised once more: for whoever had taken it back by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from stackhub.contract import Event, Fact, Link, Message, Part, Severity, Speaks
from stackhub.decide.routes import RouteIn
from stackhub.model.incident import Facet, Incident, Knows

ONCE_MORE: Final = timedelta(seconds=60)  # after a resolve: longer than any lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One message to write into the outbox."""

    route: RouteIn
    seq: int
    part: Part
    message: Message
    due: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """What every message of this installation carries."""

    installation: str
    source: str = "stackhub"


def dedup(installation: str, incident: str) -> str:
    """Name an incident towards vendors: the same for all its messages, unlike any other installation's."""
    return sha256(f"{installation}:{incident}".encode()).hexdigest()[:40]


def message_key(incident: str, route: str, seq: int, part: Part) -> str:
    """Name one message towards a vendor that can be searched for it."""
    return f"{incident}.{seq}.{part.value}.{sha256(route.encode()).hexdigest()[:8]}"


def beneath(title: str, what: str, more: str = "") -> str:
    """Write the line that stands beneath a title: without what that says already."""
    if what == title:
        return more
    return f"{what} ({more})" if more else what


def posts(route: RouteIn, incident: Incident, told: Message, known: Knows | None, cause: str, entry: str) -> list[Post]:
    """Return what a route is told of a change; ``entry`` is that change as one line."""
    now = told.at
    root = Post(route=route, seq=incident.seq, part=Part.ROOT, message=told, due=now)
    line = replace(told, part=Part.ENTRY, summary=entry or told.summary)
    match route.speaks:
        case Speaks.LIVE:
            return [root] if known is None else [root, replace(root, part=Part.ENTRY, message=line)]
        case Speaks.PLAIN:
            said = replace(told, part=Part.ENTRY) if known is None else line
            return [replace(root, part=Part.ENTRY, message=said)]
        case Speaks.ALARM if told.event is Event.RESOLVED:
            return [root, replace(root, seq=incident.seq + 1, due=now + ONCE_MORE)]
        case Speaks.ALARM:
            worse = known is not None and told.severity.rank > known.severity.rank
            return [root] if known is None or worse or known.cause != cause else []


def reminder(route: RouteIn, incident: Incident, told: Message, entry: str) -> Post:
    """Return what a route is told when nothing has changed for long."""
    if route.speaks is Speaks.ALARM:
        return Post(route=route, seq=incident.seq, part=Part.ROOT, message=told, due=told.at)
    line = replace(told, part=Part.ENTRY, summary=entry)
    return Post(route=route, seq=incident.seq, part=Part.ENTRY, message=line, due=told.at)


def message(
    incident: Incident, facet: Facet, voice: Voice, now: datetime, event: Event, severity: Severity, also: Sequence[str]
) -> Message:
    """Write the message that stands for an incident now; ``facet`` heads it, ``also`` are the titles of the others."""
    facts = [*facet.facts, *(("Also", title) for title in also)]
    over = event is Event.RESOLVED
    return Message(
        incident=incident.id,
        dedup=dedup(voice.installation, incident.id),
        part=Part.ROOT,
        event=event,
        severity=severity,
        title=facet.title,
        summary=incident.resolution if over else facet.summary,
        facts=tuple(Fact(label=label, text=text) for label, text in facts),
        error=facet.error,
        links=tuple(Link(text=text, url=url) for text, url in facet.links),
        at=now,
        since=incident.opened_at,
        pipeline=incident.pipeline,
        source=voice.source,
    )
