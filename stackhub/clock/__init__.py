"""Time, as the engine asks for it; production's is the wall clock.

Waits go through anyio, so an event loop whose time is virtual needs only another `Clock` beside it.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

JUMP: Final = timedelta(seconds=5)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the wall time; aware, UTC. It may jump."""
        ...

    def since_boot(self) -> float:
        """Return seconds that only grow, sleep of the machine included."""
        ...

    def between_looks(self, seconds: float) -> float:
        """Return after how long a loop looks again which nothing has woken, and which would after so many seconds."""
        ...


class WallClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the wall time."""
        return datetime.now(UTC)

    def since_boot(self) -> float:
        """Return CLOCK_BOOTTIME, which a suspended machine does not stop."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def between_looks(self, seconds: float) -> float:
        """Return the same: this is how often loops should look."""
        return seconds


class Believed:
    """A wall clock that is not believed when it jumps until `believe` is called, so that nothing is measured across it.

    It follows one that is slewed. After a jump it goes on as if there had been none: whoever attends it says when
    everything that waits by it has been told.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        wall, steady = self._read()
        self._offset = wall - steady

    def now(self) -> datetime:
        """Return the wall time, as far as it is believed."""
        wall, steady = self._read()
        if abs(wall - steady - self._offset) > JUMP:
            return steady + self._offset
        self._offset = wall - steady
        return wall

    def since_boot(self) -> float:
        """Return seconds that only grow."""
        return self._clock.since_boot()

    def between_looks(self, seconds: float) -> float:
        """Return what the clock beneath says."""
        return self._clock.between_looks(seconds)

    def believe(self) -> timedelta:
        """Believe the wall clock as it stands; return by how much it has jumped, zero where it has not."""
        for _ in range(2):  # a process that is stopped between reading two clocks sees a jump, but not twice
            wall, steady = self._read()
            by = wall - steady - self._offset
            if abs(by) <= JUMP:
                return timedelta()
        self._offset += by
        return by

    def _read(self) -> tuple[datetime, datetime]:
        """Return the wall time, and a time of day that runs on from the machine's start."""
        return self._clock.now(), _EPOCH + timedelta(seconds=self._clock.since_boot())
