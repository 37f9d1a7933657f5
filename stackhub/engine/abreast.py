"""Keeps up with what other hubs commit. A hint says when; a look every few seconds is the truth.

Nothing here is needed for safety: whoever decides from what is old meets it in the store, reads again and decides anew.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from stackhub.clock import Clock
from stackhub.engine.bell import Bell
from stackhub.engine.board import Board
from stackhub.engine.hosts import Hosts
from stackhub.engine.inforce import InForce
from stackhub.engine.owed import Owing
from stackhub.engine.scheduler import Scheduler
from stackhub.model.run import RunState
from stackhub.store import lanes, queries
from stackhub.store.store import Store

LOOK: Final = 5.0  # seconds


@dataclass(slots=True, kw_only=True)
class Abreast:
    """Looks at what has moved."""

    store: Store
    board: Board
    in_force: InForce
    scheduler: Scheduler
    hosts: Hosts
    clock: Clock
    admit: Callable[[str], Awaitable[None]]  # begins a pipeline's next queued run, where that is ours to say
    owing: Owing
    ring: Callable[[], None]  # wakes whoever may have something to do now
    bell: Bell = field(default_factory=Bell)

    async def run(self) -> None:
        """Keep up until cancelled.

        Raises:
            StoreUnusable: a newer stackhub has changed the tables so that this one may not work on them any more.
        """
        while True:
            await self.bell.wait(self.clock.between_looks(LOOK))
            await self.store.read(queries.check_reader)
            await self.look()

    async def look(self) -> None:
        """Take over what is newer in the store than here."""
        there = await self.store.read(queries.versions)
        here = self.board.versions()
        newer = {run_id for run_id, version in there.items() if here.get(run_id, -1) < version}
        for run_id in sorted(newer | (here.keys() - there.keys())):  # those not there have ended, or began just now
            found = await self.store.read(partial(queries.run, run_id=run_id))
            if found is not None:
                self.board.renew(found)
        await self.in_force.reload(self.store)
        await self.owing.reload()
        await self.scheduler.load()
        self.hosts.silent = await self.store.read(partial(lanes.silent, now=self.clock.now()))
        for pipeline in sorted({o.run.pipeline for o in self.board.runs() if o.run.state is RunState.QUEUED}):
            await self.admit(pipeline)
        self.ring()
