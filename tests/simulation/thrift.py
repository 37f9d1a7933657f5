"""Engines of databases that outlive the hubs which use them, and with them every statement that was compiled.

Most of what a short life costs is compiling what the life before it had compiled.
"""

from pathlib import Path

import sqlalchemy as sa

from stackhub.store import database
from stackhub.store.compiled import Compiled


class Engines:
    """Makes one engine for a URL and a hub, for any number of lives."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, Path], sa.Engine] = {}
        self._own: dict[sa.Engine, list[object]] = {}  # listeners
        self._compiled: dict[sa.Engine, Compiled] = {}

    def __call__(self, url: str, state: Path) -> sa.Engine:
        """Return an engine as a new one would be."""
        found = self._made.get((url, state))
        if found is None:
            found = self._made[url, state] = database.engine(url)
            self._own[found] = list(found.dispatch.begin)
            self._compiled[found] = Compiled(found.dialect)
        self.forget(url, state)
        return found

    def compiled(self, engine: sa.Engine) -> Compiled:
        """Return what its writers have compiled."""
        return self._compiled[engine]

    def forget(self, url: str, state: Path) -> None:
        """Forget whoever has listened."""
        found = self._made[url, state]
        for listener in list(found.dialect.dispatch.do_connect):  # each opening of a store adds its own
            sa.event.remove(found, "do_connect", listener)
        for listener in list(found.dispatch.begin):
            if listener not in self._own[found]:
                sa.event.remove(found, "begin", listener)
