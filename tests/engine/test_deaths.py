"""The hub dies at every point in turn; the one after it finishes the work: nothing twice, nothing lost."""

from datetime import timedelta

from engine.house import House
from engine.lives import every_death
from engine.played import FAILED, Pending

STRIDE = timedelta(seconds=2)
LINE = """
pipeline: shop
tasks:
  orders: {uses: tap.sync, with: {connection: orders}}
  marts: {uses: mill.build, retries: {attempts: 1}}
"""


def furnished(root) -> House:
    return House(root).instances("tap", "mill", "bell", "horn").pipeline(LINE)


async def run_to_its_end(hub):
    """Ask for a run if nobody has, and wait until all is done and told."""
    if not await hub.runs():
        await hub.trigger("shop")
    run = (await hub.runs())[0]
    await hub.ended(run.id, step=STRIDE)
    await hub.told(step=STRIDE)


async def check_jobs(hub):
    tap, mill = hub["tap"], hub["mill"]
    assert len(await hub.runs()) == 1
    assert len(tap.jobs) == 1, "one sync"
    assert len(mill.jobs) == 1, "one build"
    assert len({job.key for job in mill.jobs}) == 1
    assert mill.jobs[0].began > 0
    assert tap.jobs[0].end.landing is not None
    assert int(tap.jobs[0].end.landing.mark) < mill.jobs[0].began, "no build before the load has landed"


async def check_success(hub):
    await check_jobs(hub)
    run = (await hub.runs())[0]
    assert run.state == "succeeded"
    assert await hub.incidents() == []
    assert hub["bell"].sent == {}


async def check_failure(hub):
    await check_jobs(hub)
    assert (await hub.runs())[0].state == "failed"
    (incident,) = await hub.incidents()
    assert incident.key == "pipeline:shop"
    assert [(part, event) for part, event, _ in hub["bell"].order] == [("root", "opened")]
    assert [(part, event) for part, event, _ in hub["horn"].order] == [("root", "opened")]
    assert {one.state for one in await hub.messages()} == {"sent"}


def story(outcome=None):
    """Return a furnisher of houses in which the build ends so."""

    def furnish(root):
        house = furnished(root)
        house["tap"].pending["orders"].append(Pending())
        if outcome is not None:
            house["mill"].outcomes["all"].append(outcome)
        return house

    return furnish


async def test_a_run_that_goes_well_does_everything_once_whatever_dies_when(tmp_path):
    points = await every_death(tmp_path, story(), run_to_its_end, check_success)
    assert len(points) > 30
    assert any("tap start" in point for point in points)
    assert any("mill start" in point for point in points)


async def test_a_failure_is_told_once_whatever_dies_when(tmp_path):
    points = await every_death(tmp_path, story(FAILED), run_to_its_end, check_failure)
    assert any("bell deliver" in point for point in points)
    assert any("horn deliver" in point for point in points)
