"""A store for each test that wants one, on each kind of database."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from postgres import Server
from store.ground import made_ready, store_at

from stackhub.store.store import Store

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Return where there is nothing yet: a file."""
    return f"sqlite:///{tmp_path / 'hub.db'}"


@pytest.fixture
def server_url(postgres: Server) -> Iterator[str]:
    """Lend a database of ours, on a server, in which nothing is kept yet."""
    with postgres.borrowed(made_ready) as lent:
        yield lent


@pytest.fixture
def empty_server_url(postgres: Server) -> Iterator[str]:
    """Lend a database without any tables, on a server."""
    with postgres.borrowed() as lent:
        yield lent


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest) -> str:
    """Return where a store of ours may be opened."""
    return request.getfixturevalue("file" if request.param == "sqlite" else "server_url")


@pytest.fixture(params=BOTH)
def empty(request: pytest.FixtureRequest) -> str:
    """Return where there is nothing at all."""
    return request.getfixturevalue("file" if request.param == "sqlite" else "empty_server_url")


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with store_at(url) as opened:
        yield opened


@pytest.fixture
async def file_store(file: str) -> AsyncIterator[Store]:
    """For what only a file can suffer."""
    async with store_at(file) as opened:
        yield opened


@pytest.fixture
async def server_store(server_url: str) -> AsyncIterator[Store]:
    """For what only a server can do."""
    async with store_at(server_url) as opened:
        yield opened
