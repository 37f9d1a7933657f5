"""A message as Slack shows it: read on a phone at three in the morning, and again by everyone at nine. Pure.

    root    🔴 revenue failed                 what, in one line, its colour first
            summary                           what happens next
            Attempts      Blocked             the facts, two columns
            ```the error, in its own words```
            run · Fivetran                    where to go
            critical · since 5:52 AM · …      small print; struck and timed once it is over
    entry   5:58 AM 🔴 title: summary         one line of its history, in the thread

The links are text, not buttons: Slack reports a button that opens a page to the app as well, and shows its reader a
warning where nobody answers.

Limits (docs.slack.dev/reference/block-kit, read 2026-11): 50 blocks, header 150, section 3,000, 10 fields of 2,000.
All blocks together: about 13,200 characters, undocumented (slackapi/bolt-js issue 2509); we keep to 12,000 of JSON in
ASCII, the widest of the ways in which Slack may count. ``text`` of chat.update: 4,000 bytes.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stackhub.contract import Event, Json, Message, Severity, clean, line
from stackhub_slack.text import code, fit, lasted, link, octets, stamp, universal

TOTAL: Final = 12_000  # characters of JSON, over all blocks
HEADER: Final = 150
SECTION: Final = 3_000
FIELDS: Final = 10
LINKS: Final = 5
TEXT: Final = 4_000  # bytes
NOTE: Final = 600  # bytes of what a phone's lock screen and a screen reader get
SCALES: Final = (1.0, 0.5, 0.25, 0.12, 0.05)  # tried in turn until all blocks together fit

_COLOURS: Final = {
    Severity.INFO: "🔵",
    Severity.WARNING: "🟡",
    Severity.ERROR: "🟠",
    Severity.CRITICAL: "🔴",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One message, ready to send."""

    text: str  # for notifications and screen readers
    plain: str  # all of it without blocks, for when Slack refuses them: at most 4,000 bytes
    blocks: Sequence[Json]


def root(message: Message, *, mention: str = "", aside: str = "") -> Told:
    """Render the message that stands for the incident: its state now.

    ``mention`` is Slack's own markup of whom to call, left out once the incident is over; ``aside`` is small print.
    """
    calling = "" if message.event is Event.RESOLVED else mention
    blocks = _within(lambda scale: _root(message, calling, aside, scale))
    return Told(text=_note(message), plain=_plain(message, calling), blocks=blocks)


def entry(message: Message) -> Told:
    """Render one line of an incident's history."""
    return Told(text=_note(message), plain=_plain(message, ""), blocks=_within(lambda scale: _entry(message, scale)))


def size(blocks: Sequence[Json]) -> int:
    """Measure blocks as Slack may: their JSON, in ASCII."""
    return len(json.dumps(blocks, separators=(",", ":")))


def _within(build: Callable[[float], Sequence[Json]]) -> Sequence[Json]:
    """Build smaller and smaller, until all blocks together fit."""
    for scale in SCALES[:-1]:
        if size(blocks := build(scale)) <= TOTAL:
            return blocks
    return build(SCALES[-1])


def _scaled(most: int, scale: float) -> int:
    """Scale a limit, down to what can still be recognised."""
    return max(int(most * scale), 15)


def _root(message: Message, mention: str, aside: str, scale: float) -> Sequence[Json]:
    from slack_sdk.models.blocks import ContextBlock, HeaderBlock, PlainTextObject, SectionBlock

    title = fit(f"{_emoji(message)} {line(message.title) or 'incident'}", HEADER)
    blocks: list[Any] = [HeaderBlock(text=PlainTextObject(text=title, emoji=True))]
    if lead := _lead(message, mention, int(1_000 * scale)):
        blocks.append(SectionBlock(text=_mrkdwn(lead)))
    if message.facts:
        label, most = _scaled(60, scale), _scaled(300, scale)
        fields = [
            _mrkdwn(f"*{fit(line(fact.label) or '·', label)}*\n{fit(clean(fact.text) or '–', most)}")
            for fact in message.facts[:FIELDS]
        ]
        blocks.append(SectionBlock(fields=fields))
    if clean(message.error):
        blocks.append(SectionBlock(text=_mrkdwn(code(message.error, int(2_800 * scale)))))
    if links := _links(message, LINKS, int(560 * scale)):
        blocks.append(SectionBlock(text=_mrkdwn("  ·  ".join(links))))
    blocks.append(ContextBlock(elements=[_mrkdwn("  ·  ".join(_small_print(message, aside, _scaled(100, scale))))]))
    return [block.to_dict() for block in blocks]


def _entry(message: Message, scale: float) -> Sequence[Json]:
    from slack_sdk.models.blocks import SectionBlock

    summary = fit(line(message.summary), int(1_000 * scale))
    title = fit(line(message.title) or "incident", _scaled(300, scale))
    told = f"{stamp(message.at)}  {_emoji(message)} *{title}*{f': {summary}' if summary else ''}"
    text = "  ·  ".join([told, *_links(message, 2, int(560 * scale))])
    return [SectionBlock(text=_mrkdwn(text)).to_dict()]


def _links(message: Message, count: int, most: int) -> Sequence[str]:
    return [shown for each in message.links[:count] if (shown := link(each.text, each.url, most))]


def _lead(message: Message, mention: str, most: int) -> str:
    """Say whom this calls, that it is over if it is, and what happens next."""
    over = ""
    if message.event is Event.RESOLVED:
        over = f"*Resolved* {stamp(message.at)}, after {lasted(message.at - message.since)}."
    return " ".join(filter(None, [mention, over, fit(clean(message.summary), most)]))


def _small_print(message: Message, aside: str, most: int) -> Iterator[str]:
    """Yield severity, times and whence, struck where it is past."""
    match message.event:
        case Event.RESOLVED:
            yield f"~{message.severity.value}~"
        case Event.TEST:
            yield "test, nothing is wrong"
        case Event.OPENED | Event.UPDATED:
            yield f"*{message.severity.value}*"
    yield f"since {stamp(message.since)}"
    if message.event is Event.UPDATED:
        yield f"updated {stamp(message.at)}"
    for words in (message.pipeline, message.source, aside):
        if shown := fit(line(words), most):
            yield shown
    if len(message.facts) > FIELDS:
        yield f"{len(message.facts) - FIELDS} more facts on the page"


def _emoji(message: Message) -> str:
    match message.event:
        case Event.RESOLVED:
            return "✅"
        case Event.TEST:
            return "🧪"
        case Event.OPENED | Event.UPDATED:
            return _COLOURS[message.severity]


def _headline(message: Message) -> str:
    over = f" (resolved after {lasted(message.at - message.since)})" if message.event is Event.RESOLVED else ""
    return f"{_emoji(message)} {line(message.title) or 'incident'}{over}"


def _note(message: Message) -> str:
    return fit(": ".join(filter(None, [_headline(message), line(message.summary)])), NOTE, measure=octets)


def _plain(message: Message, mention: str) -> str:
    """Tell all of it in text alone: what may be long comes last, since the end is cut."""
    facts = [f"{line(fact.label)}: {line(fact.text)[:200]}" for fact in message.facts[:FIELDS]]
    links = [line(each.url) for each in message.links[:LINKS]]
    since = f"{message.severity.value} since {universal(message.since)}"
    parts = [line(message.summary)[:500], since, *facts, *links, clean(message.error)]
    told = "\n".join([_headline(message)[:300], *filter(None, parts)])
    lead = f"{mention} " if mention else ""
    return lead + fit(told, TEXT - octets(lead), measure=octets)


def _mrkdwn(text: str) -> Any:
    """Make a text object that Slack does not search for mentions, channels and addresses of its own accord."""
    from slack_sdk.models.blocks import MarkdownTextObject

    return MarkdownTextObject(text=text, verbatim=True)
