"""Looks at accounts, of which most would show nothing new: only those are played that do, the others are counted.

An account that is looked at every minute is looked at 43,200 times in a month, for a few loads a day. In a history that
is played again it is known when others have loaded something: it is looked at when the next look after that would be.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import anyio

from stackhub.clock.virtual import VirtualClock
from stackhub.engine.engine import Engine
from stackhub.sandbox.player import Scene
from stackhub.store.past import Around

SELDOM: Final = timedelta(days=36_500)
COUNTED: Final = timedelta(hours=6)  # after so long it is looked again how often somebody wants a look


@dataclass(slots=True, kw_only=True)
class Listings:
    """Looks at the accounts of an engine in place of itself."""

    engine: Engine
    scene: Scene
    clock: VirtualClock
    since: datetime
    _wants: list[Callable[[str], timedelta | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Have the engine look once, and from then on only when it is told to."""
        wants = self.engine.catalogue.wants
        self._wants = list(wants)
        wants[:] = [lambda instance: SELDOM if self._every(instance) is not None else None]

    async def follow(self, instance: str, around: Around, until: datetime) -> None:
        """Look at an account whenever others have loaded something there, until then."""
        landed = sorted(landing.ended_at for name, landing in around.landings if name == instance)
        for at in [one for one in landed if one > self.since]:
            await self._count_to(instance, min(at, until))
            every = self._every(instance)
            if every is not None and at < until:
                turn = self.since + every * math.ceil((at - self.since) / every)
                await self._count_to(instance, turn)
                self._look(instance)
        await self._count_to(instance, until)

    def _every(self, instance: str) -> timedelta | None:
        return min((every for wants in self._wants if (every := wants(instance)) is not None), default=None)

    async def _count_to(self, instance: str, at: datetime) -> None:
        """Let time pass, and count the looks that fall into it."""
        while (left := at - self.clock.now()) > timedelta():
            span, every = min(left, COUNTED), self._every(instance)
            if every is not None and instance in self.scene.pages:
                asked = span / every * self.scene.pages[instance]
                self.scene.listings[instance] = self.scene.listings.get(instance, 0.0) + asked
            await anyio.sleep(span.total_seconds())

    def _look(self, instance: str) -> None:
        held = self.engine.lanes.open.get(instance)
        if held is not None and held.sweeper is not None:
            held.sweeper.look_now()
