"""Stays with a run until it has ended, whoever attends it, and listens for Ctrl-C meanwhile."""

import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from time import monotonic
from typing import Final, Protocol

import anyio
from anyio.abc import TaskStatus

from stackhub.cli import asking
from stackhub.cli.progress import Screen
from stackhub.config.settings import HubSettings
from stackhub.decide.circuit import Circuit
from stackhub.engine.engine import Engine
from stackhub.errors import Refused, Unavailable, Unsure
from stackhub.model.run import OpenRun
from stackhub.model.step import OPEN, StepState
from stackhub.store import queries
from stackhub.store.lock import holder
from stackhub.store.reading import Reader

LOOK: Final = 0.5  # seconds between looks
STOPPING: Final = 20.0  # seconds that a run which cannot go on has for its end


class How(Enum):
    """How it came that we do not look at the run any more."""

    ENDED = auto()
    LEFT = auto()  # somebody at the keyboard wanted to go
    STUCK = auto()  # it cannot go on; see what was said


class Source(Protocol):
    """Where a run is watched, and how it is asked to end."""

    patience: float  # seconds that it may be stuck
    ours: bool  # whether it ends with us: then it is cancelled when it is stuck

    async def look(self) -> OpenRun | None:
        """Return the run as it stands; None while it is not there yet."""
        ...

    async def wait(self) -> None:
        """Wait a moment, or for a change."""
        ...

    async def cancel(self, reason: str) -> None:
        """Ask for its end."""
        ...

    def stuck(self) -> "Stuck | None":
        """Say why it cannot go on; None while it can."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """Why a run cannot go on."""

    reason: str  # in a few words: it stands in the history
    detail: str


@dataclass(slots=True)
class Keys:
    """What was pressed: Ctrl-C once cancels the run, twice leaves; so does SIGTERM at once."""

    cancels: bool  # False: the first leaves
    pressed: int = 0
    terminated: bool = False
    wake: Callable[[], None] = field(default=lambda: None)

    @property
    def cancel(self) -> bool:
        """Whether the run is to be cancelled."""
        return self.cancels and self.pressed > 0

    @property
    def leave(self) -> bool:
        """Whether we are to go, and the run to go on."""
        return self.terminated or self.pressed > int(self.cancels)

    async def listen(self, *, task_status: TaskStatus[None]) -> None:
        """Count, until cancelled."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for which in signals:
                self.terminated = self.terminated or which == signal.SIGTERM
                self.pressed += which == signal.SIGINT
                self.wake()


async def follow(source: Source, screen: Screen, keys: Keys) -> tuple[OpenRun | None, How]:
    """Show a run until it has ended, cannot go on, or somebody wants to leave."""
    asked = 0.0  # when it was asked to end
    since: float | None = None  # since when it is stuck
    while True:
        found = await source.look()
        if found is not None:
            screen.show(found)
        if found is not None and found.run.ended_at is not None:
            return found, How.ENDED
        if keys.leave:
            return found, How.LEFT
        if keys.cancel and not asked:
            asked = monotonic()
            screen.say("cancelling; its jobs are asked to stop. Ctrl-C again leaves at once, and they go on")
            await _cancel(source, screen, "interrupted at the command line")
        why = source.stuck()
        since = (since or monotonic()) if why else None
        if why is not None and since is not None and monotonic() - since > source.patience:
            if source.ours and not asked:
                asked = monotonic()
                screen.say(f"{why.detail}; nothing else can go on, so the run is cancelled")
                await _cancel(source, screen, why.reason)
            elif monotonic() - asked > STOPPING:
                return found, How.STUCK
        await source.wait()


async def _cancel(source: Source, screen: Screen, reason: str) -> None:
    try:
        await source.cancel(reason)
    except (Refused, Unavailable, Unsure) as err:
        screen.say(str(err))


# --- by the daemon ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Remote:
    """A run that a daemon, or another foreground run, attends: read from the store."""

    hub: HubSettings
    reader: Reader
    run: str
    patience: float = 60.0  # a restart of the daemon included
    ours: bool = False

    async def look(self) -> OpenRun | None:
        """Read it."""
        return self.reader(partial(queries.run, run_id=self.run))

    async def wait(self) -> None:
        """Wait a moment."""
        await anyio.sleep(LOOK)

    async def cancel(self, reason: str) -> None:
        """Ask whoever attends it."""
        wish = asking.of_run("cancel", self.run, reason=reason)
        if await asking.obeyed(self.hub, wish) is None:
            await asking.keep(self.hub, wish)

    def stuck(self) -> Stuck | None:
        """Say that nobody attends it."""
        if not self.hub.database_url.get_secret_value().startswith("sqlite"):
            return None  # a hub on any machine may
        if holder(self.hub.state_dir / asking.LOCK) is not None:
            return None
        detail = f"nobody attends run {self.run} any more: it goes on when a daemon starts (stackhub serve)"
        return Stuck(reason="nobody attends it", detail=detail)


# --- here ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Local:
    """A run that is attended in this process."""

    engine: Engine
    run: str
    pipeline: str
    patience: float = 30.0  # one more try of an account included
    ours: bool = True

    async def look(self) -> OpenRun | None:
        """Return it as last committed."""
        return self.engine.board.get(self.run) or await self.engine.store.read(partial(queries.run, run_id=self.run))

    async def wait(self) -> None:
        """Wait for a change."""
        await self.engine.board.crier.wait(LOOK)

    async def cancel(self, reason: str) -> None:
        """End it."""
        with suppress(Refused):  # it has just ended by itself
            await self.engine.commands.submit("cancel", {"run": self.run, "reason": reason}, asking.somebody())

    def stuck(self) -> Stuck | None:
        """Say which accounts refuse us, when nothing else can go on."""
        circuits = {name: held.lane.health.circuit for name, held in self.engine.lanes.open.items() if held.lane}
        refusing = refused(self.engine.board.runs(self.pipeline), circuits)
        if not refusing:
            return None
        detail = "; ".join(f"{name} cannot be used as it is configured: {error}" for name, error in refusing.items())
        return Stuck(reason=f"{', '.join(refusing)} cannot be used as configured", detail=detail)


def refused(runs: list[OpenRun], circuits: Mapping[str, Circuit]) -> dict[str, str]:
    """Return the accounts that a person must see to, with their words, if all that could go on waits for them."""
    moving = [
        step
        for open_run in runs
        for step in open_run.steps.values()
        if step.state in OPEN and step.state is not StepState.WAITING
    ]
    refusing = {
        step.instance: circuits[step.instance].error
        for step in moving
        if step.instance in circuits and circuits[step.instance].refused
    }
    return refusing if all(step.instance in refusing for step in moving) else {}
