"""What is kept of a long life: nothing of hubs that are dead, nothing of what is long past at the far ends."""

import gc
import weakref
from datetime import timedelta

import pytest
import structlog
from simulation import longlife
from simulation.spec import Turn
from simulation.vendors import Town
from simulation.world import World, ground

from stackhub.clock.virtual import TimeLine

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def silence():
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def world():
    with ground() as root:
        made = World(longlife.spec(1, every="3h", retention="2d", seed=1), root)
        try:
            yield made
        finally:
            made.close()


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")  # it is killed
def test_of_a_hub_that_was_killed_nothing_stays_in_memory(world):
    world._begin()
    world.universe.run_until(9 * HOUR)
    assert world.town["mill"].jobs, "it was at work"
    life, world.life = world.life, None
    held = weakref.WeakSet([life, life.loop, life.store.writer, life.engine.board, life.engine.incidents])
    life.kill()
    del life
    world.universe.run_until(timedelta(seconds=1))  # what was on its way has arrived
    gc.collect()
    assert not set(held)


def test_a_far_end_forgets_what_is_long_past_and_nothing_else():
    line = TimeLine()
    town = Town(longlife.spec(1, every="3h", retention="2d", seed=1), lambda: line.now, lambda when, what: None)
    tap = town["tap"]
    for nth in range(6):
        line.pass_to(3600.0 * nth)
        tap.begin("c0", f"key{nth}", "sync", Turn(seconds=60))
    for job in (*tap.jobs[:2], tap.jobs[4]):
        tap.finish(job)
    tap.forget(line.now - 4 * HOUR)
    assert tap.find(1) is None, "it is over, and began before then"
    assert [tap.find(nth).key for nth in (2, 3, 6)] == ["key1", "key2", "key5"]
    tap.forget(line.now)
    assert [job.id for job in tap.jobs] == [3, 4, 5, 6], "the third goes on, and no list has gaps"
    assert tap.find(2) is tap.find(0) is tap.find(7) is None
    assert tap.newest == 6
    assert tap.begin("c0", "key6", "sync").id == 7
    assert tap.find(7).key == "key6"


@pytest.mark.parametrize(("a_week", "grows"), [(0, False), (12_000, True)])
def test_memory_that_grows_a_little_each_week_is_told(a_week, grows):
    found = [
        longlife.Kept(week, {}, 10**6, 5, 1_300_000 + week * a_week + week % 5 * 10_000, 10**8) for week in range(1, 49)
    ]
    assert [line.partition(":")[0] for line in longlife.grown(found, 4)] == (["memory"] if grows else [])


def test_memory_that_grows_within_one_life_is_told():
    began = [max((death for death in (0, *longlife.DEATHS) if death < week), default=0) for week in range(1, 49)]
    found = [
        longlife.Kept(week, {}, 10**6, 5, 1_300_000 + (week - since) * 15_000, 10**8)
        for week, since in enumerate(began, 1)
    ]
    assert [line.partition(":")[0] for line in longlife.grown(found, 4)] == ["memory"]
