"""Backfills, whatever dies when."""

from datetime import timedelta

from engine.far_end import FAILED
from engine.house import House
from engine.lives import every_death
from engine.past import ask, one, over, shop, states

from stackhub.store import backfills as rows


async def test_each_interval_is_run_once_whatever_dies_when(tmp_path):
    def furnish(root):
        house = shop(House(root))
        house["mill"].outcomes["2026-10-02"].append(FAILED)
        return house

    async def a_bad_day(hub):
        known = await hub.store.read(rows.backfills)
        asked = known[0].id if known else (await ask(hub))["backfill"]
        await over(hub, asked, step=timedelta(seconds=1))
        if "failed" in await states(hub, asked):
            await ask(hub)
            await over(hub, asked, step=timedelta(seconds=1))
        await hub.until(lambda: not hub.engine.incidents.open, step=timedelta(seconds=1))

    async def check(hub):
        (backfill,) = await hub.store.read(rows.backfills)
        assert backfill.state == "succeeded"
        assert [job.what[-2:] for job in hub["mill"].jobs] == ["01", "02", "02", "03"]
        assert sorted(run.state.value for run in await hub.runs()) == ["failed", *["succeeded"] * 3]
        (incident,) = await hub.incidents()
        assert incident.resolved_at is not None

    points = await every_death(tmp_path, furnish, a_bad_day, check, about=("BACKFILL", "PART"))
    assert any("PART_BEGUN" in point for point in points)
    assert any("PART_ENDED" in point for point in points)


async def test_a_cancel_is_carried_out_whatever_dies_when(tmp_path):
    def furnish(root):
        house = shop(House(root))
        house["mill"].hold = True
        return house

    async def a_change_of_mind(hub):
        known = await hub.store.read(rows.backfills)
        asked = known[0].id if known else (await ask(hub))["backfill"]
        if (await one(hub, asked)).state == "running":
            await hub.until(hub["mill"].running, step=timedelta(seconds=1))
            await hub.submit("cancel_backfill", backfill=asked, reason="enough")
        await over(hub, asked, step=timedelta(seconds=1))

    async def check(hub):
        (backfill,) = await hub.store.read(rows.backfills)
        assert (backfill.state, await states(hub, backfill.id)) == ("cancelled", ["cancelled", "waiting", "waiting"])
        assert len(hub["mill"].jobs) == 1

    await every_death(tmp_path, furnish, a_change_of_mind, check, about=("BACKFILL", "PART", "cancel"))
