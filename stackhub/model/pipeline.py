"""A pipeline as it is declared: tasks, when it runs, by when it must be done, who is told.

These values are what a run keeps as its snapshot, so they hold what was written (``${VAR}`` unexpanded), with every
default filled in and every rule about ``needs`` already applied.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import StrEnum
from typing import Any, Final

from stackhub.model.calendar import Calendar
from stackhub.model.feeding import Feed, Partial
from stackhub.model.words import Severity


class Mode(StrEnum):
    """Whether a pipeline's runs do their work, or only say what they would do."""

    LIVE = "live"
    SHADOW = "shadow"  # decides, records and shows; starts nothing and tells nobody


class Catchup(StrEnum):
    """What becomes of ticks that passed while nobody was looking: downtime, a pause."""

    NONE = "none"
    LAST = "last"
    ALL = "all"


class Overlap(StrEnum):
    """What a tick does while the last run of its pipeline is still going."""

    SKIP = "skip"
    QUEUE = "queue"
    CANCEL = "cancel"


class OnTimeout(StrEnum):
    """What becomes of the vendor's job when an attempt has taken too long."""

    CANCEL = "cancel"
    LET_GO = "let_go"


class Freshness(StrEnum):
    """Whether a load that was already going when we came will do."""

    ATTACH = "attach"
    REQUIRE_NEW = "require_new"


class Told(StrEnum):
    """What a route may ask to hear of; ``resolved`` is what ends each of the others."""

    FAILED = "failed"
    LATE = "late"
    AT_RISK = "at_risk"
    STALLED = "stalled"  # a step whose vendor says nothing we understand, or an account that does not answer
    UPSTREAM = "upstream"  # a connection that a pipeline uses is paused, broken, blocked or gone at its vendor
    RESOLVED = "resolved"


OPENING: Final = frozenset(Told) - {Told.RESOLVED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often and how patiently a task is tried. ``attempts`` counts tries in all: 1 is no retry."""

    attempts: int = 3
    wait: timedelta = timedelta(seconds=30)
    backoff: float = 2.0
    max_wait: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One upstream task; ``complete`` refuses a partial one."""

    task: str
    complete: bool = False
    why: str = ""  # where it was filled in when a run was made: what made it so
    confidence: str = ""  # how sure that is: "certain", "likely", ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One node of a pipeline."""

    name: str
    connector: str  # "fivetran"
    operation: str  # "sync"
    instance: str  # "fivetran", "fivetran.eu"
    options: Mapping[str, Any] = field(default_factory=dict)  # as written under `with:`
    needs: tuple[Need, ...] = ()
    needs_given: bool = False  # False: `needs` was filled in by the rule for transforms, or there are none
    extract: bool = False
    watch: str = ""  # the operation that waits for what this one brings and starts nothing; "": there is none
    stands_for: str = ""  # of a run in shadow: the operation that a live run would have carried out
    partial: Partial | None = None  # it may build what can be built; None: all or nothing
    wide: str = ""  # when a run was made: why it waits for every extract, where something better could be known
    nodes: tuple[str, ...] = ()  # when a run was made: what a task that may build a part selects
    hangs: tuple[str, ...] = ()  # of each of these, in hexadecimal: a bit for each of ``feeds`` that it hangs on
    feeds: tuple[Feed, ...] = ()  # and what each extract brings to it
    only: tuple[str, ...] = ()  # of a run that pays a debt: the nodes it builds, and no other
    timeout: timedelta = timedelta(hours=2)  # per attempt, from the committed start; time deferred does not count
    on_timeout: OnTimeout = OnTimeout.CANCEL
    freshness: Freshness = Freshness.ATTACH
    retries: Retries = Retries()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Watched:
    """A connection that something waits for, by its vendor's name for it or by its id."""

    instance: str  # "fivetran", "airbyte.eu"
    connection: str

    def __str__(self) -> str:
        """Write it as it stands in a file."""
        return f"{self.instance}:{self.connection}"


class Otherwise(StrEnum):
    """What a tick does when the data that it requires is not in by the time it may wait for."""

    RUN = "run"
    SKIP = "skip"
    ALERT = "alert"  # people are told, and it waits on


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When ticks fall: a cron line in a zone, or a fixed distance from the moment it was put in force."""

    cron: str = ""
    every: timedelta | None = None
    timezone: str = "UTC"  # an IANA name
    only: tuple[str, ...] = ()  # calendars of the pipeline: a tick on none of their days is left out
    without: tuple[str, ...] = ()  # `except`: a tick on a day of one of them is left out
    require: tuple[Watched, ...] = ()  # connections that must have landed since the last run that waited for them
    not_later_than: time | None = None  # in `timezone`, the next such time after the tick; None: as long as it takes
    otherwise: Otherwise = Otherwise.RUN


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A trigger: connections have landed since the last run that it began."""

    connections: tuple[Watched, ...]
    any: bool = False  # one of them is enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """A trigger: files are there that were not there, or were other ones, when it last began a run."""

    url: str  # a glob: "exports/*.csv" below the configuration's directory, "/srv/in/*", "s3://bucket/daily/*.parquet"
    instance: str = ""  # whose credentials; "" for files of this machine
    every: timedelta = timedelta(minutes=1)  # between looks
    settle: timedelta = timedelta(seconds=30)  # for so long a file must stay as it is before it is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A trigger: a signed request to /hooks/pipelines/<name>."""

    secret: str  # as written: "${ORDERS_HOOK_SECRET}"
    tolerance: timedelta = timedelta(minutes=5)  # by which a request's own time may differ from ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Sla:
    """By when a run must be done: a local time of day, a longest duration, or both."""

    finish_by: time | None = None  # in `timezone`; the next such time after the tick
    max_duration: timedelta | None = None  # from the tick, or from the start of a run without one
    timezone: str = "UTC"
    at_risk: float = 0.5  # the probability to miss it, from which on people are told
    at_risk_ends: float = 0.25  # and below which it counts as safe again


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Whom to tell of what."""

    to: str  # an instance: "slack", "pagerduty.eu"
    on: frozenset[Told] = OPENING
    owners: tuple[str, ...] = ()  # whose matters alone; none: everybody's
    severity: Severity | None = None  # in place of the incident's own
    renotify: timedelta | None = None  # after so long without news the route is told that the problem lasts
    options: Mapping[str, Any] = field(default_factory=dict)  # the notifier's: {"channel": "#data"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A named graph of tasks."""

    name: str
    description: str = ""
    owner: str = ""
    mode: Mode = Mode.LIVE
    schedules: tuple[Schedule, ...] = ()
    calendars: Mapping[str, Calendar] = field(default_factory=dict)  # those that its schedules name
    after: tuple[str, ...] = ()  # pipelines whose success starts this one
    landed: tuple[Landed, ...] = ()
    files: tuple[Files, ...] = ()
    hook: Hook | None = None
    sla: Sla | None = None
    catchup: Catchup = Catchup.LAST
    overlap: Overlap = Overlap.SKIP
    max_active: int | None = None  # steps of this pipeline at work at once, over all its runs
    tasks: tuple[Task, ...] = ()  # in an order in which every task stands below what it needs
    alerts: tuple[Route, ...] | None = None  # None: the hub's default routes

    def task(self, name: str) -> Task:
        """Return a task. Raises KeyError if there is none."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise KeyError(name)
