"""How the demo looks: scenes, and messages as Slack's and PagerDuty's users see them.

On a terminal a message is a box; elsewhere it is lines that begin with ``|``, for whoever reads a CI's log.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from stackhub.cli import words
from stackhub.contract.sandbox import Shown

WIDEST: Final = 100  # columns of a box
VENDORS: Final = {"airbyte": "Airbyte", "fivetran": "Fivetran", "pagerduty": "PagerDuty", "slack": "Slack"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """One connection's syncs: ours, those that somebody began at the vendor, and all there were."""

    connection: str
    vendor: str
    asked: int
    others: int
    began: int


def opening(out: Console, vendors_url: str, hub_url: str, kept: str) -> None:
    """Say what is here."""
    _pair(out, "vendors", f"Fivetran, Airbyte, Slack and PagerDuty, played at {vendors_url}")
    _pair(out, "daemon", f"this process, its API at {hub_url}")
    _pair(out, "dbt", f"the real one, on DuckDB{f', in {kept}' if kept else ''}")


def scene(out: Console, number: int, title: str, story: str) -> None:
    """Begin a scene: what is going to happen, in a line."""
    out.print()
    out.print(Text.assemble((f"{number}  {title}  ", "bold cyan"), story), soft_wrap=not out.is_terminal)


def outcome(out: Console, text: str, *, well: bool = True) -> None:
    """End a scene: what has happened, in a line."""
    mark = words.icon("succeeded" if well else "failed", out.encoding)
    out.print(
        Text.assemble((f"{mark}  ", "bold green" if well else "bold red"), (text, "" if well else "red")),
        soft_wrap=not out.is_terminal,
    )


def message(out: Console, vendor: str, shown: Shown, before: Shown | None = None) -> None:
    """Draw a message as its reader sees it; what has not changed since ``before`` is left out."""
    where = shown.where if shown.where.startswith(VENDORS[vendor]) else f"{VENDORS[vendor]} {shown.where}"
    if shown.edits and vendor == "slack":
        where += f", edited {times(shown.edits)}"
    lines = [_fit(line, out) for line in news(shown, before)]
    if not out.is_terminal or out.is_dumb_terminal:
        out.print(Text(f"   {where}"))
        for line in lines:
            out.print(Text(f"   | {line}"), soft_wrap=True)
        return
    first, *rest = lines
    body = [Text(first, style="bold"), *(Text(line, style="dim" if _as_before(line) else "") for line in rest)]
    drawn = Panel(
        Group(*body),
        title=Text(f" {where} "),
        title_align="left",
        border_style=_colour(first),
        box=box.ROUNDED if words.fits("╭", out.encoding) else box.ASCII,
        width=min(out.width, WIDEST),
    )
    out.print(drawn)


def news(shown: Shown, before: Shown | None) -> list[str]:
    """Return the lines of a message and its thread; of those that were there before, how many. The first always."""
    now, known = whole(shown), frozenset(whole(before)) if before else frozenset[str]()
    found, same = now[:1], 0
    for line in now[1:]:
        if line in known:
            same += 1
            continue
        found += [_same(same)] if same else []
        found.append(line)
        same = 0
    return [*found, *([_same(same)] if same else [])]


def whole(shown: Shown) -> list[str]:
    """Return the lines of a message, then those of its thread."""
    return [*shown.lines, *(f"↳ {line}" for reply in shown.replies for line in reply)]


def numbers(out: Console, counts: Iterable[Count], slack: Sequence[Shown], pagerduty: Sequence[Shown]) -> None:
    """Show what was asked for beside what the vendors saw."""
    edits, lines = sum(shown.edits for shown in slack), sum(len(shown.replies) for shown in slack)
    triggers = sum(shown.edits + 1 for shown in pagerduty)
    out.print()
    words.table(
        out,
        ("connection", "at", "syncs asked for", "begun there", "syncs that began"),
        [(one.connection, VENDORS[one.vendor], str(one.asked), str(one.others), str(one.began)) for one in counts],
    )
    posted, history = words.counted(len(slack), "message"), words.counted(lines, "line")
    out.print(Text(f"Slack: {posted}, edited {times(edits)}, {history} in its thread."))
    out.print(Text(f"PagerDuty: {words.counted(len(pagerduty), 'alert')}, triggered {times(triggers)}."))


def ending(out: Console, took: timedelta, wrong: Sequence[str], kept: str, ways: Sequence[tuple[str, str]]) -> None:
    """Say whether all went as told, and what to try next."""
    out.print()
    if wrong:
        out.print(Text("This did not go as told:", style="bold red"))
        for line in wrong:
            out.print(Text(f"  {line}", style="red"), soft_wrap=True)
    else:
        out.print(Text(f"All as told, in {words.length(took)}.", style="bold green"))
    if kept:
        out.print(Text(f"Kept in {kept}: env files, pipeline, dbt project, and the daemon's state in .stackhub."))
    wide = max(len(command) for command, _ in ways)
    out.print(Text("Next:"))
    for command, what in ways:
        out.print(Text.assemble(f"  {command.ljust(wide)}   ", (what, "dim")), soft_wrap=not out.is_terminal)


def times(number: int) -> str:
    """Write how often: ``once``, ``3 times``."""
    return "once" if number == 1 else f"{number} times"


def _pair(out: Console, label: str, text: str) -> None:
    out.print(Text.assemble((f"  {label:<8}", "dim"), text), soft_wrap=not out.is_terminal)


def _same(many: int) -> str:
    return f"… {words.counted(many, 'line')} as before"


def _as_before(line: str) -> bool:
    return line.startswith("…")


def _fit(line: str, out: Console) -> str:
    """Return a line as this stream can write it."""
    clean = words.clean(line)
    return clean if words.fits(clean, out.encoding) else clean.encode(out.encoding, "replace").decode(out.encoding)


def _colour(first: str) -> str:
    """Return the colour of a message by what its first line says."""
    return "green" if first.startswith(("✅", "resolved")) else "red"
