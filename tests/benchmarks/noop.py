"""A connector whose jobs end at once, or when told, inside the hub: it measures the engine and nothing else."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

from places import Place
from pydantic_settings import SettingsConfigDict

from stackhub import registry
from stackhub.config.read import read
from stackhub.contract import Absent, Finished, Limits, Operation, Options, Outcome, Pending, Role, Settings, StartIs
from stackhub.engine.engine import Engine, attend
from stackhub.store.store import open_store


class NoopSettings(Settings):
    """Nothing to set."""

    model_config = SettingsConfigDict(env_prefix="NOOP_")


class Nothing(Options):
    """No options."""


class Noop:
    """The connector, and what it is told to do."""

    name = "noop"
    summary = "ends at once"
    settings = NoopSettings
    route = None
    operations: ClassVar = {
        "run": Operation(options=Nothing, summary="", start_is=StartIs.KEYED, settle=timedelta()),
        "load": Operation(options=Nothing, summary="", start_is=StartIs.KEYED, settle=timedelta(), role=Role.EXTRACT),
    }

    def __init__(self) -> None:
        self.ended = False
        self.context: Any = None

    def limits(self, settings: Any) -> Limits:
        """Say that nothing is too much."""
        return Limits(rate=1e6, burst=10**6, width=1000)

    @asynccontextmanager
    async def open(self, settings: Any, context: Any) -> AsyncIterator[Any]:
        """Open it."""
        self.context = context
        yield self

    def sandbox(self, world: Any) -> None:
        """Have none."""

    async def prepare(self, job: Any) -> dict[str, Any]:
        """Note nothing."""
        return {}

    async def start(self, job: Any, baseline: Any, key: str) -> Any:
        """End at once; a load waits to be told."""
        return {"key": key} if job.operation == "load" else Finished(outcome=Outcome.OK)

    async def poll(self, handles: Sequence[Any]) -> list[Any]:
        """Say whether it was told to end."""
        return [Finished(outcome=Outcome.OK) if self.ended else Pending() for _ in handles]

    async def find(self, job: Any, baseline: Any, key: str) -> Any:
        """Find nothing."""
        return Absent()

    async def cancel(self, handle: Any) -> None:
        """Do nothing."""


@asynccontextmanager
async def hub(place: Place, **pipelines: str) -> AsyncIterator[tuple[Engine, Noop]]:
    """Run an engine on a place's database with these pipelines (name -> YAML of its tasks)."""
    directory = place.directory
    (directory / "pipelines").mkdir(exist_ok=True)
    for name, tasks in pipelines.items():
        (directory / "pipelines" / f"{name}.yaml").write_text(f"pipeline: {name}\ntasks:\n{tasks}")
    noop = Noop()
    load = {"noop": noop}
    configuration = read(
        directory,
        {"STACKHUB_DATABASE_URL": place.url},
        lambda name: load.get(name) or registry.load(name),
        [*registry.installed(), "noop"],
    )
    async with AsyncExitStack() as stack:
        url = configuration.hub.database_url.get_secret_value()
        store = await stack.enter_async_context(open_store(url, configuration.hub.state_dir, written_by="bench"))
        engine = await stack.enter_async_context(attend(configuration, store, {}, state=configuration.hub.state_dir))
        yield engine, noop


async def run_once(engine: Engine, pipeline: str) -> SimpleNamespace:
    """Trigger a pipeline and wait until its run has ended."""
    made = await engine.commands.submit("trigger", {"pipeline": pipeline}, "bench")
    while engine.board.get(made["run"]) is not None:
        await engine.board.crier.wait(1)
    return SimpleNamespace(run=made["run"])
