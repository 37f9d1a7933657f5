"""Finds out in the background what feeds each task, and lets a run that is made wait for that and no more.

What was found out is a row: a restart needs neither dbt nor a vendor. It counts only as long as the task is written as
it was and the project's files are what they were then, by their content; that is looked at whenever a run is made. In
every other case the task waits for every extract.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Final

import anyio
import sqlalchemy as sa
import structlog

from stackhub.clock import Clock
from stackhub.config.asked import Asked, asked
from stackhub.contract import Connection, ConnectorError, Reads, in_thread
from stackhub.engine.anew import Anew
from stackhub.engine.bell import Bell
from stackhub.engine.inforce import InForce
from stackhub.engine.tenure import Tenure
from stackhub.errors import ConfigError, LostLane
from stackhub.lineage import Graph, Held, match, read
from stackhub.lineage.infer import catalogue, infer, narrowed, stale, wide
from stackhub.model.feeding import Inferred
from stackhub.model.pipeline import Pipeline, Task
from stackhub.store import inferences, projects
from stackhub.store.lanes import TIME
from stackhub.store.rows import happened
from stackhub.store.store import Store
from stackhub.store.transaction import Transaction

log = structlog.get_logger()
LOOK: Final = 15.0  # seconds between looks at the projects' files
IDLE: Final = 3600.0  # seconds, where no task asks for anything
AGAIN: Final = 300.0  # seconds, before what could not be read is tried again though nothing has changed
PATIENCE: Final = 600.0  # seconds for dbt to read a large project
GLANCE: Final = 60.0  # seconds for a look at a project's files, on which runs wait
LISTING: Final = timedelta(minutes=15)  # between looks at what accounts load, where nobody wants to know more often


@dataclass(slots=True, kw_only=True)
class Inference:
    """What is known of what feeds what."""

    store: Store
    in_force: InForce
    environ: Mapping[str, str]
    clock: Clock
    tenure: Tenure
    connector: Callable[[str], object]  # of an open instance; None where it is not open
    held: Callable[[], Mapping[str, Mapping[str, Connection]]]  # what each account was last seen to hold, by id
    known: dict[tuple[str, str], Inferred] = field(default_factory=dict)  # by pipeline and task
    graphs: dict[str, tuple[str, Graph]] = field(default_factory=dict)  # by instance: the manifest's name, and it
    bell: Bell = field(default_factory=Bell)
    _anew: Anew = field(default_factory=Anew)
    _accounts: frozenset[str] = frozenset()  # those whose extracts feed some task
    _present: dict[str, str] = field(default_factory=dict)  # by instance: the project's files as they are
    _tried: dict[tuple[str, str], float] = field(default_factory=dict)  # since boot: what could not be read

    async def reload(self) -> None:
        """Take over what the store holds."""
        names = {instance: name for instance, (name, _) in self.graphs.items()}

        def newest(connection: sa.Connection) -> tuple[dict[tuple[str, str], Inferred], dict[str, tuple[str, Graph]]]:
            return inferences.inferences(connection), projects.newer(connection, names)

        self.known, graphs = await self._anew.read(self.store, newest)
        self.graphs |= graphs

    async def forget(self, configured: Iterable[str]) -> None:
        """Forget the projects of instances that are not configured any more."""
        gone = self.graphs.keys() - set(configured)
        if gone:
            await self.store.call(partial(projects.forget, configured=set(configured)))
            self.graphs = {name: found for name, found in self.graphs.items() if name not in gone}

    def wants(self, instance: str) -> timedelta | None:
        """Say how often an account should be looked at for what it loads."""
        return LISTING if instance in self._accounts else None

    def graph(self, instance: str) -> Graph | None:
        """Return a project's graph as it was last read; None before that."""
        found = self.graphs.get(instance)
        return found[1] if found is not None else None

    # --- when a run is made ---

    async def look(self, pipelines: Sequence[str]) -> None:
        """Look at the files of the projects that runs of these pipelines would build."""
        names = {task.instance for _, task, _ in self._all(pipelines)}
        if names and not self.store.alone:
            await self.reload()
        for name in sorted(names):
            await self._look(name)

    def narrowed(self, pipeline: Pipeline) -> Pipeline:
        """Return a pipeline as a run of it made now is to follow it, after a `look` at its projects."""
        found, why = {}, {}
        for task in pipeline.tasks:
            one = self._asked(pipeline, task)
            if isinstance(one, str):
                why[task.name] = one
            elif one is not None:
                known = self.known.get((pipeline.name, task.name))
                flaw = stale(known, one.subject, self._present.get(task.instance, ""))
                if known is not None and not flaw:
                    found[task.name] = known
                else:
                    why[task.name] = flaw
        return narrowed(pipeline, found, why)

    async def _look(self, instance: str) -> None:
        connector, found = self.connector(instance), ""
        if isinstance(connector, Reads):
            try:
                with anyio.fail_after(GLANCE):
                    found = await connector.fingerprint()
            except Exception as err:  # noqa: BLE001 - a plugin's bug costs the narrowing, not the run
                if self._present.get(instance) != "":  # else it was said already
                    log.warning("a project's files cannot be looked at", instance=instance, reason=repr(err))
        self._present[instance] = found

    # --- in the background ---

    async def run(self) -> None:
        """Find out what has changed, until cancelled."""
        while True:
            some = await self.refresh()
            await self.bell.wait(self.clock.between_looks(LOOK if some else IDLE))

    async def refresh(self) -> bool:
        """Find out what is not known of the present; returns whether there is anything to ask."""
        every = [
            (pipeline, task, one)
            for pipeline, task, one in self._all(list(self.in_force.known))
            if isinstance(one, Asked)
        ]
        self._accounts = frozenset(wiring.instance for _, _, one in every for wiring in one.wirings)
        for name in sorted({task.instance for _, task, _ in every}):
            await self._look(name)
        listed = dict(self.held())  # as it is now: what is remembered of an account comes in while this goes on
        held = [
            Held(instance=name, connection=one) for name, connections in listed.items() for one in connections.values()
        ]
        seen = await in_thread(catalogue, held) if every else ""
        for pipeline, task, one in every:
            project = self._present.get(task.instance, "")
            complete = all(wiring.instance in listed for wiring in one.wirings)
            if project and self._outdated(pipeline, task, one, project, seen if complete else ""):
                try:
                    await self._find_out(pipeline, task, one, project, held, seen)
                except LostLane:  # whoever keeps the time now finds it out
                    self.tenure.drop(TIME)
        return bool(every)

    def _outdated(self, pipeline: Pipeline, task: Task, one: Asked, project: str, seen: str) -> bool:
        """Say whether something has to be found out anew; ``seen`` is "" until every account has been looked at."""
        key = pipeline.name, task.name
        known = self.known.get(key)
        if known is None or (known.subject, known.project) != (one.subject, project):
            return True
        if known.manifest:
            return bool(seen) and known.catalogue != seen
        tried = self._tried.get(key)
        return tried is None or self.clock.since_boot() - tried >= AGAIN

    async def _find_out(
        self, pipeline: Pipeline, task: Task, one: Asked, project: str, held: Sequence[Held], seen: str
    ) -> None:
        try:
            found = await self._inferred(task, one, held)
        except (ConfigError, ConnectorError) as err:
            found = wide(one.subject, project, f"its project cannot be read: {err}")
        except TimeoutError:
            found = wide(one.subject, project, f"its project could not be read within {PATIENCE:g} s")
        except Exception as err:  # a plugin's bug, as at `Edge`
            log.exception("bug in a connector", instance=task.instance, verb="reading")
            found = wide(one.subject, project, f"bug in its connector: {err!r}")
        found = replace(found, subject=one.subject, catalogue=seen)
        self._tried[pipeline.name, task.name] = self.clock.since_boot()
        if found != self.known.get((pipeline.name, task.name)):
            await self._keep(pipeline, task, found)

    async def _inferred(self, task: Task, one: Asked, held: Sequence[Held]) -> Inferred:
        connector = self.connector(task.instance)
        if not isinstance(connector, Reads):
            raise ConfigError(f"{task.instance} is not open")
        with anyio.fail_after(PATIENCE):
            reading = await connector.reading(one.job)
        name, graph = await in_thread(_graph, reading.manifest, self.graphs.get(task.instance))
        loads = await in_thread(match, graph, held)
        found = await in_thread(infer, task, one.wirings, graph, reading.selected, held, loads)
        self.graphs[task.instance] = name, graph  # last: what is read anew meanwhile may be older
        return replace(found, project=reading.project, manifest=name)

    async def _keep(self, pipeline: Pipeline, task: Task, found: Inferred) -> None:
        key, now = (pipeline.name, task.name), self.clock.now()
        said = found.wide or f"waits for {', '.join(edge.extract for edge in found.edges) or 'nothing'}"
        transaction = Transaction(lanes=self.tenure.under(TIME))
        transaction.add(
            inferences.inferred(pipeline.name, task.name, found, now),
            happened(now, "inferred", pipeline=pipeline.name, task=task.name, text=said),
        )
        if found.manifest and task.instance in self.graphs:  # what hangs on what is known without dbt from now on
            name, graph = self.graphs[task.instance]
            transaction.add(projects.read_project(task.instance, name, graph, now))
        await self.store.apply(transaction)
        self.known[key] = found
        self._anew.committed()

    # --- what there is to ask ---

    def _all(self, names: Iterable[str]) -> Iterator[tuple[Pipeline, Task, Asked | str]]:
        """Return the tasks of which something could be known, and what to ask for each, or why that cannot be."""
        for name in names:
            known = self.in_force.active(name)
            if known is None:
                continue
            for task in known.pipeline.tasks:
                one = self._asked(known.pipeline, task)
                if one is not None:
                    yield known.pipeline, task, one

    def _asked(self, pipeline: Pipeline, task: Task) -> Asked | str | None:
        if not isinstance(self.connector(task.instance), Reads):
            return None
        return asked(pipeline, task, self.in_force.instance, self.environ)


def _graph(manifest: bytes, known: tuple[str, Graph] | None) -> tuple[str, Graph]:
    """Read a manifest, unless it is the one that is known."""
    name = sha256(manifest).hexdigest()[:32]
    return known if known is not None and known[0] == name else (name, read(manifest))
