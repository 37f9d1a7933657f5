"""How long work took, by instance: read when an instance opens, one more with each end that is kept.

Whoever attends a lane writes its rows, so several hubs do not write the same. A duration that is lost, or kept twice,
when two jobs of one kind end in the same moment does no harm: it only says when to look, and what to expect.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

from stackhub.decide.history import Spread, fleet, learnt
from stackhub.decide.lasted import Lasted
from stackhub.model.codec import dump
from stackhub.store import queries
from stackhub.store import transaction as tx
from stackhub.store.store import Store
from stackhub.store.tables import micros
from stackhub.store.transaction import Op

JOB: Final = "job:"


class Durations:
    """What is known, for the instances that are open here."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, dict[str, tuple[float, ...]]] = {}
        self._fleets: dict[str, Spread | None] = {}

    async def load(self, instance: str) -> None:
        """Read what the store holds about an instance."""
        self._known[instance] = await self._store.read(partial(queries.durations, instance=instance))
        self._fleets.pop(instance, None)

    def of(self, instance: str, key: str) -> tuple[float, ...]:
        """Return the last durations of a piece of work, the newest last."""
        return self._known.get(instance, {}).get(key, ())

    def fleet(self, instance: str) -> Spread | None:
        """Return the distribution over all the jobs of an account; None while nothing is known of any."""
        if instance not in self._fleets:
            known = self._known.get(instance, {})
            self._fleets[instance] = fleet([found for key, found in known.items() if key.startswith(JOB)])
        return self._fleets[instance]

    def rows(self, ends: Sequence[Lasted], now: datetime) -> list[Op]:
        """Return the rows that keep these durations beside those known; `learn` once they are committed."""
        return [
            Op(
                tx.DURATION,
                {
                    "instance": end.instance,
                    "key": end.key,
                    "ended_at": micros(now),
                    "data": dump(learnt(self.of(end.instance, end.key), end.seconds)),
                },
            )
            for end in ends
            if end.instance in self._known
        ]

    def learn(self, ends: Sequence[Lasted]) -> None:
        """Know these durations: they have been committed."""
        for end in ends:
            known = self._known.get(end.instance)
            if known is not None:
                known[end.key] = learnt(known.get(end.key, ()), end.seconds)
                if end.key.startswith(JOB):
                    self._fleets.pop(end.instance, None)
