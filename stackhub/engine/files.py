"""The `file` triggers: look where files come in, and begin a run for those that are new.

Files of this machine are looked for by whoever keeps the time, those of an object store by the hub that holds its lane.
A run begins in the transaction that takes its files, under the epoch of whoever has looked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup

from stackhub.clock import Clock
from stackhub.contract import Aside, ConfigError, ConnectorError, File, LostLane, Rejected
from stackhub.contract import Files as Shows
from stackhub.decide import facets
from stackhub.decide.files import Ripening, look
from stackhub.decide.incident import Change
from stackhub.engine.bell import Bell
from stackhub.engine.incidents import Incidents
from stackhub.engine.inforce import InForce
from stackhub.engine.localfiles import local_files
from stackhub.engine.tenure import Tenure
from stackhub.engine.triggers import Beginning, standing
from stackhub.engine.watching import key_of
from stackhub.model.codec import dump
from stackhub.model.pipeline import Files, Pipeline, Told
from stackhub.model.run import Trigger
from stackhub.store import filed
from stackhub.store.lanes import TIME
from stackhub.store.store import Store
from stackhub.store.transaction import Transaction

log = structlog.get_logger()
LOOK: Final = 5.0  # seconds, at most, between rounds
LIMIT: Final = 120.0  # seconds for one listing
FOLDER: Final = 60.0  # seconds, when it is one of this machine
MOST: Final = 20_000  # files that one pattern may match
PATIENT: Final = 3  # looks in a row that may have no answer before people are told


@dataclass(slots=True)
class Standing:
    """How one trigger's looks go."""

    next_at: float = 0.0  # since boot
    busy: bool = False
    silent: int = 0  # looks in a row that had no answer
    ripening: Mapping[str, Ripening] = field(default_factory=dict)
    aside: Aside = field(default_factory=lambda: Aside("the folder", FOLDER))


@dataclass(slots=True, kw_only=True)
class FileTriggers:
    """Looks for files. ``shows`` returns what an instance's connector shows, None where it is not open here."""

    store: Store
    incidents: Incidents
    in_force: InForce
    tenure: Tenure
    beginning: Beginning
    clock: Clock
    directory: Path
    shows: Callable[[str], object | None]
    ring: Callable[[], None]  # wakes the outboxes
    bell: Bell = field(default_factory=Bell)
    _standing: dict[tuple[str, str], Standing] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                await self.bell.wait(self._round(group))

    def _round(self, group: TaskGroup) -> float:
        """Begin the looks that are due; return the seconds until the next one."""
        boot, waits = self.clock.since_boot(), [self.clock.between_looks(LOOK)]
        wanted = {(one.name, filed.spec(files)): (one, files) for one in self._pipelines() for files in one.files}
        self._standing = {key: self._standing.get(key) or Standing() for key in wanted}
        for key, (pipeline, files) in wanted.items():
            how = self._standing[key]
            if how.busy or not self.tenure.holds(files.instance or TIME):
                continue
            if how.next_at <= boot:
                how.busy, how.next_at = True, boot + files.every.total_seconds()
                group.start_soon(self._guarded, pipeline, files, how)
            else:
                waits.append(how.next_at - boot)
        return min(waits)

    def _pipelines(self) -> list[Pipeline]:
        active = (known for known in self.in_force.known.values() if not known.retired and known.paused_at is None)
        return [known.pipeline for known in active]

    async def _guarded(self, pipeline: Pipeline, files: Files, how: Standing) -> None:
        try:
            await self._look(pipeline, files, how)
        except LostLane as err:
            log.warning("files are another hub's to look for", url=files.url, reason=str(err))
        finally:
            how.busy = False
            self.bell.ring()

    async def _look(self, pipeline: Pipeline, files: Files, how: Standing) -> None:
        try:
            with anyio.fail_after(LIMIT):
                seen = await self._list(files, how)
        except (Rejected, ConfigError) as err:
            await self._tell(pipeline, files, str(err))
            return
        except (ConnectorError, TimeoutError, OSError) as err:
            how.silent += 1
            if how.silent >= PATIENT:
                await self._tell(pipeline, files, str(err) or f"no answer within {LIMIT:g} s")
            return
        except LostLane:
            raise
        except Exception as err:  # a bug, but in a plugin: it costs this trigger, not the hub
            log.exception("bug in a connector", instance=files.instance, verb="files")
            await self._tell(pipeline, files, f"bug in the connector of {files.instance}: {err!r}")
            return
        how.silent = 0
        much = f"more than {MOST} files match: make the pattern narrower, or remove what is old"
        await self._tell(pipeline, files, much if len(seen) > MOST else "")
        if len(seen) <= MOST:
            await self._take(pipeline, files, how, seen)

    async def _list(self, files: Files, how: Standing) -> Sequence[File]:
        if not files.instance:
            return await how.aside.run(local_files, self.directory, files.url, MOST)
        shows = self.shows(files.instance)
        if not isinstance(shows, Shows):
            raise ConfigError(f"{files.instance} shows no files here: it is not open, or its connector cannot")
        return await shows.files(files.url, MOST)

    async def _take(self, pipeline: Pipeline, files: Files, how: Standing, seen: Sequence[File]) -> None:
        trigger, lane = filed.spec(files), files.instance or TIME
        taken = await self.store.read(partial(filed.taken, pipeline=pipeline.name, trigger=trigger))
        turn = taken.pop("", None)
        if turn is None:  # what was there before it is in force begins nothing
            rows = filed.take(pipeline.name, trigger, None, seen, ())
            await self.beginning.kept(Transaction(lanes=self.tenure.under(lane)).add(*rows))
            return
        settle = files.settle.total_seconds()
        found = look(seen, taken, how.ripening, self.clock.since_boot(), settle)
        how.ripening = found.ripening
        _, going = await self.store.read(partial(standing, pipelines=[pipeline.name]))
        if not found.ready or any(run.mode is pipeline.mode for run in going.get(pipeline.name, ())):
            if found.ripening:
                how.next_at = min(how.next_at, self.clock.since_boot() + max(settle, 1.0))
            return
        paths = [file.path for file in found.ready]
        await self.beginning.begin(
            pipeline,
            Trigger.FILE,
            f"new: {facets.listed(paths)}",
            lambda run: filed.take(pipeline.name, trigger, turn, found.ready, found.gone, run),
            under=lane,
            origin={"params": {"files": "\n".join(paths), "files_json": dump(paths)}},
        )

    async def _tell(self, pipeline: Pipeline, files: Files, wrong: str) -> None:
        """Open the trigger's incident, or end it where nothing is wrong."""
        key = key_of(pipeline.name, files.url)
        if not wrong and key not in self.incidents.open:
            return

        def build(transaction: Transaction) -> list[Change | None]:
            transaction.lanes.update(self.tenure.under(files.instance or TIME))
            if not wrong:
                return [self.incidents.cease(key, [Told.STALLED], transaction, f"{files.url} is seen again")]
            facet = facets.trouble(
                f"{pipeline.name}: {files.url} cannot be looked at",
                wrong,
                "No run begins by this trigger until it is mended. What comes in meanwhile begins one then.",
                self.clock.now(),
            )
            return [self.incidents.observe(key, facet, transaction, pipeline=pipeline.name)]

        if any(await self.incidents.keep([key], build, self.store)):
            self.ring()
