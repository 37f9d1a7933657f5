"""What an unquoted word means: YAML 1.2's core schema, less what people and YAML 1.1 read otherwise.

``no``, ``on``, ``07:30``, ``1_000`` and ``2026-01-01`` are text in 1.2 and text here. A number with a leading zero is
another number in 1.1 (octal) than in 1.2, and mostly was meant as text: it is refused.
"""

import math
import re
from typing import Final, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

_WORDS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_DECIMAL: Final = re.compile(r"[-+]?[0-9]+")
_OTHER: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_BITS: Final = 63
_LONGEST: Final = 20


def plain(text: str) -> Scalar:
    """Read an unquoted scalar.

    Raises:
        ValueError: it means different things to different readers, or no number that JSON can hold.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _DECIMAL.fullmatch(text) or _OTHER.fullmatch(text):
        return _integer(text)
    if _NO_NUMBER.fullmatch(text):
        raise ValueError(f"{text} is not a number that can be used; put it in quotes if it is meant as text")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError("a number too large to hold; put it in quotes if it is meant as text")
        return number
    return text


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    if len(digits) > _LONGEST:
        raise ValueError("a number too large to hold; put it in quotes if it is meant as text")
    if digits.startswith(("0o", "0x")):
        return _held(int(digits, 0))
    if len(digits) > 1 and digits.startswith("0"):
        octal = f", 0o{digits.lstrip('0')} for octal" if re.fullmatch("0+[1-7][0-7]*", digits) else ""
        raise ValueError(
            f'{text} begins with 0, which YAML 1.1 and 1.2 read differently: write "{text}" for text, '
            f"{int(digits)} for a number{octal}",
        )
    return _held(int(text))


def _held(number: int) -> int:
    if number.bit_length() > _BITS:
        raise ValueError("a number too large to hold; put it in quotes if it is meant as text")
    return number
