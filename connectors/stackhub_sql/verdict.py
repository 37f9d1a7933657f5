"""What a check found, and whether that is as it has to be: pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

COUNTED: Final = 10_000  # rows, at most, that a check counts
COLUMNS: Final = 10  # of a row that is told
WIDTH: Final = 60  # characters of a value that is told


def told(value: object) -> str:
    """Show a value in one short line."""
    if value is None:
        return "NULL"
    text = (
        f"<{len(value)} bytes>" if isinstance(value, bytes | bytearray | memoryview) else " ".join(str(value).split())
    )
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Show some rows below their columns' names."""
    more = ["..."] if len(columns) > COLUMNS else []
    lines = [[*columns[:COLUMNS], *more], *([*map(told, row[:COLUMNS]), *more] for row in rows)]
    return "\n".join(" | ".join(line) for line in lines)


def verdict(
    wanted: Mapping[str, Any], columns: Sequence[str], rows: Sequence[Sequence[object]], count: int
) -> tuple[dict[str, Any], str]:
    """Say what a check found, and why that is not as it has to be; "" where it is.

    ``rows`` are the first ones, ``count`` is how many there are, and more than `COUNTED` is said of as many.
    """
    counted = f"more than {COUNTED:,}" if count > COUNTED else f"{count:,}"
    found: dict[str, Any] = {"rows": min(count, COUNTED)}
    if wanted["expect"] == "no_rows":
        if not count:
            return found, ""
        what = f"{counted} row{'' if count == 1 else 's'}, and there should be none"
        return found, f"{what}\n{table(columns, rows[: wanted['show']])}" if wanted["show"] else what
    if wanted["expect"] == "rows":
        return found, "" if count else "no row, and there should be one at least"
    if count != 1 or len(columns) != 1:
        return found, f"one row of one value is wanted, and here are {counted} of {len(columns)}"
    value = rows[0][0]
    said = told(value)
    if wanted["expect"] == "true":
        known = isinstance(value, bool) or value in (0, 1)
        wrong = f"it is {said}" if known or value is None else f"{said} is neither true nor false"
        return {"value": said}, "" if known and value else wrong
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("nan")
    except InvalidOperation:
        number = Decimal("nan")
    if number.is_nan():
        return {"value": said}, f"{said} is no number"
    for name, word in (("min", "below the least, "), ("max", "above the most, ")):
        bound = wanted[name]
        if bound is not None and (number < Decimal(bound) if name == "min" else number > Decimal(bound)):
            return {"value": said}, f"{said} is {word}{bound}"
    return {"value": said}, ""
