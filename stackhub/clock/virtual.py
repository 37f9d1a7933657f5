"""Time that passes only when somebody lets it: a time line that clocks and event loops share."""

from datetime import UTC, datetime, timedelta
from typing import Final

BOOTED: Final = 1000.0  # seconds that the machine was up when a time line began
EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


class TimeLine:
    """Seconds since a beginning, which only grow."""

    def __init__(self, start: datetime = EPOCH) -> None:
        self.start = start
        self.seconds = 0.0
        self.looks = 0.0  # seconds between looks of loops that nothing wakes, at least

    @property
    def now(self) -> datetime:
        """Return the true time, in whole microseconds."""
        return self.start + timedelta(microseconds=round(self.seconds * 1e6))

    def until(self, when: datetime) -> float:
        """Return the place of a time on the line."""
        return (when - self.start) / timedelta(seconds=1)

    def pass_to(self, seconds: float) -> None:
        """Go on to a place; one that is past changes nothing."""
        self.seconds = max(self.seconds, seconds)


class VirtualClock:
    """A machine's clocks on a time line. `Clock`; the wall clock of each may be wrong in its own way."""

    def __init__(self, line: TimeLine, *, wrong_by: timedelta = timedelta()) -> None:
        self.wrong_by = wrong_by
        self._line = line

    def now(self) -> datetime:
        """Return the wall time."""
        return self._line.now + self.wrong_by

    def since_boot(self) -> float:
        """Return seconds that only grow."""
        return BOOTED + self._line.seconds

    def between_looks(self, seconds: float) -> float:
        """Return more where looks shall be seldom: what is known to be due wakes a loop all the same."""
        return max(seconds, self._line.looks)

    def set_wall(self, to: datetime) -> None:
        """Set the wall clock, as a person does, or a time server."""
        self.wrong_by = to - self._line.now
