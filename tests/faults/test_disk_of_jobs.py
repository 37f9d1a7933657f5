"""A full disk under the job directories and under the log, while the database has room elsewhere."""

import os
import shutil
import socket

import anyio
import pytest
from faults.grounds import daemon, filled, no_small_disk, small_disk

ON_A_SMALL_DISK = pytest.mark.skipif(bool(no_small_disk()), reason=f"no small disk here: {no_small_disk()}")


@ON_A_SMALL_DISK
async def test_a_job_at_work_when_the_disk_is_full_loses_only_words(tmp_path):
    """It writes until the disk is full, and goes on; the room for the record of its end was taken before it began."""
    state = tmp_path / "a state"
    (tmp_path / "db").mkdir()
    gate = tmp_path / "gate"
    talk = f"seq 300000; read _ < '{gate}'; echo done >> '{tmp_path}/done'"
    async with daemon(
        tmp_path / "hub",
        before=small_disk(state, "1m"),
        command=talk,
        STACKHUB_STATE_DIR=str(state),
        STACKHUB_DATABASE_URL=f"sqlite:///{tmp_path}/db/stackhub.db",
    ) as hub:
        os.mkfifo(gate)
        first = await hub.trigger()

        async def full():
            return shutil.disk_usage(hub.state).free == 0

        await hub.until(full)
        assert (await hub.ask("GET", "/readyz")).status_code == 200, "the database is elsewhere"

        async def opened():
            try:
                os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                return False
            return True

        with filled(hub):
            await hub.until(opened)
            await hub.until(lambda: anyio.Path(tmp_path / "done").exists())
            await hub.ended(first)
        assert hub.said("Traceback") == 0


@ON_A_SMALL_DISK
async def test_a_job_for_which_there_is_no_room_at_all_is_started_when_there_is(tmp_path):
    state = tmp_path / "a state"
    (tmp_path / "db").mkdir()
    async with daemon(
        tmp_path / "hub",
        before=small_disk(state),
        STACKHUB_STATE_DIR=str(state),
        STACKHUB_DATABASE_URL=f"sqlite:///{tmp_path}/db/stackhub.db",
    ) as hub:
        with filled(hub):
            run = await hub.trigger()

            async def waits():
                why = await hub.ask("GET", f"/api/v1/runs/{run}/why?task=said")
                return "No space left" in why.text

            await hub.until(waits)
        await hub.ended(run)


async def test_a_log_that_cannot_be_written_costs_nothing_but_itself(tmp_path):
    """As on a full disk: every line fails."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    unheard = ("sh", "-c", 'exec "$@" 2>/dev/full', "sh")
    async with daemon(tmp_path, before=unheard, url=f"http://127.0.0.1:{port}", STACKHUB_PORT=str(port)) as hub:
        await hub.until_ready()
        await hub.ended(await hub.trigger())
        assert hub.lines == []
