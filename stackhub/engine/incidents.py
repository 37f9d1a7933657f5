"""The open incidents, and the rows that a change of one takes: always part of the transaction that caused it."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

import anyio
import sqlalchemy as sa

from stackhub.clock import Clock
from stackhub.contract import Part
from stackhub.decide import incident as decide
from stackhub.decide.incident import Change
from stackhub.decide.message import Post, Voice
from stackhub.decide.mute import muting
from stackhub.decide.owed import Debt, Key
from stackhub.decide.routes import RouteIn
from stackhub.engine.anew import Anew
from stackhub.errors import StaleRun
from stackhub.model.codec import dump
from stackhub.model.ids import Ids
from stackhub.model.incident import PIPELINE, SHADOW, Facet, Incident, Knows, pipeline_of
from stackhub.model.mute import Mute
from stackhub.model.pipeline import Told
from stackhub.store import debts, muted, queries
from stackhub.store import transaction as tx
from stackhub.store.rows import happened, incident_kept
from stackhub.store.store import Store
from stackhub.store.tables import micros
from stackhub.store.transaction import Op, Transaction

FALLBACK: Final = "fallback:"  # how the id of a route begins that stands in for another
OF_RUNS: Final = (PIPELINE, "backfill:")  # how keys begin of what has become of live runs
UNDELIVERED: Final = "hub:"  # how the key of an incident begins that says that a route, named by the rest, is dead


class Incidents:
    """What is wrong now. The cache is replaced only after COMMIT, under the lock of the incident's key."""

    def __init__(
        self,
        clock: Clock,
        ids: Ids,
        voice: Voice,
        routes: Callable[[str], Sequence[RouteIn]],
        *,
        mute: bool = False,
        alone: bool = True,
        silent: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Say how to tell. ``silent`` says whether a pipeline is in shadow; the hub itself when it is ""."""
        self.open: dict[str, Incident] = {}
        self.mutes: Sequence[Mute] = ()  # that nobody has ended
        self.ledger: dict[Key, Debt] = {}  # what is owed: read with the turns that guard it, and kept by `Owing`
        self._turns: Mapping[str, int] = {}
        self._alone = alone
        self._clock = clock
        self._ids = ids
        self._voice = voice
        self._routes = routes
        self._silent = silent
        self._mute = mute
        self._locks: dict[str, anyio.Lock] = {}
        self._anew = Anew()

    async def reload(self, store: Store) -> None:
        """Take over what the store holds."""
        found, self._turns, self.mutes, owed = await self._anew.read(store, _held)
        self.open = {incident.key: incident for incident in found}
        self.ledger = {debt.key: debt for debt in owed}

    def guard(self, key: str, transaction: Transaction) -> None:
        """See that no other hub touches what a pipeline's incident hangs on meanwhile: else `StaleRun`, and read anew.

        Two decisions that would not meet in any row must know of each other: a success that finds no incident to end,
        and a deadline that opens one.
        """
        name = pipeline_of(key)
        if name in self._turns and not self._alone:
            turn = self._turns[name]
            transaction.add(Op(tx.TURN, {"b_name": name, "b_turn": turn, "n_turn": turn + 1}))

    @asynccontextmanager
    async def holding(self, *keys: str) -> AsyncIterator[None]:
        """Hold these incidents while a change of them is decided and committed."""
        async with AsyncExitStack() as stack:
            for key in sorted(set(keys)):
                await stack.enter_async_context(self._locks.setdefault(key, anyio.Lock()))
            yield

    async def keep(
        self, keys: Sequence[str], build: Callable[[Transaction], Sequence[Change | None]], store: Store
    ) -> Sequence[Change | None]:
        """Commit what ``build`` adds to a transaction, holding these incidents; decided anew where one had moved on.

        Returns the changes it made.
        """
        while True:
            async with self.holding(*keys):
                transaction = Transaction()
                changes = build(transaction)
                for key in keys:
                    self.guard(key, transaction)
                if await self.settled(keys, transaction, changes, store):
                    return changes

    async def settled(
        self, keys: Sequence[str], transaction: Transaction, changes: Sequence[Change | None], store: Store
    ) -> bool:
        """Commit what was decided while these incidents were held; False: something had moved, and is read anew.

        The transaction guards them from the moment at which what was decided on was looked at.
        """
        try:
            await store.apply(transaction)
        except StaleRun:
            await self.reload(store)
            return False
        self.committed(changes, guarded=keys)
        return True

    def observe(
        self,
        key: str,
        facet: Facet,
        transaction: Transaction,
        *,
        pipeline: str = "",
        concerns: Sequence[str] = (),
        routes: Sequence[RouteIn] | None = None,
    ) -> Change | None:
        """Put a facet on the incident of ``key``, opening one where there is none; adds the rows.

        ``concerns`` are pipelines whose routes are told of what is no pipeline's own; ``routes`` are who is told in
        place of all of these.
        """
        now = self._clock.now()
        was = self.open.get(key)
        incident = was or Incident(
            id=self._ids.make(now), key=key, opened_at=now, severity=facet.severity, pipeline=pipeline
        )
        if concerns:
            incident = replace(incident, concerns=tuple(concerns))
        if was is None or was.shadow:
            incident = self._lit(incident)
        told = self.routes(incident) if routes is None else routes
        change = decide.observe(incident, facet, told, self._voice, now, muted=self.muted(incident) is not None)
        return self._keep(change, was, transaction, now, run=facet.run)

    def cease(self, key: str, kinds: Sequence[Told], transaction: Transaction, why: str) -> Change | None:
        """End facets of the open incident of ``key``, if there is one; adds the rows."""
        was = self.open.get(key)
        if was is None:
            return None
        now = self._clock.now()
        muted = self.muted(was) is not None
        change = decide.cease(was, kinds, self.routes(was), self._voice, now, why, muted=muted)
        return self._keep(change, was, transaction, now)

    async def bring_to_light(self, store: Store) -> None:
        """Tell what was kept from people as long as the hub, or all whom it concerns, were in shadow, and lasts."""
        for key in [key for key, one in self.open.items() if one.shadow and not self.shadowed(one)]:
            await self.keep([key], partial(self._come_to_light, key), store)

    def _come_to_light(self, key: str, transaction: Transaction) -> list[Change | None]:
        was, now = self.open.get(key), self._clock.now()
        if was is None or not was.shadow:
            return []
        lit = replace(self._lit(was), untold=True)
        if self.muted(lit) is not None:  # told when the mute ends
            return [self._keep(decide.quiet(lit), was, transaction, now)]
        told = decide.unmuted(lit, self.routes(lit), self._voice, now, "in shadow")
        return [self._keep(told, was, transaction, now)]

    def shadowed(self, incident: Incident) -> bool:
        """Say whether nobody is to be told of an incident, as things are configured now."""
        if incident.key.startswith(SHADOW) or self._silent(""):
            return True
        if incident.key.startswith(OF_RUNS):  # of live ones: they go on as they were
            return False
        return all(map(self._silent, incident.concerns or (incident.pipeline,)))

    def _lit(self, incident: Incident) -> Incident:
        """Return an incident as told or kept: one that comes to light is new to everybody."""
        shadow = self.shadowed(incident)
        return replace(incident, shadow=shadow, routes={} if incident.shadow and not shadow else incident.routes)

    def tell_again(self, key: str, transaction: Transaction) -> Change | None:
        """Tell what a mute has held back, or remind of what lasts, if either is due; adds the rows."""
        was, now = self.open.get(key), self._clock.now()
        if was is None or self.muted(was) is not None:
            return None
        tell = decide.unmuted if was.untold else decide.remind
        return self._keep(tell(was, self.routes(was), self._voice, now), was, transaction, now)

    def muted(self, incident: Incident) -> Mute | None:
        """Return the mute that an incident is under now."""
        return muting(self.mutes, incident, self._clock.now())

    def routes(self, incident: Incident) -> list[RouteIn]:
        """Return whom to tell of an incident, as it is configured now: not those of pipelines in shadow, if others."""
        names: Sequence[str] = incident.concerns or (incident.pipeline,)
        if not incident.shadow and incident.concerns:
            names = [name for name in names if not self._silent(name)]
        return [route for name in names for route in self._routes(name)]

    def covered(self, key: str, until: datetime) -> list[Told]:
        """Return the facets of an open incident that the success of a run up to ``until`` ends."""
        was = self.open.get(key)
        facets: Mapping[Told, Facet] = was.facets if was else {}
        return [kind for kind, facet in facets.items() if facet.covers is None or facet.covers <= until]

    def committed(self, changes: Sequence[Change | None], *, guarded: Sequence[str]) -> None:
        """Put what has been committed in place of what was known; ``guarded``: the keys given to `guard`."""
        self._anew.committed()
        names = {name for key in guarded if (name := pipeline_of(key))}
        if names:
            self._turns = {name: turn + (name in names) for name, turn in self._turns.items()}
        for change in changes:
            if change is not None and change.incident.resolved_at is not None:
                self.open.pop(change.incident.key, None)
            elif change is not None:
                self.open[change.incident.key] = change.incident

    def _keep(
        self, change: Change | None, was: Incident | None, transaction: Transaction, now: datetime, *, run: str = ""
    ) -> Change | None:
        if change is None:
            return None
        new = change.incident
        kind = "resolved" if new.resolved_at else "opened" if was is None else "updated"
        text = new.resolution if new.resolved_at else decide.head(new).title
        held = ", told to nobody: in shadow" if new.shadow else ", told to nobody: it is muted" if new.untold else ""
        transaction.add(
            incident_kept(new, was.version if was else None),
            happened(now, f"incident_{kind}", pipeline=new.pipeline, run=run, text=f"{new.id}: {text}{held}"),
        )
        if not self._mute:
            transaction.add(*self._posted(change, now))
        return change

    async def close(self, key: str, why: str, store: Store) -> None:
        """End an incident, whatever lasts of it."""
        await self.keep([key], lambda transaction: [self.cease(key, list(Told), transaction, why)], store)

    def hears(self, incident_id: str, instance: str) -> bool:
        """Say whether an open incident is told to an instance by a route of its own."""
        found = self._by_id(incident_id)
        return found is not None and any(
            knows.instance == instance and not name.startswith(FALLBACK) for name, knows in found.routes.items()
        )

    def introduce(self, incident_id: str, post: Post, transaction: Transaction) -> Change | None:
        """Let one more route know of an incident, by the message it is given, if it is open and new to it."""
        now = self._by_id(incident_id)
        if now is None or post.route.id in now.routes:
            return None
        route = post.route
        knows = Knows(
            severity=post.message.severity,
            cause="fallback",
            instance=route.instance,
            speaks=route.speaks,
            options=route.options,
        )
        after = replace(now, version=now.version + 1, routes={**now.routes, route.id: knows})
        transaction.add(incident_kept(after, now.version))
        return Change(incident=after, posts=())

    def keys_of(self, incident_id: str) -> list[str]:
        """Return the key of an incident; none where it is not open."""
        found = self._by_id(incident_id)
        return [found.key] if found is not None else []

    def _by_id(self, incident_id: str) -> Incident | None:
        return next((incident for incident in self.open.values() if incident.id == incident_id), None)

    def _posted(self, change: Change, now: datetime) -> list[Op]:
        ops = []
        for post in change.posts:
            if post.part is Part.ROOT and post.due <= now:
                ops.append(Op(tx.OUTBOX_SUPERSEDED, {"incident": change.incident.id, "route": post.route.id}))
            ops.append(posted(self._ids.make(now), change.incident.id, post, now, shadow=change.incident.shadow))
        return ops


def _held(connection: sa.Connection) -> tuple[list[Incident], dict[str, int], list[Mute], list[Debt]]:
    """Read all at one moment: an older ledger beside newer turns would be taken for what they guard."""
    turns = queries.turns(connection)
    return queries.open_incidents(connection), turns, muted.in_force(connection), debts.unpaid(connection)


def posted(message_id: str, incident: str, post: Post, now: datetime, *, shadow: bool = False) -> Op:
    """Put one message into the outbox; one in ``shadow`` is kept there to be shown, and is never sent."""
    return Op(
        tx.OUTBOX,
        {
            "id": message_id,
            "incident": incident,
            "route": post.route.id,
            "instance": post.route.instance,
            "seq": post.seq,
            "part": post.part.value,
            "options": dump(post.route.options),
            "message": dump(post.message),
            "state": "shadow" if shadow else "pending",
            "due": micros(post.due),
            "attempts": 0,
            "doubt": 0,
            "error": "",
            "created_at": micros(now),
            "sent_at": None,
        },
    )
