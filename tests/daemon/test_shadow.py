"""A daemon in shadow, in front of vendors that somebody else drives: it watches, and nothing else."""

from pathlib import Path
from typing import Any

import anyio
import house as houses
import pytest
from house import House

from stackhub.contract.sandbox import FakeVendor, SyncVendor
from stackhub_fivetran.sandbox import FakeFivetran

pytestmark = pytest.mark.anyio
EXTRACTS = ("crm", "orders", "payments")
BY_POST = ("/applications/token", "/connections/list")  # what Airbyte gives to read, though not by GET


async def _steps(house: House, run: str) -> dict[str, Any]:
    found = (await house.ask("GET", f"/api/v1/runs/{run}")).json()
    return {step["task"]: step for step in found["steps"]} | {"": found}


async def _come_to(house: House, run: str, *states: str, of: tuple[str, ...] = ("",)) -> dict[str, Any]:
    with anyio.fail_after(60):
        while True:
            steps = await _steps(house, run)
            if all(steps[name]["state"] in states for name in of):
                return steps
            await house.lives_for(0.1)


def _sent(house: House, *vendors: str) -> set[tuple[str, str]]:
    """Return every request that these vendors got and that was more than a look."""
    found: set[tuple[str, str]] = set()
    for name in vendors:
        played = house.stage.vendors[name]
        assert isinstance(played, FakeVendor)
        found |= {(method, path) for method, path in played.requests if method != "GET"}
    return {one for one in found if not one[1].endswith(BY_POST)}


async def test_it_sees_what_lands_through_a_kill_and_calls_tells_and_runs_nothing(tmp_path: Path) -> None:
    async with houses.open_house(tmp_path / "a house", f"mode: shadow\n{houses.PIPELINE}") as house:
        await house.start()
        assert "shadow=1" in house.log.read_text()
        run = (await house.ask("POST", "/api/v1/pipelines/shop/trigger", json={})).json()["run"]
        await _come_to(house, run, "running", of=EXTRACTS)
        await house.kill()
        for vendor, names in (("fivetran", ("crm", "orders")), ("airbyte", ("Payments",))):
            for name in names:
                played = house.stage.vendors[vendor]
                assert isinstance(played, SyncVendor)
                played.begin(name)  # as whoever drives it does
        await house.start()
        steps = await _come_to(house, run, "succeeded", "failed")

        assert (steps[""]["state"], steps[""]["mode"]) == ("succeeded", "shadow")
        assert steps["marts"]["note"] == "shadow: would have started shell.run"
        assert steps["payments"]["note"].startswith("shadow: would have started airbyte.sync; it has landed by itself")
        assert [steps[name]["uses"] for name in EXTRACTS] == ["fivetran.sync", "fivetran.sync", "airbyte.sync"]

        fivetran = house.stage.vendors["fivetran"]
        assert isinstance(fivetran, FakeFivetran)
        fivetran.line("crm").paused = True
        failed = (await house.ask("POST", "/api/v1/pipelines/shop/trigger", json={})).json()["run"]
        await _come_to(house, failed, "failed", of=("crm",))
        told = (await house.ask("GET", f"/api/v1/runs/{failed}/told")).json()
        [incident] = told["incidents"]
        assert (incident["key"], incident["shadow"]) == ("shadow:shop", True)
        states = {one["instance"]: {post["state"] for post in one["messages"]} for one in incident["heard_by"]}
        assert states == {"slack": {"shadow"}, "pagerduty": {"shadow"}}

        assert _sent(house, "fivetran", "airbyte", "slack", "pagerduty") == set()
        assert (house.shown("slack"), house.shown("pagerduty")) == ([], [])
        assert house.built() == []
        assert not list((house.state / "jobs").glob("*"))
