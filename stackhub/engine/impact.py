"""Whom a problem reaches, as far as the graphs that were read of the projects tell, and as of when the data is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from stackhub.config.options import connection_of
from stackhub.contract import Connection, Finished, Node, NodeState, Pending
from stackhub.decide.impact import AsOf, Reach, reach
from stackhub.decide.step import Heard
from stackhub.engine.board import Item
from stackhub.engine.inference import Inference
from stackhub.engine.inforce import InForce
from stackhub.lineage import Graph, impact
from stackhub.model.pipeline import Pipeline, Task
from stackhub.model.run import OpenRun
from stackhub.model.step import DONE
from stackhub.store import asof, queries
from stackhub.store.store import Store

TEST = "test."  # how the id of a dbt test begins: what it failed on is not to be relied on


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is to be said of a problem beside what it is."""

    reach: Reach
    times: tuple[AsOf, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Impacts:
    """Knows what hangs on what."""

    store: Store
    in_force: InForce
    inference: Inference
    environ: Mapping[str, str]
    names: Callable[[str], list[tuple[str, str]]]  # of an account's connections: (id, name), as far as they are known

    async def of_run(self, open_run: OpenRun, told: Sequence[Item] = ()) -> About:
        """Say whom it reaches that the steps of a run which are not done are not; ``told`` is not kept yet."""
        pipeline, run = open_run.pipeline, open_run.run
        kept, good, loads = await self.store.read(partial(_read, run=run.id, pipeline=run.pipeline))
        broken = _broken(kept, told)
        late = [step.task for step in open_run.steps.values() if step.state not in DONE]
        return About(
            reach=self._reach([(pipeline, pipeline.task(name), broken.get(name, ())) for name in late]),
            times=_times(good, loads, [name for name in late if pipeline.task(name).extract]),
        )

    async def of_pipeline(self, pipeline: Pipeline) -> About:
        """Say whom it reaches that a pipeline did not run at all."""
        good = await self.store.read(partial(asof.last_good, pipeline=pipeline.name))
        return About(reach=self._reach([(pipeline, task, ()) for task in pipeline.tasks]), times=_times(good, {}, []))

    def of_connections(self, instance: str, connections: Sequence[Connection]) -> Reach:
        """Say whom it reaches that connections of an account do not load."""
        names = {f"{instance}/{one.name}" for one in connections}
        return self._found(self._sources(names))

    def _reach(self, parts: Iterable[tuple[Pipeline, Task, Sequence[str]]]) -> Reach:
        wanted: dict[str, set[str]] = {}
        for pipeline, task, broken in parts:
            for instance, ids in self._ids(pipeline, task, broken).items():
                wanted.setdefault(instance, set()).update(ids)
        return self._found(wanted)

    def _ids(self, pipeline: Pipeline, task: Task, broken: Sequence[str]) -> dict[str, set[str]]:
        """Return what a task would have brought, by the project it stands in."""
        if task.extract:
            return self._sources(self._loaded(pipeline, task))
        graph = self.inference.graph(task.instance)
        if graph is None:
            return {}
        if broken:
            return {task.instance: {near for one in broken for near in _near(one, graph)}}
        known = self.inference.known.get((pipeline.name, task.name))
        reads = {read.source for read in known.reads} if known is not None else set()
        sources = {source.id for source in graph.sources.values() if source.name in reads}
        return {task.instance: {*sources, *(known.nodes if known is not None else ())}}

    def _loaded(self, pipeline: Pipeline, task: Task) -> set[str]:
        account = self.in_force.instance(task.instance)
        written = connection_of(task, pipeline.name, account.connector, self.environ) if account is not None else ""
        found = {name for id_, name in self.names(task.instance) if written in (id_, name)} or {written}
        return {f"{task.instance}/{name}" for name in found if name}

    def _sources(self, loaders: set[str]) -> dict[str, set[str]]:
        """Return the sources that connections load and some task reads, by project; connections as INSTANCE/NAME."""
        found: dict[str, set[str]] = {}
        for (name, task), inferred in self.inference.known.items():
            known = self.in_force.active(name)
            one = next((one for one in known.pipeline.tasks if one.name == task), None) if known is not None else None
            graph = self.inference.graph(one.instance) if one is not None else None
            if one is None or graph is None:
                continue
            reads = {read.source for read in inferred.reads if loaders & {each.connection for each in read.loaders}}
            ids = {source.id for source in graph.sources.values() if source.name in reads}
            found.setdefault(one.instance, set()).update(ids)
        return found

    def _found(self, wanted: Mapping[str, Iterable[str]]) -> Reach:
        graphs = {instance: self.inference.graph(instance) for instance in wanted}
        return reach(impact(graph, wanted[instance]) for instance, graph in graphs.items() if graph is not None)


def _near(node: str, graph: Graph) -> tuple[str, ...]:
    return (*graph.parents.get(node, ()),) if node.startswith(TEST) else (node,)


def _read(
    connection: sa.Connection, run: str, pipeline: str
) -> tuple[dict[str, list[Node]], datetime | None, dict[str, datetime]]:
    loads = asof.last_loads(connection, pipeline)
    return queries.nodes(connection, run), asof.last_good(connection, pipeline), loads


def _broken(kept: Mapping[str, Sequence[Node]], told: Sequence[Item]) -> dict[str, list[str]]:
    """Return the nodes that failed, by task: those that are kept, and those that were heard of just now."""
    found = {task: {node.id: node for node in nodes} for task, nodes in kept.items()}
    for item in told:
        if isinstance(item, Heard) and isinstance(item.answer, Pending | Finished):
            found.setdefault(item.task, {}).update({node.id: node for node in item.answer.nodes})
    return {
        task: sorted(node.id for node in nodes.values() if node.state is NodeState.FAILED)
        for task, nodes in found.items()
    }


def _times(good: datetime | None, loads: Mapping[str, datetime], extracts: Sequence[str]) -> tuple[AsOf, ...]:
    return (AsOf(what="the last good run", at=good), *(AsOf(what=name, at=loads.get(name)) for name in extracts))
