"""A dbt project as far as stackhub needs it: what each node reads, and where each source stands."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from stackhub.model.relation import Relation

SOURCE: Final = "source."


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A table that dbt reads and somebody else loads."""

    id: str  # "source.shop.crm.customers"
    name: str  # "crm.customers", as `source()` takes it
    relation: Relation
    given: Any = None  # what its project says of its connection, under `meta: stackhub:`; None where it says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What people look at: a dashboard, a report."""

    id: str
    name: str
    owner: str
    reads: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)  # without slots: what is worked out once is kept
class Graph:
    """Who reads whom. ``parents`` are the direct ones, of nodes alone; ids are dbt's."""

    adapter: str  # "snowflake", "duckdb"
    sources: Mapping[str, Source]
    parents: Mapping[str, tuple[str, ...]]
    exposures: Mapping[str, Exposure] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)  # of those nodes that have one

    def upstream(self, ids: Iterable[str]) -> frozenset[str]:
        """Return these nodes and all that they read, however far away."""
        return _closure(ids, self.parents)

    def downstream(self, ids: Iterable[str]) -> frozenset[str]:
        """Return these nodes and all that reads them, however far away."""
        return _closure(ids, self.children)

    @cached_property
    def children(self) -> Mapping[str, Sequence[str]]:
        """Who reads each node directly."""
        children: dict[str, list[str]] = {}
        for node, parents in self.parents.items():
            for parent in parents:
                children.setdefault(parent, []).append(node)
        return children

    def marked(self, marks: Mapping[str, int], ids: Iterable[str]) -> list[int]:
        """Return, for each of these nodes, the marks of all that is upstream of it, or-ed; in one walk of the graph."""
        found = dict(marks)
        seen = set(found)
        ids = list(ids)
        waiting = [(one, False) for one in ids]
        while waiting:
            one, below_done = waiting.pop()
            parents = self.parents.get(one, ())
            if below_done:
                mark = 0
                for parent in parents:
                    mark |= found.get(parent, 0)
                found[one] = mark
            elif one not in seen:
                seen.add(one)
                waiting.append((one, True))
                waiting += [(parent, False) for parent in parents if parent not in seen]
        return [found[one] for one in ids]

    def sources_of(self, selected: Iterable[str]) -> list[Source]:
        """Return what a selection reads, by name.

        A selected model may read one that is not selected, and that one may be a view of a source: so all that is
        upstream counts.
        """
        found = (self.sources[one] for one in self.upstream(selected) if one in self.sources)
        return sorted(found, key=lambda source: source.name)


def _closure(ids: Iterable[str], nexts: Mapping[str, Iterable[str]]) -> frozenset[str]:
    seen = set(ids)
    waiting = list(seen)
    while waiting:
        for one in nexts.get(waiting.pop(), ()):
            if one not in seen:
                seen.add(one)
                waiting.append(one)
    return frozenset(seen)
