"""The configuration, read again: on a signal at once, on a change once the directory has been still for a while.

An edit is applied whole or refused whole. One that is refused is logged with file, line and reason, and is an
incident of the hub's own until a good one follows; what was in force stays so.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import structlog

from stackhub.config.read import Configuration, DirectoryState, fingerprint_directory
from stackhub.decide import facets
from stackhub.decide.incident import Change
from stackhub.engine.bell import Bell
from stackhub.engine.engine import Engine
from stackhub.errors import ConfigError
from stackhub.model.pipeline import Told
from stackhub.store.transaction import Transaction

log = structlog.get_logger()
LOOK: Final = 1.0  # seconds between looks at the directory
STILL: Final = 2.0  # seconds without a change, after which one is applied
KEY: Final = "hub"  # the incident's
ONCE: Final = ("host", "port", "database_url", "state_dir")  # settings that only a restart changes
LISTED: Final = 20  # problems in one message


class Stillness:
    """Says when a directory that has changed has been left alone for a while. Pure but for its memory."""

    def __init__(self, in_force: DirectoryState) -> None:
        self.in_force = in_force  # as it was when it was read last
        self._seen = in_force
        self._since = 0.0

    def is_due(self, found: DirectoryState, now: float) -> bool:
        """Look at the directory as it is at ``now``, in seconds; say whether it is to be read."""
        if found != self._seen:
            self._seen, self._since = found, now
        return found != self.in_force and now - self._since >= STILL


class Reloader:
    """Brings what is in force to what the directory says."""

    def __init__(
        self,
        directory: Path,
        engine: Engine,
        read: Callable[[], Configuration],
        applied: Callable[[Configuration], None],
        *,
        seen: DirectoryState,
    ) -> None:
        """``seen`` is the directory as it was before the configuration in force was read."""
        self._directory = directory
        self._engine = engine
        self._read = read
        self._applied = applied
        self._began_with = engine.in_force.configuration.hub
        self._still = Stillness(seen)
        self._bell = Bell()
        self._turn = anyio.Lock()

    def soon(self) -> None:
        """Read again at once: a signal asks for it."""
        self._bell.ring()

    async def watch(self, starting: Callable[[], None], done: Callable[[], None]) -> None:
        """Read again whenever that is asked for or the directory has changed, until cancelled.

        ``starting`` and ``done`` are called around each.
        """
        while True:
            asked = await self._bell.wait(LOOK)
            found = await anyio.to_thread.run_sync(self._look)
            if self._still.is_due(found, self._engine.clock.since_boot()) or asked:
                starting()
                await self.now()
                done()

    def _look(self) -> DirectoryState:
        try:
            return fingerprint_directory(self._directory)
        except OSError as err:  # unreadable: a change like any other, and reading it says what is wrong
            return ((str(err), 0, 0, 0),)

    async def now(self) -> str:
        """Read the directory and apply it; return why it is refused, "" when it is in force."""
        async with self._turn:
            self._still.in_force = await anyio.to_thread.run_sync(self._look)
            try:
                found = await anyio.to_thread.run_sync(self._read)
            except ConfigError as err:
                await self._refuse(err)
                return str(err)
            self._applied(found)  # first of all, so that no new secret is ever logged
            was = self._engine.revision
            applied = await self._engine.apply(found)
            await ceased(self._engine, "the configuration is good again")
            log.info(
                "configuration applied" if applied.revision != was else "configuration unchanged",
                revision=applied.revision,
                added=list(applied.added),
                changed=list(applied.changed),
                retired=list(applied.retired),
                shadow=len(found.in_shadow),
            )
            warn(found)
            self._say_what_waits(found)
            return ""

    async def _refuse(self, err: ConfigError) -> None:
        self._engine.refused = str(err)
        for problem in err.problems:
            log.error("configuration refused", place=problem.place, reason=problem.text)
        lines = [str(problem) for problem in err.problems]
        more = [f"and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
        await observed(self._engine, "\n".join([*lines[:LISTED], *more]))

    def _say_what_waits(self, found: Configuration) -> None:
        changed = [name for name in ONCE if getattr(found.hub, name) != getattr(self._began_with, name)]
        if changed:
            names = [f"STACKHUB_{name.upper()}" for name in changed]
            log.warning("a restart is needed for what has changed", settings=names)


def warn(configuration: Configuration) -> None:
    """Log what is merely odd in a configuration."""
    for warning in configuration.warnings:
        log.warning("configuration", place=warning.place, reason=warning.text)


async def observed(engine: Engine, error: str) -> None:
    """Tell people that the newest configuration is refused."""
    title = "stackhub: the new configuration is refused"
    then = "The one before goes on running. It resolves itself once the files are good again."

    def change(transaction: Transaction) -> Change | None:
        facet = facets.trouble(title, error, then, engine.clock.now())
        return engine.incidents.observe(KEY, facet, transaction)

    await _kept(engine, change)


async def ceased(engine: Engine, why: str) -> None:
    """Tell people that it is over, if they were told that it began."""
    await _kept(engine, lambda transaction: engine.incidents.cease(KEY, [Told.STALLED], transaction, why))


async def _kept(engine: Engine, change: Callable[[Transaction], Change | None]) -> None:
    """Commit a change of the hub's own incident."""
    await engine.incidents.keep([KEY], lambda transaction: [change(transaction)], engine.store)
    engine.lanes.ring_outboxes()
