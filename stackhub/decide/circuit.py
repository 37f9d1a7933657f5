"""Whether an account is worth calling now. Pure.

    closed ──(failing for a while, or refused credentials)──────▶ open ──(its rest is over)──▶ one trial
       ▲                                                          ▲                             │
       └───────────────────────────── it went well ───────────────┴──────── it did not ─────────┘

A vendor that asks for patience (429) is left alone until then by the lane's ``not_before``; it counts once each time.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from stackhub.contract import ConfigError

FAILURES: Final = 5  # in a row, and
WHILE: Final = timedelta(seconds=20)  # over at least so long: many calls that fail at one moment are one blink
FIRST_REST: Final = timedelta(seconds=15)
LONGEST_REST: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """How the calls of one lane have gone of late."""

    failures: int = 0  # in a row
    since: datetime | None = None  # of the first of them
    open_until: datetime | None = None  # no call before; None while closed
    rest: timedelta = FIRST_REST
    refused: bool = False  # credentials or settings will not do: a person must act
    error: str = ""

    @property
    def open(self) -> bool:
        """Whether calls are held back, but for a trial."""
        return self.open_until is not None

    def trial(self, now: datetime) -> bool:
        """Whether one call may be tried while it is open."""
        return self.open_until is not None and now >= self.open_until


def went_well(circuit: Circuit) -> Circuit:
    """Say how things stand after a call that got an answer; the same value where nothing changes."""
    return circuit if circuit == Circuit() else Circuit()


def went_badly(circuit: Circuit, error: Exception, now: datetime) -> Circuit:
    """Say how things stand after a call that did not get through."""
    refused = isinstance(error, ConfigError)
    failed = replace(
        circuit, failures=circuit.failures + 1, since=circuit.since or now, refused=refused, error=str(error)
    )
    lasting = failed.failures >= FAILURES and failed.since is not None and now - failed.since >= WHILE
    if not (refused or lasting or circuit.open):
        return failed
    rest = min(circuit.rest * 2, LONGEST_REST) if circuit.open else FIRST_REST
    return replace(failed, open_until=now + rest, rest=rest)
