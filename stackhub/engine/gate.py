"""What stands before every request of a lane: its lease, its vendor's patience, its rate.

The bucket of a lane taken over from a dead hub begins empty, since nobody knows what that one had spent: so the rate
holds across a crash without a commit for every request. A hub that leaves in peace writes down what is left.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import anyio

from stackhub.clock import Clock
from stackhub.errors import LostLane, Unavailable

BLINK: Final = 0.001
NAP: Final = 1.0  # seconds, at most, between looks at a bucket that fills slowly


@dataclass(slots=True)
class _Turn:
    """A request's place, taken before the request is made."""

    gate: "LaneGate"
    spent: bool = False


_turn: ContextVar[_Turn | None] = ContextVar("turn", default=None)


class LaneGate:
    """Lets requests pass one by one. `Gate` of the contract."""

    def __init__(self, instance: str, clock: Clock, *, rate: float, burst: int, tokens: float = 0.0) -> None:
        """``tokens``: how many requests may go at once now."""
        self._rests_until: float | None = None  # since boot: no clock that is set makes it shorter, or longer
        self.lost = ""  # why the lane is not ours any more; "" while it is
        self.lease_until: Callable[[], float] = lambda: float("inf")  # on the clock that only grows
        self._instance = instance
        self._clock = clock
        self._rate = rate
        self._burst = max(burst, 1)
        self._tokens = min(tokens, self._burst)
        self._filled_at = clock.since_boot()
        self._queue = anyio.Lock()
        self.passed = 0  # requests that went

    @property
    def not_before(self) -> datetime | None:
        """Return until when the vendor wants to be left alone; None when he does not."""
        rest = self.rest()
        return self._clock.now() + rest if rest > timedelta() else None

    @not_before.setter
    def not_before(self, at: datetime | None) -> None:
        wait = timedelta() if at is None else at - self._clock.now()
        self._rests_until = self._clock.since_boot() + wait.total_seconds() if wait > timedelta() else None

    @property
    def tokens(self) -> float:
        """Return how many requests may go at once now; below 0 after sends that could not wait."""
        now = self._clock.since_boot()
        self._tokens = min(self._tokens + (now - self._filled_at) * self._rate, self._burst)
        self._filled_at = now
        return self._tokens

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until one request may go, and keep its place: once a start's intent is kept, nothing waits any more.

        The first request made within goes without waiting; a place that nothing used, since the connector makes no
        requests, is given back.
        """
        await self._wait()
        held = _Turn(self)
        before = _turn.set(held)
        try:
            yield
        finally:
            _turn.reset(before)
            if not held.spent:
                self._tokens = self.tokens + 1

    async def __call__(self, *, wait: bool) -> None:
        """Let one request pass; see `Gate`."""
        held = _turn.get()
        if held is not None and held.gate is self and not held.spent:
            self._check()
            held.spent = True
            self.passed += 1
            return
        if wait:
            await self._wait()
        else:
            self._tokens = self.tokens - 1
        try:
            self._check()
        except (LostLane, Unavailable):
            self._tokens += 1
            raise
        self.passed += 1

    @property
    def lapsed(self) -> bool:
        """Whether our lease has passed: the lane may be another hub's by now."""
        return self._clock.since_boot() >= self.lease_until()

    def check_lease(self) -> None:
        """See that the lane is ours in this moment: the last thing before anything is sent or spawned.

        Raises:
            LostLane: it is not, or we have not been able to renew it in time.
        """
        if self.lost or self.lapsed:
            raise LostLane(f"lane {self._instance}: {self.lost or 'the lease has passed'}; nothing is sent")

    def _check(self) -> None:
        self.check_lease()
        rest = self.rest()
        if rest > timedelta():
            raise Unavailable(f"{self._instance} asked for patience", retry_after=rest)

    async def _wait(self) -> None:
        """Take a token, once there is one."""
        async with self._queue:
            while (missing := 1 - self.tokens) > 0:  # noqa: ASYNC110 - time itself is the event
                await anyio.sleep(min(max(missing / self._rate, BLINK), self._clock.between_looks(NAP)))
            self._tokens -= 1

    def rest(self) -> timedelta:
        """Return how long the vendor wants to be left alone from now."""
        if self._rests_until is None:
            return timedelta()
        return max(timedelta(seconds=self._rests_until - self._clock.since_boot()), timedelta())
