"""Reads the store beside the writer."""

from collections.abc import Callable
from typing import Final, TypeVar

import anyio
import sqlalchemy as sa
import structlog
from anyio import CapacityLimiter
from sqlalchemy import exc

from stackhub.contract import in_thread
from stackhub.store.database import READERS, reading
from stackhub.store.faults import away, cut, words

log = structlog.get_logger()
T = TypeVar("T")
AGAIN: Final = 1.0  # seconds between tries while the database is away


class Readers:
    """Runs reading functions in a few threads, each in a transaction of its own: one moment's view of all tables."""

    def __init__(self, made: sa.Engine, *, again: float = AGAIN) -> None:
        self.ailing = ""  # why nothing can be read now; "" when all is well
        self._engine = reading(made)
        self._limiter = CapacityLimiter(READERS)
        self._again = again

    async def __call__(self, work: Callable[[sa.Connection], T]) -> T:
        """Run ``work`` in a thread; a database that is away is waited for."""
        anew = True  # a connection that was cut while nobody used it is made again at once
        while True:
            try:
                async with self._limiter:
                    found = await in_thread(self._run, work)
            except exc.SQLAlchemyError as err:
                if not away(err):
                    raise
                if anew and cut(err):
                    anew = False
                    continue
                if not self.ailing:
                    log.error("the database cannot be read, waiting for it", reason=words(err))  # noqa: TRY400 - no bug of ours
                self.ailing = words(err)
            else:
                if self.ailing:
                    log.info("the database can be read again", was=self.ailing)
                self.ailing = ""
                return found
            await anyio.sleep(self._again)

    def _run(self, work: Callable[[sa.Connection], T]) -> T:
        with self._engine.connect() as connection, connection.begin():
            return work(connection)
