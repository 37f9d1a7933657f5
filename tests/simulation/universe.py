"""One time line, a world with events, and the lives of hubs: everything happens one callback after another.

    universe = Universe(seed=7, start=datetime(2026, 3, 28, tzinfo=UTC))
    world = engine.played.World(universe.clock)                  # far ends live outside of any hub; this is their clock
    life = universe.hub(configuration, state=directory)          # a hub begins to live
    universe.at(start + timedelta(hours=1), life.kill)           # an event of the world: any callable
    universe.at(later, lambda: universe.hub(configuration, state=directory))
    universe.run_until(start + timedelta(days=2), after_event=check)

`run_until` picks whatever is due first (of several at the same instant one by the seed), lets time pass up to there,
runs ONE callback of one hub (the code between two awaits), or one event of the world, and calls ``after_event``.
No code takes any time. One seed is one history, to the byte.

A hub is `open_store` and `attend` on an event loop of its own, over a real SQLite file with a writer in the loop.

    life.kill()        SIGKILL, between two callbacks: never stepped again; its lock is free, nothing has any effect
    life.pause(for_)   SIGSTOP, and SIGCONT after so long
    life.cut(for_)     cut off from its database for so long; `is_cut` tells far ends that it does not reach them either
    life.stop()        SIGTERM: it leaves in peace; `life.over` says when it has
    life.clock         its wall clock: ``life.clock.wrong_by += timedelta(hours=1)``, ``life.clock.set_wall(to)``
    life.ask(what)     runs ``await what(engine)`` in the hub, as a request to it does; returns an `Asked`
    life.submit(kind, **args)     a person's command
    life.apply(configuration)     an edit of the files
    life.engine        the parts at work, None until it is up; `life.up`, `life.over`, `life.dead`
    life.steps         callbacks it has run; it dies before the one numbered ``life.last_step``, and is asked to
                       leave before ``life.leaves_at``
    life.fate          asked at each point inside a callback whether the hub dies right there: before and after each
                       COMMIT ("COMMIT: before"), each verb of a connector ("tap start: before", "bell deliver: after")
                       and, in front of fake vendors, each request ("fivetran POST /v1/...: before")

What the world does to vendors and people is synchronous code on plain objects. Real connectors are given a transport:
``universe.hub(..., transport=lambda instance: httpx.ASGITransport(app))``.

Long histories: ``Universe(..., looks=timedelta(minutes=5))`` lets idle loops look less often than production's do. What
is known to be due wakes them in time all the same; only a clock that was set is noticed later.
Many universes on one file: ``Universe(..., engines=...)``, which they share.
"""

import asyncio
import heapq
import random
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from simulation.guard import Killed, guarded
from simulation.thrift import Engines

from stackhub.clock.loop import VirtualLoop
from stackhub.clock.virtual import TimeLine, VirtualClock
from stackhub.config.read import Configuration
from stackhub.engine.engine import Engine, attend
from stackhub.errors import StackhubError
from stackhub.model.ids import Ids
from stackhub.store.inline import InlineWriter
from stackhub.store.store import Store, open_store

AWAKE = timedelta(minutes=1)  # in which a hub that was held still does what fell due meanwhile
SPINS = 200_000  # callbacks at one instant: beyond that, somebody goes round and round


class Universe:
    """Everything there is, on one time line."""

    def __init__(
        self, seed: int, start: datetime, *, looks: timedelta = timedelta(), engines: Engines | None = None
    ) -> None:
        self.seed = seed
        self.rng = random.Random(f"universe {seed}")
        self.line = TimeLine(start)
        self.line.looks = looks.total_seconds()
        self.engines = engines or Engines()
        self.clock = VirtualClock(self.line)  # the true time
        self.lives: list[Life] = []  # of hubs that are not dead
        self.acting: Life | None = None  # whose callback runs, or ran last
        self.born = 0
        self.steps = 0  # callbacks and events so far
        self.commits = 0
        self._events: list[tuple[float, float, int, Callable[[], object]]] = []
        self._order = count()
        self._spins = (0.0, 0)

    def at(self, when: datetime | timedelta, what: Callable[[], object]) -> None:
        """Let something happen at a time, or after so long; what lies in the past happens at once."""
        place = self._place(when)
        heapq.heappush(self._events, (max(place, self.line.seconds), self.rng.random(), next(self._order), what))

    def hub(self, configuration: Configuration, *, state: Path, **more: Any) -> "Life":
        """Begin a life of a hub; see `Life` for what it may be told."""
        self.born += 1
        life = Life(self, configuration, state=state, number=self.born, **more)
        self.lives.append(life)
        return life

    def run_until(self, when: datetime | timedelta, after_event: Callable[[], object] | None = None) -> None:
        """Let everything happen that is due until then, in order.

        Raises:
            Fell: a hub has ended by itself, as it never should.
        """
        end = self._place(when)
        while self.run_one(end):
            if after_event is not None:
                after_event()

    def run_while(self, holds: Callable[[], object], most: timedelta = timedelta(days=1)) -> None:
        """Let things happen as long as something holds."""
        end = self.line.seconds + most.total_seconds()
        while holds():
            if not self.run_one(end):
                raise AssertionError(f"it still holds after {most}")

    def run_one(self, end: float) -> bool:
        """Let the next thing happen, if it is due by then; else let time pass, and return False."""
        at, due = self._next()
        if at is None or at > end:
            self.line.pass_to(end)
            return False
        self.line.pass_to(at)
        self.steps += 1
        chosen = due[0] if len(due) == 1 else self.rng.choice(due)
        if chosen is None:
            heapq.heappop(self._events)[3]()
        else:
            chosen.step()
        self._watch_for_spins()
        return True

    def _next(self) -> "tuple[float | None, list[Life | None]]":
        """Return when something is due, and whose it is; None stands for the world."""
        at = self._events[0][0] if self._events else None
        due: list[Life | None] = [] if at is None else [None]
        for life in self.lives:
            its = life.next_at()
            if its is None:
                continue
            if at is None or its < at:
                at, due = its, [life]
            elif its == at:
                due.append(life)
        return at, due

    def _place(self, when: datetime | timedelta) -> float:
        return self.line.seconds + when.total_seconds() if isinstance(when, timedelta) else self.line.until(when)

    def _watch_for_spins(self) -> None:
        at, spins = self._spins
        self._spins = (at, spins + 1) if at == self.line.seconds else (self.line.seconds, 0)
        if spins > SPINS:
            raise AssertionError(f"{SPINS} callbacks at one instant: somebody goes round and round")


class Fell(AssertionError):
    """A hub has ended by itself."""


@dataclass
class Asked:
    """What came of something that was asked of a hub."""

    done: bool = False
    result: Any = None
    error: BaseException | None = None


class Life:
    """One process of a hub, from its start to its end."""

    def __init__(
        self,
        universe: Universe,
        configuration: Configuration,
        *,
        state: Path,
        number: int,
        environ: Mapping[str, str] | None = None,
        url: str = "",
        wrong_by: timedelta = timedelta(),
        schedule: bool = True,
        lock: bool = True,
        fate: Callable[[str], bool] = lambda _: False,
        transport: Callable[[str], httpx.AsyncBaseTransport] | None = None,
        on_up: "Callable[[Life], object]" = lambda _: None,
    ) -> None:
        self.universe, self.number = universe, number
        self.state, self.schedule, self.lock, self.environ = state, schedule, lock, environ or {}
        self.url = url or configuration.hub.database_url.get_secret_value()
        self.clock = VirtualClock(universe.line, wrong_by=wrong_by)
        self.loop = VirtualLoop(universe.line)
        self.fate, self.transport, self.on_up = fate, transport, on_up
        self.rng = random.Random(f"life {universe.seed} {number}")
        self.ids = Ids(self.rng)
        self.engine: Engine | None = None
        self.store: Store | None = None
        self.dead = False  # killed
        self.over = False  # it has ended, whichever way
        self.failure: BaseException | None = None
        self.steps = 0
        self.last_step: int | None = None
        self.leaves_at: int | None = None
        self._paused_until = self._cut_until = 0.0
        self._writer: InlineWriter | None = None
        self._leave = asyncio.Event()
        self._asking: dict[asyncio.Task[None], None] = {}
        self._main = self.loop.create_task(self._live(configuration), name=f"hub {number}")

    @property
    def up(self) -> bool:
        """Whether it is at work."""
        return self.engine is not None and not self.over

    # --- what may befall it ---

    def kill(self) -> None:
        """End it here and now."""
        if not self.over:
            self.dead = True
            self._bury()

    def pause(self, for_: timedelta) -> None:
        """Stop its process for a while; time goes on."""
        self._paused_until = max(self._paused_until, self.universe.line.seconds + for_.total_seconds())

    def cut(self, for_: timedelta) -> None:
        """Cut its host off from the network for a while."""
        self._cut_until = max(self._cut_until, self.universe.line.seconds + for_.total_seconds())

    @property
    def is_held_still(self) -> bool:
        """Whether its process is stopped, or was until a moment ago."""
        return self.universe.line.seconds < self._paused_until + AWAKE.total_seconds()

    @property
    def is_cut(self) -> bool:
        """Whether it reaches nobody now."""
        return self.universe.line.seconds < self._cut_until

    def stop(self) -> None:
        """Ask it to leave."""
        if not self.over:
            self.loop.call_soon(self._leave.set)

    def ask(self, what: Callable[[Engine], Awaitable[Any]]) -> Asked:
        """Ask something of it, as a request does. It fails at once where no hub is at work."""
        asked = Asked()
        if not self.up or self._leave.is_set():  # a daemon that leaves has closed its doors
            asked.done, asked.error = True, ConnectionRefusedError("no hub is at work")
        else:
            task = self.loop.create_task(self._ask(what, asked), name="asked")
            self._asking[task] = None  # in their order: a set has another in each process
            task.add_done_callback(lambda task: self._asking.pop(task, None))
        return asked

    def submit(self, kind: str, **args: Any) -> Asked:
        """Give it a command, as a person does."""
        return self.ask(lambda engine: engine.commands.submit(kind, args, "ada"))

    def apply(self, configuration: Configuration) -> Asked:
        """Put an edited configuration in force."""
        return self.ask(lambda engine: engine.apply(guarded(configuration, self)))

    # --- how it goes on ---

    def next_at(self) -> float | None:
        """Return when something is due in it."""
        at = self.loop.next_at()
        return at if at is None or at >= self._paused_until else self._paused_until

    def step(self) -> None:
        """Run one callback."""
        self.universe.acting = self
        self.steps += 1
        if self.steps == self.last_step:
            self.kill()
            return
        if self.steps == self.leaves_at:
            self.stop()
        try:
            self.loop.step()
        except Killed:
            if not self.dead:
                raise
        if self.dead:
            self._bury()
        elif self._main.done():
            self._end()
        elif self.failure is not None:  # of something that was asked of it: a bug
            raise self._fell()

    def point(self, where: str) -> None:
        """Die here, if that is its fate; a dead one goes no further."""
        if not self.dead and self.fate(where):
            self.dead = True
        if self.dead:
            raise Killed(where)

    async def _live(self, configuration: Configuration) -> None:
        made = open_store(
            self.url,
            self.state,
            written_by="simulation",
            lock=self.lock,
            writer=self._make_writer,
            engine=self._connect,
        )
        async with made as self.store:
            living = attend(
                guarded(configuration, self),
                self.store,
                self.environ,
                state=self.state,
                schedule=self.schedule,
                clock=self.clock,
                ids=self.ids,
            )
            async with living as self.engine:
                self.on_up(self)
                await self._leave.wait()
                for task in list(self._asking):  # as the daemon closes its doors first
                    task.cancel()

    def _connect(self, url: str) -> sa.Engine:
        made = self.universe.engines(url, self.state)
        sa.event.listen(made, "begin", self._reach, insert=True)
        return made

    def _reach(self, _: sa.Connection) -> None:
        if self.is_cut:
            cause = sqlite3.OperationalError("the network is cut")
            raise sa.exc.OperationalError(str(cause), None, cause)

    def _make_writer(self, engine: Any, loop: asyncio.AbstractEventLoop) -> InlineWriter:
        def point(where: str) -> None:
            before = where.startswith("before")
            self.universe.commits += not before
            self.point(f"COMMIT: {'before' if before else 'after'}")

        compiled = self.universe.engines.compiled(engine)
        self._writer = InlineWriter(engine, loop, mark=f"hub{self.number}", point=point, compiled=compiled)
        return self._writer

    async def _ask(self, what: Callable[[Engine], Awaitable[Any]], asked: Asked) -> None:
        assert self.engine is not None
        try:
            asked.result = await what(self.engine)
        except StackhubError as err:
            asked.error = err
        except (Killed, asyncio.CancelledError) as err:
            asked.error = err
            raise
        except Exception as err:
            asked.error = self.failure = err
            raise
        finally:
            asked.done = True

    def _end(self) -> None:
        self._leave_the_living()
        self.failure = self.failure or self._main.exception()
        self.loop.abandon(Killed)
        if self.failure is not None:
            raise self._fell()

    def _fell(self) -> Fell:
        fell = Fell(f"hub {self.number} fell at {self.universe.line.now}: {self.failure!r}")
        fell.__cause__ = self.failure
        return fell

    def _bury(self) -> None:
        if self.over:
            return
        self._leave_the_living()
        self.loop.abandon(Killed)
        if self._writer is not None:
            self._writer.drop()

    def _leave_the_living(self) -> None:
        self.over = True
        self.universe.lives = [life for life in self.universe.lives if life is not self]
        self.universe.acting = None  # nobody holds it any more
        self.universe.engines.forget(self.url, self.state)
