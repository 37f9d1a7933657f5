"""Killed around calls and COMMITs, the hub builds a part, owes the rest and builds it when it has landed: all once.

Some of the deaths; each is a life of twelve minutes.
"""

import random

import pytest
import structlog
from simulation.deaths import Death, _lived, prepared
from simulation.stories import OWED

pytestmark = pytest.mark.slow
SOME = 8


@pytest.fixture(autouse=True)
def logged():
    with structlog.testing.capture_logs() as found:
        yield found


def test_whatever_dies_when_each_model_is_built_once_and_no_debt_is_left():
    with prepared(OWED) as on:
        points = []
        _lived(on, OWED, Death(), points)
        worth = [nth for nth, where in enumerate(points, 1) if "fingerprint" not in where]
        assert len(worth) > 80
        for nth in random.Random(8).sample(worth, SOME):
            on.reset()
            assert _lived(on, OWED, Death(point=nth, where=points[nth - 1]), [], wait=5.0).number > 1
