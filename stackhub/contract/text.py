"""Plain text of what tools say: they write for terminals, and not always text."""

import re
from typing import Final

NO_SECRET: Final = 3  # characters: what is no longer is no secret, and hiding it would make texts unreadable
_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def clean(text: str) -> str:
    """Drop what is no text: a terminal's colours, control characters, halves of surrogate pairs."""
    return _UNPRINTABLE.sub("", _COLOURS.sub("", text.replace("\r\n", "\n"))).strip()


def line(text: str) -> str:
    """Clean a text and make it one line."""
    return " ".join(clean(text).split())
