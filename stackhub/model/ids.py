"""Identifiers that sort by the time they were made: ULIDs (https://github.com/ulid/spec)."""

import random
from datetime import datetime
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH: Final = 26
_MASK: Final = (1 << 80) - 1


class Ids:
    """Makes ULIDs; those of one maker grow even within a millisecond. The seed makes them repeatable."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.SystemRandom()
        self._last = 0

    def make(self, now: datetime) -> str:
        """Return a new ULID: 26 characters, upper case."""
        value = (int(now.timestamp() * 1000) << 80) | self._rng.getrandbits(80)
        if value <= self._last:  # the same millisecond, or a clock set back
            value = self._last + 1 + (self._rng.getrandbits(32) & _MASK)
        self._last = value
        return _encode(value)

    def name(self) -> str:
        """Return a random name: 16 characters, which say nothing of the time."""
        return f"{self._rng.getrandbits(64):016x}"


def _encode(value: int) -> str:
    letters = []
    for _ in range(LENGTH):
        letters.append(ALPHABET[value & 31])
        value >>= 5
    return "".join(reversed(letters))
