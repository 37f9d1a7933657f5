"""The one look at what each account holds: its connections, how they are, when each last landed.

Whoever wants to know says how often (`Catalogue.wants`), and each account is asked for all of it at once, by the hub
that holds its lane, within its rate. What has changed is committed under the lane's epoch, together with whatever
follows from it (`Follower`); so a hub that dies here has either told everyone or nobody, and the next look does.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

import structlog

from stackhub.clock import Clock
from stackhub.contract import Catalog, Connection, LostLane
from stackhub.decide.incident import Change
from stackhub.engine.bell import Bell
from stackhub.engine.edge import Asking, Odd, kept
from stackhub.engine.incidents import Incidents
from stackhub.engine.underway import UnderWay
from stackhub.store import connections
from stackhub.store.store import Store
from stackhub.store.transaction import Transaction

log = structlog.get_logger()
NAP: Final = 5.0  # seconds, at most, between looks at what is wanted
LIMIT: Final = timedelta(minutes=5)  # for one listing: an account may have many pages
SWEEP: Final = "catalogue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one look at an account has shown; connections by id. A connection that is not in ``after`` is gone."""

    instance: str
    at: datetime  # when it was asked for
    before: Mapping[str, Connection]  # as last kept, by any hub; empty where it was never looked at
    after: Mapping[str, Connection]


class Follower(Protocol):
    """Draws conclusions from a look, which are committed together with it."""

    async def prepare(self, instance: str) -> None:
        """Read whatever `follow` will need, before the account is asked."""
        ...

    def keys(self, swept: Swept) -> Sequence[str]:
        """Name the incidents that `follow` may change: they are held meanwhile."""
        ...

    def follow(self, swept: Swept, transaction: Transaction) -> Sequence[Change | None]:
        """Add rows, and return the changes of incidents; called anew where something had moved on meanwhile.

        Called after every look, also where nothing has changed: what is level (broken, missing) needs no edge.
        """
        ...


@dataclass(slots=True, kw_only=True)
class Catalogue:
    """What every account held when it was last looked at, as far as this hub knows."""

    store: Store
    incidents: Incidents
    clock: Clock
    ring: Callable[[], None] = lambda: None  # wakes the outboxes
    held: dict[str, Mapping[str, Connection]] = field(default_factory=dict)  # by instance, then by id
    swept_at: dict[str, datetime] = field(default_factory=dict)  # of the accounts this hub has looked at itself
    wants: list[Callable[[str], timedelta | None]] = field(default_factory=list)  # how often; None: not at all
    followers: list[Follower] = field(default_factory=list)
    on_swept: list[Callable[[Swept], None]] = field(default_factory=list)  # called after the COMMIT

    def every(self, instance: str) -> timedelta | None:
        """Return how often an account is looked at; None when nobody wants it."""
        return min((every for wants in self.wants if (every := wants(instance)) is not None), default=None)

    def names(self, instance: str) -> list[tuple[str, str]]:
        """Return the connections of an account by their ids and names, as far as they are known."""
        return [(one.id, one.name) for one in self.held.get(instance, {}).values()]

    async def reload(self, instance: str = "") -> None:
        """Take over what the store holds of one account, or of all."""
        found = await self.store.read(partial(connections.connections, instance=instance))
        if instance:
            self.held[instance] = found.get(instance, {})
        else:
            self.held = dict(found)

    async def forget(self, configured: Iterable[str]) -> None:
        """Forget what was seen of accounts that are not configured any more."""
        gone = await self.store.read(connections.accounts) - set(configured)
        if gone:
            await self.store.call(partial(connections.forget, instances=gone))
        self.held = {name: held for name, held in self.held.items() if name not in gone}

    async def keep(
        self, instance: str, at: datetime, after: dict[str, Connection], under: Callable[[], dict[str, int]]
    ) -> None:
        """Commit a look and what follows from it. Raises `LostLane`: nothing was committed then."""
        before = dict(self.held.get(instance, {}))
        swept = Swept(instance=instance, at=at, before=before, after=after)
        rows = connections.seen(instance, before, after, self.clock.now())

        def build(transaction: Transaction) -> list[Change | None]:
            transaction.lanes.update(under())
            transaction.add(*rows)
            return [change for follower in self.followers for change in follower.follow(swept, transaction)]

        keys = sorted({key for follower in self.followers for key in follower.keys(swept)})
        changes = await self.incidents.keep(keys, build, self.store)
        self.held[instance] = after
        self.swept_at[instance] = at
        if any(change is not None for change in changes):
            self.ring()
        for listener in self.on_swept:
            listener(swept)


@dataclass(slots=True, kw_only=True)
class Sweeper:
    """Looks at one account. ``under`` gives the epoch of its lane."""

    instance: str
    connector: Catalog
    asking: Asking
    catalogue: Catalogue
    under: Callable[[], dict[str, int]]
    bell: Bell = field(default_factory=Bell)
    leaving: bool = False  # begins nothing more
    busy: UnderWay = field(default_factory=UnderWay)
    _last: float | None = None  # since boot; None: look at once

    async def run(self) -> None:
        """Look as often as somebody wants it, until cancelled."""
        await self.catalogue.reload(self.instance)
        while True:
            wait = self._wait()
            if wait > 0:
                await self.bell.wait(min(wait, self._nap))
            else:
                await self._sweep()

    def look_now(self) -> None:
        """Look at once: a webhook, or somebody who has begun to watch, asks for it."""
        self._last = None
        self.bell.ring()

    async def leave(self) -> None:
        """Begin nothing more, and wait until the look under way has been answered."""
        self.leaving = True
        await self.busy.answered()

    def _wait(self) -> float:
        """Return the seconds until the account may be looked at; 0 when it is time."""
        every, gate, health = self.catalogue.every(self.instance), self.asking.gate, self.asking.health
        if every is None or self.leaving or gate.lost or gate.lapsed:
            return self._nap
        if gate.rest() > timedelta():
            return gate.rest().total_seconds()
        if health.circuit.open and not health.circuit.trial(self.catalogue.clock.now()):
            return self._nap
        if self._last is None:
            return 0.0
        return self._last + every.total_seconds() - self.catalogue.clock.since_boot()

    @property
    def _nap(self) -> float:
        return self.catalogue.clock.between_looks(NAP)

    async def _sweep(self) -> None:
        self.busy.begin(SWEEP)
        try:
            at, self._last = self.catalogue.clock.now(), self.catalogue.clock.since_boot()
            for follower in self.catalogue.followers:
                await follower.prepare(self.instance)
            found = await self.asking.ask("connections", self.connector.connections, LIMIT, _listed)
            if not isinstance(found, Exception):
                await self.catalogue.keep(self.instance, at, found, self.under)
        except LostLane as err:
            if not self.asking.gate.lost:
                self.asking.gate.lost = str(err)
                log.warning("a lane is lost", instance=self.instance, reason=str(err))
        finally:
            self.busy.end(SWEEP)


def _listed(given: Any) -> dict[str, Connection]:
    if not isinstance(given, Sequence) or not all(isinstance(one, Connection) for one in given):
        raise Odd(f"not a list of connections: {given!r:.200}")
    found = {one.id: kept(one) for one in given}
    if any(one.last is not None and one.last.ended_at.tzinfo is None for one in found.values()):
        raise Odd("a landing whose time has no zone")
    return found
