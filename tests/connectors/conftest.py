"""A clock, and a world that keeps what a played vendor does to it."""

import httpx
import pytest

from stackhub.testing import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def landed():
    """(vendor, connection), as their tables were filled."""
    return []


@pytest.fixture
def called():
    """(url, headers, body), as vendors called from there."""
    return []


@pytest.fixture
def world(clock, landed, called):
    """A world whose tables take 42 rows at a time, and where nobody listens at ``/nobody``."""

    def land(vendor, connection):
        landed.append((vendor, connection))
        return 42

    async def call(url, headers, body):
        called.append((url, dict(headers), body))
        if url.endswith("/nobody"):
            raise httpx.ConnectError("nobody listens")

    return clock.world(land=land, call=call)
