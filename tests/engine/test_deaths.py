"""The hub dies at every point in turn; the one after it finishes the work: nothing twice, nothing lost."""

from datetime import timedelta

import pytest
from engine.far_end import FAILED, Lost
from engine.house import House
from engine.lives import every_death

from stackhub.contract import Pending, Rejected

pytestmark = pytest.mark.slow
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


def story(outcome=None, **more):
    """Return a furnisher of houses in which the build ends so, and calls go as they are told to."""

    def furnish(root):
        house = furnished(root)
        house["tap"].pending["orders"].append(Pending())
        if outcome is not None:
            house["mill"].outcomes["all"].append(outcome)
        for verb, reaction in more.items():
            house["tap"].will(verb, reaction)
        return house

    return furnish


async def test_a_failure_is_told_once_whatever_dies_when(tmp_path):
    about = ("mill", "deliver", "INCIDENT", "OUTBOX")
    points = await every_death(tmp_path, story(FAILED), run_to_its_end, check_failure, about=about)
    assert {"bell deliver root:opened: after", "horn deliver root:opened: after"} <= points


async def test_a_start_whose_answer_is_lost_is_no_second_job_whatever_dies_when(tmp_path):
    points = await every_death(tmp_path, story(start=Lost()), run_to_its_end, check_success, about=("tap", "RUN_MOVED"))
    assert "tap find orders: before" in points


async def test_a_blind_start_is_made_once_at_most_whatever_dies_when(tmp_path):
    def furnish(root):
        blind = "pipeline: shop\ntasks: {orders: {uses: tap.blind, with: {connection: orders}}}\n"
        return House(root).instances("tap", "mill", "bell", "horn").pipeline(blind)

    async def check(hub):
        (run,) = await hub.runs()
        whole = await hub.run(run.id)
        assert len(hub["tap"].jobs) <= 1
        assert hub["tap"].count("start") <= 1
        assert whole.run.state == ("failed" if whole.steps["orders"].may_have_run else "succeeded")
        assert len(await hub.incidents()) == (run.state == "failed")

    points = await every_death(tmp_path, furnish, run_to_its_end, check, about=("tap", "RUN_MOVED"))
    assert "tap start orders: before" in points


async def test_a_recovery_is_told_once_on_every_route_whatever_dies_when(tmp_path):
    async def fail_and_recover(hub):
        for nth in (1, 2):
            if len(await hub.runs()) < nth:
                await hub.trigger("shop")
            await hub.until(lambda: not hub.engine.board.runs(), step=STRIDE)
            await hub.told(step=STRIDE)

    async def check(hub):
        assert sorted(run.state.value for run in await hub.runs()) == ["failed", "succeeded"]
        (incident,) = await hub.incidents()
        assert incident.resolved_at is not None
        bell = [(part, event) for part, event, _ in hub["bell"].order]
        assert bell == [("root", "opened"), ("root", "resolved"), ("entry", "resolved")]
        horn = [(part, event) for part, event, _ in hub["horn"].order]
        assert horn[:2] == [("root", "opened"), ("root", "resolved")]

    points = await every_death(tmp_path, story(FAILED), fail_and_recover, check, about=("deliver", "INCIDENT_MOVED"))
    assert {"bell deliver root:resolved: after", "bell deliver entry:resolved: before"} <= points


async def test_what_follows_a_success_starts_once_whatever_dies_when(tmp_path):
    def furnish(root):
        after = "pipeline: after\ntriggers: [{pipeline: shop}]\ntasks: {b: {uses: mill.build, with: {select: b}}}\n"
        return furnished(root).pipeline(after)

    async def through(hub):
        if not await hub.runs():
            await hub.trigger("shop")
        await hub.until(lambda: not hub.engine.board.runs(), step=STRIDE)

    async def check(hub):
        assert sorted((run.pipeline, run.state.value) for run in await hub.runs()) == [
            ("after", "succeeded"),
            ("shop", "succeeded"),
        ]
        assert [job.what for job in hub["mill"].jobs] == ["all", "b"]

    points = await every_death(tmp_path, furnish, through, check, about=("RUN_MOVED", "mill"))
    assert any(" RUN " in point for point in points)


async def test_what_cannot_be_told_is_told_by_the_fallback_once_whatever_dies_when(tmp_path):
    def furnish(root):
        house = furnished(root).pipeline(LINE + "alerts: [{to: bell}]\n")
        house.write("stackhub.env", "STACKHUB_GRACE=1s\nSTACKHUB_FALLBACK=horn\n")
        house["mill"].outcomes["all"].append(FAILED)
        house["bell"].broken = Rejected("channel_not_found")
        return house

    async def check(hub):
        told = sorted((title.partition(" ")[0], event) for _, event, title in hub["horn"].order)
        assert told == [("shop", "opened"), ("stackhub", "opened")], "what failed, and that bell is dead"
        found = sorted((one.instance, one.state) for one in await hub.messages())
        assert found == [("bell", "undeliverable"), ("horn", "sent"), ("horn", "sent")]

    points = await every_death(tmp_path, furnish, run_to_its_end, check, about=("deliver", "OUTBOX"))
    assert {"bell deliver root:opened: before", "horn deliver root:opened: after"} <= points
