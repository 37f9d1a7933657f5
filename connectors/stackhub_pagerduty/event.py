"""A message as an event of PagerDuty's Events API v2. Pure.

Limits (developer.pagerduty.com, Events API v2, read 2026-11): summary 1,024 characters, dedup_key 255, the whole body
512 KB. Characters are code points. Every text here is cut so that the largest message there can be stays below that,
whatever its characters cost in JSON.
"""

import re
from collections.abc import Mapping
from typing import Final

from stackhub.contract import Event, Json, Message, Severity, clean, line

SUMMARY: Final = 1_024
BODY: Final = 512 * 1024  # bytes
ERROR: Final = 10_000
FACTS: Final = 20
FACT: Final = 800
LABEL: Final = 100
LINKS: Final = 10
URL: Final = 1_000
NAME: Final = 200
ELLIPSIS: Final = "…"

_WEB: Final = re.compile(r"https?://[^\s]+", re.IGNORECASE)


def event(message: Message, *, severity: Severity | None, contact: str) -> Mapping[str, Json]:
    """Render a message, without the routing key.

    ``severity`` overrides the message's own; ``contact`` is the hub's address, "" when it has none. A test triggers
    with the lowest severity, whatever the route says; the hub resolves it right after.
    """
    if message.event is Event.RESOLVED:
        return {"event_action": "resolve", "dedup_key": message.dedup}
    links = [
        {"href": url, "text": cut(line(each.text) or url, NAME)}
        for each in message.links[:LINKS]
        if _WEB.fullmatch(url := clean(each.url)) and len(url) <= URL
    ]
    client_url = contact if _WEB.fullmatch(contact) else ""
    return {
        "event_action": "trigger",
        "dedup_key": message.dedup,
        "payload": _payload(message, Severity.INFO if message.event is Event.TEST else severity or message.severity),
        "client": "stackhub",
        **({"client_url": client_url} if client_url else {}),
        **({"links": links} if links else {}),
    }


def cut(text: str, most: int) -> str:
    """Shorten a text to ``most`` code points, its ellipsis included."""
    return text if len(text) <= most else text[: most - 1] + ELLIPSIS


def _payload(message: Message, severity: Severity) -> Mapping[str, Json]:
    headline = ": ".join(filter(None, [line(message.title) or "incident", line(message.summary)]))
    pipeline = cut(line(message.pipeline), NAME)
    return {
        "summary": cut(headline, SUMMARY),
        "source": cut(line(message.source) or "stackhub", NAME),
        "severity": severity.value,
        "timestamp": message.at.isoformat(),
        **({"component": pipeline} if pipeline else {}),
        "group": "stackhub",
        "class": "test" if message.event is Event.TEST else "pipeline" if pipeline else "hub",
        "custom_details": _details(message),
    }


def _details(message: Message) -> Mapping[str, Json]:
    error = clean(message.error)
    details = {"error": _ends(error)} if error else {}
    for fact in message.facts[:FACTS]:
        label, text = cut(line(fact.label) or "fact", LABEL), cut(clean(fact.text), FACT)
        details[label] = f"{details[label]}; {text}" if label in details else text
    return details | {"since": message.since.isoformat(), "incident": cut(line(message.incident), NAME)}


def _ends(text: str) -> str:
    """Cut out a long error's middle: it says what at its beginning, a traceback says it at its end."""
    if len(text) <= ERROR:
        return text
    head = ERROR * 2 // 3
    return f"{text[:head]}\n{ELLIPSIS}\n{text[len(text) - (ERROR - head - 3) :]}"
