"""Values to and from the JSON text the store keeps; the one place that knows how."""

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}


def dump(value: Any) -> str:
    """Write a value as JSON text; equal values give equal text. Half a character from a tool's output becomes "?"."""
    try:
        return _ENCODER.encode(value).decode()
    except UnicodeEncodeError:
        return _ENCODER.encode(_legible(msgspec.to_builtins(value))).decode()


def load(kind: type[T], text: str | bytes) -> T:
    """Read what `dump` wrote for a value of ``kind``."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.json.Decoder(kind)
    found: T = decoder.decode(text)
    return found


def plain(value: Any) -> Any:
    """Turn a value into dicts, lists and strings, as `dump` would write it."""
    return msgspec.to_builtins(value)


def legible(text: str) -> str:
    """Return text that every database can keep: no half characters, no NUL."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _legible(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case dict():
            return {_legible(name): _legible(inner) for name, inner in value.items()}
        case list():
            return [_legible(inner) for inner in value]
        case _:
            return value
