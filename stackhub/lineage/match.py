"""Which connection loads which source: by the tables that both name, not by what anybody calls them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from stackhub.contract import Connection
from stackhub.lineage.graph import Graph, Source
from stackhub.model.relation import Relation

UPPER: Final = frozenset({"snowflake", "oracle", "exasol", "db2"})  # how a name without quotation marks is kept
EXACT: Final = frozenset({"bigquery", "clickhouse", "mysql"})  # names that differ in case are different names
GIVEN: Final = "connection"  # under `meta: stackhub:` of a source; null says that somebody else loads it
WHERE: Final = "instance"


class Confidence(StrEnum):
    """How sure it is that a connection loads a source, surest first."""

    GIVEN = "given"  # the project says so
    CERTAIN = "certain"  # the same database, schema and table
    LIKELY = "likely"  # the same schema and table; one of them names no database
    POSSIBLE = "possible"  # the same schema, and the vendor does not say which tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A connection, and the instance whose account holds it."""

    instance: str
    connection: Connection

    @property
    def name(self) -> str:
        """Name it among those of all accounts."""
        return f"{self.instance}/{self.connection.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A connection loads a source."""

    held: Held
    source: Source
    confidence: Confidence
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """Everything that was found out."""

    loads: tuple[Load, ...]
    orphans: tuple[Source, ...]  # sources that no connection loads, and of which the project does not say who does
    mistaken: tuple[tuple[Source, str], ...]  # sources whose project names a connection that is not there, and which
    idle: tuple[Held, ...]  # connections whose tables no source names

    def of(self, source_id: str) -> list[Load]:
        """Return who loads a source."""
        return [load for load in self.loads if load.source.id == source_id]


def match(graph: Graph, connections: Iterable[Held]) -> Loads:
    """Match a project's sources with what accounts load: any number of connections load any number of sources."""
    held = sorted(connections, key=lambda one: (one.name, one.connection.id))
    tables = _Tables(held, graph.adapter)
    loads: list[Load] = []
    orphans: list[Source] = []
    mistaken: list[tuple[Source, str]] = []
    for source in sorted(graph.sources.values(), key=lambda one: one.name):
        if source.given is not None and GIVEN in source.given:
            found, wanted = _given(source, source.given, held)
            if wanted and not found:
                mistaken.append((source, wanted))
        else:
            found = list(tables.loading(source))
            if not found:
                orphans.append(source)
        loads += found
    busy = {(load.held.instance, load.held.connection.id) for load in loads}
    idle = tuple(one for one in held if (one.instance, one.connection.id) not in busy)
    return Loads(loads=tuple(loads), orphans=tuple(orphans), mistaken=tuple(mistaken), idle=idle)


def _given(source: Source, given: Mapping[str, object], held: Sequence[Held]) -> tuple[list[Load], str]:
    """Return what the project says, and what it named; "" where it says that somebody else loads the source."""
    wanted = given[GIVEN]
    if wanted is None or wanted is False:
        return [], ""
    where = given.get(WHERE)
    found = [
        Load(held=one, source=source, confidence=Confidence.GIVEN, why="the project says so")
        for one in held
        if wanted in (one.connection.id, one.connection.name, one.name) and where in (None, one.instance)
    ]
    return found, str(wanted) if where is None else f"{where}/{wanted}"


class _Tables:
    """Who fills which table, found by schema and table as the warehouse compares them."""

    def __init__(self, held: Sequence[Held], adapter: str) -> None:
        self._adapter = adapter
        self._by_place: dict[tuple[str, str], list[tuple[Held, Relation]]] = {}
        for one in held:
            for relation in one.connection.relations:
                place = self._fold(relation.schema), self._fold(relation.table)
                self._by_place.setdefault(place, []).append((one, relation))

    def loading(self, source: Source) -> Iterator[Load]:
        """Return who fills a source's table, the surest where one connection does so in several ways."""
        mine = source.relation
        best: dict[tuple[str, str], Load] = {}
        for table in (mine.table, ""):
            for held, theirs in self._by_place.get((self._fold(mine.schema), self._fold(table)), ()):
                load = self._load(source, held, theirs)
                key = held.instance, held.connection.id
                if load is not None and key not in best:
                    best[key] = load
        yield from best.values()

    def _load(self, source: Source, held: Held, theirs: Relation) -> Load | None:
        mine = source.relation
        if mine.database and theirs.database and self._fold(mine.database) != self._fold(theirs.database):
            return None
        named = ".".join(part for part in (theirs.database, theirs.schema, theirs.table) if part)
        if not theirs.table:
            why = f"it fills schema {named}; which tables is not said"
            return Load(held=held, source=source, confidence=Confidence.POSSIBLE, why=why)
        if not (mine.database and theirs.database):
            why = f"it fills {named}; the database is not said"
            return Load(held=held, source=source, confidence=Confidence.LIKELY, why=why)
        return Load(held=held, source=source, confidence=Confidence.CERTAIN, why=f"it fills {named}")

    def _fold(self, name: str) -> str:
        if self._adapter in EXACT:
            return name
        return name.upper() if self._adapter in UPPER else name.lower()
