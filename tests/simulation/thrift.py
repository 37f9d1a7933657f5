"""Engines of databases that outlive the hubs which use them, and with them every statement that was compiled.

Most of what a short life costs is compiling what the life before it had compiled.
"""

import sqlalchemy as sa

from stackhub.store import database


class Engines:
    """Makes one engine for a URL, for any number of lives."""

    def __init__(self) -> None:
        self._made: dict[str, sa.Engine] = {}

    def __call__(self, url: str) -> sa.Engine:
        """Return an engine as a new one would be."""
        found = self._made.get(url)
        if found is None:
            self._made[url] = database.engine(url)
            return self._made[url]
        for listener in list(found.dialect.dispatch.do_connect):  # each opening of a store adds its own
            sa.event.remove(found, "do_connect", listener)
        for listener in list(found.dispatch.begin)[1:]:  # the first is the engine's
            sa.event.remove(found, "begin", listener)
        return found
