"""Slack: what a refusal means, by token and by webhook, and what a check says."""

from dataclasses import replace
from datetime import timedelta

import pytest
from slack_incident import FAILED, OVER, calls, refuse, sent

from stackhub.contract import (
    ConfigError,
    Part,
    Rejected,
    Speaks,
    Unavailable,
    Unsure,
)
from stackhub.contract.sandbox import Breaks, Fault
from stackhub.testing import open_on
from stackhub_slack import connector
from stackhub_slack.route import SlackRoute
from stackhub_slack.sandbox import HOOK


@pytest.mark.parametrize("error", ["invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"])
@pytest.mark.parametrize("edit", [False, True])
async def test_blocks_that_slack_refuses_are_sent_once_more_as_text(bot, vendor, error, edit):
    receipt = await bot.deliver(FAILED, None, "k1", doubt=False) if edit else None
    refuse(vendor, error)
    long = replace(FAILED, error="é" * 100_000, title="x" * 5_000)

    await bot.deliver(long, receipt, "k2", doubt=False)

    body = sent(vendor)
    assert "blocks" not in body
    assert len(body["text"].encode()) <= 4_000
    assert "Tried 3 times" in body["text"]
    assert len(vendor.shown()) == 1


async def test_text_that_slack_refuses_too_is_not_tried_a_third_time(bot, vendor):
    refuse(vendor, "invalid_blocks", times=9)
    with pytest.raises(Rejected, match="invalid_blocks"):
        await bot.deliver(FAILED, None, "k", doubt=False)
    assert calls(vendor).count("chat.postMessage") == 2


@pytest.mark.parametrize(
    "error", ["invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "no_permission"]
)
async def test_a_token_that_is_refused_is_a_matter_of_configuration(bot, vendor, error):
    refuse(vendor, error)
    with pytest.raises(ConfigError, match=f"SLACK_BOT_TOKEN: .*{error}"):
        await bot.deliver(FAILED, None, "k", doubt=False)


async def test_a_scope_that_is_missing_is_named(bot, vendor):
    vendor.scopes -= {"chat:write"}
    with pytest.raises(ConfigError, match="add the scope chat:write"):
        await bot.deliver(FAILED, None, "k", doubt=False)


@pytest.mark.parametrize("error", ["ratelimited", "rate_limited", "service_unavailable", "team_added_to_org"])
async def test_a_limit_or_a_rest_had_no_effect(bot, vendor, error):
    refuse(vendor, error)
    vendor.faults[0].headers = {"Retry-After": "9"}
    with pytest.raises(Unavailable, match=error) as caught:
        await bot.deliver(FAILED, None, "k", doubt=False)
    assert caught.value.retry_after == timedelta(seconds=9)


@pytest.mark.parametrize("error", ["fatal_error", "internal_error", "request_timeout"])
async def test_a_failure_inside_slack_may_have_had_its_effect(bot, vendor, error):
    refuse(vendor, error)
    with pytest.raises(Unsure, match=error):
        await bot.deliver(FAILED, None, "k", doubt=False)


@pytest.mark.parametrize("error", ["fatal_error", "internal_error", "request_timeout"])
async def test_a_failure_inside_slack_while_reading_had_none(bot, vendor, error):
    refuse(vendor, error, path="conversations")
    with pytest.raises(Unavailable, match=error):
        await bot.deliver(FAILED, None, "k", doubt=False)


async def test_a_word_nobody_has_heard_of_is_a_refusal_with_slack_s_own_words(bot, vendor):
    refuse(vendor, "moon_in_wrong_phase", response_metadata={"messages": ["[ERROR] wait for the new moon"]})
    with pytest.raises(Rejected, match=r"moon_in_wrong_phase.*new moon"):
        await bot.deliver(FAILED, None, "k", doubt=False)


async def test_a_channel_takes_one_message_a_second(bot, vendor, clock):
    vendor.paced = True
    await bot.deliver(FAILED, None, "k1", doubt=False)
    other = replace(FAILED, dedup="other")
    with pytest.raises(Unavailable) as caught:
        await bot.deliver(other, None, "k2", doubt=False)
    clock.advance(caught.value.retry_after)
    await bot.deliver(other, None, "k2", doubt=False)
    assert len(vendor.shown()) == 2


async def test_a_webhook_tells_each_state_in_full(webhook, vendor):
    assert webhook.speaks is Speaks.PLAIN
    assert await webhook.deliver(replace(FAILED, part=Part.ENTRY), None, "k1", doubt=False) == {}
    await webhook.deliver(replace(OVER, part=Part.ENTRY), None, "k2", doubt=False)
    opened, over = vendor.shown()
    assert 'column "amount" does not exist' in opened.lines
    assert over.lines[1].startswith("Resolved")


async def test_a_webhook_says_for_which_channel_a_message_is(webhook, vendor):
    await webhook.deliver(replace(FAILED, route=SlackRoute(channel="#revenue-data")), None, "k", doubt=False)
    assert vendor.shown()[0].lines[-1].endswith("for #revenue-data")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, "no_text", Rejected),
        (400, "too_many_attachments", Rejected),
        (403, "action_prohibited", ConfigError),
        (403, "invalid_token", ConfigError),
        (404, "no_service", ConfigError),
        (404, "channel_not_found", ConfigError),
        (410, "channel_is_archived", ConfigError),
        (429, "rate_limited", Unavailable),
        (500, "rollup_error", Unsure),
    ],
)
async def test_a_webhook_s_refusals_are_told_apart(webhook, vendor, status, body, kind):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=status, body=body))
    with pytest.raises(kind, match=body) as caught:
        await webhook.deliver(FAILED, None, "k", doubt=False)
    assert "s4ndb0x" not in str(caught.value)


async def test_a_webhook_s_blocks_are_sent_once_more_as_text(webhook, vendor):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=400, body="invalid_blocks"))
    await webhook.deliver(FAILED, None, "k", doubt=False)
    assert set(sent(vendor)) == {"text"}


async def test_a_webhook_is_posted_to_at_its_very_address(webhook, vendor):
    await webhook.deliver(FAILED, None, "k", doubt=False)
    assert vendor.requests == [("POST", HOOK)]


async def permissions(bot):
    return {permission.name: permission for permission in await bot.check()}


async def test_a_check_posts_nothing_and_names_whose_token_it_is(bot, vendor):
    found = await permissions(bot)
    assert "stackhub in Sandbox" in found["token"].detail
    assert found["#data-alerts"].detail == "the app is in it"
    assert not vendor.posted


@pytest.mark.parametrize(
    ("scope", "lost"),
    [("chat:write", "nothing can be posted"), ("channels:history", "sent twice"), ("channels:read", "by id")],
)
async def test_a_missing_scope_is_named_with_what_is_lost_and_the_way_to_it(bot, vendor, scope, lost):
    vendor.scopes -= {scope}
    found = (await permissions(bot))[scope]
    assert not found.ok
    assert lost in found.detail
    assert f"add {scope}" in found.remedy


async def test_a_check_says_when_the_app_is_not_in_its_channel(vendor, clock):
    async with open_on(connector, vendor, clock=clock, channel="#random") as opened:
        found = (await permissions(opened))["#random"]
        assert not found.ok
        assert "/invite" in found.remedy
        vendor.scopes.add("chat:write.public")
        assert (await permissions(opened))["#random"].ok


@pytest.mark.parametrize("channel", ["#nowhere", "C9999999999"])
async def test_a_check_says_when_there_is_no_such_channel(vendor, clock, channel):
    async with open_on(connector, vendor, clock=clock, channel=channel) as opened:
        found = (await permissions(opened))[channel]
    assert not found.ok
    assert "no" in found.detail


async def test_a_dead_webhook_is_known_before_it_is_needed(webhook, vendor):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=404, body="no_service"))
    [found] = await webhook.check()
    assert not found.ok
    assert "no_service" in found.detail
    assert "SLACK_WEBHOOK_URL" in found.remedy
    assert not vendor.posted
