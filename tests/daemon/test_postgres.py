"""The whole daemon with its store on a PostgreSQL: killed, left without it, started before it."""

import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import house as houses
import pytest
from house import House
from postgres import Server

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]
PATIENCE = 90
PIPELINE = """
pipeline: shop
tasks:
  first:  {uses: shell.run, with: {command: "echo first >> built.txt", cwd: "%s"}}
  second: {uses: shell.run, needs: [first], with: {command: "echo second >> built.txt; read _ < gate", cwd: "%s"}}
  third:  {uses: shell.run, needs: [second], with: {command: "echo third >> built.txt", cwd: "%s"}}
"""


@pytest.fixture
def server_url(postgres: Server) -> Iterator[str]:
    with postgres.borrowed() as lent:
        yield lent
        postgres.start()


@pytest.fixture
async def house(tmp_path: Path, server_url: str) -> AsyncIterator[House]:
    """Yield a house whose pipeline waits in its second step, until something is written into `gate`."""
    async with houses.open_house(tmp_path / "a house", PIPELINE) as opened:
        for vendor in houses.VENDORS:
            (opened.directory / f"{vendor}.env").unlink()
        with (opened.directory / "stackhub.env").open("a") as hub:
            hub.write(f'STACKHUB_DATABASE_URL="{server_url.replace("postgres@", "postgres:hunter2@")}"\n')
        houses.os.mkfifo(opened.directory / "gate")
        yield opened
        assert "hunter2" not in opened.log.read_text()


async def half_way(house: House) -> str:
    """Trigger a run, and wait until it is in its second step."""
    run = str((await house.ask("POST", "/api/v1/pipelines/shop/trigger", json={})).json()["run"])
    with anyio.fail_after(PATIENCE):
        while house.built() != ["first", "second"]:
            await house.lives_for(0.02)
    return run


async def over(house: House, run: str) -> None:
    """Open the gate, and see the run through to its end, each step once."""
    with anyio.fail_after(PATIENCE):
        await anyio.to_thread.run_sync((house.directory / "gate").write_text, "go\n")
        while await house.run_state(run) not in {"succeeded", "failed", "cancelled"}:
            await house.lives_for(0.05)
    steps = (await house.ask("GET", f"/api/v1/runs/{run}")).json()["steps"]
    assert {step["task"]: step["state"] for step in steps} == dict.fromkeys(("first", "second", "third"), "succeeded")
    assert house.built() == ["first", "second", "third"]


async def says(house: House, words: str) -> None:
    """Wait for words in the log."""
    with anyio.fail_after(PATIENCE):
        while words not in house.log.read_text():
            await house.lives_for(0.02)


async def test_a_daemon_that_is_killed_and_then_left_without_its_server_goes_on_where_it_was(
    house: House, postgres: Server
) -> None:
    await house.start()
    run = await half_way(house)
    await house.kill()
    await house.start()
    await anyio.to_thread.run_sync(postgres.stop)
    with anyio.fail_after(PATIENCE):
        while (await house.ask("GET", "/readyz")).status_code != 503:
            await house.lives_for(0.05)
    assert (await house.ask("GET", "/livez")).status_code == 200
    await anyio.to_thread.run_sync(postgres.start)
    await house.ready()
    await over(house, run)
    log = house.log.read_text()
    assert log.count("the database is away") == log.count("the database is back") <= 1
    assert log.count("the database cannot be read") == log.count("the database can be read again") <= 1
    assert "Traceback" not in log, log
    assert not (house.directory / ".stackhub" / "stackhub.db").exists()


async def test_a_daemon_that_is_started_before_its_server_waits_for_it(house: House, postgres: Server) -> None:
    await anyio.to_thread.run_sync(postgres.stop)
    await house.start(wait=False)
    await says(house, "the database is away, waiting for it")
    assert await house.kill(signal.SIGTERM) == 0, "asked to leave, it leaves"
    await house.start(wait=False)
    await house.lives_for(0.3)
    await anyio.to_thread.run_sync(postgres.start)
    await house.ready()
    await over(house, await half_way(house))


async def test_two_daemons_do_not_share_a_state_directory(house: House) -> None:
    await house.start()
    code, _, err = await house.command("serve")
    assert code == 2
    assert "held by another" in err
    assert house.daemon is not None
    assert str(house.daemon.pid) in err
    assert (await house.ask("GET", "/readyz")).status_code == 200


async def test_a_database_that_is_not_there_ends_the_start(house: House, server_url: str) -> None:
    env = house.directory / "stackhub.env"
    name = server_url.partition("@/")[2].partition("?")[0]
    env.write_text(env.read_text().replace(f"@/{name}?", "@/nowhere?"))
    code, _, err = await house.command("serve")
    assert code == 2
    assert 'database "nowhere" does not exist' in err
    assert "hunter2" not in err
    house.log.touch()
