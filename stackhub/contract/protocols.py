"""The verbs: small protocols, of which a connector implements those that fit."""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import anyio

from stackhub.contract.sandbox import FakeVendor, World
from stackhub.contract.values import (
    Answer,
    Baseline,
    Connection,
    File,
    Finished,
    Handle,
    Hint,
    Job,
    Limits,
    Message,
    Operation,
    Options,
    Permission,
    Promise,
    Reading,
    Receipt,
    Search,
    Settings,
    Speaks,
)

if TYPE_CHECKING:  # a tenth of a second for a command line that speaks to nobody
    import httpx


@runtime_checkable
class Jobs(Protocol):
    """Things that run. Every verb may raise a `ConnectorError` or a `ConfigError`; none sleeps, retries or loops."""

    async def prepare(self, job: Job) -> Baseline:
        """Note how things stand before a start. Only reads.

        Raises:
            Rejected: the job cannot be started as things are (paused, broken, no such connection).
        """
        ...

    async def start(self, job: Job, baseline: Baseline, key: str) -> Handle | Finished:
        """Start the job, or join it where it is already going.

        ``key`` is this attempt's name: the same when a start is repeated, another for another attempt.

        Raises:
            Unavailable: it was not started, for certain.
            Unsure: it may have been started; the hub will `find` it.
            Rejected: it was refused and would be again.
        """
        ...

    async def poll(self, handles: Sequence[Handle]) -> Sequence[Answer]:
        """Ask once how these jobs stand, one answer for each handle, in order. One question whatever their number."""
        ...

    async def find(self, job: Job, baseline: Baseline, key: str) -> Search:
        """Look for the job of a start that had no answer. `Absent` only after a complete listing."""
        ...

    async def cancel(self, handle: Handle) -> None:
        """Ask for the job to stop, once. One that has ended already is no error.

        Called again while the job is still going, with growing pauses: a connector that climbs (SIGINT, SIGTERM,
        SIGKILL) takes the next step each time.
        """
        ...


@runtime_checkable
class Catalog(Protocol):
    """What the account holds."""

    async def connections(self) -> Sequence[Connection]:
        """List every connection of the account."""
        ...


@runtime_checkable
class Notifier(Protocol):
    """Tells people."""

    speaks: Speaks
    promise: Promise

    async def deliver(self, message: Message, receipt: Receipt | None, key: str, *, doubt: bool) -> Receipt:
        """Send, or edit, one message: one call, one effect.

        ``receipt`` is what the root message of this incident on this route returned, None when there is none yet.
        ``key`` names this very message; ``doubt`` says that an earlier try had no answer, so look for ``key`` first
        where that is possible. Returns the receipt to keep for the incident (an entry returns the one it was given).
        """
        ...


@runtime_checkable
class Webhook(Protocol):
    """Hears from the vendor."""

    async def receive(self, headers: Mapping[str, str], body: bytes, path: str) -> Sequence[Hint]:
        """Verify over the raw bytes and say what may have changed. ``path`` is what follows /hooks/<instance>/.

        Raises:
            Rejected: not signed, wrongly signed, or no secret is configured (``status`` 401, 403 or 404).
        """
        ...


@runtime_checkable
class Probe(Protocol):
    """Tries its credentials."""

    async def check(self) -> Sequence[Permission]:
        """Try each permission the connector uses, harmlessly, and name the exact remedy for each refusal."""
        ...


@runtime_checkable
class Files(Protocol):
    """Shows files."""

    async def files(self, url: str, most: int) -> Sequence[File]:
        """List the files whose URL matches a glob; more than ``most`` need not be listed, but one more than that is.

        Raises:
            Rejected: no such place, or it may not be seen. ConfigError: the credentials are refused, or there are none.
        """
        ...


@runtime_checkable
class Reads(Protocol):
    """Knows, before a job runs, what it will build and what that reads.

    Its jobs also know how to build a part: without what is downstream of `Job.leave`, or `Job.only` and nothing else.
    """

    async def fingerprint(self) -> str:
        """Name the project's files by their content, as they are now. Quick: nothing is started for it."""
        ...

    async def reading(self, job: Job) -> Reading:
        """Read the project as its files are now. It may take as long as dbt takes to parse them.

        Raises:
            Rejected: the project cannot be read, or the job would build nothing.
            Unavailable: its files were changed while they were read.
        """
        ...


@runtime_checkable
class Logs(Protocol):
    """Shows what a job said, from files of its own; works without the daemon and after the job's end."""

    def read_log(self, handle: Handle, offset: int, most: int) -> tuple[str, int]:
        """Return lines fit for people from byte ``offset`` on (at most ``most`` bytes read), and the next offset.

        An unchanged offset means that there is no more for now.
        """
        ...


class Gate(Protocol):
    """What stands before every request of a lane."""

    async def __call__(self, *, wait: bool) -> None:
        """Let one request pass: wait for its turn when ``wait``, else only count it.

        Raises:
            LostLane: the lane is no longer ours; nothing may be sent.
        """
        ...


async def open_gate(*, wait: bool) -> None:
    """Let everything pass: for probes, and for the tests of a connector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the hub lends a connector for as long as the instance is open."""

    instance: str  # "fivetran", "fivetran.eu"
    directory: Path = field(default_factory=Path.cwd)  # the configuration's; relative paths in settings start here
    state: Path = field(default_factory=lambda: Path.cwd() / ".stackhub")  # ours to write in
    gate: Gate = open_gate
    lease: Callable[[], None] = lambda: None  # for `wire`, right before bytes leave: raises LostLane once it has passed
    wake: Callable[[], None] = lambda: None  # asks the lane to look at once; safe from the event loop only
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep  # for `wire` only
    rng: random.Random = field(default_factory=random.Random)
    transport: "httpx.AsyncBaseTransport | None" = None  # a fake vendor in place of the network
    log_most: int = 50 * 2**20  # bytes of output kept for a job that is a process, head and tail
    contact: str = ""  # the hub's own address for links in messages, "" when it has none


class Connector(Protocol):
    """What an entry point in the group ``stackhub.connectors`` names: a module-level object called ``connector``."""

    name: str
    summary: str
    settings: type[Settings]
    operations: Mapping[str, Operation]  # empty for a notifier
    route: type[Options] | None  # the options of an alert route; None for what is no notifier

    def limits(self, settings: Any) -> Limits:
        """Say what an account bears."""
        ...

    def open(self, settings: Any, context: Context) -> AbstractAsyncContextManager[object]:
        """Open one instance. What it yields implements the protocols that fit; opening makes no request."""
        ...

    def sandbox(self, world: World) -> FakeVendor | None:
        """Build the fake vendor, importing it only now; None where the real thing runs anywhere (dbt, shell)."""
        ...
