"""Lengths of time and of files as people write them: ``90s``, ``1h30m``, ``50 MB``."""

import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from stackhub.model.words import say

_PARTS: Final = re.compile(r"(?:([0-9]{1,7})d)?(?:([0-9]{1,7})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,7})s)?")
_LONGEST: Final = timedelta(days=36_500)
_SIZE: Final = re.compile(r"([0-9]{1,9}) ?(B|kB|KB|MB|GB|KiB|MiB|GiB)")
_BYTES: Final = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def parse(written: object) -> timedelta:
    """Read a duration: days, hours, minutes and seconds in this order, each at most once.

    Raises:
        ValueError: it is none, or longer than a hundred years; the message says how to write it.
    """
    if isinstance(written, timedelta):
        return written
    text = str(written).strip()
    if re.fullmatch(r"[0-9]+", text):
        raise ValueError(
            f"should be a duration, and {text[:9]} has no unit: write {text[:9]}s, {text[:9]}m or {text[:9]}h"
        )
    found = _PARTS.fullmatch(text)
    if not text or found is None:
        raise ValueError("should be a duration such as 90s, 15m, 2h, 1d or 1h30m")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if length > _LONGEST:
        raise ValueError("should be a duration of at most a hundred years")
    return length


def parse_size(written: object) -> int:
    """Read a size in bytes: ``50MB``, ``50 MB``, ``512 KiB``.

    Raises:
        ValueError: it is none; the message says how to write it.
    """
    found = _SIZE.fullmatch(written.strip()) if isinstance(written, str) else None
    if found is None:
        raise ValueError("should be a size such as 50MB, 512KB or 1GiB")
    return int(found[1]) * _BYTES[found[2]]


def _read_size(written: Any) -> int:
    return written if type(written) is int else parse_size(written)


Duration = Annotated[
    timedelta,
    BeforeValidator(parse),
    PlainSerializer(say, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$",
            "examples": ["90s", "15m", "2h", "1d", "1h30m"],
        }
    ),
]
"""A pydantic field that takes ``90s``, ``15m``, ``2h``, ``1d`` and ``1h30m``, and no bare number."""

Size = Annotated[int, BeforeValidator(_read_size)]
"""A pydantic field that takes ``50MB`` and holds bytes; an int, which only code can give, is bytes already."""
