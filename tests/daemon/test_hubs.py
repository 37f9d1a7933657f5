"""Several daemons on one real PostgreSQL: one dies, is stopped past its lease and wakes, is cut off, is replaced."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import house as houses
import pytest
from anyio.abc import SocketStream
from cable import NotPermitted, another_network, relay
from house import House
from postgres import Server

from stackhub.contract.sandbox import SyncVendor

pytestmark = pytest.mark.anyio
LEASE = 3
PGSQL = ".s.PGSQL.5432"  # how a server calls its socket


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
async def two(
    directory: Path, url: str, *, placed: Callable[[House], House] = lambda house: house
) -> AsyncIterator[Pair]:
    """Start two hubs; the first of them attends everything. ``placed`` may say that it stands elsewhere."""
    async with houses.open_house(directory) as house:
        more = {"STACKHUB_DATABASE_URL": url, "STACKHUB_LEASE": f"{LEASE}s"}
        second = house.beside("second", **more)
        first = placed(house.beside("first", **more))
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
            async with two(
                tmp_path / "house", url, placed=lambda one: one.beside("first", STACKHUB_DATABASE_URL=by_wire)
            ) as pair:
                await pair.trigger(pair.second)
                await pair.until_started("fivetran")
                cut.set()
                await pair.everything_once(pair.second)
                assert (await pair.first.ask("GET", "/readyz")).status_code == 503
                assert (await pair.second.ask("GET", "/readyz")).status_code == 200


async def test_one_whose_cable_is_pulled_is_cut_off_from_everything(tmp_path: Path, postgres: Server) -> None:
    """A network of its own: no refusal, no end of a connection, just silence; and later all that was sent arrives."""
    stage = ""

    async def to_vendors() -> SocketStream:
        return await anyio.connect_tcp("127.0.0.1", int(stage.rpartition(":")[2]))

    async def to_database() -> SocketStream:
        return await anyio.connect_unix(postgres.socket / PGSQL)

    async with AsyncExitStack() as opened:
        try:
            cable = await opened.enter_async_context(another_network())
        except NotPermitted as err:
            pytest.skip(str(err))
        vendors = await opened.enter_async_context(relay(to_vendors, cable.here))
        database = await opened.enter_async_context(relay(to_database, cable.here))
        url = opened.enter_context(postgres.borrowed())
        by_cable = f"{url.partition('?')[0].replace('@/', f'@{cable.here}:{database}/')}?sslmode=disable"

        def far(house: House) -> House:
            nonlocal stage
            stage = house.url
            given = house.stage.environment(f"http://{cable.here}:{vendors}").values()
            more = {name: value for variables in given for name, value in variables.items()}
            return house.beside("first", *cable.inside, **more, STACKHUB_DATABASE_URL=by_cable)

        pair = await opened.enter_async_context(two(tmp_path / "house", url, placed=far))
        await pair.trigger(pair.second)
        await pair.until_started("fivetran")
        await cable.pull()
        await pair.everything_once(pair.second)
        assert (await pair.first.ask("GET", "/readyz")).status_code == 503
        await cable.mend()
        await pair.first.ready()
        await pair.everything_once(pair.first)


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

    async def carry(source: SocketStream, sink: SocketStream) -> None:
        async for data in source:
            if cut.is_set():
                await anyio.sleep_forever()
            await sink.send(data)
        await sink.send_eof()

    async def serve(client: SocketStream) -> None:
        async with client, await anyio.connect_unix(server.socket / PGSQL) as there, anyio.create_task_group() as group:
            group.start_soon(carry, client, there)
            group.start_soon(carry, there, client)

    async with await anyio.create_unix_listener(place / PGSQL) as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield cut
        group.cancel_scope.cancel()
