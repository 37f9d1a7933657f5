"""Several daemons on one real PostgreSQL: one dies, is stopped past its lease and wakes, is cut off, is replaced."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import house as houses
import pytest
from anyio.abc import SocketStream
from house import House
from postgres import Server

from stackhub.contract.sandbox import SyncVendor

pytestmark = pytest.mark.anyio
LEASE = 3


class Pair:
    """Two hubs, and what both see."""

    def __init__(self, first: House, second: House) -> None:
        self.first, self.second = first, second
        self.run = ""

    @property
    def stage(self):
        return self.first.stage

    async def trigger(self, by: House) -> None:
        answer = await by.ask("POST", "/api/v1/pipelines/shop/trigger", json={})
        assert answer.status_code < 300, answer.text
        self.run = answer.json()["run"]

    async def until_started(self, *vendors: str) -> None:
        with anyio.fail_after(60):
            while not all(self.syncs(vendor) for vendor in vendors):
                await anyio.sleep(0.02)

    def syncs(self, vendor: str) -> list[int]:
        played = self.stage.vendors[vendor]
        assert isinstance(played, SyncVendor)
        return [n for n in (played.started(feed.id) for feed in houses.FEEDS[vendor]) if n]

    async def ended(self, by: House) -> None:
        with anyio.fail_after(90):
            while await by.run_state(self.run) not in {"succeeded", "failed", "cancelled"}:
                await anyio.sleep(0.1)

    async def told(self) -> None:
        with anyio.fail_after(60):
            while not (self.first.shown("slack") and self.first.shown("pagerduty")):
                await anyio.sleep(0.1)

    async def everything_once(self, by: House) -> None:
        await self.ended(by)
        await self.told()
        assert self.syncs("fivetran") == [1, 1]
        assert self.syncs("airbyte") == [1]
        assert self.first.built() == ["built", "ended"]
        assert [len(self.first.shown(vendor)) for vendor in ("slack", "pagerduty")] == [1, 1]
        whole = await by.show(self.run)
        states = {step["task"]: step["state"] for step in whole["steps"]}
        assert states.pop("told") == "failed"
        assert set(states.values()) == {"succeeded"}


@asynccontextmanager
async def two(directory: Path, url: str, *, first_url: str = "") -> AsyncIterator[Pair]:
    """Start two hubs; the first of them attends everything."""
    async with houses.open_house(directory) as house:
        more = {"STACKHUB_DATABASE_URL": url, "STACKHUB_LEASE": f"{LEASE}s"}
        first = house.beside("first", **{**more, "STACKHUB_DATABASE_URL": first_url or url})
        second = house.beside("second", **more)
        code, _, err = await second.command("db", "upgrade")
        assert code == 0, err
        try:
            await first.start()
            await second.start()
            yield Pair(first, second)
        finally:
            for one in (first, second):
                if one.daemon is not None and one.daemon.returncode is None:
                    await one.kill()


async def test_one_dies_during_the_extracts_and_the_other_goes_on(tmp_path: Path, postgres: Server) -> None:
    with postgres.borrowed() as url:
        async with two(tmp_path / "house", url) as pair:
            await pair.trigger(pair.second)
            await pair.until_started("fivetran", "airbyte")
            await pair.first.kill()
            await pair.everything_once(pair.second)


async def test_one_is_stopped_past_its_lease_and_wakes(tmp_path: Path, postgres: Server) -> None:
    with postgres.borrowed() as url:
        async with two(tmp_path / "house", url) as pair:
            await pair.trigger(pair.first)
            await pair.until_started("fivetran")
            assert pair.first.daemon is not None
            pair.first.daemon.send_signal(signal.SIGSTOP)
            await pair.ended(pair.second)
            pair.first.daemon.send_signal(signal.SIGCONT)
            await pair.everything_once(pair.second)
            await pair.ended(pair.first)
            assert "another hub has taken it" in pair.first.log.read_text()


async def test_one_is_cut_off_from_the_database_but_not_from_the_vendors(tmp_path: Path, postgres: Server) -> None:
    with postgres.borrowed() as url:
        async with wire(postgres, tmp_path / "w") as cut:
            by_wire = url.replace(str(postgres.socket), str(tmp_path / "w"))
            async with two(tmp_path / "house", url, first_url=by_wire) as pair:
                await pair.trigger(pair.second)
                await pair.until_started("fivetran")
                cut.set()
                await pair.everything_once(pair.second)
                assert (await pair.first.ask("GET", "/readyz")).status_code == 503
                assert (await pair.second.ask("GET", "/readyz")).status_code == 200


async def test_hubs_are_replaced_one_by_one_and_no_step_is_lost(tmp_path: Path, postgres: Server) -> None:
    with postgres.borrowed() as url:
        async with two(tmp_path / "house", url) as pair:
            await pair.trigger(pair.first)
            await pair.until_started("fivetran")
            assert await pair.first.kill(signal.SIGTERM) == 0
            await pair.first.start()
            assert await pair.second.kill(signal.SIGTERM) == 0
            await pair.second.start()
            await pair.everything_once(pair.first)


@asynccontextmanager
async def wire(server: Server, place: Path) -> AsyncIterator[anyio.Event]:
    """Pass everything on to the server, until the event is set; from then on nothing, without a word."""
    cut = anyio.Event()
    place.mkdir()
    name = ".s.PGSQL.5432"

    async def carry(source: SocketStream, sink: SocketStream) -> None:
        async for data in source:
            if cut.is_set():
                await anyio.sleep_forever()
            await sink.send(data)
        await sink.send_eof()

    async def serve(client: SocketStream) -> None:
        async with client, await anyio.connect_unix(server.socket / name) as there, anyio.create_task_group() as group:
            group.start_soon(carry, client, there)
            group.start_soon(carry, there, client)

    async with await anyio.create_unix_listener(place / name) as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield cut
        group.cancel_scope.cancel()
