"""What stands before every request of a lane: its lease, its vendor's patience, its rate.

The bucket of a lane taken over from a dead hub begins empty, since nobody knows what that one had spent: so the rate
holds across a crash without a commit for every request. A hub that leaves in peace writes down what is left.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import anyio

from stackhub.clock import Clock
from stackhub.errors import LostLane, Unavailable


class LaneGate:
    """Lets requests pass one by one. `Gate` of the contract."""

    def __init__(self, instance: str, clock: Clock, *, rate: float, burst: int) -> None:
        self.not_before: datetime | None = None
        self.lease_until: Callable[[], float] = lambda: float("inf")  # on the clock that only grows
        self._instance = instance
        self._clock = clock
        self._rate = rate
        self._burst = max(burst, 1)
        self._tokens = 0.0
        self._filled_at = clock.since_boot()
        self._queue = anyio.Lock()

    def fill(self, tokens: float) -> None:
        """Say how many requests may go at once now."""
        self._tokens = min(tokens, self._burst)
        self._filled_at = self._clock.since_boot()

    @property
    def tokens(self) -> float:
        """Return how many requests may go at once now; below 0 after sends that could not wait."""
        now = self._clock.since_boot()
        self._tokens = min(self._tokens + (now - self._filled_at) * self._rate, self._burst)
        self._filled_at = now
        return self._tokens

    async def turn(self) -> None:
        """Wait until one request may go. Before a start: once its intent is kept, nothing waits any more."""
        async with self._queue:
            missing = 1 - self.tokens
            if missing > 0:
                await anyio.sleep(missing / self._rate)

    async def __call__(self, *, wait: bool) -> None:
        """Let one request pass; see `Gate`."""
        if wait:
            await self.turn()
        if self._clock.since_boot() >= self.lease_until():
            raise LostLane(f"lane {self._instance}: the lease has passed; nothing is sent")
        rest = self.rest()
        if rest > timedelta():
            raise Unavailable(f"{self._instance} asked for patience", retry_after=rest)
        self._tokens = self.tokens - 1

    def rest(self) -> timedelta:
        """Return how long the vendor wants to be left alone from now."""
        if self.not_before is None:
            return timedelta()
        return max(self.not_before - self._clock.now(), timedelta())
