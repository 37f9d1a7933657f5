"""What every test may ask for, and how property tests are run: as they fall at one's desk, always the same in CI."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from postgres import Server, served

settings.register_profile("desk", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold slow tests where cores share the work: one of them at the end is waited for."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """Serve one PostgreSQL for all tests that ask for it."""
    with served() as server:
        yield server
