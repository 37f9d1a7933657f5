"""What stands in for an instance that is not there: it cannot be opened, or is not configured any more.

So that its steps and messages have a lane and an outbox all the same, and people hear why nothing goes on.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from stackhub.config.instances import Instance
from stackhub.contract import (
    Answer,
    Baseline,
    ConfigError,
    Context,
    Finished,
    Handle,
    Job,
    Limits,
    Message,
    Operation,
    Options,
    Promise,
    Receipt,
    Rejected,
    Search,
    Settings,
    Speaks,
)


@dataclass(frozen=True, slots=True)
class StandIn:
    """Implements `Jobs` and `Notifier`; every verb raises. ``gone``: for good, so waiting for it is no use."""

    why: str
    gone: bool = False
    speaks: Speaks = Speaks.PLAIN
    promise: Promise = Promise.AT_LEAST_ONCE

    async def prepare(self, job: Job) -> Baseline:
        """Start nothing."""
        del job
        self._refuse()

    async def start(self, job: Job, baseline: Baseline, key: str) -> Handle | Finished:
        """Start nothing."""
        del job, baseline, key
        self._refuse()

    async def poll(self, handles: Sequence[Handle]) -> Sequence[Answer]:
        """Know nothing: what runs may well go on."""
        del handles
        raise ConfigError(self.why)

    async def find(self, job: Job, baseline: Baseline, key: str) -> Search:
        """Know nothing."""
        del job, baseline, key
        raise ConfigError(self.why)

    async def cancel(self, handle: Handle) -> None:
        """Stop nothing."""
        del handle
        raise ConfigError(self.why)

    async def deliver(self, message: Message, receipt: Receipt | None, key: str, *, doubt: bool) -> Receipt:
        """Tell nobody."""
        del message, receipt, key, doubt
        self._refuse()

    def _refuse(self) -> NoReturn:
        if self.gone:
            raise Rejected(self.why)
        raise ConfigError(self.why)


@dataclass(slots=True)
class _Gone:
    """The connector of an instance that is not configured any more."""

    name: str
    summary: str = "not configured any more"
    settings: type[Settings] = Settings
    operations: Mapping[str, Operation] = field(default_factory=dict)
    route: type[Options] | None = None

    def limits(self, settings: Any) -> Limits:
        """Bear anything: no request is made."""
        del settings
        return Limits(rate=1000.0, burst=1000)

    @asynccontextmanager
    async def open(self, settings: Any, context: Context) -> AsyncIterator[object]:
        """Open the stand-in."""
        del settings
        name = context.instance
        yield StandIn(f"there is no instance {name!r} any more: {name}.env was removed", gone=True)

    def sandbox(self, world: Any) -> None:
        """Play nothing."""
        del world


def gone(name: str) -> Instance:
    """Return an instance for what is left of one that is not configured any more."""
    return Instance(
        name=name, connector=_Gone(name.partition(".")[0]), settings=Settings.model_construct(), source=None
    )
