"""A writer without a thread, for an event loop whose time is virtual: it commits in the loop itself."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import sqlalchemy as sa

from stackhub.errors import StoreUnavailable
from stackhub.store.committing import GROUP, Committer, Queueing
from stackhub.store.compiled import Compiled
from stackhub.store.seal import Seal
from stackhub.store.work import Apply, Call, Work, settle

AGAIN: Final = 1.0  # seconds between tries while the database is away


class InlineWriter(Queueing):
    """Commits what is queued at the loop's next turn, so that what is queued in one turn is one group. `Writing`.

    ``point`` hears "before COMMIT" and "after COMMIT". What it raises ends the loop's turn there: nobody is told.
    """

    def __init__(
        self,
        engine: sa.Engine,
        loop: asyncio.AbstractEventLoop,
        *,
        mark: str,
        point: Callable[[str], None] = lambda _: None,
        again: float = AGAIN,
        compiled: Compiled | None = None,
    ) -> None:
        seal = Seal(mark, now=lambda: 0.0)
        super().__init__(Committer(engine, settle, seal=seal, point=point, compiled=compiled), loop)
        self._again = again
        self._queue: deque[Work] = deque()
        self._closed = False
        self._under_way: Iterator[None] | None = None

    def close(self) -> None:
        """Commit what is queued; what cannot be, since the database is away, is told so."""
        self._closed = True
        while self._under_way is not None or self._queue:
            for _ in self._next():
                self._committer.give_up()
            self._under_way = None
        self._committer.close()

    def drop(self) -> None:
        """Let go of the database, and commit nothing more: for a hub that is dead."""
        self._closed = True
        self._queue.clear()
        self._committer.drop()

    def _put(self, work: Work) -> None:
        if self._closed:
            work.future.set_exception(StoreUnavailable("the store is closed"))
            return
        if not self._queue and self._under_way is None:
            self._loop.call_soon(self._turn)
        self._queue.append(work)

    def _turn(self) -> None:
        if self._closed:
            return
        for _ in self._next():
            self._loop.call_later(self._again, self._turn)
            return
        self._under_way = None
        if self._queue:
            self._loop.call_soon(self._turn)

    def _next(self) -> Iterator[None]:
        self._under_way = self._under_way or self._committer.carry_out(self._gathered())
        return self._under_way

    def _gathered(self) -> Sequence[Work]:
        group = [self._queue.popleft()]
        while isinstance(group[0], Apply) and self._queue and len(group) < GROUP:
            if isinstance(self._queue[0], Call):
                break
            group.append(self._queue.popleft())
        return group
