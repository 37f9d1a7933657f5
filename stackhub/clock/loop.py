"""An event loop whose time is virtual: it never waits, and whoever drives it decides what happens next.

`step` runs exactly one callback, which for a task is the code between two of its awaits; `next_at` says when something
will be due. A driver of several loops on one time line therefore decides in which order everything happens, and may
stop stepping a loop for good: what was to come then never happens, as in a process that was killed.

One seed is one history, to the byte. asyncio keeps its order by itself; what anyio keeps in sets and cancels in the
sets' order is numbered in the order of its making.
"""

import asyncio
import contextvars
import heapq
import math
import warnings
from asyncio import events, tasks
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from itertools import count
from typing import Any, Final, Never, TypeAlias, TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

from stackhub.clock.numbered import NumberedTask, forget, number_scopes
from stackhub.clock.virtual import TimeLine

T = TypeVar("T")
Args = TypeVarTuple("Args")
_running_loop, _set_running_loop = events._get_running_loop, events._set_running_loop  # noqa: SLF001 - made for loops
_enter, _leave = tasks._enter_task, tasks._leave_task  # noqa: SLF001 - documented, for those who run tasks
LAST_WORDS: Final = 1000  # awaits that a task may have in its `finally` blocks
_Ready: TypeAlias = tuple[asyncio.Handle, Callable[..., object], tuple[Any, ...], contextvars.Context]
_Timer: TypeAlias = tuple[float, int, asyncio.TimerHandle, _Ready]


class VirtualLoop(asyncio.AbstractEventLoop):
    """An event loop on a time line. Its executor has no threads: what blocks is done at once."""

    def __init__(self, line: TimeLine | None = None) -> None:
        self.line = line or TimeLine()
        self.complaints: list[dict[str, Any]] = []  # what asyncio has to say about tasks that nobody asked after
        self._ready: deque[_Ready] = deque()
        self._timers: list[_Timer] = []
        self._order = count()
        self._tasks: WeakValueDictionary[int, NumberedTask[Any]] = WeakValueDictionary()
        self._numbers = count(1)
        self._closed = False
        number_scopes()

    # --- for whoever drives it ---

    @property
    def ready(self) -> bool:
        """Whether something can be done now."""
        self._ripen()
        return bool(self._ready)

    def next_at(self) -> float | None:
        """Return the place on the time line at which something is due; None: nothing ever will be."""
        self._ripen()
        if self._ready:
            return self.line.seconds
        return self._timers[0][0] if self._timers else None

    def step(self) -> None:
        """Run one callback. What it raises comes out here; a task keeps what it raises to itself."""
        self._ripen()
        while self._ready:
            handle, callback, args, context = self._ready.popleft()
            if handle.cancelled():
                continue
            _set_running_loop(self)  # none runs around it: whoever drives loops is in none
            try:
                context.run(callback, *args)
            finally:
                _set_running_loop(None)
            return

    def abandon(self, end: Callable[[], BaseException]) -> None:
        """End every task where it stands, as far as memory goes: an error of its own is raised in it until it is over.

        Whatever its `finally` blocks attempt must have no effect by then: that is up to the ports they would have it
        through. Nothing else happens on this loop any more.
        """
        held = list(self._tasks.values())  # one that was never begun is held by its turn alone
        self._closed = True
        self._ready.clear()
        self._timers.clear()
        _set_running_loop(self)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # of coroutines that were never begun
                for _ in range(2):  # last words may make tasks, which are over before they have begun
                    for _, task in sorted(self._tasks.items(), reverse=True):
                        _end(self, task, end)
                forget(self._tasks.values())
                held.clear()
        finally:
            _set_running_loop(None)
        self._ready.clear()
        self._timers.clear()

    def _ripen(self) -> None:
        """Let what has fallen due take its place among what is ready."""
        timers, ready, now = self._timers, self._ready, self.line.seconds
        while timers and (timers[0][0] <= now or timers[0][2].cancelled()):
            _, _, handle, turn = heapq.heappop(timers)
            if not handle.cancelled():
                ready.append(turn)
        while ready and ready[0][0].cancelled():
            ready.popleft()

    # --- for whoever lives in it ---

    def time(self) -> float:
        """Return the place on the time line."""
        return self.line.seconds

    def call_soon(
        self, callback: Callable[[*Args], object], *args: *Args, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run a callback at the next turn."""
        context = contextvars.copy_context() if context is None else context  # an empty one is false
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append((handle, callback, args, context))
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Args], object], *args: *Args, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run a callback at the next turn; there are no threads to be safe from."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback after so many seconds."""
        return self.call_at(self.line.seconds + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Args], object], *args: *Args, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Run a callback at a place on the time line; of those due at once, the one asked for first goes first."""
        context = contextvars.copy_context() if context is None else context  # an empty one is false
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if when < math.inf:
            timer: _Timer = (when, next(self._order), handle, (handle, callback, args, context))
            heapq.heappush(self._timers, timer)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Forget a timer when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> NumberedTask[T]:
        """Return a task."""
        number = next(self._numbers)
        context = contextvars.copy_context() if context is None else context  # an empty one is false
        named = f"Task-{number}" if name is None else str(name)
        task: NumberedTask[T] = NumberedTask(coro, loop=self, name=named, number=number, context=context)
        self._tasks[number] = task
        return task

    def get_task_factory(self) -> None:
        """Return None: tasks are made here."""

    def run_in_executor(self, executor: Any, func: Callable[[*Args], T], *args: *Args) -> asyncio.Future[T]:
        """Do the work now; its result is heard of at the next turn."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        try:
            result = func(*args)
        except Exception as err:  # noqa: BLE001 - whoever waits for it is told
            self.call_soon(_settle, future, err, None)
        else:
            self.call_soon(_settle, future, None, result)
        return future

    def run_forever(self) -> Never:
        """Refuse.

        Raises:
            RuntimeError: always; a loop that runs by itself waits for what comes from elsewhere, and nothing does.
        """
        raise RuntimeError("time passes only as far as somebody drives the loop: use step, or run_until_complete")

    def run_until_complete(self, future: Any) -> Any:
        """Drive it alone: time jumps to whatever is due next.

        Raises:
            RuntimeError: nothing is due, and never will be.
        """
        task: asyncio.Future[Any] = future if asyncio.isfuture(future) else self.create_task(future)
        while not task.done():
            following = self.next_at()
            if following is None:
                raise RuntimeError("everybody waits, and nothing will ever happen")
            self.line.pass_to(following)
            self.step()
        return task.result()

    async def shutdown_asyncgens(self) -> None:
        """Leave generators to whoever opened them."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Have no threads to wait for."""
        del timeout

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what asyncio complains of."""
        if not self._closed:
            self.complaints.append(context)

    def set_exception_handler(self, handler: Any) -> None:
        """Keep to `complaints`."""

    def get_debug(self) -> bool:
        """Return False."""
        return False

    def set_debug(self, enabled: bool) -> None:  # noqa: FBT001 - asyncio's own signature
        """Have no such mode."""

    def is_running(self) -> bool:
        """Say whether a callback runs now."""
        return _running_loop() is self

    def is_closed(self) -> bool:
        """Say whether it is over."""
        return self._closed

    def close(self) -> None:
        """End it."""
        self._closed = True
        self._ready.clear()
        self._timers.clear()


def run(main: Coroutine[Any, Any, T], line: TimeLine) -> T:
    """Run a coroutine to its end on a loop of its own: time jumps to whatever is due next."""
    loop = VirtualLoop(line)  # type: ignore[abstract]  # what asyncio has no use for here is left out
    try:
        result: T = loop.run_until_complete(main)
        return result
    finally:
        loop.close()


def _settle(future: asyncio.Future[T], err: Exception | None, result: Any) -> None:
    if future.done():
        return
    if err is not None:
        future.set_exception(err)
    else:
        future.set_result(result)


def _end(loop: VirtualLoop, task: NumberedTask[Any], end: Callable[[], BaseException]) -> None:
    """Raise an error in a task, and again at each await of its `finally` blocks, until it is over."""
    coro: Any = task.get_coro()
    _enter(loop, task)
    try:
        for _ in range(LAST_WORDS):
            try:
                task.in_context.run(coro.throw, end())
            except BaseException:  # noqa: BLE001 - whatever it ends with, nobody hears it
                break
    finally:
        _leave(loop, task)
