"""A house for each test."""

import pytest
import structlog
from engine.house import House

PAIR = """
pipeline: shop
owner: finance
tasks:
  orders: {uses: tap.sync, with: {connection: orders}, retries: {attempts: 1}}
  stripe: {uses: tap.sync, with: {connection: stripe}, retries: {attempts: 1}}
  marts: {uses: mill.build, retries: {attempts: 1}}
"""


@pytest.fixture(autouse=True)
def logged():
    """Keep what is logged, in place of printing it."""
    with structlog.testing.capture_logs() as found:
        yield found


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
