"""dbt: one job is one dbt command, run by the user's own dbt (v1 or v2), which is never imported here.

`events.py` reads what dbt says, `verdict.py` decides what its end amounts to; the rest is around them.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from stackhub.contract import Context, Limits, Operation, Options, Role, Settings, StartIs
from stackhub.contract.sandbox import World
from stackhub.launch import Launcher
from stackhub_dbt.instance import DbtProject
from stackhub_dbt.options import OPTIONS, DbtSettings

CALL: Final = timedelta(minutes=7)  # a start that is a retry lists what the selection holds first

SUMMARIES: Final[Mapping[str, str]] = {
    "build": "run seeds, models, snapshots and tests in the order of the graph",
    "run": "run models",
    "test": "run data tests and unit tests",
    "seed": "load seed files",
    "snapshot": "take snapshots",
    "source_freshness": "check how old the sources are",
    "docs": "write the documentation's files",
}


class _Connector:
    name: str = "dbt"
    summary: str = "dbt commands on one project"
    settings: type[Settings] = DbtSettings
    operations: Mapping[str, Operation] = {
        name: Operation(
            options=options,
            summary=SUMMARIES[name],
            start_is=StartIs.KEYED,
            settle=timedelta(),
            call_timeout=CALL,
            role=Role.TRANSFORM,
        )
        for name, options in OPTIONS.items()
    }
    route: type[Options] | None = None

    def limits(self, settings: DbtSettings) -> Limits:
        """Looking costs a file's end, no request."""
        return Limits(
            rate=1000.0,
            burst=1000,
            width=settings.max_active,
            look=timedelta(seconds=1),
            first_look=timedelta(seconds=0.5),
        )

    @asynccontextmanager
    async def open(self, settings: DbtSettings, context: Context) -> AsyncIterator[DbtProject]:
        """Open a project; dbt is not run for it."""
        with Launcher(context) as launcher:
            yield DbtProject(settings, context, launcher)

    def sandbox(self, world: World) -> None:
        """Play nothing: dbt itself runs anywhere."""
        del world


connector: Final = _Connector()
