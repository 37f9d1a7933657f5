"""Small pipelines, and everything that may be heard of their steps, for property tests."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub.contract import (
    Absent,
    ConfigError,
    Deferred,
    Finished,
    Found,
    Landing,
    Missing,
    Outcome,
    Pending,
    Progress,
    Rejected,
    StartIs,
    Unavailable,
    Unclear,
    Unknown,
    Unsure,
)
from stackhub.decide import create
from stackhub.decide.ends import Rule
from stackhub.decide.run import Begin, Cancel, Decision, Skip, decide
from stackhub.decide.step import Claim, Heard, Verb
from stackhub.model.pipeline import Freshness, Need, OnTimeout, Pipeline, Retries, Task
from stackhub.model.run import Interval, OpenRun, Trigger
from stackhub.model.step import Step, StepState

T0 = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)
CALL = timedelta(seconds=30)

WAITS = [
    timedelta(),
    timedelta(seconds=5),
    timedelta(seconds=5),
    timedelta(seconds=15),
    timedelta(seconds=15),
    timedelta(seconds=45),
    timedelta(seconds=45),
    timedelta(seconds=100),
    timedelta(minutes=4),
    timedelta(minutes=11),
    timedelta(hours=3),
    timedelta(seconds=-20),  # a clock that was set
]

Saying = Callable[[datetime], Any]


def always(answer: Any) -> Saying:
    return lambda _: answer


def landed(mark: str) -> Saying:
    return lambda now: Finished(outcome=Outcome.OK, landing=Landing(connection="c", mark=mark, ended_at=now))


ERRORS: list[Saying] = [
    always(Unavailable("503")),
    always(Unavailable("429", retry_after=timedelta(seconds=40))),
    always(Unavailable("429", retry_after=timedelta())),
    always(Unsure("no answer")),
    always(Rejected("no such thing", status=404)),
    always(ConfigError("credentials are refused")),
    always(ValueError("a bug")),
]
ANSWERS: list[Saying] = [
    always(Pending()),
    always(Pending(note="syncing", progress=Progress(done=3, total=9))),
    always(Deferred(note="queued")),
    lambda now: Deferred(until=now + timedelta(hours=2), must_start_again=True),
    lambda now: Deferred(until=now + timedelta(minutes=20), note="rescheduled"),
    lambda now: Deferred(until=now - timedelta(minutes=1), must_start_again=True),
    always(Deferred(must_start_again=True)),
    landed("1"),
    always(Finished(outcome=Outcome.OK)),
    always(Finished(outcome=Outcome.FAILED, note="boom")),
    always(Finished(outcome=Outcome.FAILED, note="never", retryable=False)),
    always(Finished(outcome=Outcome.CANCELLED, note="cancelled by ada")),
    always(Missing()),
    always(Missing(note="404")),
    always(Unknown(raw="HIBERNATING")),
]
GOING: list[Saying] = [saying for saying in ANSWERS if isinstance(saying(T0), Pending | Deferred | Missing | Unknown)]
ENDS: list[Saying] = [saying for saying in ANSWERS if isinstance(saying(T0), Finished)]
HANDLES: list[Saying] = [always({"id": "1"}), always({"id": "2", "joined": True}), always({})]
SEARCHES: list[Saying] = [
    always(Found(handle={"id": "1"})),
    always(Found(handle={"id": "2", "joined": True})),
    always(Absent()),
    always(Absent()),
    always(Unclear()),
    always(Unclear(look_again=timedelta(minutes=1), note="too many to tell")),
]
SAYINGS: dict[Verb, list[Saying]] = {
    Verb.PREPARE: ERRORS,
    Verb.CLAIM: [lambda now: Claim(baseline={"before": "0"}, call_deadline=now + CALL)],
    Verb.START: [*HANDLES * 6, *ERRORS, *ENDS],
    Verb.FIND: [*SEARCHES * 3, *ERRORS],
    Verb.POLL: [*ANSWERS * 2, *GOING * 5, *ERRORS],
    Verb.CANCEL: [always(None), *ERRORS],
}
FITTING: dict[StepState, tuple[Verb, ...]] = {
    StepState.READY: (*[Verb.CLAIM] * 6, Verb.PREPARE),
    StepState.STARTING: (Verb.START, Verb.START, Verb.FIND),
    StepState.RUNNING: (*[Verb.POLL] * 6, Verb.CANCEL),
    StepState.DEFERRED: (*[Verb.POLL] * 6, Verb.CANCEL),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    pipeline: Pipeline
    rules: dict[str, Rule]

    def run(self, run_id: str, now: datetime) -> OpenRun:
        interval = Interval(start=now - timedelta(days=1), end=now)
        return create.new(self.pipeline, run_id=run_id, trigger=Trigger.MANUAL, interval=interval, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    before: OpenRun
    told: list[Any]
    decision: Decision | None
    now: datetime

    @property
    def after(self) -> OpenRun:
        return self.decision.open if self.decision else self.before

    @property
    def moves(self) -> list[tuple[Step, Step]]:
        return [(old, self.after.steps[name]) for name, old in self.before.steps.items()]

    def heard(self, step: Step) -> Heard | None:
        """What was heard of this step in this turn, if it was about its present job."""
        for item in self.told:
            if isinstance(item, Heard) and item.task == step.task and item.key == step.key:
                return item
        return None


def happening(six: bytes, open_run: OpenRun, now: datetime, *, orders: bool) -> Any:
    """Choose by six bytes what is told of which step: mostly something that fits how it stands."""
    which, kind, verb_at, said_at, key_at, sharing = six
    steps = list(open_run.steps.values())
    active = [step for step in steps if step.state in FITTING]
    step = (active if active and which >= 16 else steps)[which % len(active if active and which >= 16 else steps)]
    shared = sharing % 4 == 0
    if orders and kind < 10:
        match kind % 10:
            case 0 | 1:
                return Cancel(reason="enough", shared=frozenset({step.task}) if shared else frozenset())
            case 2 | 3 | 4 | 5:
                return Skip(task=step.task, reason="broken", shared=shared)
            case _:
                return Begin()
    fitting = FITTING.get(step.state, tuple(Verb)) if kind < 240 else tuple(Verb)
    verb = fitting[verb_at % len(fitting)]
    said = SAYINGS[verb][said_at % len(SAYINGS[verb])](now)
    key = f"{step.run}.{step.task}.{step.serial - 1}" if key_at < 12 else step.key
    return Heard(task=step.task, key=key, verb=verb, answer=said, shared=shared)


def walk(world: World, acts: bytes, *, orders: bool = True) -> Iterator[Turn]:
    """Let everything happen in turn, seven bytes for each thing; when a run has ended and been told more, another begins."""
    open_run, now, runs = world.run("R1", T0), T0, 1
    told: list[Any] = [Begin()]
    for at in range(-7, len(acts) - 6, 7):
        if at >= 0:
            now += WAITS[acts[at] % len(WAITS)]
            told = [happening(acts[at + 1 : at + 7], open_run, now, orders=orders)]
        turn = Turn(before=open_run, told=told, decision=decide(open_run, told, world.rules, now), now=now)
        yield turn
        open_run = turn.after
        if turn.before.run.ended_at is not None:
            runs += 1
            begun = decide(world.run(f"R{runs}", now), [Begin()], world.rules, now)
            assert begun is not None
            open_run = begun.open


def task(name: str, **changes: Any) -> Task:
    return replace(Task(name=name, connector="fivetran", operation="sync", instance="fivetran"), **changes)


def needing(name, *others, complete=False, **changes):
    return task(name, needs=tuple(Need(task=other, complete=complete) for other in others), **changes)


def pipeline(*tasks: Task, **changes: Any) -> Pipeline:
    return replace(Pipeline(name="shop", tasks=tasks or (task("orders"),)), **changes)


def rule(**changes: Any) -> Rule:
    return replace(Rule(start_is=StartIs.JOINABLE, settle=timedelta(seconds=10), cancellable=True), **changes)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    tasks: list[Task] = []
    for name in ("a", "b", "c", "d")[: draw(st.integers(1, 4))]:
        needs = tuple(Need(task=other.name, complete=draw(st.booleans())) for other in tasks if draw(st.booleans()))
        tasks.append(
            task(
                name,
                needs=needs,
                timeout=draw(st.sampled_from([timedelta(minutes=5), timedelta(hours=2)])),
                on_timeout=draw(st.sampled_from(OnTimeout)),
                freshness=draw(st.sampled_from(Freshness)),
                retries=Retries(attempts=draw(st.integers(1, 3)), wait=timedelta(seconds=30)),
            )
        )
    rules = {
        one.name: Rule(
            start_is=draw(st.sampled_from(StartIs)),
            settle=draw(st.sampled_from([timedelta(), timedelta(seconds=10), timedelta(seconds=90)])),
            cancellable=draw(st.booleans()),
        )
        for one in tasks
    }
    return World(pipeline=pipeline(*tasks), rules=rules)


def _bytes(seed: int) -> bytes:
    return Random(seed).randbytes(7 * 60)


acts = st.integers(0, 2**32 - 1).map(
    _bytes
)  # evenly random: bytes of hypothesis's own repeat themselves, and go nowhere


def over_worlds(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test over many small pipelines, each with all that happens to it."""
    return settings(max_examples=40)(given(worlds(), acts)(test))
