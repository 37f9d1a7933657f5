"""A row that each COMMIT changes, so that one whose answer was lost can be told from one that never came through.

Without it a group that had been committed would be tried again: its owners would be told of conflicts with themselves,
and what conflicts with nothing, such as a line of history, would be there twice. Each writer has a row of its own: one
that another could change would prove nothing.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import sqlalchemy as sa

from stackhub.store import tables as t
from stackhub.store.database import NAME
from stackhub.store.exchange import Exchange
from stackhub.store.transaction import META

PREFIX: Final = "commit:"
KEPT: Final = 7 * 24 * 3600  # seconds after which the row of a writer that has said nothing since is cleared away
# Not a SELECT: the server may still be busy with the COMMIT that we know nothing of. This waits for its end.
READ_BACK: Final = sa.text(
    "INSERT INTO meta (key, value) VALUES (:key, '') ON CONFLICT (key) DO UPDATE SET value = meta.value RETURNING value"
)
# What a cut connection has left behind would keep its rows locked for as long as the server takes that to notice.
END_OTHERS: Final = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = :name AND pid <> pg_backend_pid()"
)
NAME_SESSION: Final = sa.text("SELECT set_config('application_name', :name, false)")


class Seal:
    """The mark of one writer."""

    def __init__(self, nonce: str = "", now: Callable[[], float] = time.time) -> None:
        """``nonce``: no two writers of one database have the same; "" makes one. ``now``: in seconds."""
        self._nonce = nonce or secrets.token_hex(8)
        self._now = now
        self._serial = 0
        self._open: tuple[str, Sequence[Any]] | None = None  # what a COMMIT without an answer wrote, and its results

    @property
    def key(self) -> str:
        """Name the row."""
        return f"{PREFIX}{self._nonce}"

    def claim(self, connection: sa.Connection) -> None:
        """Give a new connection this writer's name; on a server, end the earlier ones that have it."""
        if connection.dialect.name == "postgresql":
            name = {"name": f"{NAME} {self._nonce}"}
            with connection.begin():
                connection.execute(END_OTHERS, name)
                connection.execute(NAME_SESSION, name)

    def put(self, connection: sa.Connection, said: Exchange, results: Sequence[Any]) -> None:
        """Mark a transaction that is about to be committed."""
        if not self._serial:
            self._clear_away(connection)
        self._serial += 1
        mark = f"{self._serial}:{self._now():.0f}"
        said.execute(META, [{"key": self.key, "value": mark}])
        self._open = mark, results

    def lift(self) -> None:
        """Say that it is known what became of the transaction, or that nobody asks any more."""
        self._open = None

    def kept(self, connection: sa.Connection) -> Sequence[Any] | None:
        """Return the results of a COMMIT that had no answer, if it came through after all; else None."""
        if self._open is None:
            return None
        mark, results = self._open
        with connection.begin():
            found = connection.scalar(READ_BACK, {"key": self.key})
        self._open = None
        return results if found == mark else None

    def _clear_away(self, connection: sa.Connection) -> None:
        """Delete the rows of writers that are long gone."""
        rows = connection.execute(sa.select(t.meta).where(t.meta.c.key.startswith(PREFIX, autoescape=True))).all()
        since = self._now() - KEPT
        gone = [row.key for row in rows if float(row.value.rpartition(":")[2] or 0) < since]
        if gone:
            connection.execute(sa.delete(t.meta).where(t.meta.c.key.in_(gone)))
