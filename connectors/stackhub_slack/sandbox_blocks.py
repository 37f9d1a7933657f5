"""What the fake Slack makes of a message's text: what it refuses, and what people see of the rest.

Limits as Slack's reference and its users have measured them (docs.slack.dev/reference/block-kit; slackapi/bolt-js
issue 2509), read 2026-11.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

BLOCKS: Final = 50
TOTAL: Final = 13_200  # characters of JSON over all blocks, from which on they are too long
HEADER: Final = 150
SECTION: Final = 3_000
FIELDS: Final = 10
FIELD: Final = 2_000
ELEMENTS: Final = 10

_TOKEN: Final = re.compile(r"<([^<>]*)>")
_GROUPS: Final = {"!here": "@here", "!channel": "@channel", "!everyone": "@everyone"}
_BOLD: Final = re.compile(r"(?<![\w*])\*(\S(?:[^*\n]*\S)?)\*(?![\w*])")


def refused(blocks: Any) -> str | None:
    """Return Slack's word for what is wrong with these blocks, None when they may be posted."""
    if not isinstance(blocks, list):
        return "invalid_blocks_format"
    if len(blocks) > BLOCKS or not all(isinstance(block, dict) and _valid(block) for block in blocks):
        return "invalid_blocks"
    return "msg_blocks_too_long" if len(json.dumps(blocks, separators=(",", ":"))) > TOTAL else None


def seen(text: str, blocks: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the lines that people see: the blocks, or the text where there are none."""
    told = [line for block in blocks for line in _lines(block)] if blocks else shown(text).splitlines()
    return tuple(line for line in told if line.strip())


def shown(markup: str) -> str:
    """Show Slack's markup as people see it: links by their text, mentions by name, entities as characters."""
    plain = _BOLD.sub(r"\1", _TOKEN.sub(_token, markup)).replace("```\n", "").replace("\n```", "")
    return plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _token(found: re.Match[str]) -> str:
    what, _, label = found[1].partition("|")
    if what in _GROUPS:
        return _GROUPS[what]
    return label or what.removeprefix("!subteam^")


def _lines(block: Mapping[str, Any]) -> Iterator[str]:
    match block["type"]:
        case "divider":
            yield "───"
        case "context":
            yield "  ".join(shown(element["text"]) for element in block["elements"])
        case _:
            if "text" in block:
                yield from shown(block["text"]["text"]).splitlines()
            for field in block.get("fields", ()):
                yield ": ".join(shown(field["text"]).split("\n", 1))


def _valid(block: Mapping[str, Any]) -> bool:
    match block:
        case {"type": "divider"}:
            return True
        case {"type": "header", "text": {"type": "plain_text", "text": str(text)}}:
            return 0 < len(text) <= HEADER
        case {"type": "section", **rest}:
            fields = rest.get("fields", ())
            texts = [rest["text"]] if "text" in rest else []
            return (
                bool(texts or fields)
                and len(fields) <= FIELDS
                and all(_text(text, SECTION) for text in texts)
                and all(_text(field, FIELD) for field in fields)
            )
        case {"type": "context", "elements": [_, *_] as elements}:
            return len(elements) <= ELEMENTS and all(_text(element, SECTION) for element in elements)
        case _:
            return False


def _text(value: Any, most: int) -> bool:
    match value:
        case {"type": "mrkdwn" | "plain_text", "text": str(text)}:
            return bool(text.strip()) and len(text) <= most
        case _:
            return False
