"""One lane: the loop that attends every open step of one connector instance.

Each round it looks for starts that had no answer, asks after what is running in one question for all, asks jobs to
stop that must, and starts what is ready. Then it sleeps until the next thing falls due or somebody rings.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import anyio
import anyio.lowlevel
import structlog
from anyio.abc import TaskGroup

from stackhub.clock import Clock
from stackhub.contract import (
    ConfigError,
    Finished,
    Handle,
    Job,
    Jobs,
    Limits,
    LostLane,
    Operation,
    Pending,
    Rejected,
    Unavailable,
    Unsure,
)
from stackhub.decide.ends import deadline
from stackhub.decide.step import Claim, Heard, Verb
from stackhub.engine.bell import Bell
from stackhub.engine.board import Board
from stackhub.engine.gate import LaneGate
from stackhub.engine.health import LaneHealth
from stackhub.model.run import OpenRun
from stackhub.model.step import AT_WORK, Step, StepState

log = structlog.get_logger()
T = TypeVar("T")
IDLE: Final = 30.0  # seconds between looks when nothing is due
NAP: Final = 5.0  # at most, while anything is open: a clock that was set is noticed within this
SILENT: Final = timedelta(minutes=1)  # a lane that fails for so long tells its steps


@dataclass(slots=True, kw_only=True)
class Lane:
    """An instance at work. ``job`` builds what a connector is handed for a step; it may raise `ConfigError`."""

    instance: str
    jobs: Jobs
    operations: dict[str, Operation]
    limits: Limits
    max_active: int | None
    board: Board
    clock: Clock
    gate: LaneGate
    health: LaneHealth
    job: Callable[[OpenRun, Step], Awaitable[Job]]
    bell: Bell = field(default_factory=Bell)
    claiming: bool = True  # False while the hub is leaving
    _busy: set[str] = field(default_factory=set)  # keys of steps that a call is about
    _next_sweep: datetime | None = None
    _sweeping: bool = False

    async def run(self) -> None:
        """Attend the lane until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                wait = self._round(group)
                if await self.bell.wait(wait):
                    await anyio.lowlevel.checkpoint()  # let everyone who rings in this moment do so

    def look_now(self) -> None:
        """Ask the vendor at once: a webhook, or the end of a process, says that something may have changed."""
        self._next_sweep = self.clock.now()
        self.bell.ring()

    # --- a round ---

    def _round(self, group: TaskGroup) -> float:
        """Begin whatever is due, and return the seconds until the next thing will be."""
        now = self.clock.now()
        steps = [step for step in self.board.steps(self.instance) if step.state is not StepState.WAITING]
        if not steps:
            self._next_sweep = None
            return IDLE
        held = self._held_until(now)
        if held is not None:
            return min(max((held - now).total_seconds(), 0.0), NAP)
        idle = [step for step in steps if step.key not in self._busy]
        if self.health.circuit.open:
            return self._try(group, idle, now)
        wakes = [self._attend(group, step, now) for step in idle]
        wakes.append(self._sweep(group, steps, now))
        wakes += self._starts(group, idle, steps, now)
        waits = [(wake - now).total_seconds() for wake in wakes if wake is not None]
        return min([max(wait, 0.0) for wait in waits] + [NAP])

    def _held_until(self, now: datetime) -> datetime | None:
        rest = self.gate.rest()
        if rest > timedelta():
            return now + rest
        circuit = self.health.circuit
        if circuit.open and (not circuit.trial(now) or self._busy or self._sweeping):
            return max(circuit.open_until or now, now + timedelta(seconds=1))
        return None

    def _try(self, group: TaskGroup, idle: Sequence[Step], now: datetime) -> float:
        """Make one call to an account that was down: what can be asked before what would be started."""
        if any(step.state in {StepState.RUNNING, StepState.DEFERRED} for step in idle):
            self._next_sweep = now
            self._sweep(group, idle, now)
            return 1.0
        for step in idle:
            due = step.due is None or step.due <= now
            if step.state is StepState.STARTING:
                self._begin(group, self._find, step)
                return 1.0
            if step.state is StepState.READY and self.claiming and due and not self._full(step):
                self._begin(group, self._start, step)
                return 1.0
            self._attend(group, step, now)
        return NAP

    def _attend(self, group: TaskGroup, step: Step, now: datetime) -> datetime | None:
        """Begin what one step needs by itself, and say when it needs it next."""
        due = step.due is None or step.due <= now
        match step.state:
            case StepState.STARTING if due:
                self._begin(group, self._find, step)
            case StepState.RETRYING if due:
                self._begin(group, self._let_time_pass, step)
            case StepState.RUNNING | StepState.DEFERRED if step.stop and due:
                self._begin(group, self._cancel, step)
            case StepState.DEFERRED if step.again and due:
                self._next_sweep = now
            case _:
                return step.due if step.due is not None and not due else None
        return None

    def _begin(self, group: TaskGroup, verb: Callable[[Step], Awaitable[None]], step: Step) -> None:
        self._busy.add(step.key)
        group.start_soon(self._guarded, verb, step)

    async def _guarded(self, verb: Callable[[Step], Awaitable[None]], step: Step) -> None:
        try:
            await verb(step)
        except LostLane as err:
            log.warning("lane is lost", instance=self.instance, reason=str(err))
        finally:
            self._busy.discard(step.key)
            self.bell.ring()

    # --- asking after what runs ---

    def _sweep(self, group: TaskGroup, steps: Sequence[Step], now: datetime) -> datetime | None:
        running = [step for step in steps if step.state in {StepState.RUNNING, StepState.DEFERRED}]
        if not running:
            self._next_sweep = None
            return None
        if self._next_sweep is None:
            self._next_sweep = now + self.limits.first_look
        if not self._sweeping and now >= self._next_sweep:
            self._sweeping = True
            self._next_sweep = now + self.limits.look
            group.start_soon(self._poll, running)
        return self._next_sweep if not self._sweeping else None

    async def _poll(self, steps: Sequence[Step]) -> None:
        try:
            handles = [step.handle or {} for step in steps]
            answers = await self._ask(Verb.POLL, self.jobs.poll(handles), timedelta(minutes=2))
            await self._tell_all(steps, answers)
        except LostLane as err:
            log.warning("lane is lost", instance=self.instance, reason=str(err))
        finally:
            self._sweeping = False
            self.bell.ring()

    async def _tell_all(self, steps: Sequence[Step], answers: Sequence[Any] | Exception) -> None:
        if isinstance(answers, Exception):
            since = self.health.circuit.since
            if since is None or self.clock.now() - since < SILENT:
                return  # a lane that blinks says nothing about any of its jobs
            answers = [answers] * len(steps)
        by_run: dict[str, list[Heard]] = {}
        for step, answer in zip(steps, answers, strict=True):
            heard = Heard(task=step.task, key=step.key, verb=Verb.POLL, answer=answer)
            fresh = isinstance(answer, Pending | Finished) and bool(answer.nodes)
            if fresh or self.board.would_change(step.run, heard):
                by_run.setdefault(step.run, []).append(heard)
            self._look_sooner(step)
        async with anyio.create_task_group() as group:
            for run_id, told in by_run.items():
                group.start_soon(self._tell, run_id, told)

    def _look_sooner(self, step: Step) -> None:
        """Look again right at a step's deadline: one more look decides."""
        open_run = self.board.get(step.run)
        if open_run is None:
            return
        end = deadline(step, open_run.pipeline.task(step.task))
        now = self.clock.now()
        if end is not None and self._next_sweep is not None and now < end < self._next_sweep:
            self._next_sweep = end

    async def _tell(self, run_id: str, told: Sequence[Heard]) -> None:
        await self.board.tell(run_id, *told)

    # --- starting ---

    def _starts(
        self, group: TaskGroup, idle: Sequence[Step], steps: Sequence[Step], now: datetime
    ) -> list[datetime | None]:
        wakes: list[datetime | None] = []
        at_work = sum(step.state in AT_WORK or step.key in self._busy for step in steps)
        free = self.limits.width - len(self._busy)
        for step in idle:
            if step.state is not StepState.READY or not self.claiming:
                continue
            if step.due is not None and step.due > now:
                wakes.append(step.due)
                continue
            if free <= 0 or (self.max_active is not None and at_work >= self.max_active) or self._full(step):
                continue
            self._begin(group, self._start, step)
            free, at_work = free - 1, at_work + 1
        return wakes

    def _full(self, step: Step) -> bool:
        open_run = self.board.get(step.run)
        most = open_run.pipeline.max_active if open_run else None
        if open_run is None or most is None:
            return False
        claimed = sum(
            other.key in self._busy and other.state is StepState.READY for other in self.board.steps(self.instance)
        )
        return self.board.at_work(open_run.run.pipeline) + claimed >= most

    async def _start(self, step: Step) -> None:
        open_run = self.board.get(step.run)
        if open_run is None:
            return
        operation = self.operations[open_run.pipeline.task(step.task).operation]
        job = await self._built(open_run, step)
        if isinstance(job, Exception):
            await self._hear(step, Verb.PREPARE, job)
            return
        baseline = step.baseline
        if baseline is None:
            found = await self._ask(Verb.PREPARE, self.jobs.prepare(job), operation.call_timeout)
            if isinstance(found, Exception):
                await self._hear(step, Verb.PREPARE, found)
                return
            baseline = found
        await self.gate.turn()
        now = self.clock.now()
        claim = Claim(baseline=baseline, call_deadline=now + operation.call_timeout)
        claimed = await self._hear(step, Verb.CLAIM, claim)
        mine = claimed.steps[step.task] if claimed else None
        if mine is None or mine.state is not StepState.STARTING or mine.call_deadline != claim.call_deadline:
            return
        answer = await self._ask(Verb.START, self.jobs.start(job, baseline, step.key), operation.call_timeout)
        await self._hear(mine, Verb.START, answer)
        if not isinstance(answer, Exception | Finished):
            first = self.clock.now() + self.limits.first_look
            self._next_sweep = min(self._next_sweep or first, first)

    async def _built(self, open_run: OpenRun, step: Step) -> Job | Exception:
        try:
            return await self.job(open_run, step)
        except ConfigError as err:
            return Rejected(f"its options cannot be used: {err}")

    async def _find(self, step: Step) -> None:
        open_run = self.board.get(step.run)
        if open_run is None:
            return
        operation = self.operations[open_run.pipeline.task(step.task).operation]
        job = await self._built(open_run, step)
        if isinstance(job, Exception):
            await self._hear(step, Verb.FIND, job)
            return
        found = await self._ask(Verb.FIND, self.jobs.find(job, step.baseline or {}, step.key), operation.call_timeout)
        await self._hear(step, Verb.FIND, found)

    async def _cancel(self, step: Step) -> None:
        handle: Handle = step.handle or {}
        answer = await self._ask(Verb.CANCEL, self.jobs.cancel(handle), timedelta(seconds=30))
        await self._hear(step, Verb.CANCEL, answer)
        soon = self.clock.now() + timedelta(seconds=1)
        self._next_sweep = min(self._next_sweep or soon, soon)

    async def _let_time_pass(self, step: Step) -> None:
        await self.board.tell(step.run, None)

    async def _hear(self, step: Step, verb: Verb, answer: Any) -> OpenRun | None:
        return await self.board.tell(step.run, Heard(task=step.task, key=step.key, verb=verb, answer=answer))

    # --- the plugin's edge ---

    async def _ask(self, verb: Verb, call: Awaitable[T], limit: timedelta) -> T | Exception:
        """Bring back a connector's answer or its error; whatever it raises stops here."""
        answer: T | Exception
        try:
            with anyio.fail_after(limit.total_seconds()):
                answer = await call
        except LostLane:
            raise
        except TimeoutError:
            silence = f"{self.instance}: no answer to {verb} within {limit.total_seconds():g} s"
            answer = Unsure(silence) if verb is Verb.START else Unavailable(silence)
        except (Unavailable, Unsure, Rejected, ConfigError) as err:
            answer = err
        except Exception as err:  # a bug, but in a plugin: it may cost its own step, not the hub
            log.exception("bug in a connector", instance=self.instance, verb=verb)
            bug = f"bug in the connector of {self.instance}, at {verb}: {err!r}"
            answer = {Verb.START: Unsure, Verb.PREPARE: Rejected}.get(verb, Unavailable)(bug)
        await self.health.note(answer)
        return answer
