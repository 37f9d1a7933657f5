"""Looks ahead: which open runs will probably miss their deadline, told before they do.

What falls due is the open deadline itself; between two looks nothing is kept but in the incident, so a look may be made
at any time, by whoever keeps the time, and made again after a death.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from stackhub.clock import Clock
from stackhub.contract import in_thread
from stackhub.decide import facets, forecast
from stackhub.decide.ahead import LATER, SOON, Ahead
from stackhub.decide.forecast import Outlook
from stackhub.decide.impact import reaching
from stackhub.decide.incident import Change
from stackhub.engine.bell import Bell
from stackhub.engine.board import Board
from stackhub.engine.deadlines import OpenDeadline, answering, due_by
from stackhub.engine.impact import Impacts
from stackhub.engine.incidents import Incidents
from stackhub.engine.inforce import InForce
from stackhub.engine.tenure import Tenure
from stackhub.errors import LostLane
from stackhub.model.incident import Facet, key_of, pipeline_of
from stackhub.model.node import NodeState
from stackhub.model.pipeline import Told
from stackhub.model.run import OpenRun
from stackhub.model.step import Step
from stackhub.store import queries
from stackhub.store.lanes import TIME
from stackhub.store.rows import happened, run_stands
from stackhub.store.store import Store
from stackhub.store.transaction import Transaction

LOOK: Final = 30.0  # seconds between looks at which deadlines there are
HORIZON: Final = timedelta(days=2)  # deadlines beyond are not looked at yet


@dataclass(slots=True, kw_only=True)
class Forecasts:
    """Owns the `at_risk` facets of pipelines."""

    store: Store
    board: Board
    incidents: Incidents
    in_force: InForce
    clock: Clock
    tenure: Tenure
    impacts: Impacts
    ring: Callable[[], None]
    contact: str
    bell: Bell = field(default_factory=Bell)
    _last: dict[str, datetime] = field(default_factory=dict)  # when a run was last looked at
    _next: dict[str, datetime] = field(default_factory=dict)

    def moved(self, open_run: OpenRun, changed: Sequence[Step]) -> None:
        """Look again at a run in which something has moved: at once the first time, and then not each time."""
        key = key_of(open_run.run.pipeline, open_run.run.mode)
        if open_run.pipeline.sla is None or not changed:
            return
        soon = self._last.get(open_run.run.id, self.clock.now() - SOON) + SOON
        if key not in self._next or soon < self._next[key]:
            self._next[key] = soon
            self.bell.ring()

    async def run(self) -> None:
        """Look ahead until cancelled."""
        while True:
            try:
                await self.look()
            except LostLane:  # whoever keeps the time now looks
                self.tenure.drop(TIME)
            now = self.clock.now()
            waits = [(at - now).total_seconds() for at in self._next.values()]
            await self.bell.wait(max(0.0, min([*waits, self.clock.between_looks(LOOK)])))

    async def look(self) -> None:
        """Look at every pipeline that has a deadline ahead and whose turn it is."""
        now = self.clock.now()
        runs = {
            one.run.id: key_of(one.run.pipeline, one.run.mode)
            for one in self.board.runs()
            if one.pipeline.sla is not None
        }
        wanted = set(runs.values())
        warned = {one.key for one in self.incidents.open.values() if Told.AT_RISK in one.facets}
        due: dict[str, list[OpenDeadline]] = {}
        turn = [key for key in sorted(wanted | warned) if self._next.get(key, now) <= now]
        if turn:
            names = {pipeline_of(key) for key in turn}
            for one in await self.store.read(partial(due_by, until=now + HORIZON, pipelines=names)):
                due.setdefault(one.key, []).append(one)
        self._next = {key: at for key, at in self._next.items() if key in wanted | warned}
        self._last = {run: at for run, at in self._last.items() if run in runs}
        self._last |= {run: now for run, key in runs.items() if key in turn}
        for key in turn:
            self._next.pop(key, None)
            again = await self._look_at(key, due.get(key, []))
            self._next[key] = min(again, self._next.get(key, again))  # something may have moved meanwhile

    async def _look_at(self, key: str, due: Sequence[OpenDeadline]) -> datetime:
        """Look at the runs that an incident's key is about; return when to look again."""
        now = self.clock.now()
        if any(one.deadline.at <= now for one in due):
            return now + SOON  # first it is judged
        ahead = await self._ahead(due)
        was = self._warned(key)
        if not ahead:
            if was is not None:
                await self._end(key, "no run of it is under way that could miss its deadline")
            return now + LATER
        told = [each for each in ahead if each[1].tells(now, already=was is not None)]
        one, worst = max(told or ahead, key=lambda each: each[1].risk(now))
        if told:
            if not self._told(key):
                await self._warn(one, worst.open_run, worst.outlook(now), was)
            return now + (LATER if self._told(key) or self._warned(key) else SOON)
        if was is not None:
            await self._end(key, f"it will probably be in time: {facets.percent(worst.risk(now))} to miss it")
        return min([await in_thread(each.look_again, now) for _, each in ahead])  # large runs take a while

    async def _ahead(self, due: Sequence[OpenDeadline]) -> list[tuple[OpenDeadline, Ahead]]:
        """Return the deadlines that an open run may yet keep."""
        found, known = [], {}
        for one in due:
            runs = {open_run.run.id: open_run for open_run in self.board.runs(one.pipeline)}
            mine = answering(one, [open_run.run for open_run in runs.values()])
            open_run = runs[max(run.id for run in mine)] if mine else None
            if open_run is None or not forecast.hopeful(open_run):
                continue
            if open_run.run.id not in known:
                reading = partial(queries.histories, pipeline=open_run.pipeline)
                known[open_run.run.id] = await self.store.read(reading)
            found.append((one, Ahead(at=one.deadline.at, open_run=open_run, histories=known[open_run.run.id])))
        return found

    async def _warn(self, one: OpenDeadline, open_run: OpenRun, outlook: Outlook, was: Facet | None) -> None:
        at, now = one.deadline.at, self.clock.now()
        before = was.cause.removeprefix(facets.AT_RISK) if was is not None else ""
        step = open_run.steps.get(outlook.waits_on(at, before))
        if was is not None and step is not None and step.task == before and was.covers == one.covers:
            return  # nobody would learn anything
        facet = facets.at_risk(
            open_run.pipeline,
            open_run,
            now,
            text=one.deadline.text,
            at=at,
            risk=outlook.risk(at),
            finish=outlook.finish(0.5),
            step=step,
            node=await self._node(step, now) if step is not None else "",
            covers=one.covers,
            contact=self.contact,
        )
        about = await self.impacts.of_run(open_run)
        facet = reaching(facet, about.reach, about.times)
        key = one.key
        async with self.incidents.holding(key):
            if self.board.get(open_run.run.id) is not open_run or self._told(key):
                return  # it has moved meanwhile, and is looked at again
            transaction = Transaction(lanes=self.tenure.under(TIME))
            transaction.add(run_stands(open_run.run))  # it may have ended by another hub's word
            self.incidents.guard(key, transaction)
            change = self.incidents.observe(key, facet, transaction, pipeline=one.pipeline)
            transaction.add(happened(now, "at_risk", pipeline=one.pipeline, run=open_run.run.id, text=facet.title))
            await self._commit(key, transaction, change)

    async def _end(self, key: str, why: str) -> None:
        async with self.incidents.holding(key):
            transaction = Transaction(lanes=self.tenure.under(TIME))
            self.incidents.guard(key, transaction)
            await self._commit(key, transaction, self.incidents.cease(key, [Told.AT_RISK], transaction, why))

    async def _commit(self, key: str, transaction: Transaction, change: Change | None) -> None:
        if change is not None and await self.incidents.settled([key], transaction, [change], self.store):
            self.ring()

    def _warned(self, key: str) -> Facet | None:
        known = self.incidents.open.get(key)
        return known.facets.get(Told.AT_RISK) if known is not None else None

    def _told(self, key: str) -> bool:
        """Say whether what is at risk has come to pass."""
        known = self.incidents.open.get(key)
        return known is not None and bool(known.facets.keys() & {Told.FAILED, Told.LATE})

    async def _node(self, step: Step, now: datetime) -> str:
        """Return the node of a step that has been going for longest."""
        found = await self.store.read(partial(queries.nodes, run_id=step.run, task=step.task))
        going = [node for node in found.get(step.task, []) if node.state is NodeState.RUNNING and node.started_at]
        if not going:
            return ""
        node = min(going, key=lambda one: one.started_at or now)
        return f"{node.name} (for {facets.span(now - (node.started_at or now))})"
