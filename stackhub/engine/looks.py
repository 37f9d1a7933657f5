"""How a lane asks its account after what runs: when, which `decide.cadence` says, and what is told of the answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import anyio

from stackhub.clock import Clock
from stackhub.contract import Finished, Limits, LostLane, Pending
from stackhub.decide import cadence
from stackhub.decide.cadence import Going
from stackhub.decide.ends import deadline
from stackhub.decide.history import ENOUGH, job_key, spread
from stackhub.decide.step import Heard, Verb
from stackhub.engine.board import Board
from stackhub.engine.durations import Durations
from stackhub.engine.edge import Edge
from stackhub.engine.gate import LaneGate
from stackhub.model.step import Step, StepState

AT_ONCE: Final = datetime.min.replace(tzinfo=UTC)
SILENT: Final = 60.0  # seconds; a lane that cannot be asked for so long tells its steps
SPEAK: Final = 100  # jobs, at most, that are asked how likely they are to end; with more of them, looks are even


@dataclass(slots=True, kw_only=True)
class Looks:
    """The sweeps of one account. Times are seconds since boot, so that no clock that is set puts one off."""

    instance: str
    edge: Edge
    limits: Limits
    board: Board
    clock: Clock
    gate: LaneGate
    durations: Durations
    last: datetime = AT_ONCE  # when a sweep last began
    _planned: float | None = 0.0  # the next; None: nothing runs. At first: at once
    _wanted: float | None = None  # before that one, for a reason of its own
    _began: float = 0.0
    _credit: float = 0.0  # sweeps, see `decide.cadence`
    _since: float | None = None  # when credit was last counted; None: nothing has run since
    _requests: int = 1  # that a sweep takes
    _took: int = 1
    _passed: int = 0
    _silent_since: float | None = None  # since when sweeps fail
    _keys: dict[str, str] = field(default_factory=dict)  # of jobs, by step

    def now(self) -> None:
        """Look at once."""
        self.by(0.0)

    def by(self, wait: float) -> None:
        """Look within so many seconds."""
        soon = self.clock.since_boot() + wait
        self._wanted = soon if self._wanted is None else min(self._wanted, soon)

    def rest(self) -> None:
        """Nothing runs."""
        self._planned = self._wanted = self._since = None

    def started(self, step: Step) -> None:
        """Look at a job that has just been started as soon as is due to it."""
        self._since = self.clock.since_boot() if self._since is None else self._since
        self.by(self._first(step))

    def wait(self, running: Sequence[Step]) -> float:
        """Return the seconds to the next sweep, now that these run."""
        boot = self.clock.since_boot()
        if self._planned is None and self._wanted is None:
            self._planned = boot + min(self._first(step) for step in running[:SPEAK])
        return min(at for at in (self._planned, self._wanted) if at is not None) - boot

    def begun(self) -> None:
        """A sweep begins; until its end the next one is an even interval away."""
        boot = self.clock.since_boot()
        open_for = boot - (boot if self._since is None else self._since)
        self._credit = cadence.spent(cadence.earned(self._credit, open_for, self._bounds))
        self.last, self._began, self._since, self._passed = self.clock.now(), boot, boot, self.gate.passed
        self._planned, self._wanted = boot + self.limits.look.total_seconds(), None

    def ended(self, going: Sequence[Step]) -> None:
        """A sweep has ended; ``going`` are the jobs that are still open."""
        took = max(self.gate.passed - self._passed, 1)  # those of a start meanwhile among them
        self._requests, self._took = min(took, self._took), took
        if self._learns and going:
            self._keys = {step.key: self._key(step) for step in going}
            self._planned = self._began + self._gap(going)

    async def ask(self, steps: Sequence[Step]) -> None:
        """Ask after these jobs, all in one question, and tell their runs what is new.

        Raises:
            LostLane: the lane is not ours any more.
        """
        answers = await self.edge.poll([step.handle or {} for step in steps])
        if isinstance(answers, Exception):
            boot = self.clock.since_boot()
            self._silent_since = boot if self._silent_since is None else self._silent_since
            if boot - self._silent_since < SILENT:
                return  # a lane that blinks says nothing about any of its jobs
            answers = [answers] * len(steps)
        else:
            self._silent_since = None
        await self._tell_all(steps, answers)

    async def _tell_all(self, steps: Sequence[Step], answers: Sequence[Any]) -> None:
        by_run: dict[str, list[Heard]] = {}
        for step, answer in zip(steps, answers, strict=True):
            shared = self.board.shared(step)
            heard = Heard(task=step.task, key=step.key, verb=Verb.POLL, answer=answer, shared=shared)
            fresh = isinstance(answer, Pending | Finished) and bool(answer.nodes)
            if fresh or self.board.would_change(step.run, heard):
                by_run.setdefault(step.run, []).append(heard)
            self._look_sooner(step)
        lost: list[LostLane] = []

        async def tell(run_id: str, told: Sequence[Heard]) -> None:
            try:
                await self.board.tell(run_id, *told)
            except LostLane as err:
                lost.append(err)

        async with anyio.create_task_group() as group:
            for run_id, told in by_run.items():
                group.start_soon(tell, run_id, told)
        if lost:
            raise lost[0]

    def _look_sooner(self, step: Step) -> None:
        """Look again right at a step's deadline: one more look decides."""
        open_run = self.board.get(step.run)
        if open_run is None:
            return
        end = deadline(step, open_run.pipeline.task(step.task))
        now = self.clock.now()
        if end is not None and now < end:
            self.by((end - now).total_seconds())

    # --- when ---

    @property
    def _learns(self) -> bool:
        return self.limits.longest is not None

    @property
    def _bounds(self) -> cadence.Bounds:
        return cadence.bounds(self.limits, self._requests)

    def _first(self, step: Step) -> float:
        even = self.limits.first_look.total_seconds()
        return cadence.first(self._going(step), self._bounds) if self._learns else even

    def _gap(self, going: Sequence[Step]) -> float:
        stride = max(len(going) // SPEAK, 1)
        sampled = list(going[::stride])
        if stride > 1:  # one of which nothing is known is enough to keep all in sight
            sampled += [step for step in going if not self._history(step)][:1]
        return cadence.following([self._going(step) for step in sampled], self._bounds, self._credit)

    def _going(self, step: Step) -> Going:
        now = self.clock.now()
        if step.state is StepState.DEFERRED:  # it ends no sooner than its vendor takes it up again
            rests = step.due is not None and step.due - now > (self.limits.longest or self.limits.look)
            return Going(elapsed=0.0, own=rests)
        history = self._history(step)
        known = spread(history) if history else self.durations.fleet(self.instance)
        elapsed = (now - (step.attempt_at or now) - step.deferred_for).total_seconds()
        return Going(elapsed=max(elapsed, 0.0), spread=known, own=bool(history))

    def _history(self, step: Step) -> tuple[float, ...]:
        """Return how long this job's kind took; nothing where too little is known, or not since when it has been."""
        if step.joined or step.stop:
            return ()
        found = self.durations.of(self.instance, self._key(step))
        return found if len(found) >= ENOUGH else ()

    def _key(self, step: Step) -> str:
        known = self._keys.get(step.key)
        open_run = self.board.get(step.run)
        return known or (job_key(open_run.pipeline.task(step.task)) if open_run else "")
