"""A hub that dies at every point in turn, and the one that comes after it.

A point is where a call reaches a vendor or has had its effect there, and before and after each COMMIT. Nothing runs
after a death: whatever is tried from then on, at a vendor or in the store, fails. Points are named by what is about to
happen, or has just happened, and by how often it has: so each is found again in the next life, however the hub's
tasks take turns.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import anyio
from engine.house import Killed

from stackhub.store import transaction
from stackhub.store.transaction import Statement

SIDE_BY_SIDE = 3  # lives
NAMES = {statement: name for name, statement in vars(transaction).items() if isinstance(statement, Statement)}


class Mortal:
    """The store, in a life that may end around any COMMIT."""

    def __init__(self, store, world):
        self._store, self._world = store, world
        self.engine, self.writer, self.read = store.engine, store.writer, store.read
        self.alone, self.name = store.alone, store.name

    async def apply(self, transaction):
        if transaction.ops:
            what = " ".join(dict.fromkeys(NAMES[op.statement] for op in transaction.ops))
            self._world.point(f"commit {what}: before")
            await self._store.apply(transaction)
            self._world.point(f"commit {what}: after")

    async def call(self, work):
        function = work.func if isinstance(work, partial) else work
        self._world.point(f"commit {function.__qualname__}: before")
        found = await self._store.call(work)
        self._world.point(f"commit {function.__qualname__}: after")
        return found


@dataclass
class Fate:
    """Says when a life ends: at the ``nth`` time it comes to ``where``; never, when that is ""."""

    where: str = ""
    nth: int = 1
    passed: Counter = field(default_factory=Counter)
    dead: bool = False

    def __call__(self, where):
        self.passed[where] += 1
        self.dead = self.dead or (where == self.where and self.passed[where] == self.nth)
        if self.dead:
            raise Killed


async def live(house, store, story, fate) -> None:
    """Tell a story to a hub that dies when its fate says so."""
    house.world.point = fate
    try:
        async with house.hub(store=Mortal(store, house.world)) as hub:
            await story(hub)
    except BaseExceptionGroup as group:
        _, rest = group.split(Killed)
        if rest is not None:
            raise rest from None
    except Killed:
        pass
    finally:
        house.world.point = lambda where: None


async def once(house, story, check, fate) -> Fate:
    """Die once, live on, and check what came of it."""
    async with house.store() as store:
        await live(house, store, story, fate)
        async with house.hub(store=store) as hub:
            await story(hub)
            try:
                await check(hub)
            except AssertionError as err:
                raise AssertionError(f"after a death at {fate.where}, the {fate.nth}. time: {err}") from err
    return fate


async def every_death(root, furnish, story, check, *, about=("",)) -> set[str]:
    """Die at every point in turn, each in a world of its own; return the points at which a hub has died.

    ``about``: only at points that speak of one of these.
    """
    undisturbed = await once(furnish(root / "0"), story, check, Fate())
    points = {where: times for where, times in undisturbed.passed.items() if any(word in where for word in about)}
    died: set[str] = set()
    limiter = anyio.CapacityLimiter(SIDE_BY_SIDE)

    async def one(number, fate):
        async with limiter:
            await once(furnish(root / str(number)), story, check, fate)
            died.update({fate.where} if fate.dead else ())

    fates = [Fate(where, nth) for where, times in points.items() for nth in range(1, times + 1)]
    async with anyio.create_task_group() as group:
        for number, fate in enumerate(fates, start=1):
            group.start_soon(one, number, fate)
    assert died >= {where for where in points if where.endswith(": before")}
    return died
