"""A hub on its own ground: a configuration directory, a store, a world of played vendors, a clock that can be set on."""

import os
import random
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import anyio
from engine.far_end import World
from engine.played import connectors
from engine.press import Press

from stackhub.config.read import Configuration, read
from stackhub.engine.engine import Engine, attend
from stackhub.model.ids import Ids
from stackhub.model.run import OpenRun
from stackhub.store import queries, shown
from stackhub.store.store import Store, open_store

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)  # a Monday
STEP = timedelta(milliseconds=500)  # of the hub's time, for each look of a test
LOOK = 0.001  # seconds between looks
SELDOM = 6  # looks between those at which loops that ask the store are woken
PATIENCE = 20.0  # seconds a test waits for what must come
EMPTY = Path(tempfile.gettempdir()) / f"stackhub-tests-{os.getpid()}" / "stackhub.db"  # a database with nothing in it


class SetClock:
    """A clock that stands still unless it is set on."""

    def __init__(self, now=NOON):
        self._now, self._boot = now, 1000.0

    def now(self):
        return self._now

    def since_boot(self):
        return self._boot

    def between_looks(self, seconds):
        return seconds

    def pass_time(self, by):
        self._now += by
        self._boot += by.total_seconds()

    def set_wall(self, to):
        """Set the wall clock alone, as a person does."""
        self._now = to


@dataclass
class House:
    root: Path
    clock: SetClock = field(default_factory=SetClock)
    environ: dict = field(default_factory=lambda: {"STACKHUB_WATCH": "0s"})  # who watches accounts says so
    scheduled: bool = False  # ticks fall, and what is old is forgotten
    thorough: bool = False  # every loop sees every step of the clock

    def __post_init__(self):
        self.world = World(self.clock)
        self.connectors = {**connectors(self.world), "press": Press(self.world)}
        self._read = None
        self.ids = Ids(random.Random(7))  # waits are lengthened by their names: the same names, the same waits
        self.write("stackhub.env", "STACKHUB_GRACE=1s\n")

    def __getitem__(self, name):
        return self.world[name]

    def write(self, path, text=""):
        self._read = None
        file = self.root / path
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text)
        file.chmod(0o600)
        return self

    def remove(self, path):
        self._read = None
        (self.root / path).unlink()
        return self

    def instances(self, *names):
        for name in names:
            self.write(f"{name}.env")
        return self

    def pipeline(self, text):
        name = text.split("pipeline:", 1)[1].split()[0]
        return self.write(f"pipelines/{name}.yaml", text)

    def read(self) -> Configuration:
        if self._read is None:
            self._read = read(self.root, self.environ, self.connectors.__getitem__, self.connectors)
        return self._read

    @asynccontextmanager
    async def store(self):
        url, state = self.read().hub.database_url.get_secret_value(), self.root / ".stackhub"
        if not (state / EMPTY.name).exists():
            state.mkdir(mode=0o700)
            shutil.copy(EMPTY, state)
        async with open_store(url, state, written_by="test") as store:
            yield store

    @asynccontextmanager
    async def hub(self, *, store=None, **more):
        """A life of the hub that ends in peace."""
        if store is None:
            async with self.store() as opened, self.hub(store=opened, **more) as hub:
                yield hub
            return
        configuration = self.read()
        more = {"clock": self.clock, "ids": self.ids, "schedule": self.scheduled, **more}
        async with attend(configuration, store, self.environ, state=self.root / ".stackhub", **more) as engine:
            yield Hub(self, engine)

    @asynccontextmanager
    async def killed(self, **more):
        """A life of the hub that ends where the block does: nothing is given back, nobody waits for an answer."""
        try:
            async with self.hub(**more) as hub:
                yield hub
                _die()
        except BaseExceptionGroup as group:
            _, rest = group.split(Killed)
            if rest is not None:
                raise rest from None
        except Killed:
            pass


class Killed(BaseException):
    """The hub's process is gone."""


def _die():
    raise Killed


@dataclass
class Hub:
    """An engine at work, and how a test talks to it."""

    house: House
    engine: Engine

    def __getitem__(self, name):
        return self.house.world[name]

    @property
    def store(self) -> Store:
        return self.engine.store

    async def submit(self, kind, **args):
        return await self.engine.commands.submit(kind, args, "ada")

    async def trigger(self, pipeline, **args) -> str:
        return (await self.submit("trigger", pipeline=pipeline, **args))["run"]

    async def run(self, run_id) -> OpenRun:
        return await self.store.read(lambda connection: queries.run(connection, run_id))

    async def runs(self, pipeline=""):
        return await self.store.read(lambda connection: queries.runs(connection, pipeline=pipeline))

    def step(self, run_id, task):
        open_run = self.engine.board.get(run_id)
        return open_run.steps[task] if open_run else None

    async def incidents(self):
        return await self.store.read(queries.incidents)

    async def messages(self, **where):
        found = await self.store.read(lambda connection: shown.outbox(connection, limit=1000, **where))
        return found[::-1]

    def ring(self, *, all_of_them=True):
        """Let the loops look at the clock; those that would ask the store only with ``all_of_them``."""
        lanes = self.engine.lanes
        for held in lanes.open.values():
            if held.lane is not None:
                held.lane.bell.ring()
            if held.sweeper is not None:
                held.sweeper.bell.ring()
        if not all_of_them:
            return
        lanes.ring_outboxes()
        lanes.bell.ring()
        self.engine.scheduler.bell.ring()
        self.engine.deadlines.bell.ring()
        self.engine.forecasts.bell.ring()
        self.engine.reminders.bell.ring()
        self.engine.triggers.bell.ring()
        self.engine.files.bell.ring()
        self.engine.jumps.bell.ring()
        self.engine.inference.bell.ring()
        self.engine.owing.bell.ring()

    async def until(self, holds, *, step=STEP, patience=PATIENCE):
        """Let time pass until something holds; return it. ``step`` is what passes between two looks.

        None passes while a call or a decision is under way, however slow the machine is.
        """
        with anyio.move_on_after(patience):
            for look in count():
                found = holds()
                if hasattr(found, "__await__"):
                    found = await found
                if found:
                    return found
                if self.at_rest():
                    self.house.clock.pass_time(step)
                self.ring(all_of_them=self.house.thorough or look % SELDOM == SELDOM - 1)
                await self.engine.board.crier.wait(LOOK)
        raise AssertionError(f"it did not come to this within {patience} s: {self.picture()}")

    def at_rest(self):
        """Say whether nothing is under way but calls that hang, and those that wait for a rate."""
        held = self.engine.lanes.open.values()
        if any(one.gate._queue.locked() for one in held):
            return True
        calls = sum(len(part.busy) for one in held for part in (one.lane, one.outbox, one.sweeper) if part)
        decisions = any(slot.busy for slot in self.engine.board._slots.values())
        looking = any(one.busy for one in self.engine.files._standing.values())
        writing = self.engine.store.writer._committer._began is not None
        return calls <= self.house.world.stuck and not (decisions or looking or writing)

    async def now_until(self, holds):
        """Wait until something holds while the hub's clock stands still."""
        return await self.until(holds, step=timedelta())

    async def pass_time(self, by, *, step=None):
        """Let time pass, and every loop see it."""
        end = self.house.clock.now() + by
        step = step or by / 10
        while (left := end - self.house.clock.now()) > timedelta():
            before = self.house.clock.now()
            await self.until(lambda before=before: self.house.clock.now() > before, step=min(step, left))
        await self.rest()

    async def reach(self, at):
        """Set the clock on to a time, and let every tick that falls by then be decided."""
        self.house.clock.pass_time(at - self.house.clock.now())
        await self.ticked()

    async def ticked(self):
        """Let every tick that is due be decided."""
        scheduler = self.engine.scheduler

        def decided():
            due = [scheduler.following(one.pipeline) for one in scheduler.schedules()]
            return not any(at is not None and at <= self.house.clock.now() for at in due)

        await self.now_until(decided)
        await self.rest()

    async def rest(self, looks=5):
        """Let whatever is under way come to rest, while the clock stands still."""
        for _ in range(looks):
            self.ring()
            await self.engine.board.crier.wait(LOOK)
            await self.store.call(lambda connection: None)  # whatever was to be committed has been

    async def ended(self, run_id, **more) -> OpenRun:
        """Wait for a run's end, let time pass meanwhile."""

        async def over():
            if self.engine.board.get(run_id) is not None:
                return None
            found = await self.run(run_id)
            return found if found is not None and found.run.ended_at is not None else None

        return await self.until(over, **more)

    async def at(self, run_id, task, state, **more):
        """Wait until a step has come to a state."""
        return await self.until(lambda: (s := self.step(run_id, task)) is not None and s.state == state and s, **more)

    async def told(self, **more):
        """Wait until nothing waits to be told that is due within the next twenty seconds."""

        async def empty():
            soon = self.house.clock.now() + timedelta(seconds=20)
            waiting = [one for one in await self.messages(state="pending") if one.due <= soon]
            return not waiting

        await self.until(empty, **more)

    def picture(self):
        lines = []
        for open_run in self.engine.board.runs():
            states = {name: (step.state.value, step.note) for name, step in open_run.steps.items()}
            lines.append(f"{open_run.run.pipeline} {open_run.run.state}: {states}")
        for name, held in self.engine.lanes.open.items():
            if held.lane is not None:
                lines.append(f"{name}: busy {sorted(held.lane.busy.keys())}, circuit {held.health.circuit}")
        busy = [run_id for run_id, slot in self.engine.board._slots.items() if slot.busy]
        return "; ".join(lines) + f"; being decided: {busy}"
