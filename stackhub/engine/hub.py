"""The engine as those see it who show its parts or ask things of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import anyio
from anyio.abc import TaskGroup

from stackhub.clock import Clock
from stackhub.config.read import Configuration
from stackhub.engine.abreast import Abreast
from stackhub.engine.backfills import Backfills
from stackhub.engine.board import Board
from stackhub.engine.catalog import Catalogue
from stackhub.engine.commands import Commands
from stackhub.engine.deadlines import Deadlines
from stackhub.engine.durations import Durations
from stackhub.engine.files import FileTriggers
from stackhub.engine.forecasts import Forecasts
from stackhub.engine.hooks import Hooks
from stackhub.engine.incidents import UNDELIVERED, Incidents
from stackhub.engine.inference import Inference
from stackhub.engine.inforce import InForce
from stackhub.engine.jumps import Jumps
from stackhub.engine.lanes import Lanes
from stackhub.engine.owed import Owing
from stackhub.engine.reminders import Reminders
from stackhub.engine.scheduler import Scheduler
from stackhub.engine.tenure import Tenure
from stackhub.engine.triggers import Triggers
from stackhub.engine.watch import Watch
from stackhub.engine.watching import KEY as TRIGGER
from stackhub.engine.watching import Watching
from stackhub.engine.watching import keys as trigger_keys
from stackhub.model.incident import key_of, pipeline_of
from stackhub.model.pipeline import Mode
from stackhub.store import configure, queries
from stackhub.store.store import Store

STALE: Final = timedelta(seconds=30)


@dataclass(slots=True, kw_only=True)
class Engine:
    """The parts at work, for those that show them or ask things of them."""

    store: Store
    board: Board
    incidents: Incidents
    in_force: InForce
    scheduler: Scheduler
    triggers: Triggers
    hooks: Hooks
    watching: Watching
    files: FileTriggers
    deadlines: Deadlines
    forecasts: Forecasts
    durations: Durations
    reminders: Reminders
    backfills: Backfills
    lanes: Lanes
    catalogue: Catalogue
    upstream: Watch
    tenure: Tenure
    abreast: Abreast
    commands: Commands
    inference: Inference
    owing: Owing
    jumps: Jumps
    clock: Clock
    group: TaskGroup  # what runs in it lives until the hub leaves
    installation: str
    started_at: datetime
    revision: int = 0
    beat: datetime | None = None  # of the loop; `/readyz` looks at it
    refused: str = ""  # why the newest edit of the configuration is not in force
    faults: Mapping[str, str] = field(default_factory=dict)

    async def apply(self, configuration: Configuration) -> configure.Applied:
        """Put a configuration in force. What a run is doing follows the pipeline as it was when the run began."""
        now = self.clock.now()
        applied = await self.store.call(lambda connection: configure.apply(connection, configuration.pipelines, now))
        self.in_force.configuration = configuration
        await self.in_force.reload(self.store)
        self.revision = applied.revision
        await self.scheduler.load()
        await self.lanes.bring_to(configuration.instances)
        await self.catalogue.forget(self.lanes.open)
        await self.inference.forget(self.lanes.open)
        self.board.refresh()
        self.inference.bell.ring()
        if applied.any:  # what is watched from now on is in force once its account has been looked at
            self.lanes.sweep_now()
            self.triggers.bell.ring()
            self.files.bell.ring()
        self.owing.bell.ring()
        await self._close_retired()
        await self.incidents.bring_to_light(self.store)
        self.lanes.ring_outboxes()
        self.refused = ""
        return applied

    def watch(self) -> None:
        """Let triggers begin runs by themselves: from now on the accounts that they wait for are looked at."""
        self.catalogue.wants.append(self.watching.wants)
        self.lanes.sweep_now()

    async def keep_time(self) -> None:
        """Take up what one hub does for all: what was asked for and not obeyed, what waits for its turn."""
        if not self.tenure.alone:
            await self.abreast.look()
        for pipeline in sorted({open_run.run.pipeline for open_run in self.board.runs()}):
            await self.abreast.admit(pipeline)
        await self.scheduler.recover()
        await self.commands.obey_kept()

    async def _close_retired(self) -> None:
        watched = trigger_keys(known.pipeline for known in self.in_force.known.values() if not known.retired)
        for key in list(self.incidents.open):
            kind, _, name = key.partition(":")
            gone = bool(pipeline_of(key)) and self.in_force.active(name) is None
            gone = gone or (f"{kind}:" == TRIGGER and key not in watched)
            account, of_account, _ = name.partition("/")
            gone = gone or (kind == "connection" and bool(of_account) and self.upstream.wants(account) is None)
            other = self._other_mode(key)
            if other:
                await self.incidents.close(key, other, self.store)
                self.lanes.ring_outboxes()
            elif gone or (f"{kind}:" == UNDELIVERED and name and name not in self.in_force.route_ids()):
                await self.incidents.close(key, "no longer configured", self.store)
                self.lanes.ring_outboxes()

    def _other_mode(self, key: str) -> str:
        """Say why an incident is over that was about the runs of a pipeline in the mode that it has left."""
        known = self.in_force.active(pipeline_of(key))
        if known is None or key == key_of(known.pipeline.name, known.pipeline.mode):
            return ""
        now = known.pipeline.mode is Mode.SHADOW
        return "the pipeline is in shadow now" if now else "the pipeline is live now; it was in shadow"

    def show_pulse(self) -> None:
        """Show that the loop goes round."""
        self.beat = self.clock.now()

    def unready(self) -> str:
        """Say why this hub is not ready to be relied on; "" when it is."""
        if self.store.ailing:
            return f"the store is away: {self.store.ailing}"
        if self.beat is None or self.clock.now() - self.beat > STALE:
            return "the loop is stale"
        for name, held in self.lanes.open.items():
            if held.gate.lost and self.tenure.alone:  # one of several only hands it over
                return f"the lane of {name} is lost: {held.gate.lost}"
            if held.outbox is not None and (held.outbox.beat is None or self.clock.now() - held.outbox.beat > STALE):
                return f"the outbox of {name} is stale"
        return ""

    async def drained(self, seconds: float) -> int:
        """Wait until every message that falls due within ``seconds`` has been told; return how many have not.

        A message that failed once is due again in a moment, and is waited for as well.
        """
        until = self.clock.now() + timedelta(seconds=seconds)
        with anyio.move_on_after(seconds):
            while await self._due_messages(until):
                self.lanes.ring_outboxes()
                await self.board.crier.wait(0.2)
        return await self._due_messages(until)

    async def _due_messages(self, until: datetime) -> int:
        return await self.store.read(lambda connection: queries.due_messages(connection, until))
