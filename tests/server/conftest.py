"""The grounds that tests of the server stand on."""

import pytest
from server.ground import grounds


@pytest.fixture
async def ground(tmp_path):
    async with grounds(tmp_path) as stood:
        yield stood


@pytest.fixture
async def client(ground):
    async with ground.ask() as client:
        yield client


@pytest.fixture(scope="module")
async def shared(tmp_path_factory):
    """Stand on one ground for all tests of a file that ask in vain: making one takes a while."""
    async with grounds(tmp_path_factory.mktemp("shared")) as stood, stood.ask() as client:
        yield client
