"""Words that all parts of the hub share."""

from datetime import timedelta
from enum import StrEnum
from typing import Final, Self

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


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


def say(length: timedelta) -> str:
    """Write a duration as people write it, to the second: ``1h30m``, ``0s``; what is left of a second is cut off."""
    sign = "-" if length < timedelta() else ""
    left = abs(length) // timedelta(seconds=1)
    if left == 0:
        return "0s"
    parts = []
    for unit, seconds in _UNITS:
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count}{unit}")
    return sign + "".join(parts)
