"""Killed at every await of a story, and around each COMMIT and each call in it, the hub brings it to its one good end.

The shortest story is told here in full; `./run simulate --deaths` tells all of them.
"""

import pytest
import structlog
from engine.played import PlayedJobs
from simulation.deaths import main, tell
from simulation.stories import STORIES

from stackhub.contract import Absent

pytestmark = pytest.mark.slow
LINE = next(story for story in STORIES if story.name == "line")


@pytest.fixture(autouse=True)
def logged():
    with structlog.testing.capture_logs() as found:
        yield found


def test_whatever_dies_when_there_is_one_job_for_each_intent_and_nothing_is_forgotten():
    told = tell(LINE)
    assert told.wrong == []
    assert told.died == told.steps + told.points, "each of them was a death"
    assert told.steps > 100
    assert told.points > 30


def test_a_hub_that_starts_again_what_it_cannot_find_is_found_out(monkeypatch):
    """The stories can fail: vendors that lie about what was started cost a second job."""

    async def find(self, job, baseline, key):
        return Absent()

    monkeypatch.setattr(PlayedJobs, "find", find)
    told = tell(LINE, only="tap start: after")
    assert any("syncs of orders: 2" in wrong for wrong in told.wrong)


def test_stories_that_are_not_there_are_refused(capsys):
    assert main(["nonesuch"]) == 2
    assert "line" in capsys.readouterr().err
