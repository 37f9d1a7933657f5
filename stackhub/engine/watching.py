"""Triggers and the accounts they watch: a look puts them in force, and says where a name means nothing.

What a trigger watches is known by its id from the first look on, so a connection that is renamed is still the same one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

from stackhub.clock import Clock
from stackhub.decide import facets
from stackhub.decide.incident import Change
from stackhub.decide.triggers import Unresolved, resolve
from stackhub.engine.catalog import Swept
from stackhub.engine.incidents import Incidents
from stackhub.engine.inforce import InForce
from stackhub.model.pipeline import Pipeline, Told, Watched
from stackhub.store import watermarks
from stackhub.store.store import Store
from stackhub.store.transaction import Transaction

KEY: Final = "trigger:"  # how the key of an incident begins that says that a trigger cannot be watched


def key_of(pipeline: str, about: str) -> str:
    """Name the incident of a trigger: ``trigger:revenue/fivetran``."""
    return f"{KEY}{pipeline}/{about}"


def watches(pipeline: Pipeline) -> set[Watched]:
    """Return every connection that a pipeline waits for before a run of it begins."""
    return {watched for found in watermarks.wanted(pipeline).values() for watched in found}


def keys(pipelines: Iterable[Pipeline]) -> set[str]:
    """Return the keys of all incidents that triggers of these pipelines may have."""
    found = {key_of(one.name, watched.instance) for one in pipelines for watched in watches(one)}
    return found | {key_of(one.name, files.url) for one in pipelines for files in one.files}


@dataclass(slots=True, kw_only=True)
class Watching:
    """Follows every look at an account that some trigger watches. `Follower` of the catalogue."""

    store: Store
    incidents: Incidents
    in_force: InForce
    clock: Clock
    every: Callable[[], timedelta]
    _names: dict[str, Mapping[tuple[str, str], str | None]] = field(default_factory=dict)  # by account

    def wants(self, instance: str) -> timedelta | None:
        """Say how often an account is looked at for triggers; None: not for them."""
        active = (known.pipeline for known in self.in_force.known.values() if not known.retired)
        watched = any(one.instance == instance for pipeline in active for one in watches(pipeline))
        return self.every() if watched else None

    async def prepare(self, instance: str) -> None:
        """Read what is watched there."""
        self._names[instance] = await self.store.read(partial(watermarks.names, instance=instance))

    def keys(self, swept: Swept) -> Sequence[str]:
        """Name the incidents of those pipelines that watch the account."""
        return [key_of(pipeline, swept.instance) for pipeline, _ in self._names[swept.instance]]

    def follow(self, swept: Swept, transaction: Transaction) -> Sequence[Change | None]:
        """Put what is watched in force, follow names to other connections, and tell what means none."""
        lost: dict[str, list[str]] = {}
        settled: set[tuple[str, str]] = set()
        for (pipeline, name), was in self._names[swept.instance].items():
            lost.setdefault(pipeline, [])
            if was is not None and was in swept.after:
                continue
            found = resolve(swept.instance, name, swept.after)
            if isinstance(found, Unresolved):
                lost[pipeline].append(found.text)
            elif (name, found) in settled:
                continue
            else:
                settled.add((name, found))
                transaction.add(watermarks.based(swept.instance, name, found, swept.after[found].last))
                if was is not None:
                    transaction.add(watermarks.moved(swept.instance, name, found, was))
        return [self._told(pipeline, swept.instance, said, transaction) for pipeline, said in lost.items()]

    def _told(self, pipeline: str, instance: str, said: list[str], transaction: Transaction) -> Change | None:
        key = key_of(pipeline, instance)
        if not said:
            return self.incidents.cease(key, [Told.STALLED], transaction, "everything it waits for is there")
        facet = facets.trouble(
            f"{pipeline}: nothing it waits for at {instance} is seen" if len(said) > 1 else f"{pipeline}: {said[0]}",
            "\n".join(said),
            "No run begins by this trigger until it is mended there, or in the pipeline's file.",
            self.clock.now(),
        )
        return self.incidents.observe(key, facet, transaction, pipeline=pipeline)
