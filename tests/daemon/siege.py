"""A daemon that is killed at random instants for as long as it takes, while there is always something for it to do."""

import random
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import house as houses
from house import House

from stackhub.contract.sandbox import SyncVendor

PATIENT = 0.35  # of the lives are let come up; the others end while they still start
RARE = 0.2
ENDED = {"succeeded", "failed", "cancelled"}
STATES = {"crm": "succeeded", "orders": "succeeded", "payments": "succeeded", "marts": "succeeded", "told": "failed"}
DBT = Path(sys.executable).with_name("dbt")
SHELL_BUILD = houses.BUILD.strip("\n").partition("  told:")[0]
DBT_BUILD = "  marts: {uses: dbt.build, needs: [NEEDS], retries: {attempts: 1}}\n"
DBT_FILES = {
    "dbt_project.yml": "name: shop\nversion: '1.0'\nprofile: shop\non-run-end: \"copy (select 1) to"
    " '{{ env_var('SHOP_BUILDS') }}/{{ invocation_id }}.csv'\"\n",
    "profiles.yml": "shop: {target: dev, outputs: {dev: {type: duckdb, path: \"{{ env_var('SHOP_DATABASE') }}\"}}}\n",
    "models/first.sql": "{{ config(materialized='table') }} select 1 as id\n",
    "models/slow.sql": "{{ config(materialized='table') }} select count(*) as n from {{ ref('first') }},"
    " range(30000) a, range(30000) b where a.range * b.range % 7 = 1\n",
}


@dataclass
class Siege:
    """What was done to a house, and what it was asked for meanwhile."""

    house: House
    rng: random.Random
    with_dbt: bool = False
    kills: int = 0
    runs: list[str] = field(default_factory=list)

    async def endure(
        self, kills: int, longest: float, *, rarely: float = 0.0, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Kill it so many times, each within ``longest`` seconds; then let it finish, and check what came of it.

        ``rarely``: how long a life in five may last, for work that needs a hub for longer (dbt takes seconds to start).
        """
        for _ in range(kills):
            patient = self.rng.random() < PATIENT
            await self.house.start(wait=patient)
            if patient and not (self.runs and await self._is_open(self.runs[-1])):
                await self._ask_for_a_run()
            most = rarely if rarely and self.rng.random() < RARE else longest
            await self.house.lives_for(self.rng.uniform(0, most))
            await self.house.kill()
            self.kills += 1
            progress(self.kills)
        await self.house.start()
        for run in self.runs:
            with anyio.fail_after(300):
                while await self._is_open(run):
                    await self.house.lives_for(0.1)
        with anyio.fail_after(60):
            while not (self.house.shown("slack") and self.house.shown("pagerduty")):
                await self.house.lives_for(0.1)
        await self.check()

    async def check(self) -> None:
        """Check that there was one job for each intent, one message for the one incident, and nothing forgotten."""
        for vendor, feeds in houses.FEEDS.items():
            played = self.house.stage.vendors[vendor]
            assert isinstance(played, SyncVendor)
            for feed in feeds:
                assert played.started(feed.id) == len(self.runs), f"{vendor} {feed.name}: {played.started(feed.id)}"
        assert self._builds() == len(self.runs), f"{self._builds()} builds for {len(self.runs)} runs"
        for name in ("slack", "pagerduty"):
            assert len(self.house.shown(name)) == 1, self.house.shown(name)
        kept = (await self.house.ask("GET", "/api/v1/runs", params={"limit": 200})).json()
        assert {run["id"] for run in kept} == set(self.runs), "runs that were asked for, and no others"
        for run in self.runs:
            whole = (await self.house.ask("GET", f"/api/v1/runs/{run}")).json()
            assert {step["task"]: step["state"] for step in whole["steps"]} == STATES, run

    def _builds(self) -> int:
        if self.with_dbt:
            return len(list((self.house.directory / "builds").glob("*.csv")))
        built = self.house.built()
        assert built == ["built", "ended"] * (len(built) // 2), "two builds at once"
        return len(built) // 2

    async def _is_open(self, run: str) -> bool:
        return await self.house.run_state(run) not in ENDED

    async def _ask_for_a_run(self) -> None:
        made = await self.house.ask("POST", "/api/v1/pipelines/shop/trigger", json={})
        self.runs.append(made.json()["run"])


@asynccontextmanager
async def besieged(directory: Path, seed: int, *, with_dbt: bool = False):
    """Open a house whose builds are a shell's, or dbt's on DuckDB."""
    pipeline = houses.PIPELINE
    if with_dbt:
        needs = "crm, orders, payments"
        pipeline = pipeline.replace(SHELL_BUILD.replace("NEEDS", needs), DBT_BUILD.replace("NEEDS", needs))
        assert "dbt.build" in pipeline
        _write_project(directory)
    async with houses.open_house(directory, pipeline) as house:
        yield Siege(house, random.Random(seed), with_dbt)


def _write_project(directory: Path) -> None:
    project = directory / "project"
    for name, text in DBT_FILES.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    (directory / "builds").mkdir()
    lines = {
        "DBT_PROJECT_DIR": project,
        "DBT_EXECUTABLE": DBT,
        "SHOP_DATABASE": directory / "shop.duckdb",
        "SHOP_BUILDS": directory / "builds",
    }
    env = directory / "dbt.env"
    env.write_text("".join(f'{name}="{value}"\n' for name, value in lines.items()))
    env.chmod(0o600)
