"""The lanes and outboxes of every configured instance: opened, attended, replaced when their settings change."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import structlog
from anyio.abc import TaskGroup

from stackhub.clock import Clock
from stackhub.config.instances import Instance
from stackhub.contract import Context, Jobs, Notifier
from stackhub.decide.circuit import Circuit
from stackhub.engine.board import Board
from stackhub.engine.gate import LaneGate
from stackhub.engine.health import LaneHealth
from stackhub.engine.incidents import Incidents
from stackhub.engine.inforce import InForce
from stackhub.engine.lane import Lane
from stackhub.engine.outbox import Outbox
from stackhub.engine.work import Work
from stackhub.model.codec import load
from stackhub.model.ids import Ids
from stackhub.store import configure
from stackhub.store.store import Store

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class OpenInstance:
    """One instance at work."""

    instance: Instance
    connector: object  # what `Connector.open` gave: implements the protocols that fit
    gate: LaneGate
    lane: Lane | None = None
    outbox: Outbox | None = None
    leave: anyio.Event = field(default_factory=anyio.Event)
    left: anyio.Event = field(default_factory=anyio.Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where, and in whose name, instances are opened."""

    store: Store
    board: Board
    incidents: Incidents
    in_force: InForce
    work: Work
    clock: Clock
    ids: Ids
    directory: Path
    state: Path
    contact: str
    owner: str  # this hub's random name


class Lanes:
    """Every open instance by name."""

    def __init__(self, place: Place, group: TaskGroup) -> None:
        self.open: dict[str, OpenInstance] = {}
        self.epochs: dict[str, int] = {}
        self.attending = False  # False: instances are open, but nothing is started or delivered yet
        self._place = place
        self._group = group

    async def bring_to(self, wanted: Mapping[str, Instance]) -> None:
        """Open what is new, reopen what has changed, close what is gone and no open step needs."""
        for name, held in list(self.open.items()):
            new = wanted.get(name)
            if new is not None and new.fingerprint == held.instance.fingerprint:
                continue
            if new is None and self._place.board.steps(name):
                self._place.in_force.drained[name] = held.instance
                continue
            await self._close(name)
        missing = [name for name in wanted if name not in self.open]
        if not missing:
            return
        taken = await self._place.store.call(
            lambda connection: configure.take_lanes(connection, missing, self._place.owner)
        )
        for name in missing:
            epoch, not_before, tokens, circuit = taken[name]
            self.epochs[name] = epoch
            await self._open(wanted[name], tokens)
            held = self.open[name]
            held.gate.not_before = not_before
            if held.lane is not None and circuit:
                held.lane.health.circuit = load(Circuit, circuit)

    def ring(self, name: str) -> None:
        """Wake a lane because one of its steps has moved."""
        held = self.open.get(name)
        if held is not None and held.lane is not None:
            held.lane.bell.ring()

    def ring_outboxes(self) -> None:
        """Wake every notifier: there may be something to tell."""
        for held in self.open.values():
            if held.outbox is not None:
                held.outbox.bell.ring()

    def stop_claiming(self) -> None:
        """Start nothing more: the hub is leaving."""
        for held in self.open.values():
            if held.lane is not None:
                held.lane.claiming = False

    def undelivered(self) -> int:
        """Count the messages that wait to be delivered."""
        return sum(held.outbox.undelivered for held in self.open.values() if held.outbox is not None)

    async def give_back(self) -> None:
        """Give every lane back, with what is left of its rate."""
        tokens = {name: held.gate.tokens for name, held in self.open.items()}
        await self._place.store.call(
            lambda connection: configure.give_back_lanes(connection, self._place.owner, tokens)
        )

    async def _open(self, instance: Instance, tokens: float) -> None:
        limits = instance.connector.limits(instance.settings)
        gate = LaneGate(instance.name, self._place.clock, rate=limits.rate, burst=limits.burst)
        gate.fill(tokens)
        ready = anyio.Event()
        self._group.start_soon(self._attend, instance, gate, ready)
        await ready.wait()

    async def _close(self, name: str) -> None:
        held = self.open[name]
        held.leave.set()
        await held.left.wait()

    async def _attend(self, instance: Instance, gate: LaneGate, ready: anyio.Event) -> None:
        """Hold one instance open, its lane and outbox running, until it is asked to leave."""
        name = instance.name
        async with self._opened(instance, gate) as held:
            self.open[name] = held
            ready.set()
            async with anyio.create_task_group() as group:
                if held.lane is not None and self.attending:
                    group.start_soon(held.lane.run)
                if held.outbox is not None and self.attending:
                    group.start_soon(held.outbox.run)
                await held.leave.wait()
                group.cancel_scope.cancel()
        del self.open[name]
        self._place.in_force.speaks.pop(name, None)
        self._place.in_force.drained.pop(name, None)
        held.left.set()

    @asynccontextmanager
    async def _opened(self, instance: Instance, gate: LaneGate) -> AsyncIterator[OpenInstance]:
        place, connector = self._place, instance.connector
        holder: list[OpenInstance] = []

        def wake() -> None:
            if holder and holder[0].lane is not None:
                holder[0].lane.look_now()

        context = Context(
            instance=instance.name,
            directory=place.directory,
            state=place.state,
            gate=gate,
            wake=wake,
            now=place.clock.now,
            log_most=place.in_force.configuration.hub.log_max,
            contact=place.contact,
        )
        async with connector.open(instance.settings, context) as opened:
            held = OpenInstance(instance=instance, connector=opened, gate=gate)
            holder.append(held)
            if isinstance(opened, Jobs) and connector.operations:
                held.lane = self._lane(instance, opened, gate)
            if isinstance(opened, Notifier):
                place.in_force.speaks[instance.name] = opened.speaks
                held.outbox = self._outbox(instance, opened)
            yield held

    def _lane(self, instance: Instance, jobs: Jobs, gate: LaneGate) -> Lane:
        place, name = self._place, instance.name
        health = LaneHealth(
            instance=name,
            store=place.store,
            incidents=place.incidents,
            clock=place.clock,
            gate=gate,
            stalled=lambda: sum(step.state.value != "waiting" for step in place.board.steps(name)),
            ring=self.ring_outboxes,
        )
        return Lane(
            instance=name,
            jobs=jobs,
            operations=dict(instance.connector.operations),
            limits=instance.connector.limits(instance.settings),
            max_active=_max_active(instance.settings),
            board=place.board,
            clock=place.clock,
            gate=gate,
            health=health,
            job=place.work.job,
        )

    def _outbox(self, instance: Instance, notifier: Notifier) -> Outbox:
        place = self._place
        return Outbox(
            instance=instance.name,
            notifier=notifier,
            route_options=lambda options: place.work.route(instance, options),
            store=place.store,
            clock=place.clock,
            ids=place.ids,
            incidents=place.incidents,
            fallback=place.in_force.fallback,
            on_fallback=self.ring_outboxes,
        )


def _max_active(settings: Any) -> int | None:
    most: int | None = getattr(settings, "max_active", None)
    return most
