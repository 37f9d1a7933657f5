"""The writer thread: transactions queue up, and are committed in groups while the event loop goes on."""

import asyncio
import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import sqlalchemy as sa

from stackhub.errors import StoreUnavailable
from stackhub.store.committing import GROUP, Committer, Queueing
from stackhub.store.work import Apply, Call, Outcome, Work, settle

AGAIN: Final = 1.0  # seconds between tries while the database is away


class Writer(Queueing):
    """Drives a `Committer` in a thread of its own. `Writing`."""

    def __init__(self, engine: sa.Engine, loop: asyncio.AbstractEventLoop, *, again: float = AGAIN) -> None:
        super().__init__(Committer(engine, self._tell), loop)
        self._again = again
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._door = threading.Lock()  # nothing is queued behind the word to leave
        self._thread = threading.Thread(target=self._work, name="stackhub-writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Commit what is queued and end the thread. Blocks; call it from a thread, or when nothing else runs."""
        with self._door:
            self._closing.set()
            self._queue.put(None)
        self._thread.join()

    def _put(self, work: Work) -> None:
        with self._door:
            if self._closing.is_set():
                work.future.set_exception(StoreUnavailable("the store is closed"))
            else:
                self._queue.put(work)

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(settle, outcomes)

    # --- in the thread ---

    def _work(self) -> None:
        item: Work | None = None
        last = False
        while not last:
            item = item or self._queue.get()
            if item is None:
                break
            group, item, last = self._gather(item)
            for _ in self._committer.carry_out(group):
                if self._closing.wait(self._again):
                    self._committer.give_up()
        self._committer.close()

    def _gather(self, first: Work) -> tuple[Sequence[Work], Work | None, bool]:
        """Return what is committed next, what was taken out of the queue beyond it, and whether that was the last."""
        group = [first]
        while isinstance(first, Apply) and len(group) < GROUP:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return group, None, True
            if isinstance(item, Call):
                return group, item, False
            group.append(item)
        return group, None, False
