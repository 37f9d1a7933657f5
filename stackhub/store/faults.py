"""Tells what a database's error means: whether the database is the trouble, or what it was asked.

The driver's classes do not: SQLite has one for a full disk and for a table that is not there, PostgreSQL's driver one
for a server that is down and for a value too long for an index. Their codes do.
"""

import sqlite3
from typing import Final

from sqlalchemy import exc

WRONG_IN_SQLITE: Final = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
    }
)
# https://www.postgresql.org/docs/18/errcodes-appendix.html, read on 2026-11-22. Classes: connection, authorization,
# no such database, collision, resources, objects in use, operators, system, configuration, internal.
AWAY_IN_POSTGRESQL: Final = ("08", "28", "3D", "40", "53", "55", "57", "58", "F0", "XX")
# ... and of the class of transactions out of order: read only (a standby), and those ended for taking too long.
ENDED_BY_SERVER: Final = ("25006", "25P03", "25P04")
COLLIDED: Final = ("40001", "40P01")  # two transactions that could not both go on: the same again may go well at once
NOT_NOW: Final = ("starting up", "shutting down", "recovery", "accepting", "too many", "slots", "terminating")


def away(err: BaseException) -> bool:
    """Say whether the database itself is the trouble, so that the same may go well later; else it is what was asked."""
    if isinstance(err, exc.TimeoutError):  # no connection was free
        return True
    if not isinstance(err, exc.DBAPIError):
        return False
    state = getattr(err.orig, "sqlstate", None)
    if state is not None:
        return state.startswith(AWAY_IN_POSTGRESQL) or state in ENDED_BY_SERVER
    if not isinstance(err, exc.OperationalError | exc.InterfaceError | exc.InternalError):
        return False
    code = getattr(err.orig, "sqlite_errorcode", None)
    return code is None or code & 0xFF not in WRONG_IN_SQLITE


def cut(err: BaseException) -> bool:
    """Say whether it is the connection alone that is known to be gone: a new one may do."""
    return isinstance(err, exc.DBAPIError) and err.connection_invalidated


def collided(err: BaseException) -> bool:
    """Say whether the transaction had to give way to another one, and should be tried again at once."""
    return isinstance(err, exc.DBAPIError) and getattr(err.orig, "sqlstate", None) in COLLIDED


def words(err: BaseException) -> str:
    """Return what the driver said, on one line."""
    return " ".join(str(getattr(err, "orig", None) or err).split())


def refused(err: exc.DBAPIError) -> bool:
    """Say whether a server answered and will not have us: a wrong password, no such database.

    Errors of connecting carry no code. Where the server speaks another language than English we take it to be away.
    """
    said = str(err.orig)
    return "FATAL" in said and not any(words in said for words in NOT_NOW)
