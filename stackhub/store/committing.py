"""Commits transactions in groups, whoever drives it; a conflict fails only its own transaction."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy import exc

from stackhub.errors import LostLane, StackhubError, StaleRun, StoreUnavailable
from stackhub.store import exchange
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.compiled import Compiled
from stackhub.store.exchange import Count, Exchange
from stackhub.store.faults import away, collided, cut, words
from stackhub.store.seal import Seal
from stackhub.store.transaction import TELL, Op, Statement, Transaction
from stackhub.store.work import Apply, Call, Outcome, Work

T = TypeVar("T")
log = structlog.get_logger()
GROUP: Final = 512  # transactions in one commit, at most
NEWS: Final = frozenset(
    {tx.RUN, tx.RUN_MOVED, tx.INCIDENT_OPENED, tx.INCIDENT_MOVED, tx.OUTBOX, tx.SCHEDULE_MOVED, tx.LANDING}
)
SILENCE: Final = 15.0  # seconds without an answer after which the database is said to be ailing


class _Conflict(Exception):
    """One transaction of the group cannot be committed; ``error`` is what its owner is told."""

    def __init__(self, error: StackhubError) -> None:
        self.error = error
        super().__init__(str(error))


class Committer:
    """Holds the one connection that writes. ``point`` hears right before and right after each COMMIT.

    ``compiled``: the statements of one that has written through the same engine before.
    """

    def __init__(
        self,
        engine: sa.Engine,
        tell: Callable[[Sequence[Outcome]], None],
        *,
        seal: Seal | None = None,
        point: Callable[[str], None] = lambda _: None,
        compiled: Compiled | None = None,
    ) -> None:
        self.commits = 0
        self._engine = engine
        self._compiled = compiled or Compiled(engine.dialect)
        self._tell = tell
        self._seal = seal or Seal()
        self._point = point
        self._connection: sa.Connection | None = None
        self._proven = False  # whether this connection has served before
        self._trouble = ""  # why nothing could be committed when it was last tried
        self._cut = ""  # why a connection had to be made again
        self._began: float | None = None  # when the database was last asked, if it has not answered yet
        self._waiting: list[Sequence[Work]] = []  # parts of the group under way, in order, the first on top

    @property
    def name(self) -> str:
        """Name whoever commits here among those of the database."""
        return self._seal.key

    @property
    def ailing(self) -> str:
        """Say why nothing can be committed now; "" when all is well."""
        began = self._began
        waited = 0.0 if began is None else time.monotonic() - began
        return self._trouble or (f"the database has not answered for {waited:.0f} s" if waited > SILENCE else "")

    def carry_out(self, group: Sequence[Work]) -> Iterator[None]:
        """Commit a group, halving it until what cannot be committed stands alone.

        Each time that it yields the database is away: go on in a moment, or `give_up`.
        """
        self._waiting = [group]
        while self._waiting:
            part = self._waiting[-1]
            try:
                self._began = time.monotonic()
                results = self._commit(self._connect(), part)
            except Exception as err:  # noqa: BLE001 - a bug in one transaction is its owner's, not everyone's
                self._began = None
                again = collided(err) or (cut(err) and self._proven)
                if not isinstance(err, _Conflict | exc.IntegrityError):
                    self.drop()
                if again:
                    self._cut = words(err)
                elif away(err):
                    self._ail(err)
                    yield
                else:
                    self._blame(part, err)
            else:
                self._began = None
                self._recover()
                self._waiting.pop()
                self._tell([(item.future, None, result) for item, result in zip(part, results, strict=True)])

    def _blame(self, part: Sequence[Work], err: Exception) -> None:
        """Look for the guilty in each half of a part, or tell the one that is."""
        self._seal.lift()  # there was an answer
        if len(part) > 1:
            middle = len(part) // 2
            self._waiting[-1:] = [part[middle:], part[:middle]]
        else:
            self._waiting.pop()
            self._tell([(part[0].future, _told(err), None)])

    def give_up(self) -> None:
        """Tell everyone in the group under way that the database is away."""
        gone = StoreUnavailable(f"the database is away: {self.ailing}")
        self._tell([(item.future, gone, None) for left in reversed(self._waiting) for item in left])
        self._waiting = []
        self._seal.lift()  # else what is committed next would be taken for it

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> sa.Connection:
        if self._connection is None:
            self._proven = False
            self._connection = self._engine.connect()
            self._seal.claim(self._connection)
        return self._connection

    def _commit(self, connection: sa.Connection, part: Sequence[Work]) -> Sequence[Any]:
        kept = self._seal.kept(connection)
        if kept is not None:  # the COMMIT before the database went away did come through
            return kept
        transaction = connection.begin()
        said = exchange.begin(connection, self._compiled)
        try:
            match part:
                case [Call(work=work)]:
                    results: Sequence[Any] = [work(connection)]
                case _:
                    group = [item.transaction for item in part if isinstance(item, Apply)]
                    _check_lanes(said, group)
                    _execute(said, (op for one in group for op in one.ops))
                    results = [None] * len(group)
            if connection.dialect.name == "postgresql" and any(map(_is_news, part)):
                said.execute(TELL, [{"name": self.name}])
            self._seal.put(connection, said, results)
            said.finish()
            self._point("before COMMIT")
        except BaseException:
            self._seal.lift()
            transaction.rollback()
            raise
        transaction.commit()
        self._seal.lift()
        self.commits += 1
        self._point("after COMMIT")
        return results

    def drop(self) -> None:
        """Close a connection that cannot be trusted any more; the pool shall not have it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(exc.SQLAlchemyError):
                connection.invalidate()
            with suppress(exc.SQLAlchemyError):
                connection.close()

    def _ail(self, err: Exception) -> None:
        if not self._trouble:
            log.error("the database is away, waiting for it", reason=words(err))
        self._trouble = words(err)

    def _recover(self) -> None:
        self._proven = True
        if self._trouble:
            log.info("the database is back", was=self._trouble)
        elif self._cut:
            log.info("the database was asked once more", was=self._cut)
        self._trouble = self._cut = ""


class Queueing(ABC):
    """Takes what shall be committed; who drives the `Committer`, and when, is each writer's own. `Writing`."""

    def __init__(self, committer: Committer, loop: asyncio.AbstractEventLoop) -> None:
        self._committer = committer
        self._loop = loop

    @property
    def ailing(self) -> str:
        """Say why nothing can be committed now; "" when all is well."""
        return self._committer.ailing

    @property
    def name(self) -> str:
        """Name this writer among those of the database."""
        return self._committer.name

    @property
    def commits(self) -> int:
        """Return how often there was a COMMIT."""
        return self._committer.commits

    def apply(self, transaction: Transaction) -> asyncio.Future[None]:
        """Queue a transaction; see `Writing`."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._put(Apply(transaction, future))
        return future

    def call(self, work: Callable[[sa.Connection], T]) -> asyncio.Future[T]:
        """Queue a function that writes; see `Writing`."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._put(Call(work, future))
        return future

    @abstractmethod
    def _put(self, work: Work) -> None:
        """Queue it, or tell whoever asked that the store is closed."""


def _told(err: Exception) -> Exception:
    match err:
        case _Conflict(error=error):
            return error
        case exc.IntegrityError(orig=orig):
            return StaleRun(str(orig))
        case _:
            return err


def _check_lanes(said: Exchange, group: Sequence[Transaction]) -> None:
    held: dict[str, int] = {}
    for one in group:
        for instance, epoch in one.lanes.items():
            if held.setdefault(instance, epoch) != epoch:
                raise _Conflict(LostLane(f"lane {instance}: epoch {epoch} is over"))

    def ours(found: Sequence[Sequence[Any]]) -> None:
        now = {instance: epoch for instance, epoch in found}  # noqa: C416 - rows of a driver, of which dict() takes none
        for instance, epoch in held.items():
            if now.get(instance) != epoch:
                raise _Conflict(LostLane(f"lane {instance}: epoch {epoch} is over, now it is {now.get(instance)}"))

    if held:
        said.ask(_epochs, list(held), ours)


def _is_news(item: Work) -> bool:
    """Say whether other hubs on the database should look, once this is committed."""
    return isinstance(item, Call) or any(op.statement in NEWS for op in item.transaction.ops)


def _epochs(instances: Sequence[sa.BindParameter[str]]) -> sa.Select[tuple[str, int]]:
    """Ask for epochs that nobody shall change before our COMMIT; SQLite, which has one writer, leaves that word out."""
    return (
        sa.select(t.lane.c.instance, t.lane.c.epoch).where(t.lane.c.instance.in_(instances)).with_for_update(read=True)
    )


def _execute(said: Exchange, ops: Iterable[Op]) -> None:
    rows: dict[Statement, list[Any]] = {}
    for statement, row in ops:
        rows.setdefault(statement, []).append(row)
    for statement in sorted(rows, key=lambda statement: statement.rank):
        said.execute(statement, rows[statement], _touches(statement, len(rows[statement])))


def _touches(statement: Statement, expected: int) -> Count | None:
    """Return who hears how many rows a statement touched: a row that it did not find is a conflict."""
    conflict = statement.conflict
    if conflict is None:
        return None

    def counted(touched: int) -> None:
        if touched != expected:
            raise _Conflict(conflict(f"{touched} of {expected} rows were as expected"))

    return counted
