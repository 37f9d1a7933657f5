"""Plain text made fit for Slack: escaped and shortened. Pure.

Slack reads `&`, `<` and `>` as control characters: an unescaped ``<!channel>`` in an error's own words would wake a
whole channel. Source: docs.slack.dev/messaging/formatting-message-text, read 2026-11.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from stackhub.contract import clean, line

ELLIPSIS: Final = "…"
FENCES: Final = "```\n\n```"
MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_WEB: Final = re.compile(r"https?://[^\s|<>\"]+", re.IGNORECASE)


def octets(text: str) -> int:
    """Return a text's length in UTF-8 bytes."""
    return len(text.encode())


def fit(text: str, most: int, *, measure: Callable[[str], int] = len) -> str:
    """Escape a cleaned text and cut it, by code points, so that it measures at most ``most`` with its ellipsis.

    Never cuts inside an entity, and never inside a character.
    """
    whole = _escape(text[: most + 1])
    if len(text) <= most and measure(whole) <= most:
        return whole
    return _head(text, most - measure(ELLIPSIS), measure) + ELLIPSIS


def fit_ends(text: str, most: int) -> str:
    """Escape a cleaned text and cut out its middle: an error says what at its beginning, a traceback at its end."""
    whole = _escape(text[: most + 1])
    if len(text) <= most and len(whole) <= most:
        return whole
    room = most - len(ELLIPSIS) - 2
    tail = room // 3
    end: list[str] = []
    for character in reversed(text[-tail:] if tail else ""):
        piece = _ENTITIES.get(character, character)
        tail -= len(piece)
        if tail < 0:
            break
        end.append(piece)
    return f"{_head(text, room - room // 3, len)}\n{ELLIPSIS}\n{''.join(reversed(end))}"


def code(text: str, most: int) -> str:
    """Show a text as a block of code of at most ``most`` characters; its own fences are defused."""
    defused = clean(text).replace("```", "`\u200b`\u200b`")
    return f"```\n{fit_ends(defused, most - len(FENCES))}\n```"


def link(text: str, url: str, most: int) -> str:
    """Link a page, or return "" for what is no web address that can be linked within ``most`` characters."""
    address = clean(url).replace("|", "%7C").replace("&", "&amp;")
    if not _WEB.fullmatch(address):
        return ""
    room = most - len(f"<{address}|>")
    return f"<{address}|{fit(line(text) or 'open', min(room, 80))}>" if room >= len(ELLIPSIS) + 1 else ""


def stamp(at: datetime) -> str:
    """Show a time in each reader's own zone; the fallback is in UTC."""
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{universal(at)}>"


def universal(at: datetime) -> str:
    """Show a time in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def lasted(span: timedelta) -> str:
    """Say a duration in its two largest units: "1 h 12 min"."""
    seconds = max(int(span.total_seconds()), 0)
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min"
    large, small, names = (DAY, HOUR, ("d", "h")) if seconds >= DAY else (HOUR, MINUTE, ("h", "min"))
    rest = seconds % large // small
    return f"{seconds // large} {names[0]}" + (f" {rest} {names[1]}" if rest else "")


def _escape(text: str) -> str:
    return "".join(_ENTITIES.get(character, character) for character in text)


def _head(text: str, most: int, measure: Callable[[str], int]) -> str:
    kept: list[str] = []
    for character in text:
        piece = _ENTITIES.get(character, character)
        most -= measure(piece)
        if most < 0:
            break
        kept.append(piece)
    return "".join(kept)
