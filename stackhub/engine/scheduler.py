"""The scheduler: turns ticks that fall due into runs, or into recorded skips. It reads the store, not files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from stackhub.clock import Clock
from stackhub.decide.overlap import Meeting, clash
from stackhub.decide.run import Cancel
from stackhub.decide.schedule import Due, Verdict, fall_due
from stackhub.decide.triggers import waits_until
from stackhub.engine.anew import Anew
from stackhub.engine.bell import Bell
from stackhub.engine.births import Births, deadline_rows
from stackhub.engine.board import Board
from stackhub.engine.inforce import InForce
from stackhub.engine.tenure import Tenure
from stackhub.errors import LostLane, StaleRun
from stackhub.model.backfill import rivals
from stackhub.model.pipeline import Overlap, Pipeline
from stackhub.model.run import OpenRun, Trigger
from stackhub.store import configure
from stackhub.store import transaction as tx
from stackhub.store.configure import Scheduled, runs_next
from stackhub.store.lanes import TIME
from stackhub.store.queries import Known
from stackhub.store.store import Store
from stackhub.store.tables import maybe_micros, micros
from stackhub.store.transaction import Op, Transaction
from stackhub.store.waiting import WAIT

log = structlog.get_logger()
LOOK: Final = 5.0  # seconds, at most, between looks: a clock that was set is noticed within this


@dataclass(frozen=True, slots=True)
class _Fallen:
    """Ticks that have fallen due."""

    known: Known  # its pipeline, as it was when they were found
    dues: Sequence[Due]
    next_at: datetime | None  # the one after them


class Scheduler:
    """Owns the schedules in force."""

    def __init__(
        self, store: Store, board: Board, births: Births, in_force: InForce, clock: Clock, tenure: Tenure
    ) -> None:
        self.bell = Bell()
        self.on_wait: Callable[[], None] = lambda: None  # called when ticks wait for data from now on
        self._tenure = tenure
        self._store = store
        self._board = board
        self._births = births
        self._in_force = in_force
        self._clock = clock
        self._schedules: list[Scheduled] = []
        self._anew = Anew()

    async def load(self) -> None:
        """Read the schedules in force, after a configuration was applied."""
        self._schedules = await self._anew.read(self._store, configure.schedules)
        self.bell.ring()

    def following(self, pipeline: str) -> datetime | None:
        """Return when the next tick of a pipeline runs; None when it has no schedule, or is paused."""
        known = self._in_force.active(pipeline)
        if known is None or known.paused_at is not None:
            return None
        return min((one.next_at for one in self.coming(pipeline) if one.next_at), default=None)

    def coming(self, pipeline: str = "") -> list[Scheduled]:
        """Return the schedules in force, each with its next tick that its calendars do not leave out."""
        found = []
        for one in self.schedules(pipeline):
            known = self._known(one)
            found.append(runs_next(one, known.pipeline.calendars) if known is not None else one)
        return found

    def _known(self, scheduled: Scheduled) -> Known | None:
        """Return the pipeline of a schedule; None where it is not in force, or is not known as this schedule wants it.

        An edit is heard of in two steps, the pipeline and its schedules: in between, a schedule may name calendars
        that its pipeline has not got any more, or not yet.
        """
        known = self._in_force.active(scheduled.pipeline)
        return known if known is not None and scheduled.schedule in known.pipeline.schedules else None

    def schedules(self, pipeline: str = "") -> list[Scheduled]:
        """Return the schedules in force."""
        return [scheduled for scheduled in self._schedules if pipeline in ("", scheduled.pipeline)]

    async def run(self) -> None:
        """Turn ticks into runs until cancelled."""
        while True:
            now = self._clock.now()
            for scheduled in self._schedules:
                if scheduled.next_at is not None and scheduled.next_at <= now:
                    try:
                        await self.fall(scheduled, now)
                    except LostLane:  # the tick is for whoever keeps the time now
                        self._tenure.drop(TIME)
            now = self._clock.now()
            waits = [(at - now).total_seconds() for s in self._schedules if (at := self._awake(s)) is not None]
            await self.bell.wait(max(0.0, min([*waits, self._clock.between_looks(LOOK)])))

    def _awake(self, scheduled: Scheduled) -> datetime | None:
        known = self._known(scheduled)
        return scheduled.next_at if known is not None and known.paused_at is None else None

    async def fall(
        self, scheduled: Scheduled, now: datetime, *, paused_since: datetime | None = None, resume: bool = False
    ) -> None:
        """Decide every tick of one schedule up to now; each is a run or a recorded skip, in one transaction."""
        look = partial(self._fallen, scheduled, now, paused_since, resume=resume)
        if look() is None:
            return
        async with self._births.turn(scheduled.pipeline):
            fallen = look()  # once more: it may have been paused, or changed, while others were waited for
            if fallen is None:
                return
            cancel = await self._keep(fallen.dues, scheduled, fallen.known, fallen.next_at)
        await self._cancel(cancel)
        if scheduled.schedule.require:
            self.on_wait()
        self.bell.ring()

    def _fallen(
        self, scheduled: Scheduled, now: datetime, paused_since: datetime | None, *, resume: bool
    ) -> _Fallen | None:
        """Return the ticks of a schedule up to now, as its pipeline is known by now; None where there are none."""
        known = self._known(scheduled)
        if known is None or scheduled.next_at is None:
            return None
        dues, next_at = fall_due(
            scheduled.schedule,
            scheduled.next_at,
            scheduled.anchor,
            now,
            catchup=known.pipeline.catchup,
            paused_since=paused_since if resume else known.paused_at,
            resumed_at=now if resume else None,
            calendars=known.pipeline.calendars,
        )
        return _Fallen(known, dues, next_at) if dues else None

    async def _keep(
        self, dues: Sequence[Due], scheduled: Scheduled, known: Known, next_at: datetime | None
    ) -> list[tuple[str, str]]:
        """Commit ticks; returns the runs that must give way, each with the reason."""
        cancel: list[tuple[str, str]] = []
        born: list[OpenRun] = []
        transaction = Transaction(lanes=self._tenure.under(TIME) if self._tenure.holds(TIME) else {})
        for due in dues:
            self._tick(due, scheduled, known.pipeline, transaction, born, cancel)
        moved = {
            "b_pipeline": scheduled.pipeline,
            "b_spec": scheduled.spec,
            "b_next_at": maybe_micros(scheduled.next_at),
        }
        transaction.add(Op(tx.SCHEDULE_MOVED, {**moved, "n_next_at": maybe_micros(next_at)}))
        try:
            await self._store.apply(transaction)
        except StaleRun:
            await self.load()
            if scheduled not in self._schedules:  # an edit was committed a moment ago: its ticks were kept with it
                log.info("a schedule was changed before its ticks were decided", pipeline=scheduled.pipeline)
                return []
            kept = await self._store.read(partial(configure.ticks, pipeline=scheduled.pipeline, spec=scheduled.spec))
            new = [due for due in dues if due.tick.at not in kept]
            if len(new) == len(dues):
                raise  # nothing that a clock set back explains
            log.warning("ticks that were kept before are not repeated", pipeline=scheduled.pipeline)
            if self._known(scheduled) != known:  # paused or changed meanwhile: they are looked at once more
                return []
            return await self._keep(new, scheduled, known, next_at)
        self._schedules = [replace(s, next_at=next_at) if s == scheduled else s for s in self._schedules]
        self._anew.committed()
        for made in born:
            self._board.adopt(made)
        return cancel

    async def recover(self) -> None:
        """Ask those runs to end that were to give way, where the hub died before it had asked them."""
        for known in self._in_force.known.values():
            going = rivals(self._board.runs(known.pipeline.name), known.pipeline.mode)
            if known.pipeline.overlap is not Overlap.CANCEL or known.retired or len(going) <= 1:
                continue
            last = max((run.id for run in going if run.trigger is Trigger.SCHEDULE), default="")
            why = f"run {last} takes its place: overlap is cancel"
            await self._cancel([(run.id, why) for run in going if run.id < last and run.cancel_at is None])

    async def _cancel(self, runs: Sequence[tuple[str, str]]) -> None:
        for run_id, reason in runs:
            open_run = self._board.get(run_id)
            if open_run is not None:
                shared = self._board.shared_tasks(open_run)
                try:
                    await self._board.tell(run_id, Cancel(reason=reason, shared=shared))
                except LostLane as err:
                    log.warning("a run cannot be asked to end here", run=run_id, reason=str(err))

    def _tick(
        self,
        due: Due,
        scheduled: Scheduled,
        pipeline: Pipeline,
        transaction: Transaction,
        born: list[OpenRun],
        cancel: list[tuple[str, str]],
    ) -> None:
        verdict, reason, run_id = due.verdict, due.reason, None
        if verdict is Verdict.RUN:
            going = rivals([*self._board.runs(pipeline.name), *born], pipeline.mode)
            if scheduled.schedule.require:
                self._wait(due, scheduled, pipeline, transaction)
                return
            met = clash(pipeline.overlap, going, catchup=pipeline.catchup, missed=due.missed)
            reason = met.reason or reason
            if met.meeting is Meeting.SKIP:
                verdict = Verdict.SKIP
                interval, at = due.tick.interval, due.tick.at
                transaction.add(*deadline_rows(pipeline, interval, created_at=at, tick=at, run_id=""))
            else:
                made, ops = self._births.new(
                    pipeline,
                    self._in_force.rules(pipeline),
                    Trigger.SCHEDULE,
                    interval=due.tick.interval,
                    tick=due.tick.at,
                    reason=f"scheduled for {due.tick.label}",
                    behind=bool(born) or not self._tenure.holds(TIME),
                )
                run_id = made.run.id
                born.append(made)
                transaction.add(*ops)
                cancel += [(other, f"run {run_id} takes its place: overlap is cancel") for other in met.cancel]
        transaction.add(_row(due, scheduled, verdict.value, reason, run=run_id))

    def _wait(self, due: Due, scheduled: Scheduled, pipeline: Pipeline, transaction: Transaction) -> None:
        """Let a tick wait for the data that it requires; its deadlines count from now on all the same."""
        at, interval = due.tick.at, due.tick.interval
        transaction.add(*deadline_rows(pipeline, interval, created_at=at, tick=at, run_id=""))
        until = waits_until(scheduled.schedule, at)
        transaction.add(_row(due, scheduled, WAIT, due.reason, until=until))


def _row(
    due: Due, scheduled: Scheduled, verdict: str, reason: str, *, run: str | None = None, until: datetime | None = None
) -> Op:
    return Op(
        tx.TICK,
        {
            "pipeline": scheduled.pipeline,
            "spec": scheduled.spec,
            "at": micros(due.tick.at),
            "label": due.tick.label,
            "verdict": verdict,
            "reason": reason,
            "run": run,
            "start": micros(due.tick.interval.start),
            "until": maybe_micros(until),
        },
    )
