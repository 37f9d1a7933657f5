"""A store for each test that wants one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from store.ground import store_at

from stackhub.store.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with store_at(tmp_path / "hub.db") as opened:
        yield opened
