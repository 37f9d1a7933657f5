"""What people are told: in order, in doubt, late, or visibly not at all."""

import itertools
from datetime import timedelta

import pytest
from engine.far_end import FAILED, Lost, Say, Stuck
from engine.telling import STRIDE, fail, order, states, told_by

from stackhub.contract import ConfigError, Unavailable, Unsure

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


async def test_nothing_is_said_in_a_thread_before_there_is_one(house):
    told_by(house, "bell")
    house["tap"].hold = True
    house["tap"].outcomes.clear()
    house["bell"].broken = Unavailable("503")
    async with house.hub() as hub:
        run = await hub.trigger("shop")
        await hub.until(lambda: len(house["tap"].running()) == 2)
        house["tap"].end("orders", FAILED)
        await hub.at(run, "orders", "failed")
        house["tap"].end("stripe", FAILED)
        await hub.ended(run)
        house["tap"].hold = False
        await fail(hub)
        house["bell"].broken = None
        await hub.told(step=STRIDE)
        assert [one.state for one in await hub.messages() if one.part == "root"] == ["superseded", "superseded", "sent"]
    assert order(house, "bell") == [("root", "resolved"), ("entry", "updated"), ("entry", "resolved")]


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
