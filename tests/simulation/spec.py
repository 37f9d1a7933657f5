"""A world written down: what is configured, how the vendors behave, what happens to the hub, what people do.

A spec is JSON; a seed makes one (`dice`), a failing one is made smaller (`shrink`), and the same spec is always the
same history. Times are seconds from the world's start.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stackhub.errors import ConfigError

Verb = Literal["", "prepare", "start", "poll", "find", "cancel", "deliver"]
Kind = Literal[
    "down",  # no effect, and it says so
    "patience",  # no effect, and it names a time to come back (429 with Retry-After)
    "before",  # the connection is cut before it has any effect
    "after",  # the connection is cut after it had its effect
    "slow",  # the effect at once, the answer late
    "hang",  # neither effect nor answer
    "late",  # no answer, and the effect comes later
    "refused",  # credentials
    "rejected",  # this request, and it would be again
    "bug",  # the connector stumbles, after the effect
    "unknown",  # a poll's word that nobody has heard of
    "missing",  # a poll that knows no job
]
Do = Literal["kill", "stop", "pause", "jump", "cut"]
Wish = Literal[
    "trigger", "cancel", "retry", "skip", "pause", "resume", "close", "edit", "bad_edit", "remove", "restore", "test",
    "remove_instance", "restore_instance", "mute", "unmute",
    "backfill", "cancel_backfill",
]  # fmt: skip


class Written(BaseModel):
    """A part of a spec."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PutOff(Written):
    """A job that is put off on its way."""

    after: float
    lasts: float
    again: bool = False  # the vendor will not resume by itself
    named: bool = True  # the vendor names a time


class Turn(Written):
    """How one job goes."""

    seconds: float = Field(ge=0)
    ends: Literal["ok", "failed", "fatal", "cancelled", "never"] = "ok"
    put_off: PutOff | None = None
    stubborn: bool = False  # does not stop when asked
    unseen: float = 0.0  # seconds in which `find` does not see it yet


class Fault(Written):
    """Calls that go wrong: at most ``times`` of them, between two times."""

    instance: str
    verb: Verb = ""
    kind: Kind
    at: float = 0.0
    until: float
    times: int = 1_000_000
    seconds: float = 60.0  # of a wait that is asked for, or of a delay


class Other(Written):
    """A job that somebody else starts."""

    at: float
    instance: str
    what: str
    turn: Turn


class HubEvent(Written):
    """What happens to a hub."""

    at: float
    do: Do
    step: int = 0  # so many steps of its after that time
    seconds: float = 60.0  # down, or asleep; of a jump, by how much
    hub: int = 0  # which of several


class Person(Written):
    """What a person asks for. ``pick`` chooses among what there is then."""

    at: float
    wish: Wish
    pick: int = 0
    what: dict[str, Any] = {}


class Spec(Written):
    """A world."""

    seed: int = Field(ge=0)
    start: str
    hours: float = Field(gt=0, le=24 * 400)
    looks: float = Field(default=300.0, gt=0)  # seconds between looks of the engine's loops when nothing wakes them
    real: bool = False  # the true connectors, before their fake vendors
    hubs: int = Field(default=1, ge=1, le=9)  # on one database, by lease
    lease: float = Field(default=60.0, ge=3, le=600)  # seconds
    retention: str = "90d"
    fallback: str = ""
    lists: bool = False  # ``tap`` shows what it holds
    instances: dict[str, dict[str, float | str]]
    pipelines: list[dict[str, Any]]
    turns: dict[str, list[Turn]] = {}  # "tap:orders": its jobs, one after another, over and over
    models: dict[
        str, list[str]
    ] = {}  # of the project that ``press`` builds: each with what it reads, "crm.c0" or a model
    lasted: dict[str, list[float]] = {}  # "p0/t0": how long it took before the world began, in seconds
    faults: list[Fault] = []
    others: list[Other] = []
    hub: list[HubEvent] = []
    people: list[Person] = []

    @property
    def begins(self) -> datetime:
        """When it begins, on the true clock."""
        return datetime.fromisoformat(self.start).astimezone(UTC)

    @property
    def lasts(self) -> timedelta:
        """How long things happen, before all is made well and left alone."""
        return timedelta(hours=self.hours)

    def text(self) -> str:
        """Write it down."""
        return self.model_dump_json(indent=1, exclude_defaults=True)


def read(path: Path) -> Spec:
    """Read a spec.

    Raises:
        ConfigError: there is none, or it cannot be one; in one line.
    """
    try:
        return Spec.model_validate_json(path.read_text())
    except OSError as err:
        raise ConfigError(f"{path}: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise ConfigError(f"{path}: is no text") from err
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {where + ': ' if where else ''}{first['msg']}") from err
