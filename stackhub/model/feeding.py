"""What feeds a task, as it was found out of a dbt project and of what the accounts say that they load.

An `Inferred` is kept as a row, so that a restart needs neither dbt nor a vendor. `Feed` is the part of it that a run
keeps in its snapshot when the task may build a part: what to leave out when an extract has not landed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class Rule(StrEnum):
    """What a source is to the models that read it."""

    REQUIRED = "required"  # nothing downstream is built before it has landed
    OPTIONAL = "optional"  # stale data will do


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """That a task may build what can be built, as it stands under ``partial:``."""

    wait: timedelta | None = None  # after the first input has landed; None: as long as the others may still land
    rules: Mapping[str, Rule] = field(default_factory=dict)  # by source ("crm.customers", "ads.*"), before its meta


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What of a task's selection hangs on one extract task."""

    extract: str
    instance: str
    connection: str  # the vendor's id
    sources: tuple[str, ...] = ()  # unique ids of the required ones: what is downstream waits for them
    stale: tuple[str, ...] = ()  # names of those for which stale data will do


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An extract task that a task waits for, and why."""

    extract: str
    why: str
    confidence: str = ""  # "given", "certain", ...; "" where it is not known what the extract loads


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """A connection that loads a source."""

    connection: str  # "fivetran/crm"
    confidence: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One source that a selection reads, and who loads it."""

    source: str  # "crm.customers"
    rule: Rule = Rule.REQUIRED
    loaders: tuple[Loader, ...] = ()
    elsewhere: bool = False  # the project says that somebody else loads it
    mistaken: str = ""  # the connection that the project names, which is not there

    @property
    def unfed(self) -> bool:
        """Whether nobody is known to load it."""
        return not self.loaders and not self.elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """What was found out for one task."""

    subject: str  # a digest of what was asked: the task and the extracts of its pipeline, as they are written
    project: str  # a digest of the project's files, as they were
    catalogue: str = ""  # a digest of what the accounts said
    manifest: str = ""  # a digest of the manifest
    wide: str = ""  # why the task waits for every extract all the same; "" where ``edges`` say for which
    edges: tuple[Edge, ...] = ()
    reads: tuple[Read, ...] = ()
    idle: tuple[str, ...] = ()  # connections whose tables no source names
    nodes: tuple[str, ...] = ()  # unique ids of what is built; only where a part may be
    hangs: tuple[str, ...] = ()  # of each node, in hexadecimal: a bit for each of ``feeds`` whose sources are upstream
    feeds: tuple[Feed, ...] = ()

    @property
    def unfed(self) -> list[str]:
        """Return the sources that nobody is known to load."""
        return [read.source for read in self.reads if read.unfed]
