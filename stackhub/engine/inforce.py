"""The configuration in force, and what the store knows of its pipelines; replaced whole when a new one is applied."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from stackhub.config.instances import Instance
from stackhub.config.read import Configuration
from stackhub.contract import Operation, Speaks, StartIs
from stackhub.decide.ends import Rule
from stackhub.decide.routes import RouteIn, route_id
from stackhub.engine.anew import Anew
from stackhub.engine.incidents import FALLBACK
from stackhub.model.pipeline import Mode, Pipeline, Route
from stackhub.store import queries
from stackhub.store.queries import Known
from stackhub.store.store import Store

UNKNOWN: Final = Rule(start_is=StartIs.BLIND, settle=timedelta(minutes=2), cancellable=False)


class InForce:
    """What holds now."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.known: dict[str, Known] = {}
        self.speaks: dict[str, Speaks] = {}  # of every open notifier
        self.drained: dict[str, Instance] = {}  # removed, but open steps still need them
        self._anew = Anew()

    async def reload(self, store: Store) -> None:
        """Take over what the store knows of pipelines."""
        self.known = await self._anew.read(store, queries.pipelines)

    def retention(self) -> timedelta:
        """Return for how long history is kept."""
        return self.configuration.hub.retention

    def instance(self, name: str) -> Instance | None:
        """Return an instance, configured now or still draining."""
        return self.configuration.instances.get(name) or self.drained.get(name)

    def operation(self, pipeline: Pipeline, task_name: str) -> Operation | None:
        """Return what a task's operation promises; None when its instance is gone for good."""
        task = pipeline.task(task_name)
        instance = self.instance(task.instance)
        return instance.connector.operations.get(task.operation) if instance else None

    def rules(self, pipeline: Pipeline) -> dict[str, Rule]:
        """Return what decisions about a pipeline's tasks need to know."""
        found = {}
        for task in pipeline.tasks:
            operation = self.operation(pipeline, task.name)
            found[task.name] = (
                UNKNOWN
                if operation is None
                else Rule(start_is=operation.start_is, settle=operation.settle, cancellable=operation.cancellable)
            )
        return found

    def active(self, name: str) -> Known | None:
        """Return a pipeline that is configured now."""
        known = self.known.get(name)
        return known if known is not None and not known.retired else None

    def unpaused(self, name: str) -> Pipeline | None:
        """Return a pipeline that may begin runs by itself now: configured, and not paused."""
        known = self.active(name)
        return known.pipeline if known is not None and known.paused_at is None else None

    def downstream(self, name: str, mode: Mode) -> list[Pipeline]:
        """Return the pipelines that start when a run of this one has succeeded: live ones after a live run alone."""
        return [
            known.pipeline
            for known in self.known.values()
            if not known.retired
            and known.paused_at is None
            and name in known.pipeline.after
            and (mode is Mode.LIVE or known.pipeline.mode is Mode.SHADOW)
        ]

    def silent(self, name: str) -> bool:
        """Say whether a pipeline is in shadow, the whole hub when ``name`` is "": nobody is told anything of it."""
        known = self.known.get(name)
        return self.configuration.hub.mode is Mode.SHADOW or (known is not None and known.pipeline.mode is Mode.SHADOW)

    def routes(self, pipeline: str) -> list[RouteIn]:
        """Return whom to tell of a pipeline; of the hub and its accounts when ``pipeline`` is ""."""
        return [made for route in self.alerts(pipeline) if (made := self._route(route)) is not None]

    def alerts(self, pipeline: str) -> Sequence[Route]:
        """Return whom a pipeline tells, as it is configured; the hub's default routes when it does not say."""
        known = self.known.get(pipeline)  # of a retired one as well: its open runs finish
        given = known.pipeline.alerts if known else None
        return given if given is not None else self.configuration.routes

    def reminds(self) -> bool:
        """Say whether any route wants to be reminded of what lasts."""
        given = (route for known in self.known.values() for route in known.pipeline.alerts or ())
        return any(route.renotify is not None for route in given)

    def fallback(self, failing: str) -> RouteIn | None:
        """Return the route that hears what ``failing`` could not be told."""
        for name in self.configuration.fallback:
            made = self._route(Route(to=name)) if name != failing else None
            if made is not None:
                return replace(made, id=f"{FALLBACK}{made.id}")
        return None

    def beside(self, failing: str) -> list[RouteIn]:
        """Return whom to tell that ``failing`` cannot be told anything: everybody else, and who stands in for it."""
        others = [route for route in self.routes("") if route.instance != failing]
        stand_in = self.fallback(failing)
        heard = stand_in is None or any(route.instance == stand_in.instance for route in others)
        return others if stand_in is None or heard else [*others, stand_in]

    def route_ids(self) -> set[str]:
        """Return the names of all routes that are configured now."""
        active = [name for name, known in self.known.items() if not known.retired]
        named = {route.id for name in ("", *active) for route in self.routes(name)}
        return named | {f"{FALLBACK}{name}" for name in self.configuration.fallback}

    def _route(self, route: Route) -> RouteIn | None:
        speaks = self.speaks.get(route.to)
        if speaks is None:
            return None
        return RouteIn(
            id=route_id(route.to, route.options),
            instance=route.to,
            speaks=speaks,
            on=route.on,
            owners=route.owners,
            severity=route.severity,
            renotify=route.renotify,
            options=route.options,
        )
