"""What must hold when the daemon is killed: one sync for each intent, one build, one message for each incident."""

import signal
from pathlib import Path

import anyio
import house as houses
import pytest
from house import House
from siege import besieged

from stackhub.contract.sandbox import SyncVendor

pytestmark = pytest.mark.anyio


async def _ended(house: House, run: str, *, seconds: float = 60) -> None:
    with anyio.fail_after(seconds):
        while await house.run_state(run) not in {"succeeded", "failed", "cancelled"}:
            await house.lives_for(0.1)


async def _told(house: House) -> None:
    with anyio.fail_after(30):
        while not (house.shown("slack") and house.shown("pagerduty")):
            await house.lives_for(0.1)


def _nothing_twice(house: House, syncs: int = 0) -> None:
    for vendor, feeds in houses.FEEDS.items():
        played = house.stage.vendors[vendor]
        assert isinstance(played, SyncVendor)
        for feed in feeds:
            assert played.started(feed.id) == syncs, f"{vendor} {feed.name}"
    assert house.built() == ["built", "ended"]
    assert len(house.shown("slack")) == 1
    assert len(house.shown("pagerduty")) == 1


async def test_killed_twenty_times_at_random_instants_nothing_is_started_twice_and_nothing_is_forgotten(
    tmp_path: Path,
) -> None:
    async with besieged(tmp_path / "house", seed=1) as siege:
        await siege.endure(20, longest=0.8)
        assert siege.kills == 20
        assert siege.runs


async def test_a_daemon_asked_to_leave_leaves_its_jobs_running_and_the_next_one_finds_them(tmp_path: Path) -> None:
    async with houses.open_house(tmp_path / "house", houses.SHORT) as house:
        await house.start()
        run = (await house.ask("POST", "/api/v1/pipelines/shop/trigger", json={})).json()["run"]
        with anyio.fail_after(30):
            while house.built() != ["built"]:
                await house.lives_for(0.02)

        assert await house.kill(signal.SIGTERM) == 0
        await house.start()
        await _ended(house, run)
        await _told(house)

        _nothing_twice(house)


async def test_what_was_accepted_is_there_after_a_kill_right_after(tmp_path: Path) -> None:
    async with houses.open_house(tmp_path / "house", houses.SHORT) as house:
        await house.start()
        run = (await house.ask("POST", "/api/v1/pipelines/shop/trigger", json={})).json()["run"]
        await house.kill()

        assert (await house.show(run))["id"] == run
        await house.start()
        await _ended(house, run)
        await _told(house)
        _nothing_twice(house)


async def test_a_command_without_a_daemon_is_kept_and_obeyed_once(tmp_path: Path) -> None:
    async with houses.open_house(tmp_path / "house", houses.SHORT) as house:
        code, out, err = await house.command("trigger", "shop")
        run = out.strip()

        assert code == 0, err
        assert "kept" in err
        await house.start()
        await _ended(house, run)
        await house.kill()
        await house.start()
        await _told(house)
        _nothing_twice(house)


async def test_two_hubs_do_not_work_on_one_file(tmp_path: Path) -> None:
    async with houses.open_house(tmp_path / "house", houses.SHORT) as house:
        await house.start()

        code, _, err = await house.command("serve")

        assert code == 2
        assert "held by another" in err
        assert str(house.daemon.pid) in err if house.daemon else False
        assert (await house.ask("GET", "/readyz")).status_code == 200
