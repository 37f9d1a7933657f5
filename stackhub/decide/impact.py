"""Who notices a problem: models and dashboards downstream, whose they are, and as of when their data is. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from stackhub.decide.facets import listed, stamp
from stackhub.lineage import Impact
from stackhub.model.incident import Facet

NAMED: Final = 3  # models that are named where there is no dashboard to name


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What is downstream of a problem, over all projects that are known."""

    models: tuple[str, ...] = ()  # unique ids
    exposures: tuple[str, ...] = ()  # "Revenue board (finance)"
    owners: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Say whether anything is known to be reached."""
        return bool(self.models or self.exposures)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsOf:
    """Up to when data of something is there; None: never, as far as is known."""

    what: str  # "the last good run", "orders"
    at: datetime | None


def reach(impacts: Iterable[Impact]) -> Reach:
    """Put together what is downstream in several projects."""
    found = list(impacts)
    shown = {f"{one.name} ({one.owner})" if one.owner else one.name for impact in found for one in impact.exposures}
    return Reach(
        models=tuple(sorted({model for impact in found for model in impact.models})),
        exposures=tuple(sorted(shown)),
        owners=tuple(sorted({owner for impact in found for owner in impact.owners})),
    )


def facts_of(found: Reach) -> tuple[tuple[str, str], ...]:
    """Return what is said of a reach; nothing where nothing is known."""
    if not found:
        return ()
    count = f"{len(found.models)} model{'' if len(found.models) == 1 else 's'}"
    if found.exposures:
        said = f"{listed(found.exposures)}; {count}"
    else:
        said = f"{count}: {listed([one.rpartition('.')[2] for one in found.models][:NAMED])}"
        said += " and others" if len(found.models) > NAMED else ""
    return (("Reaches", said), *((("Concerns", listed(found.owners)),) if found.owners else ()))


def reaching(facet: Facet, found: Reach, times: Sequence[AsOf] = ()) -> Facet:
    """Say on a facet whom it reaches, and as of when the data is."""
    known = [f"{one.what}: {stamp(one.at) if one.at else 'never'}" for one in times]
    facts = (*facet.facts, *facts_of(found), *((("Data as of", "; ".join(known)),) if known else ()))
    owners = tuple(dict.fromkeys((*facet.owners, *found.owners)))
    return replace(facet, facts=facts, owners=owners)
