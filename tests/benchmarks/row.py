"""One line of the table: a measure, and the floor it is held against."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


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
    database: str = ""  # where it matters

    def cells(self) -> list[str]:
        """Return the table's cells."""
        middle = statistics.median(self.samples)
        floor = "" if self.floor is None else f"{self.floor:.3g} {self.unit} ({self.floor_is})"
        ratio = "" if not self.floor else f"{middle / self.floor:.2g}"
        low, high = min(self.samples), max(self.samples)
        many = [f"{middle:.4g} {self.unit}", f"{low:.3g}", f"{high:.3g}", floor, ratio]
        return [self.code, self.database, self.name, *many, self.bar]

    def plain(self) -> dict[str, object]:
        """Return what goes into the JSON file."""
        return {**self.__dict__, "samples": list(self.samples), "median": statistics.median(self.samples)}
