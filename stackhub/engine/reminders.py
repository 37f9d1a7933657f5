"""Tells again what lasts: held back by a mute that has ended, or not spoken of for as long as a route bears.

Both are levels, not moments: whoever keeps the time looks at what is open, and what should have been told by now is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from stackhub.clock import Clock
from stackhub.decide.incident import Change, reminded_at
from stackhub.engine.bell import Bell
from stackhub.engine.incidents import Incidents
from stackhub.engine.inforce import InForce
from stackhub.engine.tenure import Tenure
from stackhub.errors import LostLane
from stackhub.model.incident import Incident
from stackhub.store import muted
from stackhub.store.lanes import TIME
from stackhub.store.rows import happened
from stackhub.store.store import Store
from stackhub.store.transaction import Transaction

log = structlog.get_logger()
LOOK: Final = 5.0  # seconds, at most, between looks


@dataclass(slots=True, kw_only=True)
class Reminders:
    """Owns what is told without anything having changed."""

    store: Store
    incidents: Incidents
    in_force: InForce
    clock: Clock
    tenure: Tenure
    ring: Callable[[], None]
    bell: Bell = field(default_factory=Bell)

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            try:
                await self.look()
            except LostLane:  # whoever keeps the time now tells it
                self.tenure.drop(TIME)
            await self.bell.wait(self._seconds())

    async def look(self) -> None:
        """End the mutes whose time has come, and tell what is due."""
        now = self.clock.now()
        if any(mute.until <= now for mute in self.incidents.mutes):
            await self._end_mutes(now)
        for incident in [one for one in self.incidents.open.values() if self._due(one, now)]:
            if any(await self.incidents.keep([incident.key], self._telling(incident.key), self.store)):
                self.ring()

    def _seconds(self) -> float:
        """Return how long nothing is known to fall due; never longer than between two looks."""
        now, routes = self.clock.now(), self.incidents.routes
        dues = [mute.until for mute in self.incidents.mutes]
        if self.in_force.reminds():
            dues += [at for one in self.incidents.open.values() if (at := reminded_at(one, routes(one))) is not None]
        ahead = [(at - now).total_seconds() for at in dues if at > now]
        return min([self.clock.between_looks(LOOK), *ahead])

    async def _end_mutes(self, now: datetime) -> None:
        over = [mute for mute in self.incidents.mutes if mute.until <= now]
        transaction = Transaction(lanes=self.tenure.under(TIME))
        for mute in over:
            transaction.add(
                muted.ended(mute, mute.until, ""), happened(now, "unmuted", text=f"{mute.key}: the time has come")
            )
        await self.store.apply(transaction)
        await self.incidents.reload(self.store)
        log.info("mutes have ended", keys=[mute.key for mute in over])

    def _due(self, incident: Incident, now: datetime) -> bool:
        if incident.untold:
            return self.incidents.muted(incident) is None
        if not self.in_force.reminds():
            return False
        at = reminded_at(incident, self.incidents.routes(incident))
        return at is not None and at <= now and self.incidents.muted(incident) is None

    def _telling(self, key: str) -> Callable[[Transaction], list[Change | None]]:
        def build(transaction: Transaction) -> list[Change | None]:
            transaction.lanes.update(self.tenure.under(TIME))
            return [self.incidents.tell_again(key, transaction)]

        return build
