"""A house for each test."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
import structlog
from engine.house import EMPTY, House

from stackhub.store import database, schema

MEMORY = Path("/dev/shm")
PAIR = """
pipeline: shop
owner: finance
tasks:
  orders: {uses: tap.sync, with: {connection: orders}, retries: {attempts: 1}}
  stripe: {uses: tap.sync, with: {connection: stripe}, retries: {attempts: 1}}
  marts: {uses: mill.build, retries: {attempts: 1}}
"""


@pytest.fixture(autouse=True, scope="session")
def empty():
    """Make an empty database once, for every house to begin with a copy of."""
    EMPTY.parent.mkdir(mode=0o700, exist_ok=True)
    made = database.engine(f"sqlite:///{EMPTY}")
    schema.prepare(made, "test")
    made.dispose()
    yield
    shutil.rmtree(EMPTY.parent, ignore_errors=True)


@pytest.fixture(autouse=True)
def logged():
    """Keep what is logged, in place of printing it."""
    with structlog.testing.capture_logs() as found:
        yield found


@pytest.fixture
def tmp_path(tmp_path):
    """A directory in memory, where the machine has such a place: thousands of COMMITs wait for the disk otherwise."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as made:
        yield Path(made)


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


@pytest.fixture
def shop(house) -> House:
    """Two extracts, a transform that waits for both, a live route and an alarm."""
    return house.instances("tap", "mill", "bell", "horn").pipeline(PAIR)


LINE = """
pipeline: line
defaults: {retries: {attempts: 1}}
tasks:
  load: {uses: tap.sync, with: {connection: orders}}
  marts: {uses: mill.build}
"""


@pytest.fixture
def line(house) -> House:
    """One extract and a transform; nobody is told."""
    return house.instances("tap", "mill").pipeline(LINE)
