"""A run's steps as people look at them: a tree with states, times and what there is to say. Renderables of rich."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stackhub.cli import words
from stackhub.cli.tree import tree
from stackhub.model.node import Node, NodeState
from stackhub.model.run import OpenRun
from stackhub.model.step import DONE, OPEN, Step, StepState

BAR: Final = 12  # columns
NODES: Final = 20  # failing nodes that are listed


def steps(
    open_run: OpenRun, usual: Mapping[str, float], now: datetime, out: Console, *, most: int | None = None
) -> Table:
    """Draw every step on a line; ``most`` leaves out what is over, or waits, when there are more of them."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "left", "right", "left"):
        grid.add_column(no_wrap=True, justify=justify)
    grid.add_column()
    branches = tree(open_run.pipeline)
    hidden = 0
    for branch in branches:
        step = open_run.steps[branch.task.name]
        if most is not None and len(branches) > most and step.state in DONE | {StepState.WAITING}:
            hidden += 1
            continue
        grid.add_row(
            _name(step, branch.prefix, out),
            _state(step),
            Text(words.length(took(step, now))),
            Text(_usually(step, usual), style="dim"),
            words.one_line(_note(step, open_run, out)),
        )
    if hidden:
        grid.add_row(Text(f"  and {words.counted(hidden, 'step')} that are done or wait", style="dim"))
    return grid


def took(step: Step, now: datetime) -> timedelta | None:
    """Say how long a step took, or has taken by now; None before it began, and where another run did it."""
    if step.began_at is None:
        return None
    return (step.ended_at or now) - step.began_at


def note(step: Step, open_run: OpenRun) -> str:
    """Say the one thing about a step that people want to know now."""
    if step.state is StepState.WAITING:
        needs = [need.task for need in open_run.pipeline.task(step.task).needs]
        left = [name for name in needs if open_run.steps[name].state not in DONE]
        return f"for {words.listed(left)}" if left else ""
    said = words.first_line(step.error if step.state is StepState.FAILED else step.note)
    if step.state not in OPEN:
        return said or words.first_line(step.warning)
    parts = [
        f"{step.done}/{step.total}" if step.total is not None else f"{step.done} done" if step.done is not None else "",
        "lost sight of it" if step.lost_sight else "",
        "joined" if step.joined else "",
        said,
    ]
    return ", ".join(part for part in parts if part)


def _usually(step: Step, usual: Mapping[str, float]) -> str:
    """Say how long it usually takes, unless it took no time for a reason."""
    told = step.task in usual and (step.state in OPEN or step.began_at is not None)
    return f"usually {words.length(usual[step.task])}" if told else ""


def _name(step: Step, prefix: str, out: Console) -> Text:
    drawn = words.icon(step.state, out.encoding)
    if not words.fits(prefix, out.encoding):
        prefix = prefix.replace("└─", "`-").replace("├─", "|-").replace("│", "|")
    text = Text(f"{drawn} ", style=words.style(step.state))
    text.append(prefix, style="dim")
    return text.append(step.task, style="default not bold" if step.state is not StepState.WAITING else "dim")


def _state(step: Step) -> Text:
    tries = f" (attempt {step.attempt})" if step.attempt > 1 else ""
    return Text(f"{words.said(step.state)}{tries}", style=words.style(step.state))


def _note(step: Step, open_run: OpenRun, out: Console) -> Text:
    text = Text()
    roomy = out.is_terminal and out.width >= words.ROOMY
    if roomy and step.state in OPEN and step.total and step.done is not None and words.fits("━", out.encoding):
        full = round(BAR * min(step.done / step.total, 1.0))
        text.append("━" * full, style="cyan").append("━" * (BAR - full), style="dim").append(" ")
    return text.append(note(step, open_run), style="red" if step.state is StepState.FAILED else "dim")


def failures(open_run: OpenRun, nodes: Mapping[str, Sequence[Node]]) -> list[tuple[str, list[str]]]:
    """Return what failed, step by step, each with its error's own words and its failing nodes."""
    found = []
    for name, step in open_run.steps.items():
        bad = [node for node in nodes.get(name, ()) if node.state is NodeState.FAILED]
        if step.state is not StepState.FAILED and not bad:
            continue
        said = step.error or step.note
        lines = [] if bad and bad[0].name in said else words.shortened(said)
        for node in bad[:NODES]:
            first, *rest = words.shortened(node.message, 6) or [node.status or "failed"]
            lines.append(f"{node.kind} {node.name}: {first}")
            lines += [f"  {line}" for line in rest]
        if len(bad) > NODES:
            lines.append(f"and {len(bad) - NODES} more")
        found.append((name, lines))
    return found
