"""What a trigger hands to its run: ``{{ trigger.* }}``, each value one text. Pure.

All of it came from outside: it is text and stays text, bounded in number and length, and is put into options as a whole
value, never into what a shell reads (see `Options.verbatim`).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from stackhub.errors import Refused
from stackhub.model.codec import dump, legible

MANY: Final = 200  # values
LONG: Final = 10_000  # characters of one
DEEP: Final = 8  # objects within objects
PART: Final = r"[A-Za-z_][A-Za-z0-9_]*"
NAME: Final = re.compile(rf"{PART}(?:\.{PART})*")
_ODD: Final = re.compile(r"[^A-Za-z0-9_]")


def values(given: Mapping[str, Any]) -> dict[str, str]:
    """Flatten a JSON object: ``{"order": {"id": 7}}`` is ``{"order.id": "7"}``; lists and what is too deep are JSON.

    Signs that a name cannot hold become ``_``: ``event-type`` is ``event_type``.

    Raises:
        Refused: there are too many values, one is too long, or two have the same name.
    """
    found: dict[str, str] = {}
    _flatten(given, "", found, DEEP)
    return found


def _flatten(given: Mapping[str, Any], before: str, found: dict[str, str], depth: int) -> None:
    for key, value in given.items():
        name = before + _named(str(key))
        if isinstance(value, Mapping) and value and depth:
            _flatten(value, f"{name}.", found, depth - 1)
            continue
        text = _text(value)
        if name in found:
            raise Refused(f"two values are named {name}")
        if len(text) > LONG:
            raise Refused(f"{name} has {len(text)} characters; a value may have {LONG}")
        if len(found) >= MANY:
            raise Refused(f"there are more than {MANY} values")
        found[name] = text


def _named(key: str) -> str:
    if NAME.fullmatch(key):
        return key
    name = _ODD.sub("_", key)
    return f"_{name}" if not name or name[0].isdigit() else name


def _text(value: Any) -> str:
    match value:
        case str():
            return legible(value)
        case None:
            return ""
        case _:
            return dump(value)
