"""A run while it goes on: a picture that changes on a terminal, else a line for each change."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from stackhub.cli import picture, words
from stackhub.model.pipeline import Mode
from stackhub.model.run import OpenRun, Run
from stackhub.model.step import Step, StepState

EVERY: Final = 4  # pictures in a second
APART: Final = timedelta(seconds=15)  # between two lines that only say how far a step is
UNTOLD: Final = frozenset(
    {StepState.WAITING, StepState.READY, StepState.STARTING}
)  # over in a moment, but for a reason
FRAME: Final = 4  # lines of a picture that are no steps


class Screen(Protocol):
    """Shows a run."""

    def show(self, open_run: OpenRun) -> None:
        """Show how it stands."""
        ...

    def say(self, text: str) -> None:
        """Put a line above."""
        ...


@contextmanager
def screen(out: Console, zone: str, usual: Mapping[str, float]) -> Iterator[Screen]:
    """Open the screen that fits the stream; ``usual`` is how many seconds each task usually takes."""
    if not out.is_terminal or out.is_dumb_terminal:
        yield Lines(out, zone)
        return
    live = _Live(out, zone, usual)
    with Live(console=out, get_renderable=live.draw, refresh_per_second=EVERY, transient=True):
        yield live


class Lines:
    """A line for each change: ``06:00:12 orders running (attempt 2)``."""

    def __init__(self, out: Console, zone: str) -> None:
        self._out = out
        self._zone = zone
        self._run = ""
        self._steps: dict[str, tuple[str, ...]] = {}
        self._spoken: dict[str, datetime] = {}

    def show(self, open_run: OpenRun) -> None:
        """Print what has changed since the last time."""
        now = datetime.now(UTC)
        begins = not self._run
        if begins:
            how = f"{words.said(open_run.run.state)}{_shadow(open_run.run)}"
            self.say(f"{open_run.pipeline.name} {how}{_because(open_run)}")
        for name, step in open_run.steps.items():
            self._step(name, step, open_run, now)
        if self._run != open_run.run.state and not begins:
            self.say(f"{open_run.pipeline.name} {words.said(open_run.run.state)}")
        self._run = open_run.run.state

    def _step(self, name: str, step: Step, open_run: OpenRun, now: datetime) -> None:
        seen = (step.state.value, str(step.attempt), str(step.lost_sight), step.stop.value)
        before = self._steps.get(name)
        how_far = before == seen and step.done is not None and now - self._spoken.get(name, now) >= APART
        if before == seen and not how_far:
            return
        self._steps[name] = seen
        self._spoken[name] = now
        if step.state in UNTOLD and not step.note:
            return
        tries = f" (attempt {step.attempt})" if step.state in {StepState.RUNNING, StepState.FAILED} else ""
        after = f" after {words.length(picture.took(step, now))}" if step.ended_at and step.began_at else ""
        said = picture.note(step, open_run)
        self.say(f"{name} {words.said(step.state)}{tries}{after}{f': {said}' if said else ''}")

    def say(self, text: str) -> None:
        """Print a line with the time of day."""
        self._out.print(f"{words.clock(datetime.now(UTC), self._zone)} {text}")


class _Live:
    """What is drawn over and over; a thread of rich's asks for it, so it only ever reads whole values."""

    def __init__(self, out: Console, zone: str, usual: Mapping[str, float]) -> None:
        self._out = out
        self._zone = zone
        self._usual = usual
        self._open_run: OpenRun | None = None

    def show(self, open_run: OpenRun) -> None:
        self._open_run = open_run

    def say(self, text: str) -> None:
        self._out.print(Text(f"{words.clock(datetime.now(UTC), self._zone)} {text}"))

    def draw(self) -> RenderableType:
        open_run, now = self._open_run, datetime.now(UTC)
        if open_run is None:
            return Text("")
        lines = max(self._out.height - FRAME, 1)
        return Group(heading(open_run, now), picture.steps(open_run, self._usual, now, self._out, most=lines))


def heading(open_run: OpenRun, now: datetime) -> Text:
    """Say in one line which run this is and how it stands."""
    run = open_run.run
    text = Text(f"{run.pipeline} ", style="bold", no_wrap=True, overflow="ellipsis")
    text.append(words.said(run.state), style=words.style(run.state))
    text.append(_shadow(run), style="magenta")
    if run.started_at is not None:
        text.append(f" {words.length((run.ended_at or now) - run.started_at)}")
    return text.append(f"   run {run.id}{_because(open_run)}", style="dim")


def _shadow(run: Run) -> str:
    return " in shadow" if run.mode is Mode.SHADOW else ""


def _because(open_run: OpenRun) -> str:
    run = open_run.run
    said = run.cancel_reason or run.reason
    return f": {words.first_line(said)}" if said else ""


def summary(out: Console, open_run: OpenRun, usual: Mapping[str, float], failed: list[tuple[str, list[str]]]) -> None:
    """Say how it went: every step, what failed and why, what a person should know, and the way on."""
    now = datetime.now(UTC)
    out.print()
    words.show(out, heading(open_run, now))
    words.show(out, picture.steps(open_run, usual, now, out))
    for name, lines in failed:
        out.print()
        out.print(Text(f"{name}:", style="bold red"))
        for line in lines:
            out.print(Text(f"  {line}"))
    for step in open_run.steps.values():
        if step.warning:
            out.print(Text(f"! {step.task}: {words.first_line(step.warning)}", style="yellow"))
    ways = way_out(open_run, [name for name, _ in failed])
    if ways:
        out.print()
    for way in ways:
        out.print(Text(way, style="dim"))


def way_out(open_run: OpenRun, failed: list[str]) -> list[str]:
    """Return the commands that help now; none after a run that went well."""
    run = open_run.run
    if run.ended_at is None or run.state == "succeeded":
        return []
    looks = [f"stackhub logs {run.id}.{name}" for name in failed[:1]]
    again = f"stackhub retry {run.id} --wait" if run.mode is Mode.LIVE else f"stackhub trigger {run.pipeline} --wait"
    return [*looks, f"stackhub why {run.id}", again]
