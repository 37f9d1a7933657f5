"""An incident: one problem, told to people once.

    open ──▶ resolved        facets come and go while it is open; the last one to end resolves it

At most one is open for a key. Keys: ``pipeline:<name>``, ``shadow:<name>`` of its runs in shadow, ``instance:<name>``,
``connection:<instance>/<id>``, ``hub``, ``hub:<route>``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from stackhub.model.pipeline import Mode, Told
from stackhub.model.words import Severity

PIPELINE: Final = "pipeline:"  # how the key of a pipeline's incident begins
SHADOW: Final = "shadow:"  # and of what its runs in shadow have met: what is wrong with one says nothing of the other


def key_of(pipeline: str, mode: Mode) -> str:
    """Name the incident of a pipeline's runs."""
    return f"{SHADOW if mode is Mode.SHADOW else PIPELINE}{pipeline}"


def pipeline_of(key: str) -> str:
    """Return the pipeline whose runs an incident's key is about; "" for any other."""
    return next((key.removeprefix(kind) for kind in (PIPELINE, SHADOW) if key.startswith(kind)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """One way in which a problem shows: failed, late, stalled."""

    kind: Told
    since: datetime
    severity: Severity
    title: str  # one line: "shop failed: orders"
    cause: str = ""  # what an alarm is raised again for when it changes; "" takes the title
    error: str = ""  # the failing tool's own words
    summary: str = ""  # what happens next
    facts: tuple[tuple[str, str], ...] = ()
    owners: tuple[str, ...] = ()  # whom it concerns, by the names that pipelines, models and exposures give
    links: tuple[tuple[str, str], ...] = ()  # (text, url)
    about: tuple[tuple[str, str], ...] = ()  # connections, each by its id and name
    run: str = ""
    covers: datetime | None = None  # the end of the interval it is about: a later one's success ends it


@dataclass(frozen=True, slots=True, kw_only=True)
class Knows:
    """What one route has been told so far, and how to tell it more, whatever is configured by then."""

    severity: Severity
    cause: str  # what an alarm is raised again for when it changes
    instance: str
    speaks: str
    options: Mapping[str, Any] = field(default_factory=dict)
    told_at: datetime | None = None  # last


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One problem. Immutable."""

    id: str
    key: str
    opened_at: datetime
    severity: Severity  # only rises while it is open
    pipeline: str = ""
    concerns: tuple[str, ...] = ()  # pipelines whose routes hear of it as well; of one that is no pipeline's own
    runs: tuple[str, ...] = ()  # that had a part in it, the newest last
    resolved_at: datetime | None = None
    resolution: str = ""
    version: int = 0
    seq: int = 0  # of the last message written for it
    shadow: bool = False  # nobody is told; what would be is kept
    untold: bool = False  # it has changed while it was muted, and its routes have not heard
    facets: Mapping[Told, Facet] = field(default_factory=dict)  # those that last
    routes: Mapping[str, Knows] = field(default_factory=dict)  # by route id, those that know of it
