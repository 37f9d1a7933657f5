"""A house for each test."""

import pytest
from engine.house import House


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


PAIR = """
pipeline: shop
tasks:
  orders: {uses: tap.sync, with: {connection: orders}}
  stripe: {uses: tap.sync, with: {connection: stripe}}
  marts: {uses: mill.build}
"""


@pytest.fixture
def shop(house) -> House:
    """Two extracts, a transform that waits for both, a live route and an alarm."""
    return house.instances("tap", "mill", "bell", "horn").pipeline(PAIR)
