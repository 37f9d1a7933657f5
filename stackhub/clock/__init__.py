"""Time, as the engine asks for it; production's is the wall clock.

Waits go through anyio, so an event loop whose time is virtual needs only another `Clock` beside it.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

JUMP: Final = timedelta(seconds=5)


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the wall time; aware, UTC. It may jump."""
        ...

    def since_boot(self) -> float:
        """Return seconds that only grow, sleep of the machine included."""
        ...


class WallClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the wall time."""
        return datetime.now(UTC)

    def since_boot(self) -> float:
        """Return CLOCK_BOOTTIME, which a suspended machine does not stop."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


class JumpWatch:
    """Notices that the wall clock was set: it drifted from the steady one by more than `JUMP`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = self._read()

    def _read(self) -> timedelta:
        boot = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=self._clock.since_boot())
        return self._clock.now() - boot

    def look(self) -> timedelta | None:
        """Return by how much the clock was set since the last look; None when it was not."""
        offset = self._read()
        jump, self._offset = offset - self._offset, offset
        return jump if abs(jump) > JUMP else None
