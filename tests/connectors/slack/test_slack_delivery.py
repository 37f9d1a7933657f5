"""Slack: which channel, which message, and what is done in doubt."""

import json
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs

import pytest
from slack_incident import FAILED, OVER, RETRY, calls, refuse, sent

from stackhub.contract import (
    Promise,
    Rejected,
    Unavailable,
    Unsure,
)
from stackhub.contract.sandbox import Breaks, Fault
from stackhub.testing import open_on
from stackhub_slack import connector
from stackhub_slack.route import SlackRoute


async def test_a_name_is_looked_up_once_over_pages_that_hold_little_or_nothing(bot, vendor):
    for number in range(5):
        vendor.add_channel(f"team-{number}")
    route = SlackRoute(channel="#Team-4")

    await bot.deliver(replace(FAILED, route=route), None, "k1", doubt=False)
    listed = calls(vendor).count("conversations.list")
    await bot.deliver(replace(FAILED, route=route, dedup="other"), None, "k2", doubt=False)

    assert [shown.where for shown in vendor.shown()] == ["#team-4", "#team-4"]
    assert listed > 4
    assert calls(vendor).count("conversations.list") == listed


async def test_an_id_is_used_as_it_is(bot, vendor):
    place = vendor.add_channel("by-id")
    await bot.deliver(replace(FAILED, route=SlackRoute(channel=place.id)), None, "k", doubt=False)
    assert calls(vendor) == ["chat.postMessage"]
    assert vendor.shown()[0].where == "#by-id"


async def test_a_listing_cut_short_by_a_rate_limit_goes_on_where_it_stopped(bot, vendor):
    for number in range(9):
        vendor.add_channel(f"team-{number}")
    limited = Fault(breaks=Breaks.STATUS, status=429, headers={"Retry-After": "3"}, path="conversations.list", after=4)
    vendor.faults.append(limited)
    message = replace(FAILED, route=SlackRoute(channel="#team-8"))

    with pytest.raises(Unavailable) as caught:
        await bot.deliver(message, None, "k", doubt=False)
    assert caught.value.retry_after == timedelta(seconds=3)
    before = len(vendor.requests)
    await bot.deliver(message, None, "k", doubt=False)

    assert vendor.shown()[0].where == "#team-8"
    assert b"cursor=next" in vendor.bodies[before - 1]
    assert len(vendor.requests) - before == 5  # four pages are left of the eight, and the message


async def test_a_cursor_that_grew_old_starts_the_listing_anew(bot, vendor):
    refuse(vendor, "invalid_cursor", path="conversations.list")
    vendor.faults[0].after = 1
    await bot.deliver(FAILED, None, "k", doubt=False)
    assert vendor.shown()[0].where == "#data-alerts"


async def test_an_unknown_channel_is_refused_with_the_way_out(bot):
    with pytest.raises(Rejected, match=r"there is no #nowhere .*/invite"):
        await bot.deliver(replace(FAILED, route=SlackRoute(channel="#nowhere")), None, "k", doubt=False)


async def test_a_channel_that_no_listing_shows_is_posted_to_by_its_name(bot, vendor):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=404, path="conversations.list", times=9))

    receipt = await bot.deliver(FAILED, None, "k", doubt=False)

    assert vendor.shown()[0].where == "#data-alerts"
    assert receipt["channel"].startswith("C")


async def test_a_channel_made_after_a_refusal_is_found(bot, vendor):
    message = replace(FAILED, route=SlackRoute(channel="#late"))
    with pytest.raises(Rejected):
        await bot.deliver(message, None, "k", doubt=False)
    vendor.add_channel("late")
    await bot.deliver(message, None, "k", doubt=False)
    assert vendor.shown()[0].where == "#late"


async def test_a_channel_that_was_made_anew_is_looked_up_anew(bot, vendor):
    await bot.deliver(FAILED, None, "k1", doubt=False)
    old = next(channel for channel in vendor.channels.values() if channel.name == "data-alerts")
    old.archived = True
    new = vendor.add_channel("data-alerts")
    with pytest.raises(Rejected, match="archived"):
        await bot.deliver(replace(FAILED, dedup="other"), None, "k2", doubt=False)

    receipt = await bot.deliver(replace(FAILED, dedup="other"), None, "k2", doubt=False)

    assert receipt["channel"] == new.id


async def test_without_groups_read_public_channels_are_still_found(bot, vendor):
    vendor.scopes -= {"groups:read"}
    await bot.deliver(FAILED, None, "k", doubt=False)
    asked = [parse_qs(body.decode()).get("types") for body in vendor.bodies[:2]]
    assert asked == [["public_channel,private_channel"], ["public_channel"]]
    assert vendor.shown()[0].where == "#data-alerts"


async def test_without_any_listing_a_public_name_is_posted_to_as_it_is(bot, vendor):
    vendor.scopes -= {"groups:read", "channels:read"}
    receipt = await bot.deliver(FAILED, None, "k", doubt=True)
    assert vendor.shown()[0].where == "#data-alerts"
    assert receipt["channel"].startswith("C")
    assert bot.promise is Promise.AT_LEAST_ONCE


async def test_no_channel_at_all_is_refused_with_the_two_places_for_one(vendor, clock):
    async with open_on(connector, vendor, clock=clock, channel="") as opened:
        with pytest.raises(Rejected, match=r"channel:.*SLACK_CHANNEL"):
            await opened.deliver(FAILED, None, "k", doubt=False)


@pytest.mark.parametrize(
    ("member", "archived", "words"), [(False, False, "/invite"), (True, True, "unarchive it")], ids=["out", "archived"]
)
async def test_a_channel_that_cannot_be_posted_to_is_named_with_the_way_out(bot, vendor, member, archived, words):
    place = vendor.add_channel("closed", member=member, archived=archived)
    with pytest.raises(Rejected, match=words) as caught:
        await bot.deliver(replace(FAILED, route=SlackRoute(channel=place.id)), None, "k", doubt=False)
    assert place.id in str(caught.value)


@pytest.mark.parametrize("error", ["message_not_found", "cant_update_message", "edit_window_closed"])
async def test_a_message_that_cannot_be_edited_is_posted_anew(bot, vendor, error):
    receipt = await bot.deliver(FAILED, None, "k1", doubt=False)
    refuse(vendor, error, path="chat.update")

    renewed = await bot.deliver(OVER, receipt, "k2", doubt=False)

    assert renewed != receipt
    assert [shown.lines[0] for shown in vendor.shown()] == ["🔴 revenue failed: fct_orders", "✅ revenue is well"]


async def test_an_edit_brings_its_blocks_along(bot, vendor):
    receipt = await bot.deliver(FAILED, None, "k1", doubt=False)
    await bot.deliver(OVER, receipt, "k2", doubt=False)
    body = sent(vendor)
    assert body["text"]
    assert body["blocks"]
    assert (body["channel"], body["ts"]) == (receipt["channel"], receipt["ts"])


async def test_a_receipt_is_followed_even_when_the_route_has_moved(bot, vendor):
    receipt = await bot.deliver(FAILED, None, "k1", doubt=False)
    moved = SlackRoute(channel="#revenue-data")
    await bot.deliver(replace(OVER, route=moved), receipt, "k2", doubt=False)
    await bot.deliver(replace(RETRY, route=moved), receipt, "k3", doubt=False)
    [shown] = vendor.shown()
    assert (shown.where, shown.edits, len(shown.replies)) == ("#data-alerts", 1, 1)


async def test_a_line_of_history_without_its_message_goes_to_the_channel(bot, vendor):
    assert await bot.deliver(RETRY, None, "k", doubt=False) == {}
    assert "Second attempt failed" in vendor.shown()[0].lines[0]


@pytest.mark.parametrize("error", ["thread_not_found", "cannot_reply_to_message"])
async def test_a_line_of_history_whose_message_was_deleted_goes_to_the_channel(bot, vendor, error):
    receipt = await bot.deliver(FAILED, None, "k1", doubt=False)
    refuse(vendor, error, path="chat.postMessage")
    assert await bot.deliver(RETRY, receipt, "k2", doubt=False) == receipt
    assert len(vendor.shown()) == 2


async def test_a_message_in_doubt_is_found_among_many(bot, vendor, clock):
    await bot.deliver(FAILED, None, "k1", doubt=False)
    for number in range(7):
        clock.advance(1)
        await bot.deliver(replace(FAILED, dedup=f"other-{number}"), None, f"o{number}", doubt=False)

    receipt = await bot.deliver(FAILED, None, "k1", doubt=True)

    assert len(vendor.shown()) == 8
    await bot.deliver(OVER, receipt, "k2", doubt=False)
    assert vendor.shown()[0].edits == 1
    assert calls(vendor).count("conversations.history") >= 4  # two rows a page


async def test_what_is_in_doubt_is_found_though_our_clock_is_hours_ahead(bot, vendor):
    ahead = timedelta(hours=2)
    for doubt in (False, True):
        receipt = await bot.deliver(replace(FAILED, at=FAILED.at + ahead), None, "k1", doubt=doubt)
        await bot.deliver(replace(RETRY, at=RETRY.at + ahead), receipt, "k2", doubt=doubt)
    [shown] = vendor.shown()
    assert len(shown.replies) == 1


async def test_a_root_overtaken_while_in_doubt_is_edited_not_doubled(bot, vendor, clock):
    vendor.faults.append(Fault(breaks=Breaks.AFTER, path="chat.postMessage"))
    with pytest.raises(Unsure):
        await bot.deliver(FAILED, None, "k1", doubt=False)
    clock.advance(timedelta(hours=1))

    receipt = await bot.deliver(OVER, None, "k2", doubt=True)

    [shown] = vendor.shown()
    assert shown.lines[0] == "✅ revenue is well"
    assert receipt["ts"] == vendor.posted[0].ts


async def test_an_opening_in_doubt_takes_no_other_route_s_message_for_its_own(bot, vendor):
    await bot.deliver(FAILED, None, "route-1", doubt=False)
    await bot.deliver(FAILED, None, "route-2", doubt=True)
    assert len(vendor.shown()) == 2


async def test_a_line_of_history_is_never_taken_for_the_message_of_its_incident(bot, vendor):
    await bot.deliver(RETRY, None, "k1", doubt=False)
    receipt = await bot.deliver(OVER, None, "k2", doubt=True)
    assert len(vendor.shown()) == 2
    assert receipt["ts"] == vendor.posted[1].ts


async def test_an_edit_in_doubt_is_made_again(bot, vendor):
    receipt = await bot.deliver(FAILED, None, "k1", doubt=False)
    vendor.faults.append(Fault(breaks=Breaks.AFTER, path="chat.update"))
    with pytest.raises(Unsure):
        await bot.deliver(OVER, receipt, "k2", doubt=False)
    await bot.deliver(OVER, receipt, "k2", doubt=True)
    assert len(vendor.shown()) == 1


async def test_without_the_history_scope_it_is_sent_again_and_says_so(bot, vendor):
    assert bot.promise is Promise.LOOKED_UP
    vendor.scopes -= {"channels:history"}
    await bot.deliver(FAILED, None, "k", doubt=False)
    await bot.deliver(FAILED, None, "k", doubt=True)
    assert len(vendor.shown()) == 2
    assert bot.promise is Promise.AT_LEAST_ONCE


async def test_a_look_that_is_refused_for_now_sends_nothing(bot, vendor):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=429, path="conversations.history"))
    with pytest.raises(Unavailable):
        await bot.deliver(FAILED, None, "k", doubt=True)
    assert not vendor.shown()


async def test_a_cursor_that_leads_in_circles_ends_the_look(bot, vendor):
    body = json.dumps({"ok": True, "messages": [], "response_metadata": {"next_cursor": "again"}})
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=200, path="conversations.history", body=body, times=9))
    await bot.deliver(FAILED, None, "k", doubt=True)
    assert calls(vendor).count("conversations.history") == 2
