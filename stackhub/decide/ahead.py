"""When an open run is looked at again for a deadline that it may yet keep. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from stackhub.decide import forecast
from stackhub.decide.forecast import Outlook
from stackhub.model.pipeline import Sla
from stackhub.model.run import OpenRun

SOON: Final = timedelta(seconds=15)  # between two looks at a run in which much is moving, at least
LATER: Final = timedelta(minutes=5)  # and at most
PARTS: Final = 10  # of the time that is left, one of which a run is at risk before people are told
HALVINGS: Final = 8  # of the time to the next look, in search of when people are to be told: to a second or so


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """A run that may still succeed, and a deadline: how it looks at any moment by which nothing more has moved."""

    at: datetime
    open_run: OpenRun
    histories: Mapping[str, Sequence[float]]  # seconds, by task

    def outlook(self, now: datetime) -> Outlook:
        """Look at it as it is then."""
        return forecast.of_hopeful(self.open_run, self.histories, now)

    def risk(self, now: datetime) -> float:
        """Return the probability, seen from then, that it misses its deadline."""
        return self.outlook(now).risk(self.at)

    def tells(self, now: datetime, *, already: bool = False) -> bool:
        """Say whether people are told then: of what has been at risk for a while, or have been told ``already``."""
        since = now if already else now - max(self.at - now, timedelta()) / PARTS
        return forecast.at_risk(self.risk(since), self.open_run.pipeline.sla or Sla(), already=already)

    def look_again(self, now: datetime) -> datetime:
        """Return when to look again at a run of which people are not told now: no later than they are to be.

        The risk never falls by itself, so the first moment at which it is too great can be sought.
        """
        first, until = now, min(self.at, now + LATER)
        if self.tells(until):
            for _ in range(HALVINGS):
                middle = first + (until - first) / 2
                first, until = (first, middle) if self.tells(middle) else (middle, until)
        return until
