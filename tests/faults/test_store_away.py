"""A database that cannot be used for a while: the daemon waits, says so once, is not ready, carries on, loses nothing."""

import os
import shutil

import anyio
import pytest
from faults.grounds import PATIENCE, SERVE, daemon, filled, limited, locked, moved_away, no_small_disk, small_disk

pytestmark = pytest.mark.slow
ON_A_SMALL_DISK = pytest.mark.skipif(bool(no_small_disk()), reason=f"no small disk here: {no_small_disk()}")
TRIGGER = ("POST", "/api/v1/pipelines/shop/trigger")
ROOT = os.geteuid() == 0
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if ROOT else ()


async def test_it_waits_says_so_once_and_loses_nothing(tmp_path):
    """One daemon for each fault, side by side: most of it is waiting."""
    async with anyio.create_task_group() as group:
        for fault in (locked, moved_away, limited):
            group.start_soon(_outlived, tmp_path / fault.__name__, fault)


@ON_A_SMALL_DISK
async def test_on_a_disk_that_is_full_it_does_the_same(tmp_path):
    await _outlived(tmp_path, filled)


async def _outlived(tmp_path, fault):
    state = tmp_path / "a state"
    before = small_disk(state) if fault is filled else ()
    async with daemon(tmp_path / "hub", before=before, STACKHUB_STATE_DIR=str(state)) as hub:
        kept = [await hub.trigger()]
        await hub.ended(kept[0])

        with fault(hub):
            while (asked := await hub.ask(*TRIGGER)).status_code == 202:  # a full disk has room for a few rows more
                kept.append(asked.json()["run"])
            assert asked.status_code == 503, asked.text
            assert "the database" in asked.json()["error"]
            await hub.until_said("waiting for it")
            if fault is not filled:  # at its last blocks a disk is now full, now not
                await hub.until_unready()
                again = await hub.ask(*TRIGGER)
                assert (again.status_code, "nothing was kept" in again.text) == (503, True)
            assert (await hub.ask("GET", "/livez")).status_code == 200
            seen = await hub.ask("GET", "/api/v1/runs")
            assert seen.status_code == {locked: 200, moved_away: 503}.get(fault, seen.status_code)
            assert seen.status_code == 200 or "did not answer within" in seen.json()["error"]
            assert (await hub.ask("GET", "/metrics")).status_code == 200

        await hub.until_ready()
        kept.append(await hub.trigger())
        for run in kept:
            await hub.ended(run)
        more = (await hub.runs()).keys() - set(kept)
        assert len(more) <= 1, "the one that was being kept when the database went, which is done as well"
        for run in more:
            await hub.ended(run)
        assert hub.said("the database is away, waiting for it") == hub.said("the database is back")
        assert hub.said("the database cannot be read, waiting for it") == hub.said("the database can be read again")
        outages = hub.said("waiting for it")
        assert 1 <= outages <= (10 if fault is filled else 2), "by who writes, and by who reads"
        assert hub.said("Traceback") == 0


async def test_another_file_in_its_place_is_never_written(tmp_path):
    """What is acknowledged would be in a file that has no name any more, or in the wrong one."""
    async with daemon(tmp_path) as hub:
        await hub.ended(await hub.trigger())
        database = hub.state / "stackhub.db"
        aside = database.rename(hub.state / "aside.db")
        shutil.copy(aside, database)
        untouched = database.read_bytes()
        assert (await hub.ask(*TRIGGER)).status_code == 503
        await hub.until_unready()
        assert hub.said("is another file than it was") >= 1
        assert database.read_bytes() == untouched
        aside.rename(database)
        await hub.until_ready()
        await hub.ended(await hub.trigger())


@pytest.mark.skipif(ROOT and shutil.which("setpriv") is None, reason="root, and no setpriv to be less than that")
@pytest.mark.parametrize("what", [".stackhub/stackhub.db", ".stackhub"])
async def test_what_may_not_be_written_is_told_at_the_start_with_the_way_out(tmp_path, what):
    async with daemon(tmp_path) as hub:
        await hub.ended(await hub.trigger())
    path = tmp_path / what
    mode = path.stat().st_mode
    path.chmod(mode & ~0o222)
    try:
        with anyio.fail_after(PATIENCE):
            ended = await anyio.run_process([*UNPRIVILEGED, *SERVE, str(tmp_path), "serve"], check=False)
    finally:
        path.chmod(mode)
    assert ended.returncode == 2
    (line,) = ended.stderr.decode().splitlines()
    assert line.startswith(f"{path}: cannot be written" if path.is_dir() else f"{path} cannot be written")
    assert "give it to the user that runs stackhub" in line
