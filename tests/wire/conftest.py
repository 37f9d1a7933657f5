"""A wire to a vendor that answers as it is told."""

import httpx
import pytest
import respx

from stackhub import wire
from stackhub.testing import Clock, a_context


@pytest.fixture
def router():
    return respx.MockRouter(assert_all_called=False)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def ours(router, clock):
    context = a_context(clock=clock, instance="vendor", transport=httpx.MockTransport(router.async_handler))
    async with wire.connect(
        context, url="http://vendor.test", auth=("user", "s3cret-token-of-ours"), secrets=["s3cret-token-of-ours"]
    ) as opened:
        yield opened
