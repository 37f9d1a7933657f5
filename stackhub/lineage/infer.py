"""Which extracts a task has to wait for: those that load what its selection reads, and no other. Pure.

It only ever narrows what the wide rule says (every extract of the pipeline), and only by what is certain: an extract
is left out where its account lists its connection, says which tables that fills, and none of them is read. Where a
source has no known loader, where nothing at all would be left, or where what is known is not of now, the wide rule
holds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any, Final

from stackhub.contract import Connection
from stackhub.lineage.graph import Graph, Source
from stackhub.lineage.match import Confidence, Held, Load, Loads
from stackhub.model.codec import dump
from stackhub.model.feeding import Edge, Feed, Inferred, Loader, Partial, Read, Rule
from stackhub.model.pipeline import Pipeline, Task

NAMED: Final = 3  # sources that an edge's reason names
ANY: Final = "a transform without needs waits for every extract"
NONE_LEFT: Final = "its selection reads nothing that an extract of the pipeline loads; say needs: [] to wait for none"
UNREAD: Final = "its project has not been read yet"
CHANGED: Final = "files of its project have changed and have not been read yet"
OTHER: Final = "what it selects, or what its pipeline loads, is not what was read for it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """An extract task, and the connection its options name; "" where that hangs on the run."""

    task: str
    instance: str
    connection: str


def infer(
    task: Task, wirings: Sequence[Wiring], graph: Graph, selected: Sequence[str], held: Sequence[Held], loads: Loads
) -> Inferred:
    """Say what feeds a task. ``loads`` is the match of all of ``held``; digests are the caller's to fill in."""
    sources = graph.sources_of(selected)
    lost = {source.id: named for source, named in loads.mistaken}
    fed: dict[str, list[Load]] = {}
    for load in loads.loads:
        fed.setdefault(load.source.id, []).append(load)
    reads = tuple(_read(source, fed.get(source.id, ()), lost.get(source.id, ""), task.partial) for source in sources)
    found = Inferred(subject="", project="", reads=reads, idle=tuple(one.name for one in loads.idle))
    unfed = found.unfed
    if unfed:
        return replace(found, wide=f"nobody is known to load {_few(unfed)}")
    if not selected:
        return replace(found, wide="its operation builds nothing that reads a source")
    mine = [wiring for wiring in wirings if wiring.task in {need.task for need in task.needs}]
    known = {wiring.task: _connection(wiring, held) for wiring in mine}
    edges = [edge for wiring in mine if (edge := _edge(wiring, known[wiring.task], sources, fed)) is not None]
    if not edges and not task.needs_given:
        return replace(found, wide=NONE_LEFT)
    found = replace(found, edges=tuple(edges))
    if task.partial is None:
        return found
    feeds = tuple(_feeds(mine, known, sources, fed, reads))
    marks: dict[str, int] = {}
    for at, feed in enumerate(feeds):
        for source in feed.sources:
            marks[source] = marks.get(source, 0) | 1 << at
    hangs = tuple(f"{mark:x}" for mark in graph.marked(marks, selected))
    return replace(found, nodes=tuple(selected), hangs=hangs, feeds=feeds)


def wide(subject: str, project: str, why: str) -> Inferred:
    """Say that nothing could be found out, and why."""
    return Inferred(subject=subject, project=project, wide=why)


def narrowed(pipeline: Pipeline, found: Mapping[str, Inferred], why: Mapping[str, str]) -> Pipeline:
    """Return a pipeline whose tasks wait for what feeds them, each edge with its reason.

    ``found`` holds what is known *of the present* for some tasks; ``why`` says of others, for which something could
    be known, why it is not.
    """
    tasks = tuple(_narrowed(task, found.get(task.name), why.get(task.name, "")) for task in pipeline.tasks)
    return pipeline if tasks == pipeline.tasks else replace(pipeline, tasks=tasks)


def stale(known: Inferred | None, asked: str, project: str) -> str:
    """Say why what is known of a task does not hold now; "" when it does.

    ``asked`` is the name of the question as it is now, ``project`` that of the project's files; "" where they cannot
    be seen.
    """
    if known is None:
        return UNREAD
    if known.subject != asked:
        return OTHER
    return "" if project and known.project == project else CHANGED


def subject(task: Task, wirings: Sequence[Wiring]) -> str:
    """Name what is asked about a task: as long as it stays the same, so may the answer."""
    work = (task.connector, task.operation, task.instance, task.options, task.needs_given, task.needs, task.partial)
    return digest([work, list(wirings)])


def catalogue(held: Iterable[Held]) -> str:
    """Name what accounts say of their tables; when they last landed, or how they are, is no part of it."""
    told = [(one.instance, one.connection.id, one.connection.name, sorted(one.connection.relations)) for one in held]
    return digest(sorted(told))


def digest(value: Any) -> str:
    """Name a value by its content."""
    return sha256(dump(value).encode()).hexdigest()[:32]


def _narrowed(task: Task, found: Inferred | None, why: str) -> Task:
    if found is None or found.wide:
        said = found.wide if found is not None else why
        if not said:
            return task
        note = f"{ANY}; not narrowed: {said}"
        needs = task.needs if task.needs_given else tuple(replace(need, why=note) for need in task.needs)
        return replace(task, needs=needs, wide=said)
    edges = {edge.extract: edge for edge in found.edges}
    needs = task.needs
    if not task.needs_given:
        needs = tuple(
            replace(need, why=edges[need.task].why, confidence=edges[need.task].confidence)
            for need in task.needs
            if need.task in edges
        )
    return replace(task, needs=needs, feeds=found.feeds, nodes=found.nodes, hangs=found.hangs)


def _read(source: Source, loads: Sequence[Load], mistaken: str, partial: Partial | None) -> Read:
    return Read(
        source=source.name,
        rule=_rule(source, partial),
        loaders=tuple(
            Loader(connection=load.held.name, confidence=load.confidence.value, why=load.why) for load in loads
        ),
        elsewhere=not loads and not mistaken and source.given is not None and "connection" in source.given,
        mistaken=mistaken,
    )


def _rule(source: Source, partial: Partial | None) -> Rule:
    """Return what a source is: by the task's own word, else by the project's, else required."""
    for pattern, rule in (partial.rules if partial is not None else {}).items():
        if fnmatchcase(source.name, pattern):
            return rule
    said = (source.given or {}).get("rule")
    return Rule.OPTIONAL if said == Rule.OPTIONAL.value else Rule.REQUIRED


def _connection(wiring: Wiring, held: Sequence[Held]) -> Connection | None:
    """Return the connection that an extract names; None where it is not known for sure which that is."""
    found = [
        one.connection
        for one in held
        if one.instance == wiring.instance and wiring.connection in (one.connection.id, one.connection.name)
    ]
    return found[0] if wiring.connection and len(found) == 1 else None


def _edge(
    wiring: Wiring, connection: Connection | None, sources: Sequence[Source], fed: Mapping[str, Sequence[Load]]
) -> Edge | None:
    """Return why a task waits for an extract; None where it certainly need not."""
    if connection is None:
        return Edge(extract=wiring.task, why=f"{wiring.instance} does not list its connection, so it may load anything")
    loads = [load for source in sources for load in fed.get(source.id, ()) if _is(load, wiring, connection)]
    if not loads and not connection.relations:
        return Edge(extract=wiring.task, why=f"{wiring.instance} does not say which tables it fills")
    if not loads:
        return None
    confidence = min((load.confidence for load in loads), key=list(Confidence).index)
    return Edge(
        extract=wiring.task, why=f"loads {_few([load.source.name for load in loads])}", confidence=confidence.value
    )


def _is(load: Load, wiring: Wiring, connection: Connection) -> bool:
    return load.held.instance == wiring.instance and load.held.connection.id == connection.id


def _feeds(
    wirings: Sequence[Wiring],
    known: Mapping[str, Connection | None],
    sources: Sequence[Source],
    fed: Mapping[str, Sequence[Load]],
    reads: Sequence[Read],
) -> Iterable[Feed]:
    for wiring in wirings:
        connection = known[wiring.task]
        if connection is None:
            continue
        mine = [
            (source, read)
            for source, read in zip(sources, reads, strict=True)
            if any(_is(load, wiring, connection) for load in fed.get(source.id, ()))
        ]
        if not mine:
            continue
        yield Feed(
            extract=wiring.task,
            instance=wiring.instance,
            connection=connection.id,
            sources=tuple(source.id for source, read in mine if read.rule is Rule.REQUIRED),
            stale=tuple(source.name for source, read in mine if read.rule is Rule.OPTIONAL),
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= NAMED else f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
