"""Grounds, and a played dbt on them."""

import pytest
from dbt_stage import Stage
from launch.grounds import grounds_in


@pytest.fixture
def grounds(tmp_path):
    with grounds_in(tmp_path) as lent:
        yield lent


@pytest.fixture
def stage(grounds):
    return Stage(grounds)


@pytest.fixture
async def dbt(stage):
    async with stage.open() as opened:
        yield opened
