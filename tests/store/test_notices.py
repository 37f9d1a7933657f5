"""Word from other hubs, on a real PostgreSQL: a hint, which comes at once where it comes at all."""

from functools import partial

import anyio
import pytest
import structlog
from postgres import Server
from store.ground import line, new_run, store_at

from stackhub.store import lanes, notices
from stackhub.store.notices import listening

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


class Ear:
    """Counts what it hears."""

    def __init__(self):
        self.times, self._heard = 0, anyio.Event()

    def __call__(self):
        self.times += 1
        self._heard.set()

    async def hears(self):
        with anyio.fail_after(30):
            await self._heard.wait()
        self._heard = anyio.Event()


@pytest.fixture
async def pair(server_url):
    """Two stores on one database."""
    async with store_at(server_url) as mine, store_at(server_url) as yours:
        yield mine, yours


async def attentive(ear, store, say):
    """Speak until the ear hears: it takes a moment to begin to listen."""
    with anyio.move_on_after(30):
        while not ear.times:
            await say()
            await store.read(lambda _: None)
    await ear.hears()


async def test_what_another_hub_commits_about_runs_is_heard_at_once(pair):
    mine, yours = pair
    ear, other = Ear(), Ear()
    async with listening(mine.engine, mine.name, ear), listening(yours.engine, yours.name, other):
        await attentive(ear, yours, lambda: yours.call(lambda _: None))
        before = other.times
        await yours.apply(new_run("R1")[1])
        await ear.hears()
        assert other.times == before, "nobody hears himself"


async def test_what_concerns_nobody_else_is_not_said(pair):
    mine, yours = pair
    ear = Ear()
    async with listening(mine.engine, mine.name, ear):
        await attentive(ear, yours, lambda: yours.call(lambda _: None))
        await yours.apply(line("only history"))
        await yours.call(partial(lanes.silent, now=new_run("R1")[0].run.created_at))
        await ear.hears()
        heard = ear.times
        await yours.apply(line("only history"))
        await mine.read(lambda _: None)
        assert ear.times == heard


async def test_a_server_that_was_away_is_listened_to_again(pair, postgres: Server, monkeypatch):
    monkeypatch.setattr(notices, "AGAIN", 0.05)
    mine, yours = pair
    ear = Ear()
    with structlog.testing.capture_logs() as logged:
        async with listening(mine.engine, mine.name, ear):
            await attentive(ear, yours, lambda: yours.call(lambda _: None))
            postgres.stop()
            postgres.start()
            ear.times = 0
            await attentive(ear, yours, lambda: yours.call(lambda _: None))
    assert [one for one in logged if "no word from other hubs" in one["event"]]


async def test_a_file_has_no_other_hubs(file):
    async with store_at(file) as store, listening(store.engine, store.name, Ear()):
        await store.apply(line("heard by nobody"))
