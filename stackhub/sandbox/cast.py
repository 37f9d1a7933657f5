"""Who plays what in a rehearsal: true connectors before their fake vendors, understudies of those without one."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import httpx

from stackhub.clock.virtual import VirtualClock
from stackhub.config.expand import expand
from stackhub.config.findings import Findings
from stackhub.config.instances import Instance
from stackhub.config.layers import Source, resolve
from stackhub.config.shape import takes_secret
from stackhub.contract import Connector, Context, Limits, Role
from stackhub.contract.sandbox import Ends, Feed, PlacedVendor, SyncVendor, Turn, World
from stackhub.model.pipeline import Pipeline, Route, Task
from stackhub.sandbox.mount import Stage
from stackhub.sandbox.understudy import FAILURE, Script, Understudy

URL: Final = "http://rehearsal"
AGAIN: Final = 20  # scripted failures of one connection: more tries than anybody waits for
PLACES: Final = ("url", "host", "workspace")  # parts of the names of settings that say where an account is


@dataclass(frozen=True, slots=True)
class Part:
    """One instance, as it is to be on the stage: a connector to `open_stage`, under the instance's own name."""

    given: Instance
    clock: VirtualClock
    environ: Mapping[str, str]

    @property
    def name(self) -> str:
        """Return where it stands on the stage: an account of its own for each instance."""
        return self.given.name

    def sandbox(self, world: World) -> Any:
        """Return its fake vendor."""
        return self.given.connector.sandbox(world)

    def feeds(self, pipelines: Iterable[Pipeline], whole: Pipeline, script: Script) -> list[Feed]:
        """Return a connection for each that a task of any pipeline speaks of."""
        found: dict[str, Feed] = {}
        for pipeline in pipelines:
            for task in (task for task in pipeline.tasks if task.instance == self.name):
                name = _connection(task, self.environ)
                if name and name not in found:
                    mine = script if pipeline.name == whole.name else Script()
                    seconds = mine.lasts(task.name, Role.EXTRACT, task.timeout).total_seconds()
                    found[name] = Feed(id=_id(name), name=name, seconds=seconds)
        return list(found.values())

    def instance(self, stage: Stage, script: Script, clock: VirtualClock) -> Instance:
        """Return the instance that takes its place."""
        connector = self.given.connector
        if self.name not in stage.vendors:
            return replace(self.given, connector=Understudy(connector, script, clock.now))
        variables = stage.environment(URL)[self.name]
        source = Source(name=connector.name, directory=Path(), file=None, environ=variables)
        settings = resolve(connector.settings, source, Findings()).settings
        assert settings is not None  # noqa: S101 - the vendor's own words
        fields = connector.settings.model_fields
        kept = {
            name: getattr(self.given.settings, name)
            for name in self.given.settings.model_fields_set - settings.model_fields_set
            if not takes_secret(fields[name].annotation) and not any(part in name for part in PLACES)
        }
        staged = _Staged(connector, httpx.ASGITransport(app=stage))
        return replace(self.given, connector=staged, settings=settings.model_copy(update=kept), secrets=())


class _Staged:
    """A true connector whose every request goes to the stage."""

    def __init__(self, connector: Connector, transport: httpx.AsyncBaseTransport) -> None:
        self.name: str = connector.name
        self.summary: str = connector.summary
        self.settings = connector.settings
        self.operations = connector.operations
        self.route = connector.route
        self.sandbox = connector.sandbox
        self._connector, self._transport = connector, transport

    def limits(self, settings: Any) -> Limits:
        return self._connector.limits(settings)

    @asynccontextmanager
    async def open(self, settings: Any, context: Context) -> AsyncIterator[object]:
        async with self._connector.open(settings, replace(context, transport=self._transport)) as opened:
            yield opened


def direct(
    stage: Stage, pipelines: Iterable[Pipeline], whole: Pipeline, script: Script, environ: Mapping[str, str]
) -> None:
    """Have connections fail that are to, and begin those that are only waited for."""
    for pipeline in pipelines:
        for task in pipeline.tasks:
            vendor, name = stage.vendors.get(task.instance), _connection(task, environ)
            if not isinstance(vendor, SyncVendor) or not name:
                continue
            if pipeline.name == whole.name and task.name in script.fail:
                vendor.script(name, *[Turn(ends=Ends.BADLY, reason=FAILURE)] * AGAIN)
            if task.operation == "wait":
                vendor.begin(name)


def furnish(stage: Stage, instances: Iterable[Instance], routes: Iterable[Route], environ: Mapping[str, str]) -> None:
    """Make the places that messages go to by anybody's settings, or a route's options."""
    for one in instances:
        vendor = stage.vendors.get(one.name)
        if isinstance(vendor, PlacedVendor):
            mine = [
                one.settings.model_dump(),
                *(expand(route.options, environ) for route in routes if route.to == one.name),
            ]
            for value in (value for options in mine for value in options.values()):
                if isinstance(value, str):
                    vendor.add_place(value)


def _connection(task: Task, environ: Mapping[str, str]) -> str:
    return str(expand(task.options.get("connection", ""), environ))


def _id(name: str) -> str:
    """Return an id that a vendor could have given; what is one already stays."""
    try:
        return str(UUID(name))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, name))
