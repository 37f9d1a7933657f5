import pytest
from launch.grounds import Grounds, grounds_in

from stackhub.launch import Launcher


@pytest.fixture
def grounds(tmp_path):
    with grounds_in(tmp_path) as lent:
        yield lent


@pytest.fixture
async def launcher(grounds: Grounds):
    with Launcher(grounds.context()) as opened:
        yield opened
