"""A row that each COMMIT changes, so that one whose answer was lost can be told from one that never came through.

Without it a group that had been committed would be tried again, and its owners told of conflicts with themselves.
"""

import secrets
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from stackhub.store import tables as t
from stackhub.store.transaction import META


class Seal:
    """The mark of one writer. Writers of one SQLite file share a row, those of a server have one of sixteen."""

    def __init__(self, engine: sa.Engine, nonce: str = "") -> None:
        """``nonce``: no two writers of one database have the same; "" makes one."""
        self._nonce = nonce or secrets.token_hex(8)
        self._key = "commit" if engine.dialect.name == "sqlite" else f"commit:{self._nonce[0]}"
        self._serial = 0
        self._open: tuple[str, Sequence[Any]] | None = None  # what a COMMIT without an answer wrote, and its results

    def put(self, connection: sa.Connection, results: Sequence[Any]) -> None:
        """Mark a transaction that is about to be committed."""
        self._serial += 1
        mark = f"{self._nonce}:{self._serial}"
        connection.execute(META.sql, {"key": self._key, "value": mark})
        self._open = mark, results

    def lift(self) -> None:
        """Say that it is known what became of the transaction."""
        self._open = None

    def kept(self, connection: sa.Connection) -> Sequence[Any] | None:
        """Return the results of a COMMIT that had no answer, if it came through after all; else None."""
        if self._open is None:
            return None
        mark, results = self._open
        with connection.begin():
            found = connection.scalar(sa.select(t.meta.c.value).where(t.meta.c.key == self._key))
        self._open = None
        return results if found == mark else None
