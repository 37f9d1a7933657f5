"""Which ticks were missed, and from where on a catchup lets them run. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, takewhile
from typing import Final

from stackhub.decide.clockwork import Clockwork
from stackhub.model.pipeline import Catchup

PROMPT: Final = timedelta(minutes=1)  # a tick decided later than this was missed

_INSTANT: Final = timedelta.resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The moment from which ticks are judged."""

    now: datetime
    catchup: Catchup
    paused_since: datetime | None
    resumed_at: datetime | None

    def on_time(self, at: datetime) -> bool:
        """Say whether a tick that is due is nobody's business but its own."""
        return self.now - at <= PROMPT and not self.paused(at)

    def paused(self, at: datetime) -> bool:
        """Say whether a tick fell into the pause that is over."""
        return (
            self.paused_since is not None and self.resumed_at is not None and self.paused_since <= at < self.resumed_at
        )

    def cause(self, oldest: datetime, newest: datetime) -> str:
        """Say why these ticks did not run when they were due."""
        if self.paused(oldest) and self.paused(newest):
            return "paused"
        if (
            self.paused_since is None
            or newest < self.paused_since
            or self.resumed_at is None
            or self.resumed_at <= oldest
        ):
            return "missed while the hub was down"
        return "paused, or missed while the hub was down"

    def skipped_before(self, clock: Clockwork, next_at: datetime) -> datetime:
        """Return the instant before which every tick from ``next_at`` on is skipped."""
        match self.catchup:
            case Catchup.ALL:
                return next_at
            case Catchup.NONE:
                return self.now - PROMPT
            case Catchup.LAST:
                ticks = until(self.now, chain([next_at], clock.after(next_at)))
                if all(self.on_time(tick) for tick in ticks):
                    return next_at
                return next(clock.before(self.now + _INSTANT), next_at)


def until(now: datetime, ticks: Iterator[datetime]) -> Iterator[datetime]:
    """Yield the ticks that have fallen by ``now``."""
    return takewhile(lambda tick: tick <= now, ticks)
