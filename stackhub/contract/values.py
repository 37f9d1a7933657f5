"""What passes through the door: jobs going out, answers coming back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from stackhub.model.feeding import Rule
from stackhub.model.landing import Landing
from stackhub.model.node import Node
from stackhub.model.relation import Relation
from stackhub.model.words import Severity

SHORTEST_SECRET: Final = 8  # characters

Json: TypeAlias = Any
"""A JSON value."""
Handle: TypeAlias = Mapping[str, Json]
"""What a connector needs to find its job again. Kept in the store, so: JSON, small, no secrets.

Two keys are read by the hub: ``joined`` (true: the job was already going when we came) and ``url`` (a page a
person can open).
"""
Baseline: TypeAlias = Mapping[str, Json]
"""How things stood at the vendor before a start; kept before the call, compared with after it. JSON, no secrets."""
Receipt: TypeAlias = Mapping[str, Json]
"""What a notifier needs to edit or answer what it sent. JSON, no secrets."""


class Settings(BaseSettings):
    """The base of a connector's settings: one env file, read by the hub, never by the connector itself.

    Subclass it with ``model_config = SettingsConfigDict(env_prefix="FIVETRAN_")`` and fields without the prefix.
    Secrets are ``SecretStr``. ``further_variables = True`` lets the file hold any other variable, handed to the
    connector in a field ``further`` of its own (dbt's ``env_var()``) and treated as secrets.
    """

    further_variables: ClassVar[bool] = False
    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def looks_secret(value: str) -> bool:
    """Say whether a further variable is blotted out of what people read: what nobody has declared may be a password.

    But for words too short to be one (``4``, ``dev``), and for relative paths (``../data``): hiding those would make
    errors unreadable and keep nothing safe.
    """
    return len(value) >= SHORTEST_SECRET and not value.startswith(("./", "../"))


class PartialOptions(BaseModel):
    """How a part is built."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    wait: Annotated[
        str | None,
        Field(
            description="a duration: how long an input is waited for once the first has landed; by default to its end"
        ),
    ] = None
    rules: Annotated[
        dict[str, Rule],
        Field(description='required or optional, by source: "crm.customers", "ads.*"; before what its meta says'),
    ] = Field(default_factory=dict)


class Options(BaseModel):
    """The base of what stands under ``with:`` (and in an alert route): unknown keys are errors.

    ``verbatim`` names options in which, where they are one text, ``${VAR}`` and ``{{ }}`` are left alone: a shell has
    variables of its own, and a value put into its text would be read as code. ``code`` names options into which
    ``${VAR}`` goes, since it is set by whoever runs the hub, and ``{{ }}`` does not: SQL, to which a run's values are
    bound. ``unread`` names those that change nothing of what is selected (see `Reads`), so that they may hang on the
    run.
    """

    verbatim: ClassVar[frozenset[str]] = frozenset()
    code: ClassVar[frozenset[str]] = frozenset()
    unread: ClassVar[frozenset[str]] = frozenset()
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PartlyBuilt(Options):
    """The base of options under which a job may build a part of what it selects; the hub reads them, not the job.

    ``partial: true``: an extract that failed costs what is downstream of it and no more. ``wait``: one that is late as
    well. ``rules``: of which sources stale data will do.
    """

    partial: bool | PartialOptions = False


class StartIs(StrEnum):
    """What a second start of the same job amounts to: decides what is done when a start had no answer."""

    JOINABLE = "joinable"  # while one runs, another start joins it or is refused
    KEYED = "keyed"  # the far side takes our key and makes one job of it
    MARKED = "marked"  # a started job carries our marker and can be found by it
    BLIND = "blind"  # none of these: never started again, a person is asked


class Role(StrEnum):
    """What an operation is in a pipeline: a transform without ``needs`` waits for every extract."""

    EXTRACT = "extract"
    TRANSFORM = "transform"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one operation takes and promises."""

    options: type[Options]
    summary: str  # one line for `stackhub connectors`
    start_is: StartIs
    settle: timedelta  # how long after a call can no longer be under way its job may still be unseen
    call_timeout: timedelta = timedelta(seconds=30)  # for one `prepare`, `start` or `find`
    role: Role = Role.OTHER
    cancellable: bool = True  # False: the tool has no cancel, so cancel and timeout let go and say so
    reloads: bool = False  # an extract that loads everything anew, given a `connection` and nothing else
    watch: str = ""
    """The operation of the same connector that waits for what this one brings in and only ever reads: what it becomes
    in a run in shadow. Its options are some of this one's. "": there is none, and in shadow it ends at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an account bears, and how often looking is worth while."""

    rate: float = 5.0  # requests per second, averaged
    burst: int = 10  # requests at once after a quiet time
    width: int = 10  # starts under way at once
    page: int = 100  # rows a list call brings
    look: timedelta = timedelta(seconds=15)  # between sweeps, while anything is running
    first_look: timedelta = timedelta(seconds=5)  # after a start
    longest: timedelta | None = None
    """Between sweeps, while by its history no job is likely to end; None: a look is for more than ends (progress),
    or an end wakes the lane by itself, so sweeps are even."""
    alone: frozenset[str] = frozenset()  # names of options of which only one job at a time may run per value


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work for a connector: an operation, its options, and whose it is."""

    operation: str
    options: Any  # an instance of the operation's `Options`, variables expanded
    pipeline: str = ""
    run: str = ""
    task: str = ""
    attempt: int = 1
    interval: tuple[datetime, datetime] | None = None  # half-open; aware, UTC
    timeout: timedelta | None = None
    consumed: Mapping[str, str] = field(default_factory=dict)
    """For `wait`: the `Landing.mark` that this task last ended on, by the connection's id."""
    nodes: tuple[Node, ...] = ()  # how earlier attempts at the same work left each node; for a retry
    leave: tuple[str, ...] = ()  # unique ids of sources: nothing downstream of them may be built
    only: tuple[str, ...] = ()  # unique ids: build exactly these of what is selected


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is, in its own units; ``total`` is None when nobody knows."""

    done: int
    total: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """The job is still going. ``nodes`` are those that changed since this process last asked."""

    note: str = ""
    progress: Progress | None = None
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """The vendor has put the job off: rescheduled, queued, blocked.

    ``until`` is the vendor's own time for it, None when it names none; ``must_start_again`` says that the vendor
    will not resume by itself, so the hub starts it once more then. Time deferred does not count as timeout.
    """

    until: datetime | None = None
    must_start_again: bool = False
    note: str = ""


class Outcome(StrEnum):
    """How a job ended."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"  # a person's doing at the vendor: terminal, not retried


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The job has ended. ``note`` is the vendor's own words where it has any."""

    outcome: Outcome
    note: str = ""
    retryable: bool = True  # of a failure: whether trying again could help
    landing: Landing | None = None  # what an extract brought in
    nodes: tuple[Node, ...] = ()
    warning: str = ""  # ended well, but a person should know: nothing was selected
    result: Mapping[str, Json] = field(default_factory=dict)  # small facts worth keeping: exit code, rows

    @property
    def ok(self) -> bool:
        """Whether the job ended well."""
        return self.outcome is Outcome.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The vendor does not know the job now. Not an end: the step stays open and is looked for."""

    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The vendor used a word nobody has heard of. Never an end, never success."""

    raw: str


Answer: TypeAlias = Pending | Deferred | Finished | Missing | Unknown
"""What one `poll` may say of one job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The job of a start that had no answer exists; believed at once."""

    handle: Handle


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A complete look shows no such job. Believed only after the operation's ``settle``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """The look could not tell; look again after ``look_again``."""

    look_again: timedelta = timedelta(seconds=10)
    note: str = ""


Search: TypeAlias = Found | Absent | Unclear
"""What `find` may say."""


class Health(StrEnum):
    """How a connection is, by its vendor's word."""

    OK = "ok"
    PAUSED = "paused"
    BROKEN = "broken"
    BLOCKED = "blocked"  # its schema waits for a person's word
    INCOMPLETE = "incomplete"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One configured source-to-destination sync, as its vendor lists it."""

    id: str
    name: str
    health: Health
    schedule: str = ""  # in the vendor's words: "every 6 h", a cron line; "manual" where it starts nothing by itself
    note: str = ""  # what a person has to do, in the vendor's words
    url: str = ""
    last: Landing | None = None
    syncing: bool | None = None  # whether a sync is going on now; None where the vendor does not say
    relations: tuple[Relation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a dbt job is going to build, and the project it is part of, as its files are now."""

    project: str  # the `Reads.fingerprint` of the files it was read from
    manifest: bytes  # dbt's manifest.json
    selected: tuple[str, ...]  # the unique ids of what will be built


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that can be seen. Another ``mark`` (its size and time of change, its tag) is another file."""

    path: str  # as a job would be told of it: an absolute path, a whole URL
    mark: str
    whole: bool = False  # it appears all at once; else it may still be growing


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One thing `check --live` tried, and what to do when it was refused."""

    name: str
    ok: bool
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """A webhook's word that something may have changed; it wakes a lane and is believed in nothing else."""

    connection: str = ""  # "" when the webhook does not say
    note: str = ""


class Speaks(StrEnum):
    """How a notifier tells one incident; decides which messages the outbox writes for it."""

    LIVE = "live"  # one message, edited in place, with the history in its thread: `root` and `entry` parts
    PLAIN = "plain"  # a message for each state, none edited: `entry` parts only
    ALARM = "alarm"  # raised and taken back by key: `root` parts only


class Promise(StrEnum):
    """How often a message may arrive at the far end when an answer was lost."""

    ONCE = "once"  # the far side takes our key
    LOOKED_UP = "looked_up"  # with doubt, the notifier looks for the key before it sends
    AT_LEAST_ONCE = "at_least_once"


class Part(StrEnum):
    """Which message of an incident: the one that is edited, or a line of its history."""

    ROOT = "root"
    ENTRY = "entry"


class Event(StrEnum):
    """What just happened to the incident that a message speaks of."""

    OPENED = "opened"
    UPDATED = "updated"
    RESOLVED = "resolved"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of a message: "Attempts" - "3 of 3"."""

    label: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A page worth opening."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is to be told, free of any notifier's syntax; each notifier renders and shortens it for itself.

    Texts are plain: a notifier escapes them. ``title`` is one line; ``error`` the failing tool's own words.
    """

    incident: str  # stable per incident
    dedup: str  # the same for every message of one incident, at every vendor: at most 64 characters
    part: Part
    event: Event
    severity: Severity
    title: str
    summary: str = ""  # what happens next, or why it is over: a sentence
    facts: tuple[Fact, ...] = ()
    error: str = ""
    links: tuple[Link, ...] = ()
    at: datetime
    since: datetime
    pipeline: str = ""
    source: str = "stackhub"
    route: Any = None  # an instance of the connector's `route` options
