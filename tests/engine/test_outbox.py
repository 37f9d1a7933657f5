"""What people are told: in order, in doubt, late, by another route, or visibly not at all."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from engine.house import House
from engine.played import FAILED, Lost, Stuck

from stackhub.contract import ConfigError, Part, Rejected, Unavailable, Unsure
from stackhub.decide.incident import Post
from stackhub.model.codec import dump
from stackhub.store import tables as t

STRIDE = timedelta(seconds=5)
TWICE = """
pipeline: shop
defaults: {{retries: {{attempts: 1}}}}
tasks:
  orders: {{uses: tap.sync, with: {{connection: orders}}}}
  stripe: {{uses: tap.sync, with: {{connection: stripe}}}}
{alerts}
"""


def told_by(house, *notifiers, alerts="", hub="") -> House:
    """A shop that fails once; whoever has an env file is told, in this order."""
    house.instances("tap", *notifiers).pipeline(TWICE.format(alerts=alerts))
    house.write("stackhub.env", f"STACKHUB_GRACE=1s\n{hub}")
    house.thorough = True
    house["tap"].outcomes["orders"].append(FAILED)
    return house


async def fail(hub):
    await hub.ended(await hub.trigger("shop"))


def order(house, name):
    return [(part, event) for part, event, _ in house[name].order]


async def states(hub, instance=None):
    return [one.state for one in await hub.messages() if instance in (None, one.instance)]


# --- order -----------------------------------------------------------------------------------------------------------


async def test_messages_of_one_incident_go_one_after_another(house):
    told_by(house, "post")
    house["tap"].outcomes["stripe"].append(FAILED)
    house["post"].will("deliver", Unavailable("503"), Unavailable("503"))
    async with house.hub() as hub:
        await fail(hub)
        await hub.told(step=STRIDE)
        await fail(hub)
        await hub.told(step=STRIDE)
    titles = [sent.message.summary for sent in house["post"].sent.values()]
    assert order(house, "post")[0] == ("entry", "opened")
    assert order(house, "post")[-1] == ("entry", "resolved")
    assert len(titles) == len(order(house, "post"))


async def test_the_live_message_comes_before_its_thread(house):
    told_by(house, "bell")
    async with house.hub() as hub:
        await fail(hub)
        await fail(hub)
        await hub.told()
    assert order(house, "bell")[-2:] == [("root", "resolved"), ("entry", "resolved")]


async def test_the_live_message_is_edited_by_its_receipt(house):
    told_by(house, "bell")
    async with house.hub() as hub:
        await fail(hub)
        await hub.told()
        (first,) = house["bell"].sent
        seen = []
        house["bell"].hears = lambda message, receipt, doubt: seen.append(receipt)
        await fail(hub)
        await hub.told()
    assert seen == [{"message": first}] * 2


async def test_one_incident_that_hangs_holds_up_no_other(house):
    told_by(house, "bell")
    house.pipeline("pipeline: other\ntasks: {load: {uses: tap.sync, with: {connection: other}}}\n")
    house["tap"].outcomes["other"].append(FAILED)
    stuck = house["bell"].will("deliver", Stuck())
    async with house.hub() as hub:
        await fail(hub)
        await hub.until(stuck.reached.is_set)
        await hub.ended(await hub.trigger("other"))
        await hub.until(lambda: len(house["bell"].order) == 1)
        assert house["bell"].order[0][2].startswith("other failed")
        stuck.go.set()
        await hub.told()
    assert len(house["bell"].order) == 2


# --- trying again ----------------------------------------------------------------------------------------------------


async def test_what_did_not_get_through_is_tried_again_ever_more_rarely(house):
    told_by(house, "bell")
    house["bell"].will("deliver", *[Unavailable("503")] * 6)
    async with house.hub() as hub:
        await fail(hub)
        await hub.until(lambda: house["bell"].order, step=timedelta(seconds=1))
    at = [call.at for call in house["bell"].calls]
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(at)]
    least = [2, 4, 8, 16, 32, 64]
    assert all(gap >= wait for gap, wait in zip(gaps, least, strict=True))
    assert gaps[-1] < 90


async def test_only_an_answer_that_was_lost_leaves_a_doubt(house):
    told_by(house, "bell")
    house["bell"].will("deliver", Unavailable("503"), Lost(Unsure("cut")))
    doubts = []
    house["bell"].hears = lambda message, receipt, doubt: doubts.append(doubt)
    async with house.hub() as hub:
        await fail(hub)
        await hub.told(step=STRIDE)
    assert doubts == [False, False, True]
    assert len(house["bell"].sent) == 1


@pytest.mark.parametrize("reaction", [KeyError("ts"), TimeoutError()])
async def test_a_bug_and_a_silence_leave_a_doubt(house, reaction):
    told_by(house, "bell")
    house["bell"].will("deliver", reaction)
    doubts = []
    house["bell"].hears = lambda message, receipt, doubt: doubts.append(doubt)
    async with house.hub() as hub:
        await fail(hub)
        await hub.told(step=STRIDE)
    assert doubts == [False, True]


async def test_a_receipt_that_cannot_be_kept_is_a_bug(house):
    from engine.played import Say

    told_by(house, "bell")
    house["bell"].will("deliver", Say({"at": object()}), Say(None))
    async with house.hub() as hub:
        await fail(hub)
        await hub.told(step=STRIDE)
        assert await states(hub) == ["sent"]


async def test_a_hub_that_died_while_it_sent_sends_again_in_doubt(house):
    told_by(house, "bell")
    stuck = house["bell"].will("deliver", Stuck())
    doubts = []
    house["bell"].hears = lambda message, receipt, doubt: doubts.append(doubt)
    async with house.killed() as hub:
        await fail(hub)
        await hub.until(stuck.reached.is_set)
    async with house.hub() as hub:
        await hub.told()
    assert doubts == [False, True]
    assert order(house, "bell") == [("root", "opened")]


async def test_patience_asked_for_rests_the_whole_outbox_across_a_restart(house):
    told_by(house, "bell")
    house.pipeline("pipeline: other\ntasks: {load: {uses: tap.sync, with: {connection: other}}}\n")
    house["tap"].outcomes["other"].append(FAILED)
    house["bell"].will("deliver", Unavailable("429", retry_after=timedelta(minutes=3)))
    async with house.killed() as hub:
        await fail(hub)
        await hub.until(lambda: house["bell"].count("deliver") == 1)
        await hub.rest()
        await hub.ended(await hub.trigger("other"))
        await hub.pass_time(timedelta(minutes=1), step=STRIDE)
        assert house["bell"].count("deliver") == 1
    async with house.hub() as hub:
        await hub.pass_time(timedelta(minutes=1), step=STRIDE)
        assert house["bell"].count("deliver") == 1
        await hub.until(lambda: len(house["bell"].order) == 2, step=STRIDE)
    first, second, *_ = [call.at for call in house["bell"].calls]
    assert second - first >= timedelta(minutes=3)


async def test_credentials_that_are_refused_are_tried_on_until_they_are_mended(house):
    told_by(house, "bell")
    house["bell"].broken = ConfigError("token_revoked")
    async with house.hub() as hub:
        await fail(hub)
        await hub.pass_time(timedelta(hours=1), step=timedelta(seconds=30))
        assert await states(hub) == ["pending"]
        assert 5 < house["bell"].count("deliver") < 40
        house["bell"].broken = None
        await hub.until(lambda: house["bell"].order, step=timedelta(seconds=30))
        await hub.told()
        assert await states(hub) == ["sent"]


async def test_after_a_day_it_is_undeliverable_and_shown(house):
    told_by(house, "bell")
    house["bell"].broken = Unavailable("503")
    async with house.hub() as hub:
        await fail(hub)
        await hub.pass_time(timedelta(hours=25), step=timedelta(minutes=5))
        (message,) = await hub.messages()
        assert message.state == "undeliverable"
        assert message.error == "503"


# --- what a newer message makes needless -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bell", "horn"])
async def test_only_the_newest_live_message_waits(house, name):
    told_by(house, name)
    house["tap"].will("poll")
    house[name].broken = Unavailable("503")
    async with house.hub() as hub:
        await fail(hub)
        await hub.until(lambda: house[name].count("deliver") > 2, step=STRIDE)
        await fail(hub)
        house[name].broken = None
        await hub.told(step=STRIDE)
        roots = [one.state for one in await hub.messages() if one.part == "root"]
    assert roots[0] == "superseded"
    assert order(house, name)[0] == ("root", "resolved"), "nobody is woken for what is over"


async def test_what_may_have_been_raised_is_taken_back_in_order(house):
    told_by(house, "horn")
    house["horn"].will("deliver", Lost(Unsure("cut")))
    async with house.hub() as hub:
        await fail(hub)
        await hub.until(lambda: house["horn"].count("deliver") == 1)
        await hub.rest()
        house["horn"].will("deliver", Unavailable("503"))
        await fail(hub)
        await hub.told(step=STRIDE)
    assert order(house, "horn")[:2] == [("root", "opened"), ("root", "resolved")]


async def test_an_alarm_is_not_raised_again_for_more_of_the_same(house):
    told_by(house, "bell", "horn")
    house["tap"].hold = True
    house["tap"].outcomes.clear()
    async with house.hub() as hub:
        run = await hub.trigger("shop")
        await hub.until(lambda: len(house["tap"].running()) == 2)
        house["tap"].end("orders", FAILED)
        await hub.at(run, "orders", "failed")
        await hub.told()
        house["tap"].end("stripe", FAILED)
        await hub.ended(run)
        await hub.told()
    assert order(house, "horn") == [("root", "opened")]
    assert order(house, "bell") == [("root", "opened"), ("root", "updated"), ("entry", "updated")]


# --- the fallback ----------------------------------------------------------------------------------------------------


def by_bell_alone(house, *notifiers):
    return told_by(house, "bell", *notifiers, alerts="alerts: [{to: bell}]", hub="STACKHUB_FALLBACK=horn\n")


async def test_a_message_refused_for_good_is_undeliverable_and_its_fallback_hears_it(house):
    by_bell_alone(house, "horn")
    house["bell"].broken = Rejected("channel_not_found")
    async with house.hub() as hub:
        await fail(hub)
        await hub.until(lambda: house["horn"].order)
        await hub.told(step=STRIDE)
        assert await states(hub, "bell") == ["undeliverable"]
        assert await states(hub, "horn") == ["sent", "sent"]
    sent, dead = house["horn"].sent.values()
    assert "could not be told to bell: channel_not_found" in sent.message.summary
    assert dead.message.title == "stackhub cannot tell bell"


async def test_the_fallback_hears_how_it_goes_on(house):
    by_bell_alone(house, "horn")
    house["bell"].broken = Rejected("channel_not_found")
    async with house.hub() as hub:
        await fail(hub)
        await hub.told(step=STRIDE)
        await fail(hub)
        await hub.told(step=STRIDE)
    told = [(part, event) for part, event, title in house["horn"].order if title.startswith("shop")]
    assert told[:2] == [("root", "opened"), ("root", "resolved")]
    assert len({one.message.dedup for one in house["horn"].sent.values() if one.message.pipeline}) == 1


async def test_the_fallback_hears_what_could_not_be_told_for_five_minutes(house):
    by_bell_alone(house, "horn")
    house["bell"].broken = Unavailable("503")
    async with house.hub() as hub:
        await fail(hub)
        began = house.clock.now()
        await hub.pass_time(timedelta(minutes=4), step=STRIDE)
        assert house["horn"].order == []
        await hub.until(lambda: house["horn"].order, step=STRIDE)
        assert house.clock.now() - began < timedelta(minutes=12)
        house["bell"].broken = None
        await hub.until(lambda: house["bell"].order, step=STRIDE)


async def test_a_fallback_that_hears_of_it_anyway_is_not_told_twice(house):
    told_by(house, "bell", "horn", hub="STACKHUB_FALLBACK=horn\n")
    house["bell"].broken = Rejected("channel_not_found")
    async with house.hub() as hub:
        await fail(hub)
        await hub.told(step=STRIDE)
    assert [title.partition(" ")[0] for _, _, title in house["horn"].order] == ["shop", "stackhub"]


async def test_a_fallback_that_heard_of_the_end_by_itself_is_not_told_it_for_another(house):
    told_by(house, "bell", "horn", hub="STACKHUB_FALLBACK=bell\n")
    async with house.hub() as hub:
        await fail(hub)
        await hub.told(step=STRIDE)
        house["horn"].will("deliver", ConfigError("401"))
        await hub.ended(await hub.trigger("shop"), step=STRIDE)
        await hub.pass_time(timedelta(minutes=5), step=STRIDE)
        assert "resolved" in {event for _, event, _ in house["horn"].order}
        assert {one.route for one in await hub.messages()} == {"bell", "horn"}
    assert [event for part, event, _ in house["bell"].order if part == "root"] == ["opened", "resolved"]


async def test_a_fallback_stands_in_once_for_two_that_fail_in_one_moment(house):
    alerts = "alerts: [{to: horn}, {to: post}]"
    told_by(house, "bell", "horn", "post", alerts=alerts, hub="STACKHUB_FALLBACK=bell\n")
    house["horn"].broken = house["post"].broken = ConfigError("401")
    async with house.hub() as hub:
        await fail(hub)
        await hub.until(lambda: house["bell"].order)
        await hub.rest()
        assert [one.route for one in await hub.messages() if one.instance == "bell"] == ["fallback:bell"]


async def test_a_fallback_joins_an_incident_though_it_had_moved_in_the_store(house):
    by_bell_alone(house, "horn")
    async with house.hub() as hub:
        await fail(hub)
        await hub.told()
        (incident,) = await hub.incidents()
        moved = replace(incident, version=incident.version + 5)
        values = {"version": moved.version, "data": dump(moved)}
        await hub.store.call(lambda connection: connection.execute(sa.update(t.incident).values(values)) and None)
        route, (told,) = hub.engine.in_force.fallback("bell"), await hub.messages()
        post = Post(route=route, seq=1, part=Part.ROOT, message=told.message, due=house.clock.now())
        known = hub.engine.incidents
        await known.keep([incident.key], lambda rows: [known.introduce(incident.id, post, rows)], hub.store)
        (now,) = await hub.incidents()
    assert now.version == moved.version + 1
    assert set(now.routes) == {"bell", "fallback:horn"}


async def test_a_fallback_has_no_fallback(house):
    by_bell_alone(house, "horn")
    house["bell"].broken = house["horn"].broken = Rejected("no")
    async with house.hub() as hub:
        await fail(hub)
        await hub.told(step=STRIDE)
        titles = [one.message.title for one in await hub.messages()]
        assert set(await states(hub)) == {"undeliverable"}
        assert sum(title.startswith("shop failed") for title in titles) == 2
        assert len(titles) == 5, "and that a route is dead is told once to each of the others"


# --- tests, and who is told ------------------------------------------------------------------------------------------


async def test_a_test_goes_down_each_route_and_takes_its_alarm_back(house):
    told_by(house, "bell", "horn", "post")
    async with house.hub() as hub:
        done = await hub.submit("test")
        await hub.told()
        assert done["routes"] == ["bell", "horn", "post"]
        assert await hub.incidents() == []
    assert order(house, "bell") == [("root", "test")]
    assert order(house, "horn") == [("root", "test"), ("root", "resolved")]
    assert order(house, "post") == [("entry", "test")]


async def test_a_silent_hub_decides_and_tells_nobody(house):
    told_by(house, "bell")
    async with house.hub(mute=True) as hub:
        await fail(hub)
        assert len(await hub.incidents()) == 1
        assert await hub.messages() == []


async def test_draining_waits_for_what_is_due(house):
    told_by(house, "bell")
    house["bell"].will("deliver", Unavailable("503"))
    async with house.hub() as hub:
        await fail(hub)
        await hub.now_until(lambda: house["bell"].count("deliver") == 1)
        await hub.rest()
        house.clock.pass_time(timedelta(seconds=30))
        assert await hub.engine.drained(2) == 0
    assert order(house, "bell") == [("root", "opened")]
