"""Which instances are open: every configured one, and every other that an open step or a message still needs."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

import anyio
import sqlalchemy as sa
import structlog
from anyio.abc import TaskGroup

from stackhub.config.instances import Instance
from stackhub.contract import Notifier
from stackhub.decide.circuit import Circuit
from stackhub.decide.run import Back
from stackhub.engine.bell import Bell
from stackhub.engine.jumps import Measures
from stackhub.engine.opening import Condition, OpenInstance, Place, opened
from stackhub.engine.standin import gone
from stackhub.errors import LostLane
from stackhub.model.codec import load
from stackhub.store import tables as t

log = structlog.get_logger()
LOOK: Final = 5.0  # seconds between looks at what is not needed any more
LEAVE: Final = 30.0  # seconds that calls under way may take before an instance is closed over them
AGAIN: Final = 30.0  # seconds between tries to open what could not be opened


class Lanes:
    """Every open instance by name."""

    def __init__(self, place: Place, group: TaskGroup) -> None:
        self.open: dict[str, OpenInstance] = {}
        self.bell = Bell()
        self._place = place
        self._group = group
        self._wanted: Mapping[str, Instance] = {}
        self._left: dict[str, Condition] = {}  # of lanes of ours whose instance is not open
        self._turn = anyio.Lock()

    async def bring_to(self, wanted: Mapping[str, Instance]) -> None:
        """Open what is new, reopen what has changed, close what is gone and nothing needs."""
        async with self._turn:
            self._wanted = wanted
            await self._take(set(wanted))
            for name, instance in wanted.items():
                held = self.open.get(name)
                self._place.in_force.drained.pop(name, None)
                if held is not None and not held.shut and instance.fingerprint == held.instance.fingerprint:
                    continue
                if held is not None:
                    await self._close(held)
                await self._open(instance, mended=True)
            await self._tidy()

    async def run(self) -> None:
        """Close what is not needed any more, stand in for what is gone, and try again what could not be opened."""
        tried = self._place.clock.since_boot()
        while True:
            await self.bell.wait(self._place.clock.between_looks(LOOK))
            async with self._turn:
                await self._hand_over()
                await self._tidy()
                if self._place.clock.since_boot() - tried >= AGAIN:
                    tried = self._place.clock.since_boot()
                    await self._try_shut()

    async def tidy(self) -> None:
        """Look at once at what is needed."""
        async with self._turn:
            await self._tidy()

    def ring(self, name: str) -> None:
        """Wake a lane because one of its steps has moved."""
        held = self.open.get(name)
        if held is None or name not in self._wanted:
            self.bell.ring()
        if held is not None and held.lane is not None:
            held.lane.bell.ring()

    def look_now(self, name: str) -> None:
        """Look at an account at once, at its jobs and at what it holds."""
        held = self.open.get(name)
        for part in (held.lane, held.sweeper) if held is not None else ():
            if part is not None:
                part.look_now()

    def sweep_now(self) -> None:
        """Look at once at what every account holds, where somebody wants to know."""
        for held in self.open.values():
            if held.sweeper is not None:
                held.sweeper.look_now()

    def ring_outboxes(self) -> None:
        """Wake every notifier: there may be something to tell."""
        for held in self.open.values():
            if held.outbox is not None:
                held.outbox.bell.ring()

    def take_over(self) -> None:
        """Ask every account at once how the jobs of a hub before us stand, also one that was down then."""
        for name, held in self.open.items():
            if held.lane is not None:
                held.lane.look_now()
            if held.health.circuit.open:
                self._back(name)

    def measures(self) -> list[Measures]:
        """Return what measures time by the wall clock."""
        held = self.open.values()
        return [*(one.health for one in held), *(one.outbox for one in held if one.outbox is not None)]

    def undelivered(self) -> int:
        """Count the messages that wait to be delivered."""
        return sum(held.outbox.undelivered for held in self.open.values() if held.outbox is not None)

    def stop_claiming(self) -> None:
        """Begin nothing more: the hub is leaving."""
        for held in self.open.values():
            for part in (held.lane, held.outbox, held.sweeper):
                if part is not None:
                    part.leaving = True

    async def leave(self, seconds: float) -> None:
        """Begin nothing more, and wait so long for the answers to calls under way: the hub is leaving."""
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:
                for held in self.open.values():
                    group.start_soon(_quiet, held)

    async def give_back(self) -> None:
        """Give every lane back, with what is left of its rate."""
        tokens = {name: self._condition(held).tokens for name, held in self.open.items()}
        tokens |= {name: was.tokens for name, was in self._left.items()}
        await self._place.tenure.give_back(tokens)

    # --- opening and closing ---

    async def _open(self, instance: Instance, *, mended: bool = False) -> None:
        await self._take({instance.name})
        was = self._left.pop(instance.name, None)
        if was is not None and mended:
            was = Condition(not_before=was.not_before, tokens=was.tokens, circuit=was.circuit, mended=True)
        ready = anyio.Event()
        self._group.start_soon(self._attend, instance, was, ready)
        await ready.wait()

    async def _take(self, names: AbstractSet[str]) -> None:
        """Take those lanes that are free; one that we have taken stays ours."""
        for name, taken in (await self._place.tenure.take(names)).items():
            circuit = load(Circuit, taken.circuit) if taken.circuit else Circuit()
            self._left[name] = Condition(not_before=taken.not_before, tokens=taken.tokens, circuit=circuit)

    async def _hand_over(self) -> None:
        """Stand by where a lane was lost to another hub, and attend one that has become free."""
        tenure = self._place.tenure
        if tenure.alone:
            return
        for held in list(self.open.values()):
            name = held.instance.name
            if not held.standby and (held.gate.lost or not tenure.holds(name)):
                tenure.drop(name)
                await self._close(held)
                await self._open(held.instance)
        await self._take({name for name, held in self.open.items() if held.standby})
        for name in sorted(self._left.keys() & self.open.keys()):
            held = self.open[name]
            log.info("a lane is ours", instance=name)
            await self._close(held)
            await self._open(held.instance)
            if self.open[name].health.circuit.open:
                self._back(name)

    async def _close(self, held: OpenInstance) -> None:
        held.leave.set()
        await held.left.wait()

    async def _attend(self, instance: Instance, was: Condition | None, ready: anyio.Event) -> None:
        """Hold one instance open, its lane and outbox running, until it is asked to leave."""
        name, in_force = instance.name, self._place.in_force
        async with opened(self._place, instance, was, ring_outboxes=self.ring_outboxes, on_back=self._back) as held:
            self.open[name] = held
            if isinstance(held.connector, Notifier) and instance.notifies:
                known = in_force.speaks.get(name) if held.shut else None
                in_force.speaks[name] = known or held.connector.speaks
            ready.set()
            async with anyio.create_task_group() as group:
                if held.lane is not None:
                    group.start_soon(held.lane.run)
                if held.outbox is not None:
                    group.start_soon(held.outbox.run)
                if held.sweeper is not None:
                    group.start_soon(held.sweeper.run)
                await held.leave.wait()
                with anyio.move_on_after(LEAVE):
                    await _quiet(held)
                group.cancel_scope.cancel()
        del self.open[name]
        if name in self._place.tenure.epochs:
            self._left.setdefault(name, self._condition(held))  # one that was taken anew says more: its last owner's
        if name not in self._wanted:
            in_force.speaks.pop(name, None)
            in_force.drained.pop(name, None)
        held.left.set()

    def _condition(self, held: OpenInstance) -> Condition:
        return Condition(not_before=held.gate.not_before, tokens=held.gate.tokens, circuit=held.health.circuit)

    def _back(self, name: str) -> None:
        """Let what could not be started at an account be started now."""
        for run_id in sorted({step.run for step in self._place.board.steps(name) if step.stalls}):
            self._group.start_soon(self._tell_back, run_id, name)

    async def _tell_back(self, run_id: str, name: str) -> None:
        try:
            await self._place.board.tell(run_id, Back(instance=name))
        except LostLane as err:
            log.warning("a lane is lost", instance=name, reason=str(err))

    # --- what is not configured any more ---

    async def _tidy(self) -> None:
        mail = await self._place.store.read(_mail)
        for name, held in list(self.open.items()):
            if name in self._wanted:
                continue
            if self._needed(name) or name in mail:
                if not held.shut:
                    self._place.in_force.drained[name] = held.instance
                continue
            await self._close(held)
        for key in list(self._place.incidents.open):
            kind, _, name = key.partition(":")
            if kind == "instance" and name not in self._wanted and name not in self.open:
                await self._place.incidents.close(key, "no longer configured", self._place.store)
                self.ring_outboxes()
        for name in sorted({*self._place.board.instances(), *mail} - self.open.keys() - self._wanted.keys()):
            await self._open(gone(name))

    def _needed(self, name: str) -> bool:
        told = (knows for incident in self._place.incidents.open.values() for knows in incident.routes.values())
        held = self.open[name]
        return bool(self._place.board.steps(name)) or (not held.shut and any(knows.instance == name for knows in told))

    async def _try_shut(self) -> None:
        for held in list(self.open.values()):
            instance = self._wanted.get(held.instance.name)
            if held.shut and instance is not None:
                await self._close(held)
                await self._open(instance, mended=True)


async def _quiet(held: OpenInstance) -> None:
    async with anyio.create_task_group() as group:
        if held.lane is not None:
            group.start_soon(held.lane.leave)
        if held.outbox is not None:
            group.start_soon(held.outbox.leave)
        if held.sweeper is not None:
            group.start_soon(held.sweeper.leave)


# Made once: it is asked at every look. The state is spelt out, since a partial index serves no parameter.
_WAITING: Final = sa.select(t.outbox.c.instance).where(t.outbox.c.state == sa.literal_column("'pending'")).distinct()


def _mail(connection: sa.Connection) -> set[str]:
    """Return the instances for which messages wait."""
    return set(connection.scalars(_WAITING))
