"""A configuration directory for each test."""

import pytest
from config.fakes import BELL, TAP, House


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


@pytest.fixture
def furnished(house) -> House:
    return house.write(tap=TAP, bell=BELL)
