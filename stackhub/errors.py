"""Every error stackhub raises, sorted by what happens next.

    StackhubError
    ├── ConfigError         a person must edit a file or grant a permission  → exit 2; a lane stalls
    ├── Refused             a person asked for what cannot be done           → exit 2, nothing changed
    ├── ConnectorError      a remote system did not oblige
    │   ├── Unavailable     nothing happened there                           → asked again, later
    │   ├── Unsure          it may have happened there                       → looked for, never repeated blindly
    │   └── Rejected        it said no and would say it again                → the step or message fails
    ├── LostLane            another hub owns the lane now                    → what we hold is dropped
    ├── StaleRun            the run moved since we read it                   → read again, decide again
    ├── StoreUnavailable    the database is away for a while                 → waited for
    └── StoreUnusable       the database cannot be used by this version      → exit 2

A class exists here only if some ``except`` or ``case`` needs to tell it apart.
"""

from dataclasses import dataclass
from datetime import timedelta


class StackhubError(Exception):
    """Anything stackhub raises on purpose."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with what a person wrote: where it stands, what it is, the way out."""

    place: str  # "pipelines/revenue.yaml:7:12", "fivetran.env:3", "FIVETRAN_API_KEY"; "" when there is none
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


class ConfigError(StackhubError):
    """What a person configured cannot be used as it is; each problem names its place and the way out.

    Raised by a connector's verb it means that credentials or permissions are refused for the whole account.
    """

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(p if isinstance(p, Problem) else Problem("", p) for p in problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Refused(StackhubError):
    """A command cannot be carried out: no such run, already ended, an open retry."""


class ConnectorError(StackhubError):
    """A remote system did not do what it was asked."""


class Unavailable(ConnectorError):
    """The request had no effect there: refused connection, 429, 503, a read that failed.

    ``retry_after`` is the wait the remote system asked for, or None when it named none.
    """

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unsure(ConnectorError):
    """The request may have had its effect: the answer never came, or could not be read."""


class Rejected(ConnectorError):
    """The remote system understood and refused. ``status`` is the HTTP status, 0 when there was none."""

    def __init__(self, message: str, *, status: int = 0, body: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class LostLane(StackhubError):
    """Our epoch of this lane is over: another hub owns it, or our lease has passed."""


class StaleRun(StackhubError):
    """The run's version in the store is newer than the one a decision was made from."""


class StoreUnavailable(StackhubError):
    """The database does not answer now; it may again."""


class StoreUnusable(StackhubError):
    """The database is not ours to use: another hub holds it, it is newer than we are, it is not a stackhub one."""
