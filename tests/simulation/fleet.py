"""The hubs of a world: how they begin, and what befalls them. One has a file for itself; several share it by lease."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from simulation.guard import guarded
from simulation.people import Desk
from simulation.spec import HubEvent, Spec
from simulation.universe import Life, Universe

from stackhub.errors import ConfigError
from stackhub.launch.launcher import HOST
from stackhub.server.reloading import ceased, observed

SOON = timedelta(minutes=5)  # until what was not there, or not good, is looked at again


class Fleet:
    """Every hub by its number."""

    def __init__(
        self,
        spec: Spec,
        root: Path,
        universe: Universe,
        desk: Desk,
        transport: Callable[[str], httpx.AsyncBaseTransport] | None,
    ) -> None:
        self.lives: list[Life | None] = [None] * spec.hubs
        self.over = False  # nothing befalls them any more
        self.jumps = 0  # times that a clock was set
        self._numbers: dict[int, int] = {}  # of a life -> of its hub
        self._root, self._universe, self._desk, self._transport = root, universe, desk, transport
        self._wrong_by = timedelta()
        self._edited: set[int] = set()  # lives that had read files which were edited before they were at work

    @property
    def up(self) -> list[Life]:
        """Return those at work."""
        return [life for life in self.lives if life is not None and life.up]

    @property
    def gone(self) -> bool:
        """Whether none is there at all."""
        return all(life is None or life.over for life in self.lives)

    def now(self) -> datetime:
        """Return what time it is for a hub: by its clock, or by what it was until it notices that it was set."""
        life = self.lives[0]
        if len(self.lives) == 1 and life is not None:  # where there are several, all clocks go right
            self._wrong_by = life.clock.wrong_by
            if life.up and life.engine is not None:
                return life.engine.clock.now()
        return self._universe.line.now + self._wrong_by

    def owner(self, life: int) -> str:
        """Return under which name the hub of a life owns lanes; "" where there is but one."""
        return _name(self._numbers[life]) if len(self.lives) > 1 else ""

    # --- how they begin ---

    def begin(self, nth: int = 0) -> None:
        """Begin a hub, if it is not there; with files that are not good, once somebody has mended them."""
        life = self.lives[nth]
        if life is not None and not life.over:
            return
        try:
            configuration = self._desk.read()
        except ConfigError:
            self._universe.at(SOON, self._desk.mend)
            self._universe.at(SOON * 2, lambda: self.begin(nth))
            return
        self.now()
        more: dict[str, Any] = {"wrong_by": self._wrong_by, "transport": self._transport, "on_up": self._catch_up}
        state = self._root / ".stackhub"
        if len(self.lives) > 1:
            more |= {"url": f"sqlite:///{state / 'stackhub.db'}", "lock": False}
            state = self._home(nth)
        life = self.lives[nth] = self._universe.hub(configuration, state=state, **more)
        self._numbers[life.number] = nth

    def begin_all(self) -> None:
        """Begin those that are not there."""
        for nth in range(len(self.lives)):
            self.begin(nth)

    def _home(self, nth: int) -> Path:
        """Return the state directory of one of several: its host has a name, which is the same in every process."""
        home = self._root / f"host-{nth}"
        if not home.exists():
            home.mkdir(mode=0o700)
            (home / "jobs").mkdir(mode=0o700)
            (home / "jobs" / HOST).write_text(_name(nth))
        return home

    def _catch_up(self, life: Life) -> None:
        """Read the files again that somebody has edited since they were read for it."""
        if life.number in self._edited:
            self._universe.at(timedelta(), lambda: self._tell(life))

    # --- what befalls them ---

    def befall(self, event: HubEvent) -> None:
        """Let something happen to one of them."""
        nth = event.hub % len(self.lives)
        life, again = self.lives[nth], timedelta(seconds=abs(event.seconds))
        if life is None or life.over:
            return
        match event.do:
            case "kill":
                life.kill()
                self._universe.at(again, lambda: self.begin(nth))
            case "stop":
                life.stop()
                self._universe.at(again + SOON, lambda: self._begin_after(life, nth))
            case "pause":
                life.pause(again)
            case "cut" if life.up:  # one that begins just then ends, as it should, and says why
                life.cut(again)
            case "jump":
                life.clock.wrong_by += timedelta(seconds=event.seconds)
                self.jumps += 1

    def _begin_after(self, life: Life, nth: int) -> None:
        """Begin anew once a hub that was asked to leave has left, however long it was kept from that."""
        if life.over:
            self.begin(nth)
        else:
            self._universe.at(SOON, lambda: self._begin_after(life, nth))

    # --- what they are told ---

    def reload(self) -> None:
        """Tell them that the files were edited."""
        for life in self.lives:
            if life is None or life.over:
                continue
            if life.up:
                self._tell(life)
            else:
                self._edited.add(life.number)

    def _tell(self, life: Life) -> None:
        if life.up:
            life.ask(lambda engine: self._read_again(engine, life))

    async def _read_again(self, engine: Any, life: Life) -> None:
        """Do as the daemon does on a signal."""
        try:
            found = self._desk.read()
        except ConfigError as err:
            engine.refused = str(err)
            await observed(engine, str(err))
            return
        await engine.apply(guarded(found, life))
        await ceased(engine, "the configuration is good again")

    # --- what they hold ---

    def held(self) -> list[str]:
        """Return what they hold in memory: nothing, of what is over."""
        return [line for life in self.lives for line in _held(life)]

    def open_incidents(self) -> list[dict[str, str]]:
        """Return what each thinks is open: incidents by key."""
        engines = [life.engine for life in self.up if life.engine is not None]
        return [{key: one.id for key, one in engine.incidents.open.items()} for engine in engines]


def _name(nth: int) -> str:
    return f"{nth + 1:016x}"


def _held(life: Life | None) -> list[str]:
    at_work = life.engine if life is not None and life.up else None
    if at_work is None:
        return ["a hub is not up"]
    opened = at_work.lanes.open.items()
    still = ["a hub is held still"] if life is not None and life.is_held_still else []
    return [
        *still,
        *(f"the hub holds run {open_run.run.id}" for open_run in at_work.board.runs()),
        *(f"the hub holds steps of {name}" for name in sorted(at_work.board.instances())),
        *(f"the hub holds a claim of {key}" for key in at_work.board._claims),
        *(f"a call to {name} is under way" for name, held in opened if held.lane and held.lane.busy),
        *(f"a message to {name} is under way" for name, held in opened if held.outbox and held.outbox.busy),
    ]
