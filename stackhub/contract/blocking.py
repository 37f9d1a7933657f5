"""Where work that blocks is done: in the event loop's executor, which is a port that every loop has."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import Thread
from typing import Any, Final, ParamSpec, TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel

from stackhub.errors import Unavailable

T = TypeVar("T")
P = ParamSpec("P")
Args = TypeVarTuple("Args")


async def in_thread(work: Callable[[*Args], T], *args: *Args) -> T:
    """Run work that blocks in a thread, and wait for its end even while cancelled.

    A loop whose time is virtual does it at once, since its executor has no threads. That is why this is not
    `anyio.to_thread`, which makes threads of its own on whatever loop.
    """
    await anyio.lowlevel.checkpoint()
    with anyio.CancelScope(shield=True):
        found = await asyncio.to_thread(work, *args)
    return found  # noqa: RET504 - inside the block mypy fears that the scope swallows a cancellation


class Aside:
    """Runs work that may hang for ever, as all does that looks at a file system which does not answer any more.

    Each piece has a thread of its own, which is left behind when it hangs: it keeps no place among those of
    `in_thread`, and the process ends without it. One piece at a time; while one hangs nothing else is begun, and who
    asks is told so at once. When it comes back, all is well again.
    """

    def __init__(self, what: str, patience: float) -> None:
        """``what`` the work looks at, for people to read; ``patience`` in seconds, for each piece."""
        self._silence = f"{what}: no answer within {patience:g} s"
        self._patience = patience
        self._turn = anyio.Lock()
        self._under_way: asyncio.Future[Any] | None = None
        self._hangs = False

    async def run(self, work: Callable[[*Args], T], *args: *Args) -> T:
        """Run a piece of work and return what it returns; raises what it raises.

        Raises:
            Unavailable: it hangs, or the one before it still does.
        """
        async with self._turn:
            if self._hangs and self._going() is not None:
                raise Unavailable(self._silence)
            self._hangs = False
            with anyio.move_on_after(self._patience):
                await self._over()  # who began it may have been cancelled
                self._under_way = found = asyncio.get_running_loop().run_in_executor(_THREADS, work, *args)
                found.add_done_callback(_heard)
                await self._over()
                return found.result()
            self._hangs = True
        raise Unavailable(self._silence)

    def _going(self) -> asyncio.Future[Any] | None:
        return None if self._under_way is None or self._under_way.done() else self._under_way

    async def _over(self) -> None:
        await anyio.lowlevel.checkpoint()
        if (going := self._going()) is not None:
            await asyncio.wait([going])


def _heard(future: asyncio.Future[Any]) -> None:
    """Spare the log what befell a piece of work that nobody waited for any more."""
    if not future.cancelled():
        future.exception()


class _Daemons(Executor):
    """A thread for each piece of work; no process waits for it at its end."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            try:
                found = fn(*args, **kwargs)
            except BaseException as err:  # noqa: BLE001 - whoever waits for it is told
                future.set_exception(err)
            else:
                future.set_result(found)

        Thread(target=work, daemon=True, name="aside").start()
        return future


_THREADS: Final = _Daemons()
