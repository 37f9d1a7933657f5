"""One lane: the loop that attends every open step of one connector instance.

Each round it looks for starts that had no answer, asks after what is running in one question for all, asks jobs to
stop that must, and starts what is ready. Then it sleeps until the next thing falls due or somebody rings.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio
import anyio.lowlevel
import structlog
from anyio.abc import TaskGroup

from stackhub.clock import Clock
from stackhub.contract import ConfigError, Finished, Job, Limits, LostLane, Operation, Rejected, Unavailable
from stackhub.decide.step import Claim, Heard, Verb
from stackhub.engine.bell import Bell
from stackhub.engine.board import Board
from stackhub.engine.edge import Edge
from stackhub.engine.gate import LaneGate
from stackhub.engine.health import LaneHealth
from stackhub.engine.hosts import Hosts
from stackhub.engine.looks import Looks
from stackhub.engine.underway import UnderWay
from stackhub.model.run import OpenRun
from stackhub.model.step import AT_WORK, Step, StepState

log = structlog.get_logger()
IDLE: Final = 30.0  # seconds between looks when nothing is due
NAP: Final = 5.0  # at most, while anything is open: a clock that was set is noticed within this
CALL: Final = timedelta(seconds=30)  # for an operation that its connector does not know any more
BEGINS: Final = frozenset({StepState.READY, StepState.STARTING})
SWEEP: Final = "sweep"
SEEN: Final = frozenset({StepState.RUNNING, StepState.DEFERRED})  # what a sweep asks after


@dataclass(slots=True, kw_only=True)
class Lane:
    """An instance at work. ``job`` builds what a connector is handed for a step; it may raise `ConfigError`."""

    instance: str
    edge: Edge
    operations: dict[str, Operation]
    limits: Limits
    max_active: int | None
    board: Board
    clock: Clock
    gate: LaneGate
    health: LaneHealth
    looks: Looks
    job: Callable[[OpenRun, Step], Awaitable[Job]]
    hosts: Hosts = field(default_factory=Hosts)
    standby: bool = False  # another hub owns the lane: only the jobs of this host are attended
    bell: Bell = field(default_factory=Bell)
    leaving: bool = False  # begins nothing more
    busy: UnderWay = field(default_factory=UnderWay)  # keys of steps that a call is about, and the sweep

    async def run(self) -> None:
        """Attend the lane until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                wait = self._round(group)
                if await self.bell.wait(wait):
                    await anyio.lowlevel.checkpoint()  # let everyone who rings in this moment do so

    def look_now(self) -> None:
        """Ask the vendor at once: a webhook, or the end of a process, says that something may have changed."""
        self.looks.now()
        self.bell.ring()

    async def leave(self) -> None:
        """Begin nothing more, and wait until every call under way has been answered."""
        self.leaving = True
        await self.busy.answered()

    # --- a round ---

    def _round(self, group: TaskGroup) -> float:
        """Begin whatever is due, and return the seconds until the next thing will be."""
        now = self.clock.now()
        steps = [step for step in self.board.steps(self.instance) if step.state is not StepState.WAITING or step.due]
        if not steps or self.leaving or self.gate.lost:
            if not steps:
                self.looks.rest()
            return self.clock.between_looks(IDLE)
        if self.gate.lapsed and not self.standby:
            return self._nap
        held = self._held_until(now)
        if held is not None:
            return min(max((held - now).total_seconds(), 0.0), self._nap)
        here = [step for step in steps if self.hosts.here(step, standby=self.standby)]
        for step in () if self.standby or len(here) == len(steps) else steps:
            self._miss(group, step)
        idle = [step for step in here if step.key not in self.busy]
        if self.health.circuit.open:
            return self._try(group, idle, steps, now)
        wakes = [self._attend(group, step, now) for step in idle]
        sweep = self._sweep(group, here)
        wakes += self._starts(group, idle, steps, now)
        waits = [(wake - now).total_seconds() for wake in wakes if wake is not None]
        return max(0.0, min([*waits, sweep, self._nap]))

    @property
    def _nap(self) -> float:
        return self.clock.between_looks(NAP)

    def _held_until(self, now: datetime) -> datetime | None:
        rest = self.gate.rest()
        if rest > timedelta():
            return now + rest
        circuit = self.health.circuit
        if circuit.open and (not circuit.trial(now) or len(self.busy)):
            return max(circuit.open_until or now, now + timedelta(seconds=1))
        return None

    def _try(self, group: TaskGroup, idle: Sequence[Step], steps: Sequence[Step], now: datetime) -> float:
        """Make one call to an account that was down: what can be asked before what would be started."""
        if any(step.state in SEEN for step in idle):
            self.looks.now()
            self._sweep(group, idle)
            return 1.0
        for step in idle:
            if step.state is StepState.STARTING:
                self._begin(group, self._find, step)
                return 1.0
            if step.state is StepState.READY and _is_due(step, now) and self._may_start(step, self._going(steps)):
                self._begin(group, self._start, step)
                return 1.0
            self._attend(group, step, now)
        return self._nap

    def _attend(self, group: TaskGroup, step: Step, now: datetime) -> datetime | None:
        """Begin what one step needs by itself, and say when it needs it next."""
        due = _is_due(step, now)
        match step.state:
            case StepState.STARTING if due:
                self._begin(group, self._find, step)
            case StepState.RETRYING | StepState.WAITING if due:  # a wait for late inputs is over as well
                self._begin(group, self._let_time_pass, step)
            case StepState.RUNNING | StepState.DEFERRED if step.stop and due:
                self._begin(group, self._cancel, step)
            case StepState.DEFERRED if step.again and due:
                if step.due is None or self.looks.last < step.due:  # once: a look that fails is not repeated at once
                    self.looks.now()
            case _:
                return step.due if not due else None
        return None

    def _miss(self, group: TaskGroup, step: Step) -> None:
        """Keep that nobody can see a job now, whose host has no hub any more; after a while people are told."""
        host = self.hosts.gone(step)
        if not host or step.key in self.busy:
            return
        note = f"it runs on host {host}, whose hub has gone silent, and nobody else can see it"
        missed = Heard(task=step.task, key=step.key, verb=Verb.POLL, answer=Unavailable(note))
        if self.board.would_change(step.run, missed):
            self.busy.begin(step.key)
            group.start_soon(self._guarded, partial(self._told, missed), step)

    async def _told(self, heard: Heard, step: Step) -> None:
        await self.board.tell(step.run, heard)

    def _begin(self, group: TaskGroup, verb: Callable[[Step], Awaitable[None]], step: Step) -> None:
        self.busy.begin(step.key)
        group.start_soon(self._guarded, verb, step)

    async def _guarded(self, verb: Callable[[Step], Awaitable[None]], step: Step) -> None:
        try:
            await verb(step)
        except LostLane as err:
            self._lose(err)
        finally:
            self.busy.end(step.key)
            self.bell.ring()

    def _lose(self, err: LostLane) -> None:
        """Drop what we hold, for good: another hub attends the lane now."""
        if not self.gate.lost:
            self.gate.lost = str(err)
            log.warning("a lane is lost", instance=self.instance, reason=str(err))

    # --- asking after what runs ---

    def _sweep(self, group: TaskGroup, steps: Sequence[Step]) -> float:
        """Ask after everything that runs, if it is time; return the seconds until it will be."""
        running = [step for step in steps if step.state in SEEN]
        if not running:
            self.looks.rest()
            return self._nap
        if SWEEP in self.busy:
            return self._nap  # its end rings
        wait = self.looks.wait(running)
        if wait > 0:
            return wait
        self.busy.begin(SWEEP)
        self.looks.begun()
        group.start_soon(self._look, running)
        return self.looks.wait(running)

    async def _look(self, steps: Sequence[Step]) -> None:
        try:
            await self.looks.ask(steps)
        except LostLane as err:
            self._lose(err)
        finally:
            going = [step for step in self.board.steps(self.instance) if step.state in SEEN]
            self.looks.ended([step for step in going if self.hosts.here(step, standby=self.standby)])
            self.busy.end(SWEEP)
            self.bell.ring()

    # --- starting ---

    def _starts(
        self, group: TaskGroup, idle: Sequence[Step], steps: Sequence[Step], now: datetime
    ) -> list[datetime | None]:
        wakes: list[datetime | None] = []
        going = self._going(steps)
        free = self.limits.width - sum(step.state in BEGINS and step.key in self.busy for step in steps)
        for step in idle:
            if step.state is not StepState.READY:
                continue
            if not _is_due(step, now):
                wakes.append(step.due)
            elif free > 0 and self._may_start(step, going):
                self._begin(group, self._start, step)
                going.append(step)
                free -= 1
        return wakes

    def _going(self, steps: Sequence[Step]) -> list[Step]:
        return [step for step in steps if self._at_work(step) and not self.board.shadows(step)]

    def _at_work(self, step: Step) -> bool:
        return step.state in AT_WORK or step.key in self.busy

    def _may_start(self, step: Step, going: Sequence[Step]) -> bool:
        """Say whether there is room for one more job beside those that are going, and claim it."""
        open_run = self.board.get(step.run)
        if open_run is None:
            return False
        if self.board.shadows(step):
            return True
        if self.max_active is not None and len(going) >= self.max_active:
            return False
        if self.limits.alone and any(self._collides(step, other) for other in going):
            return False
        return self.board.claim(step, open_run.pipeline)

    def _collides(self, step: Step, other: Step) -> bool:
        """Say whether two jobs would work on the same thing, of which the connector bears only one at a time."""
        mine, theirs = self._options(step), self._options(other)
        return any(mine.get(name) == theirs.get(name) for name in self.limits.alone)

    def _options(self, step: Step) -> dict[str, Any]:
        open_run = self.board.get(step.run)
        return dict(open_run.pipeline.task(step.task).options) if open_run else {}

    async def _start(self, step: Step) -> None:
        try:
            await self._prepare_and_start(step)
        finally:
            self.board.unclaim(step)

    async def _prepare_and_start(self, step: Step) -> None:
        built = await self._built(step)
        if built is None:
            return
        job, limit = built
        if isinstance(job, Exception):
            await self._hear(step, Verb.PREPARE, job)
            return
        baseline = step.baseline
        if baseline is None or self.hosts.mine != (baseline.get("host") or self.hosts.mine):
            found = await self.edge.prepare(job, limit)
            if isinstance(found, Exception):
                await self._hear(step, Verb.PREPARE, found)
                return
            baseline = found
        async with self.busy.turn(step.key, self.gate):
            if self.leaving or self.gate.rest() > timedelta():
                return
            claim = Claim(baseline=baseline, call_deadline=self.clock.now() + limit)
            claimed = await self._hear(step, Verb.CLAIM, claim)
            mine = claimed.steps[step.task] if claimed else None
            if mine is None or mine.state is not StepState.STARTING or mine.call_deadline != claim.call_deadline:
                return
            self.gate.check_lease()
            left = min(claim.call_deadline - self.clock.now(), limit)
            answer = await self.edge.start(job, baseline, step.key, left)
        await self._hear(mine, Verb.START, answer)
        if not isinstance(answer, Exception | Finished):
            self.looks.started(mine)

    async def _built(self, step: Step) -> tuple[Job | Exception, timedelta] | None:
        """Return the job of a step, or why there is none, and how long one call about it may take."""
        open_run = self.board.get(step.run)
        if open_run is None:
            return None
        operation = self.operations.get(open_run.pipeline.task(step.task).operation)
        limit = operation.call_timeout if operation else CALL
        try:
            return await self.job(open_run, step), limit
        except ConfigError as err:
            return Rejected(f"its options cannot be used: {err}"), limit

    async def _find(self, step: Step) -> None:
        built = await self._built(step)
        if built is None:
            return
        job, limit = built
        found = job if isinstance(job, Exception) else await self.edge.find(job, step.baseline or {}, step.key, limit)
        await self._hear(step, Verb.FIND, found)

    async def _cancel(self, step: Step) -> None:
        await self._hear(step, Verb.CANCEL, await self.edge.cancel(step.handle or {}))
        self.looks.by(1.0)

    async def _let_time_pass(self, step: Step) -> None:
        await self.board.tell(step.run, None)

    async def _hear(self, step: Step, verb: Verb, answer: Any) -> OpenRun | None:
        return await self.board.tell(step.run, Heard(task=step.task, key=step.key, verb=verb, answer=answer))


def _is_due(step: Step, now: datetime) -> bool:
    return step.due is None or step.due <= now
