"""How one instance is opened: its connector, its gate, and the lane and outbox that its connector is good for."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import structlog

from stackhub.clock import Clock
from stackhub.config.instances import Instance
from stackhub.contract import Catalog, ConfigError, Context, Jobs, Limits, Notifier, Options
from stackhub.decide.circuit import Circuit
from stackhub.engine.board import Board
from stackhub.engine.catalog import Catalogue, Sweeper
from stackhub.engine.durations import Durations
from stackhub.engine.edge import Asking, Edge
from stackhub.engine.gate import LaneGate
from stackhub.engine.health import LaneHealth
from stackhub.engine.hosts import Hosts
from stackhub.engine.incidents import Incidents
from stackhub.engine.inforce import InForce
from stackhub.engine.lane import Lane
from stackhub.engine.looks import Looks
from stackhub.engine.outbox import Outbox
from stackhub.engine.standin import StandIn
from stackhub.engine.tenure import Tenure
from stackhub.engine.work import Work
from stackhub.model.ids import Ids
from stackhub.model.step import StepState
from stackhub.store.store import Store

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class OpenInstance:
    """One instance at work."""

    instance: Instance
    connector: object  # what `Connector.open` gave: implements the protocols that fit
    gate: LaneGate
    health: LaneHealth
    standby: bool = False  # another hub attends it: here it shows, hears webhooks, and asks after jobs of this host
    lane: Lane | None = None
    outbox: Outbox | None = None
    sweeper: Sweeper | None = None
    leave: anyio.Event = field(default_factory=anyio.Event)
    left: anyio.Event = field(default_factory=anyio.Event)

    @property
    def shut(self) -> bool:
        """Whether something stands in for it."""
        return isinstance(self.connector, StandIn)


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
    tenure: Tenure
    hosts: Hosts
    durations: Durations
    catalogue: Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How an account is, as it was left when its instance was last open."""

    not_before: datetime | None = None
    tokens: float = 0.0
    circuit: Circuit = field(default_factory=Circuit)
    mended: bool = False  # its settings were changed since


@asynccontextmanager
async def opened(
    place: Place,
    instance: Instance,
    was: Condition | None,
    *,
    ring_outboxes: Callable[[], None],
    on_back: Callable[[str], None],
) -> AsyncIterator[OpenInstance]:
    """Open an instance; where its connector cannot, a stand-in takes its place. ``was`` None: another attends it."""
    name, standby, was = instance.name, was is None, was or Condition()
    limits, flaw = _limits(instance)
    gate = LaneGate(name, place.clock, rate=limits.rate, burst=limits.burst, tokens=was.tokens)
    gate.not_before = was.not_before
    gate.lease_until = partial(place.tenure.until, name)
    health = LaneHealth(
        instance=name,
        store=place.store,
        incidents=place.incidents,
        clock=place.clock,
        gate=gate,
        stalled=lambda: sum(step.state is not StepState.WAITING for step in place.board.steps(name)),
        ring=ring_outboxes,
        on_back=lambda: on_back(name),
        circuit=was.circuit,
        under=None if standby else partial(place.tenure.under, name),
    )
    holder: list[Lane] = []

    def wake() -> None:
        for lane in holder:
            lane.look_now()

    context = Context(
        instance=name,
        directory=place.directory,
        state=place.state,
        gate=gate,
        lease=gate.check_lease,
        wake=wake,
        now=place.clock.now,
        log_most=place.in_force.configuration.hub.log_max,
        contact=place.contact,
    )
    await place.durations.load(name)
    async with _connected(instance, context, flaw) as connector:
        held = OpenInstance(instance=instance, connector=connector, gate=gate, health=health, standby=standby)
        if isinstance(connector, Jobs) and (instance.connector.operations or held.shut):
            held.lane = _lane(place, held, connector, limits)
            holder.append(held.lane)
        if isinstance(connector, Notifier) and (instance.notifies or held.shut) and not standby:
            held.outbox = _outbox(place, held, connector, limits, ring_outboxes)
        if isinstance(connector, Catalog) and not standby:
            held.sweeper = _sweeper(place, held, connector)
        if was.mended and not held.shut and health.circuit.open:
            health.mended()
            on_back(name)
        yield held


@asynccontextmanager
async def _connected(instance: Instance, context: Context, flaw: str) -> AsyncIterator[object]:
    """Open a connector. What it raises while it opens, or closes, costs its own instance, not the hub."""
    entered = ours = False
    try:
        if not flaw:
            async with instance.connector.open(instance.settings, context) as connector:
                entered = True
                try:
                    yield connector
                except BaseException:
                    ours = True
                    raise
    except Exception as err:
        if ours:
            raise
        if entered:
            log.exception("bug in a connector", instance=instance.name, verb="close")
        flaw = str(err) if isinstance(err, ConfigError) else f"bug in its connector: {err!r}"
    if not entered:
        log.error("an instance cannot be opened", instance=instance.name, reason=flaw)
        yield StandIn(f"{instance.name} cannot be opened: {flaw}")


def _limits(instance: Instance) -> tuple[Limits, str]:
    """Return what an account bears, and what is wrong where its connector cannot say."""
    try:
        return instance.connector.limits(instance.settings), ""
    except Exception as err:  # noqa: BLE001 - as in `_connected`
        return Limits(), f"bug in its connector: {err!r}"


def _lane(place: Place, held: OpenInstance, jobs: Jobs, limits: Limits) -> Lane:
    instance = held.instance
    edge = Edge(instance=instance.name, jobs=jobs, gate=held.gate, health=held.health)
    looks = Looks(
        instance=instance.name,
        edge=edge,
        limits=limits,
        board=place.board,
        clock=place.clock,
        gate=held.gate,
        durations=place.durations,
    )
    return Lane(
        instance=instance.name,
        edge=edge,
        operations=dict(instance.connector.operations),
        limits=limits,
        max_active=_max_active(instance.settings),
        board=place.board,
        clock=place.clock,
        gate=held.gate,
        health=held.health,
        job=place.work.job,
        looks=looks,
        hosts=place.hosts,
        standby=held.standby,
    )


def _sweeper(place: Place, held: OpenInstance, connector: Catalog) -> Sweeper:
    name = held.instance.name
    return Sweeper(
        instance=name,
        connector=connector,
        asking=Asking(instance=name, gate=held.gate, health=held.health),
        catalogue=place.catalogue,
        under=partial(place.tenure.under, name),
    )


def _outbox(
    place: Place, held: OpenInstance, notifier: Notifier, limits: Limits, ring_outboxes: Callable[[], None]
) -> Outbox:
    instance = held.instance

    def route_options(options: Any) -> Options:
        return Options() if held.shut else place.work.route(instance, options)

    return Outbox(
        instance=instance.name,
        notifier=notifier,
        route_options=route_options,
        store=place.store,
        clock=place.clock,
        ids=place.ids,
        incidents=place.incidents,
        gate=held.gate,
        health=held.health,
        width=limits.width,
        fallback=place.in_force.fallback,
        beside=place.in_force.beside,
        on_posted=ring_outboxes,
        under=partial(place.tenure.under, instance.name),
    )


def _max_active(settings: Any) -> int | None:
    most: int | None = getattr(settings, "max_active", None)
    return most
