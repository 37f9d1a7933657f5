"""A world from its spec to its end: everything that is written happens, and after each event the oracle looks."""

import json
import os
import random
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from simulation import afterwards, audit
from simulation.ahead import Ahead
from simulation.days import Days
from simulation.debts import Debts
from simulation.farends import FarEnds
from simulation.fleet import SOON, Fleet
from simulation.landed import Landed
from simulation.oracle import Oracle, Violation
from simulation.pasts import Pasts
from simulation.people import COMMANDS, Crowd, Desk
from simulation.players import NAMES, Played, connectors
from simulation.spec import HubEvent, Person, Spec
from simulation.stage import RealVendors
from simulation.thrift import Engines
from simulation.universe import Life, Universe
from simulation.vendors import Town

from stackhub.clock.loop import VirtualLoop
from stackhub.errors import ConfigError
from stackhub.store.inline import InlineWriter
from stackhub.store.store import open_store
from stackhub.store.tables import micros

MEMORY = Path("/dev/shm")
SELDOM = 20  # events between looks at tables into which no hub says that it has written
SLICE = timedelta(minutes=20, seconds=7)  # no time at which something is due every day
CLOSER = timedelta(minutes=3, seconds=1)  # where that finds no quiet moment
QUIET = 900.0  # seconds between looks, then
PAUSED = timedelta(hours=3)  # that a hub may still be held still, once all is made well
PATIENCE = timedelta(hours=60)  # in which all must have come to rest
ENGINES = Engines()  # of all worlds of this process


@dataclass
class Told:
    """What there was of a world."""

    seed: int
    simulated: timedelta
    events: int
    lives: int
    calls: int
    messages: int
    runs: int


@cache
def _template(process: int) -> bytes:
    async def make(path: Path) -> None:
        async with open_store(f"sqlite:///{path}", path.parent, written_by="simulation", lock=False, writer=_writer):
            pass

    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "stackhub.db"
        VirtualLoop().run_until_complete(make(path))
        audit.install(path)
        return path.read_bytes()


def _remember(path: Path, spec: Spec) -> None:
    """Let a hub know already how long tasks have taken."""
    rows = []
    for pipeline in spec.pipelines:
        for task, made in pipeline["tasks"].items():
            lasted = spec.lasted.get(f"{pipeline['pipeline']}/{task}")
            if lasted:
                key = f"task:{pipeline['pipeline']}/{task}"
                rows.append((made["uses"].partition(".")[0], key, micros(spec.begins), json.dumps(lasted)))
    if rows:
        connection = sqlite3.connect(path)
        connection.executemany("INSERT INTO duration (instance, key, ended_at, data) VALUES (?, ?, ?, ?)", rows)
        connection.commit()
        connection.close()


def _writer(made: Any, loop: Any) -> InlineWriter:
    return InlineWriter(made, loop, mark="template")


@cache
def _place(process: int) -> Path:
    """Name a directory for the worlds of this process, in memory where the machine has such a place."""
    memory = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for left in memory.glob("stackhub-worlds-*"):
        if not Path(f"/proc/{left.name.split('-')[2]}").exists():  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
    return memory / f"stackhub-worlds-{process}-{secrets.token_hex(8)}"


@contextmanager
def ground() -> Iterator[Path]:
    """Make a directory for one world: the same for one after another, so that they can share what is compiled."""
    place = _place(os.getpid())
    place.mkdir(mode=0o700, exist_ok=True)
    for nth in count():
        made = place / f"world-{nth}"
        with suppress(FileExistsError):
            made.mkdir(mode=0o700)
            break
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        with suppress(OSError):  # another world of this process is there
            place.rmdir()


class World:
    """One world at work."""

    def __init__(self, spec: Spec, root: Path) -> None:
        self.spec, self.root = spec, root
        self.universe = Universe(spec.seed, spec.begins, looks=timedelta(seconds=spec.looks), engines=ENGINES)
        self.town = Town(spec, lambda: self.universe.line.now, self.universe.at, lambda: self.universe.acting)
        self.also: list[Callable[[], object]] = []  # called after each event as well
        self._armed: list[tuple[int, HubEvent]] = []
        self._looks = 0
        self._commits = -1
        state = root / ".stackhub"
        state.mkdir(mode=0o700)
        database_file = state / "stackhub.db"
        database_file.write_bytes(_template(os.getpid()))
        database_file.chmod(0o600)
        _remember(database_file, spec)
        self.real = RealVendors(spec, lambda: self.universe.line.now, self.universe.at) if spec.real else None
        known: dict[str, Any] = {**connectors(self.town), **(self.real.connectors if self.real else {})}
        self.desk = Desk(root, spec, known, self.real.settings if self.real else lambda _: {})
        self.fleet = Fleet(spec, root, self.universe, self.desk, self.real.transport if self.real else None)
        self.reader = audit.Reader(database_file)
        self.oracle = Oracle(self.reader, self.town, self.fleet.now)
        self.landed = Landed(self.oracle, alone=spec.hubs == 1)
        self.debts = Debts(self.oracle)
        alone = spec.hubs == 1
        exact = alone and all(event.do in {"kill", "stop"} for event in spec.hub)
        self.oracle.eyes = [
            self.landed,
            Pasts(self.oracle, alone=alone),
            Days(self.oracle),
            Ahead(self.oracle, exact=exact),
            self.debts,
        ]
        self.far_ends = FarEnds(self.oracle, self.fleet.owner)
        self.crowd = Crowd(self.oracle, database_file, self.fleet.now)
        try:
            self.desk.read()
        except ConfigError as err:
            self.reader.close()
            raise ConfigError(f"what it configures is not good: {str(err).splitlines()[0]}") from err
        gone = {person.what.get("instance") for person in spec.people}  # and without a file, the defaults hold
        for name, given in spec.instances.items():
            if name in gone or name not in NAMES:
                continue
            bears = {key: float(given.get(key, Played.model_fields[key].default)) for key in ("rate", "burst")}
            self.far_ends.bears(name, **bears)

    def run(self) -> Told:
        """Let it all happen.

        Raises:
            Violation: an invariant does not hold.
        """
        spec, at = self.spec, self.universe.at
        for event in spec.hub:
            at(timedelta(seconds=event.at), lambda event=event: self._armed.append((event.step, event)))
        for person in spec.people:
            at(timedelta(seconds=person.at), lambda person=person: self._act(person))
        for other in spec.others:
            at(timedelta(seconds=other.at), lambda o=other: self.town[o.instance].begin(o.what, "", "sync", o.turn))
        self._begin()
        self.universe.run_until(spec.lasts, self.look)
        self.universe.line.looks = max(spec.looks, QUIET)
        self._make_well()
        self._come_to_rest()
        return self._told()

    def look(self) -> None:
        """Look at everything after an event, and let befall the hub what was to by now."""
        self._looks += 1
        if self.universe.commits != self._commits or self._looks % SELDOM == 0:
            self._commits = self.universe.commits
            self.oracle()
        self.far_ends()
        self.debts.jobs()
        if self._armed and not self.fleet.over:
            self._armed = [(left - 1, event) for left, event in self._armed]
            for left, event in self._armed:
                if left < 0:
                    self.fleet.befall(event)
                    if event.do == "pause":
                        self.far_ends.stopped()
                    self.town.jumped = self.fleet.jumps
            self._armed = [(left, event) for left, event in self._armed if left >= 0]
        for also in self.also:
            also()

    # --- hubs ---

    @property
    def life(self) -> Life | None:
        """The life of the first hub."""
        return self.fleet.lives[0]

    @life.setter
    def life(self, life: Life | None) -> None:
        self.fleet.lives[0] = life

    def _begin(self) -> None:
        self.fleet.begin_all()

    # --- people ---

    def _act(self, person: Person) -> None:
        if person.wish not in COMMANDS:
            self.desk.edit(person)
            self._reload()
            return
        wish = self.crowd.wish(person)
        if wish is None:
            return
        kind, args = wish
        up = self.fleet.up
        if up:
            up[person.pick % len(up)].submit(kind, **args)
        elif self.fleet.gone:
            self.crowd.leave_word(kind, args)

    def _reload(self) -> None:
        if not self.desk.is_good():
            self.universe.at(SOON, self._mend)
        self.fleet.reload()

    def _mend(self) -> None:
        if not self.desk.is_good():
            self.desk.mend()
            self._reload()

    # --- the end ---

    def _make_well(self) -> None:
        self.fleet.over = True
        self.town.heal()
        if self.real:
            self.real.heal()
        self._mend()
        self._begin()
        self._pass(SOON * 2)
        self._begin()
        self._keep_their_word()
        goes_on = self.desk.rest()
        self.fleet.reload()
        up = self.fleet.up
        for name in sorted(self.desk.pipelines):
            wish = "resume" if name in goes_on else "pause"
            asked = up[0].submit(wish, pipeline=name) if up else None
            if asked is None or asked.error is not None:  # none is at work, or it leaves
                self.crowd.leave_word(wish, {"pipeline": name})

    def _keep_their_word(self) -> None:
        """Wait until every tick whose time is up, or whose data is in, must have been decided."""
        slack, passed = timedelta(seconds=self.universe.line.looks * 2) + SOON, timedelta()
        while self.landed.overdue(timedelta()) and passed <= slack + PAUSED:
            self._pass(SLICE)
            passed += SLICE
        if passed > slack and (late := self.landed.overdue(slack)):
            raise Violation(8, late)

    def _pass(self, by: timedelta) -> None:
        self.universe.run_until(by, self.look)

    def _come_to_rest(self) -> None:
        slack = timedelta(seconds=QUIET * 2) + SOON
        passed = timedelta()
        while waiting := afterwards.unquiet(self.oracle, slack) or ", ".join(self._held()):
            if passed > PATIENCE:
                raise Violation(0, f"after {passed} in which all was well: {waiting}")
            for connection in self._waited_for():  # somebody else loads it
                self.town["tap"].begin(connection, "", "sync")
            by = SLICE
            if passed > PATIENCE / 4:  # a busy world may have short quiet moments alone, in which all hubs must keep up
                by, self.universe.line.looks = CLOSER, CLOSER.total_seconds() / 3
            self._pass(by)
            passed += by
        whole = self.spec.retention == "90d" and not self.town.jumped
        wishes = {person.wish for person in self.spec.people}
        unknown = wishes - set(COMMANDS) or ("mute" in wishes and not whole)  # who heard, or was muted, by then
        notifiers = None if unknown else {name for name in self.spec.instances if name in afterwards.SPEAKS}
        exact = self.spec.hubs == 1 and not self.town.jumped
        afterwards.check(self.oracle, whole=whole, exact=exact, notifiers=notifiers)
        if self.real:
            self.real.check(self.oracle)
        if self._strays():
            raise Violation(4, "a hub's open incidents are not those of the store")

    def _held(self) -> list[str]:
        """Return what hubs hold in memory, and what one of several has not heard of yet."""
        unheard = ["a hub keeps up"] if self.spec.hubs > 1 and self._strays() else []
        return [*self.fleet.held(), *unheard]

    def _strays(self) -> bool:
        return any(its != self.oracle.open for its in self.fleet.open_incidents())

    def _waited_for(self) -> list[str]:
        steps = [step for run in self.oracle.runs.values() for step in run.steps.values() if step.state == "running"]
        waited = {step.data["handle"]["wait"] for step in steps if "wait" in (step.data.get("handle") or {})}
        return sorted(waited | set(self.debts.unpaid()))

    def _told(self) -> Told:
        accounts = self.town.accounts.values()
        return Told(
            seed=self.spec.seed,
            simulated=timedelta(seconds=self.universe.line.seconds),
            events=self.universe.steps,
            lives=self.universe.born,
            calls=sum(len(account.calls) for account in accounts) + (self.real.requests if self.real else 0),
            messages=sum(told.effect for account in accounts for told in account.told),
            runs=len(self.oracle.every_run),
        )

    def close(self) -> None:
        """Let go of it, however it went."""
        for life in list(self.universe.lives):
            with suppress(Exception):
                life.kill()
        self.reader.close()


def live(spec: Spec, *, prepare: Callable[[World], object] = lambda _: None) -> Told:
    """Run a world in a place of its own; ``prepare`` may do something to it first.

    Raises:
        AssertionError: an invariant does not hold, or a hub fell. ConfigError: no hub can begin with such a spec.
    """
    random.seed(spec.seed)
    with ground() as root:
        world = World(spec, root)
        try:
            prepare(world)
            return world.run()
        finally:
            world.close()
