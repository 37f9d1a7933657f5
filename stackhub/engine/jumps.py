"""The wall clock, when somebody sets it: noticed within a second, and no wait is longer or shorter for it.

Until then everybody goes by the time as it was; see `stackhub.clock.Believed`. Then, in one moment, the clock is
believed, what is kept of messages and accounts is moved with it, and every open run is told before it hears anything
else. Ticks and deadlines are times of day, and stay what they are.

A clock that was set back while no hub was there shows at the start: the store has seen a later time than it is now.
One that was set forward then cannot be told from a hub that was away for long.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

import sqlalchemy as sa
import structlog

from stackhub.clock import JUMP, Believed
from stackhub.decide.jump import shifted
from stackhub.decide.run import Jumped
from stackhub.engine.bell import Bell
from stackhub.engine.board import Board
from stackhub.store import queries
from stackhub.store import tables as t
from stackhub.store.rows import step_moved
from stackhub.store.store import Store
from stackhub.store.tables import instant

log = structlog.get_logger()
PULSE: Final = 1.0  # seconds between looks at the clock


class Measures(Protocol):
    """What keeps times in memory."""

    def jumped(self, by: timedelta) -> None:
        """Move them."""
        ...


class Jumps:
    """Attends the clock."""

    def __init__(
        self,
        clock: Believed,
        store: Store,
        board: Board,
        ours: Callable[[], AbstractSet[str]],
        measures: Callable[[], Sequence[Measures]],
        ring: Callable[[], None],
    ) -> None:
        """``ours`` are the instances whose lanes this hub has; ``ring`` wakes every loop."""
        self.bell = Bell()
        self._clock = clock
        self._store = store
        self._board = board
        self._ours = ours
        self._measures = measures
        self._ring = ring

    async def run(self, beat: Callable[[], None]) -> None:
        """Look at the clock until cancelled; ``beat`` is called at each look."""
        while True:
            beat()
            by = self._clock.believe()
            if by:
                await self._tell(by)
                beat()
            await self.bell.wait(self._clock.between_looks(PULSE))

    async def _tell(self, by: timedelta) -> None:
        ours = frozenset(self._ours())
        kept = self._store.writer.call(partial(_move, by=by, instances=ours))  # before whatever is kept from now on
        self._board.tell_all(Jumped(by=by, instances=ours))
        for one in self._measures():
            one.jumped(by)
        log.warning("the clock was set", by=str(by))
        await kept
        self._ring()


def reckon(connection: sa.Connection, now: datetime) -> timedelta:
    """Move what a dead hub kept to a clock that was set back since; return by how much, as far as can be known.

    For a hub that is alone with its database: what another one keeps is that one's to move.
    """
    seen = connection.scalar(sa.select(t.event.c.at).order_by(t.event.c.id.desc()).limit(1))
    by = now - instant(seen) if seen is not None else timedelta()
    if by >= -JUMP:
        return timedelta()
    _move(connection, by, frozenset(connection.scalars(sa.select(t.lane.c.instance))))
    for open_run in queries.open_runs(connection):
        for step in open_run.steps.values():
            moved = shifted(step, by)
            if moved is not step:
                op = step_moved(moved)
                connection.execute(op.statement.sql, dict(op.row))
    log.warning("the clock was set while no hub was there", by=str(by))
    return by


def _move(connection: sa.Connection, by: timedelta, instances: AbstractSet[str]) -> None:
    """Move what is kept of messages and accounts."""
    more = t.micros_of(by)
    waits = (t.outbox.c.state == "pending", t.outbox.c.instance.in_(instances))
    later = {"due": t.outbox.c.due + more, "created_at": t.outbox.c.created_at + more}
    connection.execute(sa.update(t.outbox).where(*waits).values(later))
    rests = (t.lane.c.not_before.is_not(None), t.lane.c.instance.in_(instances))
    connection.execute(sa.update(t.lane).where(*rests).values(not_before=t.lane.c.not_before + more))
