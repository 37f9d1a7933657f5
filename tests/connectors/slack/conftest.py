"""A workspace, its bot and its webhook."""

import pytest

from stackhub.testing import a_context, open_on, settings_from
from stackhub_slack import connector
from stackhub_slack.sandbox import SlackVendor

URL = "http://vendor.test"


@pytest.fixture
def vendor(clock):
    return SlackVendor(clock.world())


@pytest.fixture
async def bot(vendor, clock):
    async with open_on(connector, vendor, clock=clock) as opened:
        yield opened


@pytest.fixture
async def webhook(vendor, clock):
    settings = settings_from(connector, vendor.webhook(URL))
    async with connector.open(settings, a_context(vendor, clock=clock, instance="slack")) as opened:
        yield opened
