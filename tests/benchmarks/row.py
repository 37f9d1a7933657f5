"""One line of the table, and the floor it is held against."""

import sqlite3
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One measure: its samples in ``unit``, the floor measured beside it in the same unit, and what it should be."""

    code: str
    name: str
    unit: str
    samples: Sequence[float]
    floor: float | None = None
    floor_is: str = ""
    bar: str = ""

    def cells(self) -> list[str]:
        """Return the table's cells."""
        middle = statistics.median(self.samples)
        floor = "" if self.floor is None else f"{self.floor:.3g} {self.unit} ({self.floor_is})"
        ratio = "" if not self.floor else f"{middle / self.floor:.2g}"
        low, high = min(self.samples), max(self.samples)
        return [self.code, self.name, f"{middle:.4g} {self.unit}", f"{low:.3g}", f"{high:.3g}", floor, ratio, self.bar]

    def plain(self) -> dict[str, object]:
        """Return what goes into the JSON file."""
        return {**self.__dict__, "samples": list(self.samples), "median": statistics.median(self.samples)}


def commit_floor(directory: Path, times: int = 200) -> float:
    """Return the milliseconds of one durable commit of one small row here and now: SQLite, WAL, synchronous=FULL."""
    db = sqlite3.connect(directory / "floor.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE t (a TEXT)")
    spans = []
    for _ in range(times):
        start = time.perf_counter()
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO t VALUES ('x')")
        db.execute("COMMIT")
        spans.append(time.perf_counter() - start)
    db.close()
    return statistics.median(spans) * 1000
