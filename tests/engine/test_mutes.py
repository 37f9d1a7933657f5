"""Silence for a while: kept, not told, told when the time has come; and reminders of what lasts."""

from datetime import timedelta

import pytest
from engine.far_end import FAILED
from engine.house import NOON, House
from engine.lives import every_death

from stackhub.contract import Unavailable
from stackhub.errors import Refused
from stackhub.store import muted

HOUR = timedelta(hours=1)
STRIDE = timedelta(seconds=20)
ONE = """
pipeline: shop
owner: finance
defaults: {retries: {attempts: 1}}
tasks:
  orders: {uses: tap.sync, with: {connection: orders}}
"""


def furnish(root) -> House:
    return told(House(root))


def told(house, *notifiers, alerts="") -> House:
    house.instances("tap", *(notifiers or ("bell", "horn"))).pipeline(f"{ONE}\n{alerts}")
    house["tap"].outcomes["orders"].append(FAILED)
    house.thorough = True
    return house


@pytest.fixture
def shop(house):
    return told(house)


async def run(hub):
    return await hub.ended(await hub.trigger("shop"))


async def mute(hub, target="shop", by=HOUR, reason="a known problem"):
    until = (hub.house.clock.now() + by).isoformat()
    return await hub.submit("mute", target=target, until=until, reason=reason)


def heard(house, name):
    return [(part, event) for part, event, _ in house[name].order]


async def mutes(hub):
    return await hub.store.read(lambda connection: muted.between(connection, NOON - HOUR, NOON + 100 * HOUR))


async def test_a_muted_failure_is_an_incident_that_nobody_hears_of_until_the_mute_ends(shop):
    async with shop.hub() as hub:
        await mute(hub)
        await run(hub)
        [incident] = await hub.incidents()
        assert (incident.untold, incident.resolved_at, incident.routes) == (True, None, {})
        await hub.pass_time(50 * timedelta(minutes=1), step=STRIDE)
        assert await hub.messages() == []
        await hub.until(lambda: heard(shop, "bell") and heard(shop, "horn"), step=STRIDE)
        assert shop.clock.now() - NOON < HOUR + timedelta(minutes=5)
    assert heard(shop, "bell") == [("root", "opened")]
    assert heard(shop, "horn") == [("root", "opened")]


async def test_what_is_over_before_the_mute_is_is_told_to_nobody(shop):
    async with shop.hub() as hub:
        await mute(hub)
        await run(hub)
        await run(hub)
        [incident] = await hub.incidents()
        assert incident.resolved_at is not None
        await hub.pass_time(2 * HOUR, step=timedelta(minutes=5))
        assert await hub.messages() == []


async def test_who_knew_before_hears_the_end_in_the_middle_of_the_mute(shop):
    async with shop.hub() as hub:
        await run(hub)
        await hub.told()
        await mute(hub)
        await run(hub)
        for who in ("horn", "bell"):
            await hub.until(lambda who=who: ("root", "resolved") in heard(shop, who), step=STRIDE)


async def test_unmute_tells_at_once_and_is_audited(shop):
    async with shop.hub() as hub:
        await mute(hub)
        await run(hub)
        await hub.submit("unmute", target="shop")
        await hub.now_until(lambda: heard(shop, "bell"))
        [kept] = await mutes(hub)
    assert (kept.by, kept.reason, kept.ended_by, kept.ended_at) == ("ada", "a known problem", "ada", shop.clock.now())


async def test_a_second_mute_takes_the_place_of_the_first(shop):
    async with shop.hub() as hub:
        await mute(hub)
        await mute(hub, by=3 * HOUR, reason="it takes longer")
        await run(hub)
        await hub.pass_time(2 * HOUR, step=timedelta(minutes=5))
        assert await hub.messages() == []
        assert [one.reason for one in hub.engine.incidents.mutes] == ["it takes longer"]
        await hub.until(lambda: heard(shop, "bell"), step=timedelta(minutes=5))
        assert hub.engine.incidents.mutes == []
    assert heard(shop, "bell") == [("root", "opened")]


async def test_an_account_can_be_muted_and_its_pipelines_are_not(shop):
    shop["tap"].broken = Unavailable("503")
    async with shop.hub() as hub:
        await mute(hub, "tap")
        await hub.trigger("shop")
        await hub.until(lambda: "instance:tap" in hub.engine.incidents.open, step=STRIDE)
        assert await hub.messages() == []
        assert hub.engine.incidents.open["instance:tap"].untold
        shop["tap"].broken = None
        await hub.until(lambda: heard(shop, "bell"), step=STRIDE)
    assert heard(shop, "bell") == [("root", "opened")]
    assert "failed" in shop["bell"].order[0][2]


async def test_a_test_goes_down_each_route_all_the_same(shop):
    async with shop.hub() as hub:
        await mute(hub)
        await hub.submit("test", pipeline="shop")
        await hub.until(lambda: heard(shop, "bell"))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"target": "shpo"}, "did you mean 'shop'"),
        ({"target": "instance:shop"}, "no pipeline, instance or connection"),
        ({"reason": ""}, "needs a reason"),
        ({"until": "2026-11-02T11:00:00+00:00"}, "in the future"),
        ({"until": "2026-11-03T11:00:00"}, "no time zone"),
        ({"until": "tomorrow"}, "make no sense"),
    ],
)
async def test_a_mute_that_cannot_be_is_refused_and_nothing_changes(shop, args, says):
    asked = {"target": "shop", "until": (NOON + HOUR).isoformat(), "reason": "known", **args}
    async with shop.hub() as hub:
        with pytest.raises(Refused, match=says):
            await hub.submit("mute", **asked)
        assert await mutes(hub) == []


async def test_one_name_for_two_things_is_asked_back(house):
    house.instances("tap", "bell").pipeline(ONE.replace("pipeline: shop", "pipeline: tap"))
    async with house.hub() as hub:
        with pytest.raises(Refused, match="may be pipeline:tap or instance:tap"):
            await mute(hub, "tap")
        assert (await mute(hub, "pipeline:tap"))["key"] == "pipeline:tap"
        with pytest.raises(Refused, match="bell is not muted; muted is: pipeline:tap"):
            await hub.submit("unmute", target="bell")


async def test_a_mute_outlives_the_hub_wherever_it_dies(tmp_path):
    """Muted, failed, told once the time has come: exactly once, whatever dies when."""

    async def story(hub):
        if not hub.engine.incidents.mutes and not await mutes(hub):
            await mute(hub)
        if not await hub.runs():
            await hub.trigger("shop")
        for found in await hub.runs():
            await hub.ended(found.id)
        await hub.pass_time(HOUR + STRIDE, step=timedelta(minutes=10))
        await hub.now_until(lambda: not any(one.untold for one in hub.engine.incidents.open.values()))
        await hub.told()

    async def check(hub):
        [incident] = await hub.incidents()
        assert not incident.untold
        assert heard(hub.house, "bell") == [("root", "opened")]
        assert len(heard(hub.house, "horn")) == 1
        first = hub.house["bell"].calls[0].at
        assert first >= min(mute.until for mute in await mutes(hub))

    died = await every_death(
        tmp_path, furnish, story, check, about=("COMMAND", "MUTE", "INCIDENT", "OUTBOX", "deliver")
    )
    assert any("MUTE" in where for where in died)


# --- reminders -------------------------------------------------------------------------------------------------------

REMINDED = "alerts:\n  - {to: bell, renotify: 4h}\n  - {to: horn, renotify: 6h}\n  - {to: post}\n"


async def test_what_lasts_is_told_again_to_whoever_wants_to_be_reminded(house):
    told(house, "bell", "horn", "post", alerts=REMINDED)
    async with house.hub() as hub:
        await run(hub)
        await hub.told()
        await hub.until(lambda: len(heard(house, "bell")) == 3, step=timedelta(minutes=5))
        assert house.clock.now() >= NOON + 8 * HOUR
        assert house.clock.now() < NOON + 9 * HOUR
        await run(hub)
        await hub.told()
    assert heard(house, "bell") == [
        ("root", "opened"),
        ("entry", "updated"),
        ("entry", "updated"),
        ("root", "resolved"),
        ("entry", "resolved"),
    ]
    assert heard(house, "horn")[:3] == [("root", "opened"), ("root", "updated"), ("root", "resolved")]
    assert heard(house, "post") == [("entry", "opened"), ("entry", "resolved")]


async def test_nobody_is_reminded_of_what_is_muted(house):
    told(house, "bell", alerts="alerts: [{to: bell, renotify: 1h}]")
    async with house.hub() as hub:
        await run(hub)
        await hub.told()
        await mute(hub, by=5 * HOUR)
        await hub.pass_time(4 * HOUR, step=timedelta(minutes=10))
        assert heard(house, "bell") == [("root", "opened")]
        await hub.until(lambda: len(heard(house, "bell")) > 1, step=timedelta(minutes=10))
    assert heard(house, "bell") == [("root", "opened"), ("entry", "updated")]


async def test_a_reminder_survives_a_death_and_is_told_once(tmp_path):
    def reminded(root):
        return told(House(root), "bell", alerts="alerts: [{to: bell, renotify: 4h}]")

    async def story(hub):
        if not await hub.runs():
            await hub.trigger("shop")
        for found in await hub.runs():
            await hub.ended(found.id)
        await hub.told()
        await hub.until(lambda: len(heard(hub.house, "bell")) > 1, step=timedelta(minutes=10))
        await hub.told()

    async def check(hub):
        assert heard(hub.house, "bell") == [("root", "opened"), ("entry", "updated")]

    await every_death(tmp_path, reminded, story, check, about=("INCIDENT_MOVED", "deliver"))


# --- owners ----------------------------------------------------------------------------------------------------------


async def test_a_route_of_an_owner_hears_of_his_pipelines_alone(house):
    told(house, "bell", "post", alerts="alerts: [{to: bell, owner: data}, {to: post, owner: [Finance, data]}]")
    async with house.hub() as hub:
        await run(hub)
        await hub.told()
    assert heard(house, "bell") == []
    assert heard(house, "post") == [("entry", "opened")]
