"""The store, opened: one writer, a few readers, and the lock that says whose it is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

import anyio
import sqlalchemy as sa

from stackhub.contract import in_thread
from stackhub.store import database, schema
from stackhub.store.lock import HubLock
from stackhub.store.readers import Readers
from stackhub.store.transaction import Transaction
from stackhub.store.writer import Writer

T = TypeVar("T")


class Writing(Protocol):
    """What commits: a thread, or the event loop itself."""

    @property
    def ailing(self) -> str:
        """Say why nothing can be committed now; "" when all is well."""
        ...

    @property
    def name(self) -> str:
        """Name this writer among those of the database."""
        ...

    @property
    def commits(self) -> int:
        """Return how often there was a COMMIT."""
        ...

    def apply(self, transaction: Transaction) -> asyncio.Future[None]:
        """Queue a transaction; the future resolves after its COMMIT.

        Raises (through the future):
            StaleRun: a row had moved on. LostLane: a lane is not ours any more. StoreUnavailable: closing while away,
            or closed.
        """
        ...

    def call(self, work: Callable[[sa.Connection], T]) -> asyncio.Future[T]:
        """Queue a function that writes; it runs in a transaction of its own, once more if the database went away."""
        ...

    def close(self) -> None:
        """Commit what is queued, and take nothing more. Blocks."""
        ...


MakesWriter: TypeAlias = Callable[[sa.Engine, asyncio.AbstractEventLoop], Writing]


@dataclass(frozen=True, slots=True)
class Store:
    """What the rest of the hub keeps things with."""

    engine: sa.Engine
    writer: Writing
    read: Readers
    alone: bool = True  # no other hub can be at work on this database

    @property
    def name(self) -> str:
        """Name this one among those who write to the database."""
        return self.writer.name

    @property
    def ailing(self) -> str:
        """Say why the database cannot be used now; "" when all is well."""
        return self.writer.ailing or self.read.ailing

    async def apply(self, transaction: Transaction) -> None:
        """Commit a transaction; returns after its COMMIT. Raises as `Writing.apply` says."""
        if transaction.ops:
            await self.writer.apply(transaction)

    async def call(self, work: Callable[[sa.Connection], T]) -> T:
        """Run a function that writes, in a transaction of its own."""
        return await self.writer.call(work)


@asynccontextmanager
async def open_store(
    url: str,
    state: Path,
    *,
    written_by: str,
    lock: bool = True,
    migrate: bool | None = None,
    writer: MakesWriter = Writer,
    engine: Callable[[str], sa.Engine] = database.engine,
) -> AsyncIterator[Store]:
    """Open the database, making or migrating it: for one hub in a state directory, and one on a file.

    ``migrate`` says whether older tables may be brought up to date; None: those of a file, which no other hub works on.
    ``writer`` makes what commits, ``engine`` what connects to a URL; the loop's executor does whatever else blocks.

    Raises:
        StoreUnusable: another hub holds it, it is no stackhub database, or one of a newer version.
        StoreUnavailable: its server does not answer.
    """
    may = database.path_of(url) is not None if migrate is None else migrate
    with ExitStack() as held:
        for path in _locks(url, state) if lock else ():
            held.callback(HubLock.take(path).release)
        made = await in_thread(_open, engine, url, written_by, may)
        held.callback(made.dispose)
        writes = writer(made, asyncio.get_running_loop())
        try:
            yield Store(made, writes, Readers(made), alone=lock and made.dialect.name == "sqlite")
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(writes.close)


def _locks(url: str, state: Path) -> list[Path]:
    """Return what one hub at a time holds: its state directory, and a file that is its database but elsewhere."""
    path = database.path_of(url)
    elsewhere = path is not None and path.absolute().parent.resolve() != state.absolute().resolve()
    return [state / "hub.lock", *([path.with_name(f"{path.name}.lock")] if path is not None and elsewhere else [])]


def _open(
    engine: Callable[[str], sa.Engine],
    url: str,
    written_by: str,
    migrate: bool,  # noqa: FBT001 - called through a thread
) -> sa.Engine:
    made = engine(url)
    try:
        schema.prepare(made, written_by, migrate=migrate)
    except BaseException:
        made.dispose()
        raise
    return made
