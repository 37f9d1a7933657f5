"""A wake-up that is never lost: rung before the wait, the wait returns at once."""

import anyio


class Bell:
    """Wakes one waiting loop. Safe from the event loop's thread only."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Wake the loop, or spare it its next wait."""
        self._rung.set()

    async def wait(self, seconds: float) -> bool:
        """Wait for a ring, at most ``seconds``; say whether there was one."""
        rung = self._rung.is_set()
        if not rung and seconds > 0:
            with anyio.move_on_after(seconds):
                await self._rung.wait()
                rung = True
        if rung or self._rung.is_set():
            self._rung = anyio.Event()
            rung = True
        return rung


class Crier:
    """Tells any number of listeners that something has changed, without saying what."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    def cry(self) -> None:
        """Wake everyone who waits now."""
        self._next.set()
        self._next = anyio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait for the next change, at most ``seconds``."""
        event = self._next
        with anyio.move_on_after(seconds):
            await event.wait()
