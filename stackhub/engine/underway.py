"""What a loop has begun and not ended; a loop that leaves waits for it."""

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from stackhub.engine.bell import Crier
from stackhub.engine.gate import LaneGate

LOOK = 5.0  # seconds


class UnderWay:
    """Keys of what is under way."""

    def __init__(self) -> None:
        self._keys: set[Hashable] = set()
        self._queued: set[Hashable] = set()
        self._ends = Crier()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> frozenset[Hashable]:
        """Return what is under way now."""
        return frozenset(self._keys)

    def begin(self, key: Hashable) -> None:
        """Say that something begins; `end` must follow."""
        self._keys.add(key)

    def end(self, key: Hashable) -> None:
        """Say that it has ended."""
        self._keys.discard(key)
        self._ends.cry()

    @asynccontextmanager
    async def turn(self, key: Hashable, gate: LaneGate) -> AsyncIterator[None]:
        """Wait at the gate; who waits there has not called anybody, and is not waited for by `answered`."""
        self._queued.add(key)
        self._ends.cry()
        try:
            async with gate.turn():
                self._queued.discard(key)
                yield
        finally:
            self._queued.discard(key)

    async def answered(self) -> None:
        """Wait until every call has been answered, and what came of it is kept."""
        while self._keys - self._queued:
            await self._ends.wait(LOOK)
