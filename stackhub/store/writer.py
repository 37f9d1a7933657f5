"""The writer thread: transactions queue up and are committed in groups; a conflict fails only its own transaction."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy import exc

from stackhub.errors import LostLane, StackhubError, StaleRun, StoreUnavailable
from stackhub.store import tables as t
from stackhub.store.database import away
from stackhub.store.seal import Seal
from stackhub.store.transaction import Op, Statement, Transaction

log = structlog.get_logger()
T = TypeVar("T")
GROUP: Final = 512  # transactions in one commit, at most
COUNTED: Final = {"preserve_rowcount": True}  # psycopg's count of inserted rows is dropped otherwise
AGAIN: Final = 1.0  # seconds between tries while the database is away


@dataclass(slots=True)
class _Apply:
    transaction: Transaction
    future: asyncio.Future[None]


@dataclass(slots=True)
class _Call:
    work: Callable[[sa.Connection], Any]
    future: asyncio.Future[Any]


_Work: TypeAlias = _Apply | _Call


class _Conflict(Exception):
    """One transaction of the group cannot be committed; ``error`` is what its owner is told."""

    def __init__(self, error: StackhubError) -> None:
        self.error = error
        super().__init__(str(error))


class Writer:
    """Owns the one connection that writes."""

    def __init__(self, engine: sa.Engine, loop: asyncio.AbstractEventLoop, *, again: float = AGAIN) -> None:
        self._engine = engine
        self._loop = loop
        self._again = again
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._door = threading.Lock()  # nothing is queued behind the word to leave
        self._seal = Seal(engine)
        self.ailing = ""  # why nothing can be committed now; "" when all is well
        self.commits = 0
        self._thread = threading.Thread(target=self._work, name="stackhub-writer", daemon=True)
        self._thread.start()

    def apply(self, transaction: Transaction) -> asyncio.Future[None]:
        """Queue a transaction; the future resolves after its COMMIT.

        Raises (through the future):
            StaleRun: a row had moved on. LostLane: a lane is not ours any more. StoreUnavailable: closing while away,
            or closed.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._put(_Apply(transaction, future))
        return future

    def call(self, work: Callable[[sa.Connection], T]) -> asyncio.Future[T]:
        """Queue a function that writes; it runs in a transaction of its own, once more if the database went away."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._put(_Call(work, future))
        return future

    def close(self) -> None:
        """Commit what is queued and end the thread. Blocks; call it from a thread, or when nothing else runs."""
        with self._door:
            self._closing.set()
            self._queue.put(None)
        self._thread.join()

    def _put(self, work: _Work) -> None:
        with self._door:
            if self._closing.is_set():
                work.future.set_exception(StoreUnavailable("the store is closed"))
            else:
                self._queue.put(work)

    # --- in the thread ---

    def _work(self) -> None:
        connection: sa.Connection | None = None
        item: _Work | None = None
        last = False
        while not last:
            item = item or self._queue.get()
            if item is None:
                break
            group, item, last = self._gather(item)
            connection = self._carry_out(connection, group)
        if connection is not None:
            connection.close()

    def _gather(self, first: _Work) -> tuple[Sequence[_Work], _Work | None, bool]:
        """Return what is committed next, what was taken out of the queue beyond it, and whether that was the last."""
        group = [first]
        while isinstance(first, _Apply) and len(group) < GROUP:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return group, None, True
            if isinstance(item, _Call):
                return group, item, False
            group.append(item)
        return group, None, False

    def _carry_out(self, connection: sa.Connection | None, group: Sequence[_Work]) -> sa.Connection | None:
        """Commit a group, however long the database is away; halve it until what cannot be committed stands alone."""
        waiting = [group]  # in order, the first on top
        while waiting:
            part = waiting[-1]
            try:
                connection = connection or self._engine.connect()
                results = self._commit(connection, part)
            except Exception as err:  # noqa: BLE001 - a bug in one transaction is its owner's, not everyone's
                if not isinstance(err, _Conflict | exc.IntegrityError):
                    _drop(connection)
                    connection = None
                if away(err):
                    self._ail(err)
                    if self._closing.wait(self._again):
                        gone = StoreUnavailable(f"the database is away: {self.ailing}")
                        self._tell([(item.future, gone, None) for left in reversed(waiting) for item in left])
                        return None
                elif len(part) > 1:
                    middle = len(part) // 2
                    waiting[-1:] = [part[middle:], part[:middle]]
                else:
                    waiting.pop()
                    self._tell([(part[0].future, _told(err), None)])
            else:
                self._recover()
                waiting.pop()
                self._tell([(item.future, None, result) for item, result in zip(part, results, strict=True)])
        return connection

    def _commit(self, connection: sa.Connection, part: Sequence[_Work]) -> Sequence[Any]:
        kept = self._seal.kept(connection)
        if kept is not None:  # the COMMIT before the database went away did come through
            return kept
        transaction = connection.begin()
        try:
            match part:
                case [_Call(work=work)]:
                    results: Sequence[Any] = [work(connection)]
                case _:
                    group = [item.transaction for item in part if isinstance(item, _Apply)]
                    _check_lanes(connection, group)
                    _execute(connection, [op for one in group for op in one.ops])
                    results = [None] * len(group)
            self._seal.put(connection, results)
        except BaseException:
            self._seal.lift()
            transaction.rollback()
            raise
        transaction.commit()
        self._seal.lift()
        self.commits += 1
        return results

    def _ail(self, err: Exception) -> None:
        if not self.ailing:
            log.error("the database is away, waiting for it", reason=_words(err))
        self.ailing = _words(err)

    def _recover(self) -> None:
        if self.ailing:
            log.info("the database is back", was=self.ailing)
        self.ailing = ""

    def _tell(self, outcomes: Sequence[tuple[asyncio.Future[Any], Exception | None, Any]]) -> None:
        def tell() -> None:
            for future, error, result in outcomes:
                if future.done():
                    continue
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(tell)


def _drop(connection: sa.Connection | None) -> None:
    """Close a connection that cannot be trusted any more."""
    if connection is not None:
        with suppress(exc.SQLAlchemyError):
            connection.invalidate()
        with suppress(exc.SQLAlchemyError):
            connection.close()


def _told(err: Exception) -> Exception:
    match err:
        case _Conflict(error=error):
            return error
        case exc.IntegrityError(orig=orig):
            return StaleRun(str(orig))
        case _:
            return err


def _words(err: Exception) -> str:
    return str(getattr(err, "orig", None) or err)


def _check_lanes(connection: sa.Connection, group: Sequence[Transaction]) -> None:
    held: dict[str, int] = {}
    for one in group:
        for instance, epoch in one.lanes.items():
            if held.setdefault(instance, epoch) != epoch:
                raise _Conflict(LostLane(f"lane {instance}: epoch {epoch} is over"))
    if not held:
        return
    query = sa.select(t.lane.c.instance, t.lane.c.epoch).where(t.lane.c.instance.in_(held))
    if connection.dialect.name != "sqlite":
        query = query.with_for_update(read=True)
    now = {row.instance: row.epoch for row in connection.execute(query)}
    for instance, epoch in held.items():
        if now.get(instance) != epoch:
            raise _Conflict(LostLane(f"lane {instance}: epoch {epoch} is over, now it is {now.get(instance)}"))


def _execute(connection: sa.Connection, ops: Sequence[Op]) -> None:
    rows: dict[Statement, list[Any]] = {}
    for statement, row in ops:
        rows.setdefault(statement, []).append(row)
    for statement in sorted(rows, key=lambda statement: statement.rank):
        result = connection.execute(statement.sql, rows[statement], execution_options=COUNTED)
        if statement.conflict is not None and result.rowcount != len(rows[statement]):
            raise _Conflict(statement.conflict(f"{result.rowcount} of {len(rows[statement])} rows were as expected"))
