"""Grounds for SQL jobs, and a short way to carry one out."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from launch.grounds import Grounds, grounds_in
from pydantic import SecretStr

from stackhub.contract import Finished, Job
from stackhub_sql.connector import connector
from stackhub_sql.options import SqlCheck, SqlRun, SqlSettings

DAY = (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
Told = Callable[..., Awaitable[Finished]]


def asking(**options) -> Job:
    """Ask for a check where there is a query, else for statements."""
    operation, model = ("check", SqlCheck) if "query" in options else ("run", SqlRun)
    made = model(**options)
    return Job(operation=operation, options=made, pipeline="p", run="01RUN", task="t", interval=DAY)


@pytest.fixture
def asks():
    return asking


@pytest.fixture
def grounds(tmp_path: Path):
    with grounds_in(tmp_path) as lent:
        yield lent


@pytest.fixture
def opened(grounds: Grounds):
    """Open an instance for a URL."""

    @asynccontextmanager
    async def opened(url: str | None):
        settings = SqlSettings(url=SecretStr(url) if url is not None else None)
        async with connector.open(settings, grounds.context()) as jobs:
            yield jobs

    return opened


@pytest.fixture
def told(grounds: Grounds, opened) -> Told:
    """Carry one job out, to its end."""
    count = iter(range(1000))

    async def told(database: str | None, **options) -> Finished:
        async with opened(database) as jobs:
            job = asking(**options)
            handle = await jobs.start(job, await jobs.prepare(job), f"key-{next(count)}")
            return await grounds.told(jobs, handle)

    return told
