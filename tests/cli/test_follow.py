"""Staying with a run: until it ends, until somebody leaves, until it cannot go on."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest

from stackhub.cli.follow import How, Keys, Stuck, follow, refused
from stackhub.decide.circuit import Circuit
from stackhub.errors import Unsure
from stackhub.model.pipeline import Need, Pipeline, Task
from stackhub.model.run import Interval, OpenRun, Run, RunState, Trigger
from stackhub.model.step import Step, StepState

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
DOWN = Circuit(refused=True, error="401", open_until=NOW)


def task(name: str, instance: str, *needs: str) -> Task:
    return Task(name=name, connector="c", operation="o", instance=instance, needs=tuple(Need(task=n) for n in needs))


def going(**states: str) -> OpenRun:
    """A run whose steps, each at an instance of its own name, are in these states."""
    run = Run(id="R", pipeline="p", trigger=Trigger.MANUAL, interval=Interval(start=NOW, end=NOW), created_at=NOW)
    steps = {name: Step(run="R", task=name, instance=name, state=StepState(state)) for name, state in states.items()}
    pipeline = Pipeline(name="p", tasks=tuple(task(name, name) for name in states))
    return OpenRun(run=replace(run, state=RunState.RUNNING), pipeline=pipeline, steps=steps)


def ended(open_run: OpenRun, state: RunState) -> OpenRun:
    return replace(open_run, run=replace(open_run.run, state=state, ended_at=NOW))


@dataclass
class Screen:
    said: list[str] = field(default_factory=list)
    shown: int = 0

    def show(self, open_run: OpenRun) -> None:
        self.shown += 1

    def say(self, text: str) -> None:
        self.said.append(text)


@dataclass
class Source:
    """A run that ends when it is cancelled, or after so many looks."""

    looks: int | None = None
    patience: float = 0.0
    ours: bool = True
    why: Stuck | None = None
    error: Exception | None = None
    on_wait: Callable[[], None] = lambda: None
    cancelled: str = ""

    async def look(self) -> OpenRun | None:
        if self.cancelled:
            return ended(going(a="cancelled"), RunState.CANCELLED)
        if self.looks == 0:
            return ended(going(a="succeeded"), RunState.SUCCEEDED)
        self.looks = self.looks - 1 if self.looks else None
        return going(a="running")

    async def wait(self) -> None:
        self.on_wait()
        await anyio.lowlevel.checkpoint()

    async def cancel(self, reason: str) -> None:
        if self.error is not None:
            self.error, error = None, self.error
            raise error
        self.cancelled = reason

    def stuck(self) -> Stuck | None:
        return self.why


async def test_a_run_is_shown_until_it_has_ended():
    screen = Screen()
    found, how = await follow(Source(looks=3), screen, Keys(cancels=True))
    assert (found.run.state, how) == (RunState.SUCCEEDED, How.ENDED)
    assert (screen.shown, screen.said) == (4, [])


async def test_the_first_interrupt_cancels_and_the_end_is_waited_for():
    source, screen, keys = Source(), Screen(), Keys(cancels=True)
    source.on_wait = lambda: setattr(keys, "pressed", 1)
    found, how = await follow(source, screen, keys)
    assert (found.run.state, how) == (RunState.CANCELLED, How.ENDED)
    assert source.cancelled == "interrupted at the command line"
    assert screen.said[0].startswith("cancelling; ")


@pytest.mark.parametrize(
    "keys", [Keys(cancels=True, pressed=2), Keys(cancels=False, pressed=1), Keys(cancels=True, terminated=True)]
)
async def test_whoever_wants_to_leave_leaves_the_run_as_it_is(keys):
    source = Source()
    found, how = await follow(source, Screen(), keys)
    assert (found.run.state, how, source.cancelled) == (RunState.RUNNING, How.LEFT, "")


async def test_a_run_that_ends_with_us_and_cannot_go_on_is_cancelled_and_told_why():
    source, screen = Source(why=Stuck(reason="refused by fivetran", detail="fivetran refuses: 401")), Screen()
    found, how = await follow(source, screen, Keys(cancels=True))
    assert (found.run.state, how, source.cancelled) == (RunState.CANCELLED, How.ENDED, "refused by fivetran")
    assert screen.said == ["fivetran refuses: 401; nothing else can go on, so the run is cancelled"]


async def test_a_run_that_somebody_else_attends_is_not_cancelled_when_nobody_does():
    source = Source(ours=False, why=Stuck(reason="alone", detail="nobody attends it"))
    found, how = await follow(source, Screen(), Keys(cancels=True))
    assert (found.run.state, how, source.cancelled) == (RunState.RUNNING, How.STUCK, "")


async def test_what_was_stuck_for_a_moment_goes_on():
    source = Source(looks=3, patience=60.0, why=Stuck(reason="r", detail="d"))
    source.on_wait = lambda: setattr(source, "why", None)
    assert (await follow(source, Screen(), Keys(cancels=True)))[1] is How.ENDED


async def test_a_cancel_that_had_no_answer_is_told_and_the_run_is_followed_on():
    source, screen = Source(looks=3, error=Unsure("no answer")), Screen()
    _, how = await follow(source, screen, Keys(cancels=True, pressed=1))
    assert how is How.ENDED
    assert screen.said[-1] == "no answer"


# --- which accounts hold everything up -------------------------------------------------------------------------------


def test_all_that_could_go_on_waits_for_an_account_that_refuses_us():
    assert refused([going(a="ready", b="waiting", c="succeeded")], {"a": DOWN}) == {"a": "401"}


def test_a_step_that_can_go_on_is_reason_enough_to_wait():
    assert refused([going(a="ready", b="running")], {"a": DOWN, "b": Circuit()}) == {}


def test_an_account_that_is_only_away_may_come_back():
    away = Circuit(failures=9, error="503", open_until=NOW)
    assert refused([going(a="ready")], {"a": away}) == {}


def test_an_older_run_of_the_pipeline_holds_up_the_one_that_waits_for_its_turn():
    queued = going(a="waiting")
    assert refused([going(a="running"), queued], {"a": DOWN}) == {"a": "401"}
    assert refused([], {"a": DOWN}) == {}
