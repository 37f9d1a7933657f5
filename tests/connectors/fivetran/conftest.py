"""The played Fivetran and an instance on it."""

import json

import pytest
from fivetran_jobs import a_job, connector

from stackhub.contract.sandbox import Feed
from stackhub.testing import open_on


class Heard:
    """The played Fivetran, with an ear at the wire."""

    def __init__(self, vendor):
        self.vendor, self.bodies, self.queries = vendor, [], []

    async def __call__(self, scope, receive, send):
        async def listen():
            message = await receive()
            if message.get("body"):
                self.bodies.append(json.loads(message["body"]))
            return message

        self.queries.append(scope["query_string"].decode())
        await self.vendor(scope, listen, send)

    def environment(self, url):
        return self.vendor.environment(url)


@pytest.fixture
def vendor(clock):
    played = connector.sandbox(clock.world())
    for name in ("crm", "shop", "web"):
        played.add(Feed(id=f"id_{name}", name=name, seconds=60))
    return played


@pytest.fixture
def heard(vendor):
    return Heard(vendor)


@pytest.fixture
async def fivetran(heard, clock):
    async with open_on(connector, heard, clock=clock) as opened:
        yield opened


@pytest.fixture
def begin(fivetran):
    async def begin(wanted=None, key="k1"):
        wanted = wanted or a_job()
        return await fivetran.start(wanted, await fivetran.prepare(wanted), key)

    return begin


@pytest.fixture
def look(fivetran, clock):
    async def look(handle, after=0):
        """Sweep every 15 s, as the hub does, until so much time has passed."""
        [answer] = await fivetran.poll([handle])
        for _ in range(int(after) // 15):
            clock.advance(15)
            [answer] = await fivetran.poll([handle])
        return answer

    return look
