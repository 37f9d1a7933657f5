"""A record of every change of every row that the invariants speak of, made by the database itself.

Triggers write it, so that nothing which one transaction changed and changed back is overlooked, and nobody has to
compare whole tables after each event.
"""

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

COLUMNS = {
    "run": ("id", "''", "state", "data", "snapshot"),
    "step": ("run", "task", "state", "data", "instance"),
    "tick": ("pipeline", "spec", "verdict", "at", "run"),
    "schedule": ("pipeline", "spec", "next_at", "anchor", "''"),
    "deadline": ("id", "pipeline", "state", "at", "run"),
    "outbox": ("incident || '|' || route", "seq || '.' || part", "state", "doubt", "instance"),
    "incident": ("id", "key", "resolved_at", "data", "''"),
    "lane": ("instance", "''", "not_before", "epoch", "owner"),
    "pipeline": ("name", "''", "paused_at", "snapshot", "retired"),
    "watermark": ("pipeline || '|' || instance || ':' || name", "trigger", "mark", "run", "connection"),
    "owed": ("pipeline || '|' || task", "node || '|' || extract", "paid_by", "landed_at", "since"),
    "backfill": ("id", "pipeline", "state", "version", "data"),
    "backfill_part": ("backfill", "seq || '.' || end_at", "state", "run", "start_at"),
}


class Change(NamedTuple):
    """One row as it was changed; what the columns hold is said in `COLUMNS`."""

    table: str
    act: str  # insert, update, delete
    one: str
    two: str
    old: Any
    new: Any
    more: Any
    most: Any


def _row(alias: str, expression: str) -> str:
    words = expression.split(" ")
    return " ".join(word if word in {"||", "''", "'|'", "'.'", "':'"} else f"{alias}.{word}" for word in words)


def install(path: Path) -> None:
    """Have a database with stackhub's tables keep the record."""
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE audit (id INTEGER PRIMARY KEY, tbl TEXT, act TEXT, one TEXT, two TEXT, old, new, more, most)"
    )
    for table, (one, two, state, more, most) in COLUMNS.items():
        for act in ("insert", "update", "delete"):
            alias = "OLD" if act == "delete" else "NEW"
            old = "NULL" if act == "insert" else f"OLD.{state}"
            new = "NULL" if act == "delete" else f"NEW.{state}"
            values = f"{_row(alias, one)}, {_row(alias, two)}, {old}, {new}, {_row(alias, more)}, {_row(alias, most)}"
            connection.execute(
                f"CREATE TRIGGER audit_{table}_{act} AFTER {act} ON {table} BEGIN"
                f" INSERT INTO audit (tbl, act, one, two, old, new, more, most) VALUES ('{table}', '{act}', {values});"
                " END"
            )
    connection.commit()
    connection.close()


class Reader:
    """Reads the record on, beside the hub."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self._last = 0
        self._version = -1

    def news(self) -> list[Change]:
        """Return what was committed since the last look; cheap where nothing was."""
        version = self.connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return []
        self._version = version
        rows = self.connection.execute("SELECT * FROM audit WHERE id > ? ORDER BY id", (self._last,)).fetchall()
        if rows:
            self._last = rows[-1][0]
        return [Change(*row[1:]) for row in rows]

    def rows(self, query: str, *given: Any) -> list[dict[str, Any]]:
        """Return what a query finds now, each row by its columns' names."""
        cursor = self.connection.execute(query, given)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def close(self) -> None:
        """Look no more."""
        self.connection.close()
