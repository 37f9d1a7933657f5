"""How states, times and lengths of time are written for people. Pure, but for `console`, which looks at the stream."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from stackhub.model.run import RunState
from stackhub.model.step import StepState

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
ROOMY: Final = 100  # columns of a terminal that has room for all we know
WIDE: Final = 10_000  # columns of what is no terminal: nothing is cut, so that grep finds it
LINES: Final = 12  # of an error that are shown
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_STEERS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

ICONS: Final = {
    "queued": ("○", "."),
    "waiting": ("○", "."),
    "ready": ("○", "."),
    "starting": ("◌", ">"),
    "running": ("●", ">"),
    "deferred": ("‖", "="),
    "retrying": ("↻", "~"),
    "succeeded": ("✓", "+"),
    "partial": ("◐", "%"),
    "failed": ("✗", "x"),
    "upstream_failed": ("⊘", "-"),
    "skipped": ("»", "-"),
    "cancelled": ("■", "#"),
    "warned": ("!", "!"),
    "unknown": ("?", "?"),
}
STYLES: Final = {
    "starting": "cyan",
    "running": "cyan",
    "deferred": "yellow",
    "retrying": "yellow",
    "succeeded": "green",
    "partial": "yellow",
    "failed": "bold red",
    "upstream_failed": "red",
    "skipped": "yellow",
    "cancelled": "magenta",
    "warned": "yellow",
    "unknown": "bold yellow",
}


def said(state: RunState | StepState | str) -> str:
    """Write a state as people say it."""
    return str(state).replace("_", " ")


def style(state: RunState | StepState | str) -> str:
    """Return the colour of a state; those that only wait have none."""
    return STYLES.get(str(state), "dim")


def icon(state: RunState | StepState | str, encoding: str | None = "utf-8") -> str:
    """Draw a state, in ASCII where the terminal knows no more."""
    drawn, plain = ICONS[str(state)]
    return drawn if fits(drawn, encoding) else plain


def fits(text: str, encoding: str | None) -> bool:
    """Say whether a text can be written in an encoding."""
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def length(seconds: float | timedelta | None) -> str:
    """Write a length of time: ``4.2s``, ``1m 05s``, ``2h 03m``, ``3d 04h``; "" for None."""
    if seconds is None:
        return ""
    left = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
    left = max(left, 0.0)
    if round(left, 1) < 10:  # noqa: PLR2004 - below that tenths can be seen to pass
        return f"{left:.1f}s"
    whole = round(left)
    if whole < MINUTE:
        return f"{whole}s"
    if whole < HOUR:
        return f"{whole // MINUTE}m {whole % MINUTE:02}s"
    if whole < DAY:
        return f"{whole // HOUR}h {whole % HOUR // MINUTE:02}m"
    return f"{whole // DAY}d {whole % DAY // HOUR:02}h"


def clock(at: datetime, zone: str) -> str:
    """Write a time of day: ``06:00:12``."""
    return at.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S")


def stamp(at: datetime | None, zone: str, *, short: bool = False) -> str:
    """Write a day and a time: ``2026-11-22 06:00:12``, short ``11-22 06:00``; "" for None."""
    return at.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M" if short else "%Y-%m-%d %H:%M:%S") if at else ""


def clean(text: str) -> str:
    """Take out of a stranger's words what would steer a terminal: colours, and all else that is no text."""
    return _STEERS.sub("�", _COLOURS.sub("", text.replace("\r\n", "\n")))


def shortened(text: str, most: int = LINES) -> list[str]:
    """Return the lines of a message, the middle left out where there are too many: cause first, end last."""
    lines = clean(text).strip("\n").splitlines()
    if len(lines) <= most:
        return lines
    head = most // 2
    tail = most - head - 1
    return [*lines[:head], f"... {len(lines) - head - tail} more lines ...", *lines[-tail:]]


def first_line(text: str) -> str:
    """Return the first line that says something."""
    return next((line.strip() for line in clean(text).splitlines() if line.strip()), "")


def listed(names: Iterable[str], most: int = 5) -> str:
    """Write names: ``a, b and 3 more``."""
    found = list(names)
    if len(found) <= most:
        return ", ".join(found)
    return f"{', '.join(found[: most - 1])} and {len(found) - most + 1} more"


def counted(number: int, word: str) -> str:
    """Write a number of things: ``1 run``, ``3 runs``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


# --- the streams -----------------------------------------------------------------------------------------------------


def console(*, stderr: bool = False) -> "Console":
    """Open a console on standard output or error: colours on a terminal unless NO_COLOR is set, no cut lines else."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDE
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def document(value: Any) -> None:
    """Print one JSON document on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table(
    out: "Console", headings: Sequence[str], rows: Iterable[Sequence["str | Text"]], *, cut: bool = False
) -> None:
    """Print rows in columns; on a narrow terminal the last column folds, or is ``cut``; the others never do."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0), show_header=bool(headings))
    rows = [list(row) for row in rows]
    many = len(headings) or max((len(row) for row in rows), default=0)
    for at in range(many):
        made.add_column(headings[at] if headings else "", no_wrap=at < many - 1, overflow="fold")
    for row in rows:
        made.add_row(*row[:-1], one_line(row[-1]) if cut else row[-1])
    show(out, made)


def one_line(text: "str | Text") -> "Text":
    """Return a text that is cut where its column ends. A column that may not wrap would take from its neighbours."""
    from rich.text import Text

    return Text(no_wrap=True, overflow="ellipsis").append(text)


def show(out: "Console", what: Any) -> None:
    """Print something of rich's without blanks at the ends of lines."""
    if out.is_terminal:
        out.print(what)
        return
    with out.capture() as captured:
        out.print(what)
    out.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
