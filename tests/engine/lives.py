"""A hub that dies at every point in turn, and the one that comes after it.

A point is where a call reaches a vendor or has had its effect there, and before and after each COMMIT. Nothing runs
after a death: whatever is tried from then on, at a vendor or in the store, fails.
"""

from dataclasses import dataclass

import anyio
from engine.house import Hub, Killed

SIDE_BY_SIDE = 6  # lives


class Mortal:
    """The store, in a life that may end around any COMMIT."""

    def __init__(self, store, world):
        self._store, self._world = store, world
        self.engine, self.writer, self.read = store.engine, store.writer, store.read

    async def apply(self, transaction):
        if transaction.ops:
            self._world.point("commit: before")
            await self._store.apply(transaction)
            self._world.point("commit: after")

    async def call(self, work):
        self._world.point("change: before")
        found = await self._store.call(work)
        self._world.point("change: after")
        return found


@dataclass
class Fate:
    """Says when a life ends: at its ``last`` point. ``last`` 0: never."""

    last: int
    passed: int = 0
    where: str = ""

    def __call__(self, where):
        self.passed += 1
        if self.last and self.passed >= self.last:
            self.where = self.where or where
            raise Killed


async def live(house, store, story, last) -> Fate:
    """Tell a story to a hub that dies at its ``last`` point, if it gets there."""
    fate = Fate(last)
    house.world.point = fate
    try:
        async with house.hub(store=Mortal(store, house.world), schedule=False) as hub:
            await story(hub)
    except BaseExceptionGroup as group:
        _, rest = group.split(Killed)
        if rest is not None:
            raise rest from None
    except Killed:
        pass
    finally:
        house.world.point = lambda where: None
    return fate


async def once(house, story, check, last) -> Fate:
    """Die once, live on, and check what came of it."""
    async with house.store() as store:
        fate = await live(house, store, story, last)
        async with house.hub(store=store, schedule=False) as hub:
            await story(hub)
            try:
                await check(hub)
            except AssertionError as err:
                raise AssertionError(f"after a death at point {last}, {fate.where}: {err}") from err
    return fate


async def every_death(root, furnish, story, check) -> list[str]:
    """Die at every point in turn, each in a world of its own, until a life gets through; return the points."""
    points: list[str] = []
    while True:
        fates: dict[int, Fate] = {}

        async def one(last, fates=fates):
            fates[last] = await once(furnish(root / str(last)), story, check, last)

        async with anyio.create_task_group() as group:
            for last in range(len(points) + 1, len(points) + SIDE_BY_SIDE + 1):
                group.start_soon(one, last)
        for _, fate in sorted(fates.items()):
            if not fate.where:
                return points
            points.append(fate.where)


__all__ = ["Fate", "Hub", "Mortal", "every_death", "live", "once"]
