"""Word from other hubs on the same PostgreSQL that something was committed: a hint, which may be lost or late."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import anyio
import sqlalchemy as sa
import structlog

from stackhub.contract import in_thread

log = structlog.get_logger()
CHANNEL: Final = "stackhub"
AGAIN: Final = 5.0  # seconds between tries to listen


@asynccontextmanager
async def listening(engine: sa.Engine, me: str, hear: Callable[[], None]) -> AsyncIterator[None]:
    """Call ``hear`` when another hub than ``me`` has committed something, for as long as the block lasts."""
    if engine.dialect.name != "postgresql":
        yield
        return
    async with anyio.create_task_group() as group:
        group.start_soon(_listen, engine, me, hear)
        yield
        group.cancel_scope.cancel()


async def _listen(engine: sa.Engine, me: str, hear: Callable[[], None]) -> None:
    told = False
    while True:
        try:
            connection = await in_thread(_connect, engine)
            try:
                told = False
                await _hear(connection, me, hear)
            finally:
                with suppress(Exception):
                    connection.close()
        except Exception as err:  # noqa: BLE001 - a hint: without it the look every few seconds is all there is
            if not told:
                log.warning("no word from other hubs for a while", reason=str(err))
            told = True
        await anyio.sleep(AGAIN)


def _connect(engine: sa.Engine) -> Any:
    """Open a connection with the patience of the pool's, but one of our own."""
    lent = engine.raw_connection()
    connection: Any = lent.driver_connection
    lent.detach()
    connection.autocommit = True
    connection.execute(f"LISTEN {CHANNEL}")
    return connection


async def _hear(connection: Any, me: str, hear: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        came = anyio.Event()
        loop.add_reader(connection.fileno(), came.set)
        try:
            await came.wait()
        finally:
            loop.remove_reader(connection.fileno())
        if any([notice.payload != me for notice in connection.notifies(timeout=0)]):  # noqa: C419 - all are taken
            hear()
