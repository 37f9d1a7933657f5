"""The played Airbyte and an instance on it."""

import pytest
from airbyte_jobs import SHOP, connector

from stackhub.contract.sandbox import Feed
from stackhub.testing import open_on


@pytest.fixture
def vendor(clock):
    played = connector.sandbox(clock.world(land=lambda _vendor, _connection: 42))
    played.add(Feed(id=SHOP, name="shop", seconds=60, database="db", schema="raw", tables=("orders", "users")))
    played.add(Feed(id="c-crm", name="crm", seconds=60))
    return played


@pytest.fixture
async def airbyte(vendor, clock):
    async with open_on(connector, vendor, clock=clock) as opened:
        yield opened
