"""Words that the hub and its connectors share."""

from enum import StrEnum
from typing import Self


class Severity(StrEnum):
    """How bad; PagerDuty's words, in rising order."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Grow with badness."""
        return list(Severity).index(self)

    def at_least(self, other: Self) -> bool:
        """Say whether this is as bad as ``other`` or worse."""
        return self.rank >= other.rank
