"""Which lanes are ours, under which epoch, and until when.

A hub that is alone on its database holds what it takes until it leaves. One of several holds lanes by lease: it counts
from before it asked, so that it ends here no later than in the database, whatever happens on the way.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

import anyio
import structlog

from stackhub.clock import Clock
from stackhub.engine.bell import Crier
from stackhub.errors import LostLane
from stackhub.store import lanes
from stackhub.store.lanes import Taken
from stackhub.store.store import Store

log = structlog.get_logger()
THIRDS: Final = 3  # of a lease: it is renewed after one
ENDLESS: Final = float("inf")


class Tenure:
    """The lanes of this hub."""

    def __init__(self, store: Store, clock: Clock, owner: str, *, lease: timedelta | None) -> None:
        """``lease`` None: the hub is alone."""
        self.alone = lease is None
        self.epochs: dict[str, int] = {}
        self.changed = Crier()  # cries when a lane is gained or lost
        self._store = store
        self._clock = clock
        self._owner = owner
        self._until: dict[str, float] = {}
        self._wanted: tuple[str, ...] = ()
        self._lease = lease or timedelta()
        self._look = ENDLESS if lease is None else lease.total_seconds() / THIRDS

    def until(self, name: str) -> float:
        """Return until when a lane is ours, in seconds since boot; it passes while we are not looking."""
        return self._until.get(name, 0.0)

    def holds(self, name: str) -> bool:
        """Say whether a lane is ours now."""
        return self._clock.since_boot() < self.until(name)

    def under(self, *names: str) -> dict[str, int]:
        """Return the epochs that a transaction about these lanes must find.

        Raises:
            LostLane: one is not ours.
        """
        for name in names:
            if name not in self.epochs:
                raise LostLane(f"lane {name} is another hub's")
        return {name: self.epochs[name] for name in names}

    async def take(self, names: Iterable[str]) -> dict[str, Taken]:
        """Take those lanes that are free, or ours already by name only; what we hold stays as it is."""
        missing = sorted(set(names) - self.epochs.keys())
        if not missing:
            return {}
        asked = self._clock.since_boot()
        now = self._clock.now()
        ask = partial(lanes.take, names=missing, owner=self._owner, now=now, lease=self._lease or None)
        taken = await self._store.call(ask)
        for name, how in taken.items():
            self.epochs[name] = how.epoch
            self._until[name] = ENDLESS if self.alone else asked + self._lease.total_seconds()
        if taken:
            self.changed.cry()
        return taken

    def drop(self, name: str) -> None:
        """Let go of a lane that is lost."""
        self._until.pop(name, None)
        if self.epochs.pop(name, None) is not None:
            self.changed.cry()

    async def renew(self) -> None:
        """Hold what is ours for one lease more, and let go of what is not."""
        held = dict(self.epochs)
        asked = self._clock.since_boot()
        ours = await self._store.call(partial(lanes.renew, epochs=held, now=self._clock.now(), lease=self._lease))
        for name, epoch in held.items():
            if self.epochs.get(name) != epoch:  # let go of, or taken anew, meanwhile
                continue
            if name in ours:
                self._until[name] = asked + self._lease.total_seconds()
            else:
                log.warning("a lane is lost", instance=name, reason="another hub has taken it")
                self.drop(name)

    async def want(self, *names: str) -> None:
        """Take lanes that belong to no instance, now or once they are free."""
        self._wanted = names
        await self.take(names)

    async def run(self) -> None:
        """Renew until cancelled."""
        while not self.alone:
            await anyio.sleep(self._look)
            await self.renew()
            await self.take(self._wanted)

    async def give_back(self, tokens: Mapping[str, float]) -> None:
        """Give every lane back, with what is left of its rate."""
        held = dict(self.epochs)
        self.epochs.clear()
        self._until.clear()
        await self._store.call(partial(lanes.give_back, epochs=held, tokens=tokens))

    async def while_held(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something for as long as a lane is ours, and again whenever it has come back to us."""
        while True:
            while not self.holds(name):
                await self.changed.wait(self._look)
            async with anyio.create_task_group() as group:
                group.start_soon(work)
                while self.holds(name):
                    await self.changed.wait(self._look)
                group.cancel_scope.cancel()
