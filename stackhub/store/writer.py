"""The writer thread: transactions queue up and are committed in groups; a conflict fails only its own transaction."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from stackhub.errors import LostLane, StackhubError, StaleRun, StoreUnavailable
from stackhub.store import tables as t
from stackhub.store.transaction import Op, Statement, Transaction

T = TypeVar("T")
GROUP: Final = 512  # transactions in one commit, at most
AGAIN: Final = 1.0  # seconds between tries while the database is away


@dataclass(slots=True)
class _Apply:
    transaction: Transaction
    future: asyncio.Future[None]


@dataclass(slots=True)
class _Call:
    work: Callable[[sa.Connection], Any]
    future: asyncio.Future[Any]


class _Conflict(Exception):
    """One transaction of the group cannot be committed; ``error`` is what its owner is told."""

    def __init__(self, error: StackhubError) -> None:
        self.error = error
        super().__init__(str(error))


class Writer:
    """Owns the one connection that writes."""

    def __init__(self, engine: sa.Engine, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._loop = loop
        self._queue: queue.SimpleQueue[_Apply | _Call | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self.ailing = ""  # why nothing can be committed now; "" when all is well
        self.commits = 0
        self._thread = threading.Thread(target=self._work, name="stackhub-writer", daemon=True)
        self._thread.start()

    def apply(self, transaction: Transaction) -> asyncio.Future[None]:
        """Queue a transaction; the future resolves after its COMMIT.

        Raises (through the future):
            StaleRun: a row had moved on. LostLane: a lane is not ours any more. StoreUnavailable: closing while away.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.put(_Apply(transaction, future))
        return future

    def call(self, work: Callable[[sa.Connection], T]) -> asyncio.Future[T]:
        """Queue a function that writes; it runs in a transaction of its own."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Call(work, future))
        return future

    def close(self) -> None:
        """Commit what is queued and end the thread. Blocks; call it from a thread, or when nothing else runs."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join()

    # --- in the thread ---

    def _work(self) -> None:
        connection: sa.Connection | None = None
        item: _Apply | _Call | None = None
        while True:
            item = item or self._queue.get()
            if item is None:
                break
            group, item, last = self._gather(item)
            connection = self._carry_out(connection, group)
            if last:
                break
        if connection is not None:
            connection.close()

    def _gather(self, first: _Apply | _Call) -> tuple[Sequence[_Apply] | _Call, _Apply | _Call | None, bool]:
        """Return what is committed next, what was taken out of the queue beyond it, and whether that was the last."""
        if isinstance(first, _Call):
            return first, None, False
        group = [first]
        while len(group) < GROUP:
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

    def _carry_out(self, connection: sa.Connection | None, work: Sequence[_Apply] | _Call) -> sa.Connection | None:
        while True:
            try:
                connection = connection or self._engine.connect()
                if isinstance(work, _Call):
                    self._run(connection, work)
                else:
                    self._commit(connection, work)
            except (exc.OperationalError, exc.InterfaceError) as err:
                self.ailing = str(err.orig)
                if connection is not None:
                    connection.invalidate()
                    connection.close()
                    connection = None
                if self._closing.wait(AGAIN):
                    self._tell_all(work, StoreUnavailable(f"the database is away: {self.ailing}"))
                    return None
            else:
                self.ailing = ""
                return connection

    def _run(self, connection: sa.Connection, call: _Call) -> None:
        try:
            with connection.begin():
                result = call.work(connection)
            self.commits += 1
        except (exc.OperationalError, exc.InterfaceError):
            raise
        except exc.IntegrityError as err:
            self._tell([(call.future, StaleRun(str(err.orig)), None)])
        except Exception as err:  # noqa: BLE001 - carried to the caller, whose error it is
            self._tell([(call.future, err, None)])
        else:
            self._tell([(call.future, None, result)])

    def _commit(self, connection: sa.Connection, group: Sequence[_Apply]) -> None:
        """Commit a group; on a conflict, halve it until the guilty one is alone."""
        try:
            with connection.begin():
                _check_lanes(connection, group)
                _execute(connection, [op for item in group for op in item.transaction.ops])
            self.commits += 1
        except (_Conflict, exc.IntegrityError) as err:
            if len(group) > 1:
                middle = len(group) // 2
                self._commit(connection, group[:middle])
                self._commit(connection, group[middle:])
                return
            error = err.error if isinstance(err, _Conflict) else StaleRun(str(err.orig))
            self._tell([(group[0].future, error, None)])
        else:
            self._tell([(item.future, None, None) for item in group])

    def _tell_all(self, work: Sequence[_Apply] | _Call, error: Exception) -> None:
        items = [work] if isinstance(work, _Call) else work
        self._tell([(item.future, error, None) for item in items])

    def _tell(self, outcomes: Sequence[tuple[asyncio.Future[Any], Exception | None, Any]]) -> None:
        def tell() -> None:
            for future, error, result in outcomes:
                if future.done():
                    continue
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(tell)


def _check_lanes(connection: sa.Connection, group: Sequence[_Apply]) -> None:
    held: dict[str, int] = {}
    for item in group:
        for instance, epoch in item.transaction.lanes.items():
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
        result = connection.execute(statement.sql, rows[statement])
        if statement.conflict is not None and result.rowcount != len(rows[statement]):
            raise _Conflict(statement.conflict(f"{result.rowcount} of {len(rows[statement])} rows were as expected"))
