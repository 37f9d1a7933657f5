"""The store, opened: one writer, a few readers, and on SQLite the lock that says whose it is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import sqlalchemy as sa

from stackhub.store import database
from stackhub.store.lock import HubLock
from stackhub.store.transaction import Transaction
from stackhub.store.writer import Writer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Store:
    """What the rest of the hub keeps things with."""

    engine: sa.Engine
    writer: Writer
    read: database.Readers

    async def apply(self, transaction: Transaction) -> None:
        """Commit a transaction; returns after its COMMIT. Raises as `Writer.apply` says."""
        if transaction.ops:
            await self.writer.apply(transaction)

    async def call(self, work: Callable[[sa.Connection], T]) -> T:
        """Run a function that writes, in a transaction of its own."""
        return await self.writer.call(work)


@asynccontextmanager
async def open_store(
    url: str, state: Path, *, written_by: str, lock: bool = True, migrate: bool = True
) -> AsyncIterator[Store]:
    """Open the database, making or migrating it; on SQLite only for one hub at a time.

    Raises:
        StoreUnusable: another hub holds it, it is no stackhub database, or one of a newer version.
    """
    await anyio.Path(state).mkdir(parents=True, exist_ok=True, mode=0o700)
    path = database.path_of(url)
    held = HubLock.take(state / "hub.lock") if lock and path is not None else None
    made = None
    writer = None
    try:
        made = await anyio.to_thread.run_sync(_open, url, written_by, migrate)
        writer = Writer(made, asyncio.get_running_loop())
        yield Store(made, writer, database.Readers(made))
    finally:
        with anyio.CancelScope(shield=True):
            if writer is not None:
                await anyio.to_thread.run_sync(writer.close)
            if made is not None:
                made.dispose()
            if held is not None:
                held.release()


def _open(url: str, written_by: str, migrate: bool) -> sa.Engine:  # noqa: FBT001 - called through a thread
    made = database.engine(url)
    database.prepare(made, written_by, migrate=migrate)
    return made
