"""Reads anew what a hub holds of the store, and never takes over what is older than what it holds."""

from collections.abc import Callable
from typing import TypeVar

import anyio
import sqlalchemy as sa

from stackhub.store.store import Store

T = TypeVar("T")


class Anew:
    """Reads once more where something was committed meanwhile; who asks last has what was read last."""

    def __init__(self) -> None:
        self._commits = 0
        self._lock = anyio.Lock()

    def committed(self) -> None:
        """Note that what is held has been changed to what was committed."""
        self._commits += 1

    async def read(self, store: Store, what: Callable[[sa.Connection], T]) -> T:
        """Return what is to be held from now on, to be taken over before anything else is awaited."""
        async with self._lock:
            while True:
                before = self._commits
                found = await store.read(what)
                if self._commits == before:
                    return found
