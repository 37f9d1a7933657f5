"""What is asked for, and how a process stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from signal import Signals
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A process to be.

    ``env`` is its whole environment: nothing is added. It and ``stdin`` reach the process through memory alone, never
    through its directory, its arguments, or what this object shows of itself.
    """

    argv: tuple[str, ...]  # the program is looked for on the PATH of ``env``
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    stdin: bytes = field(default=b"", repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)  # put into its directory first; no secrets
    merge_output: bool = False  # both streams, in order, in one file `output`; else `stdout` and `stderr`


@dataclass(frozen=True, slots=True)
class Running:
    """It has not ended, as far as this host can tell."""

    started_at: datetime  # aware, UTC, this host's clock


@dataclass(frozen=True, slots=True)
class Ended:
    """It has ended: ``code`` or ``signal`` says how, and the other is None."""

    code: int | None  # 126 and 127: it could not be run, as a shell says it; the reason is in its output
    signal: int | None
    started_at: datetime
    ended_at: datetime

    @property
    def ok(self) -> bool:
        """Whether it ended with code 0."""
        return self.code == 0

    @property
    def how(self) -> str:
        """Say how it ended, in a few words."""
        if self.signal is None:
            return f"exit code {self.code}"
        try:
            return f"ended by {Signals(self.signal).name}"
        except ValueError:  # a real-time signal has no name
            return f"ended by signal {self.signal}"


@dataclass(frozen=True, slots=True)
class Lost:
    """It ran and is gone, and nobody was there to see how it ended: the machine went down, the shim was killed."""

    note: str


@dataclass(frozen=True, slots=True)
class NeverBegan:
    """Its directory was made, and nothing was ever run in it: not by now, and not later."""

    note: str = ""  # why, where the shim could say


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """It belongs to another host, which alone can judge it."""

    host: str


Process: TypeAlias = Running | Ended | Lost | NeverBegan | Elsewhere
"""How a process stands."""
