"""Slack, as the hub uses it: the contract, the settings, and how it looks."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError
from slack_incident import FAILED, OVER, RETRY, sent

from stackhub.contract import (
    Connector,
    Event,
    Promise,
    Severity,
)
from stackhub.contract.sandbox import InboxVendor
from stackhub.testing import Clock, ProbeContract
from stackhub.testing.notifier import NotifierContract
from stackhub_slack import SlackSettings, connector
from stackhub_slack.route import SlackRoute
from stackhub_slack.sandbox import HOOK, TOKEN, SlackVendor


class TestBot(NotifierContract):
    sends = r"chat\.(postMessage|update)$"

    @pytest.fixture
    def notifier(self, bot):
        return bot

    @pytest.fixture
    def secrets(self):
        return (TOKEN,)


class TestBotWithoutHistory(NotifierContract):
    sends = r"chat\.(postMessage|update)$"
    test_a_text_of_any_length_and_kind_is_delivered_and_calls_nobody = None  # no text depends on what may be read

    @pytest.fixture
    def notifier(self, bot, vendor):
        vendor.scopes -= {"channels:history", "groups:history"}
        bot.promise = Promise.AT_LEAST_ONCE  # what it finds out as soon as it looks; the suite asks before
        return bot

    @pytest.fixture
    def secrets(self):
        return (TOKEN,)


class TestWebhook(NotifierContract):
    sends = HOOK

    @pytest.fixture
    def notifier(self, webhook):
        return webhook

    @pytest.fixture
    def secrets(self):
        return (HOOK, HOOK.rpartition("/")[2])


class TestBotProbe(ProbeContract):
    @pytest.fixture
    def probe(self, bot):
        return bot

    @pytest.fixture
    def secrets(self):
        return (TOKEN,)


class TestWebhookProbe(ProbeContract):
    @pytest.fixture
    def probe(self, webhook):
        return webhook

    @pytest.fixture
    def secrets(self):
        return (HOOK, HOOK.rpartition("/")[2])


def test_it_is_a_connector_and_its_vendor_an_inbox(vendor):
    opened: Connector = connector
    assert (opened.name, dict(opened.operations), opened.route) == ("slack", {}, SlackRoute)
    assert isinstance(vendor, InboxVendor)
    assert isinstance(connector.sandbox(Clock().world()), SlackVendor)


def test_width_is_as_set_and_the_rate_is_one_a_second():
    limits = connector.limits(SlackSettings(bot_token="xoxb-1", max_active=2))
    assert (limits.rate, limits.width) == (1.0, 2)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "set SLACK_BOT_TOKEN"),
        ({"bot_token": " ", "webhook_url": ""}, "set SLACK_BOT_TOKEN"),
        ({"bot_token": "xoxb-1", "webhook_url": "https://hooks.slack.com/services/T/B/x"}, "either"),
        ({"bot_token": "xapp-1"}, "app-level token"),
        ({"bot_token": "xoxb-1", "app_token": "xoxb-1"}, "begins with xapp-"),
        ({"bot_token": "xoxb-1", "signing_secret": "xapp-1"}, "is no token"),
        ({"bot_token": "xoxb-1 # the bot"}, "one word"),
        ({"webhook_url": "hooks.slack.com/services/T/B/x"}, "with all that follows"),
        ({"webhook_url": "https://hooks.slack.com"}, "with all that follows"),
        ({"bot_token": "xoxb-1", "channel": "two words"}, "#name"),
    ],
)
def test_settings_that_cannot_work_say_what_to_write(fields, words):
    with pytest.raises(ValidationError, match=words) as caught:
        SlackSettings(**fields)
    assert "xapp-1" not in str(caught.value)
    assert "/T/B/x" not in str(caught.value)


def test_a_token_s_blanks_are_dropped():
    assert SlackSettings(bot_token=" xoxb-1\n").bot_token.get_secret_value() == "xoxb-1"


@pytest.mark.parametrize("mention", ["@her", "ops", "<!here>", "@here,@channel", "#general"])
def test_a_mention_that_calls_nobody_is_refused(mention):
    with pytest.raises(ValidationError, match="nobody whom Slack can call"):
        SlackRoute(mention=mention)


@pytest.mark.parametrize(
    ("mention", "markup"),
    [
        ("@here", "<!here>"),
        ("U0123456789", "<@U0123456789>"),
        ("@S0123456789 @channel", "<!subteam^S0123456789> <!channel>"),
    ],
)
async def test_a_mention_calls_when_an_incident_opens_and_not_when_it_is_over(bot, vendor, mention, markup):
    route = SlackRoute(mention=mention)
    receipt = await bot.deliver(replace(FAILED, route=route), None, "k1", doubt=False)
    assert markup in json.dumps(sent(vendor)["blocks"])

    await bot.deliver(replace(OVER, route=route), receipt, "k2", doubt=False)
    assert markup not in json.dumps(sent(vendor))


async def test_an_open_incident_reads_from_what_to_where(bot, vendor):
    await bot.deliver(FAILED, None, "k1", doubt=False)

    [shown] = vendor.shown()
    assert shown.where == "#data-alerts"
    assert shown.lines == (
        "🔴 revenue failed: fct_orders",
        "Tried 3 times; the next run is at 07:00.",
        "Attempts: 3 of 3",
        "Blocked: Revenue dashboard",
        'column "amount" does not exist',
        "Run",
        "critical  ·  since 2026-01-01 11:52 UTC  ·  revenue  ·  stackhub",
    )


async def test_a_resolved_incident_is_the_same_message_green_timed_and_struck(bot, vendor):
    receipt = await bot.deliver(FAILED, None, "k1", doubt=False)
    await bot.deliver(RETRY, receipt, "k2", doubt=False)

    assert await bot.deliver(OVER, receipt, "k3", doubt=False) == receipt

    [shown] = vendor.shown()
    assert shown.lines[0] == "✅ revenue is well"
    assert shown.lines[1].startswith("Resolved 2026-01-01 13:04 UTC, after 1 h 12 min.")
    assert shown.lines[-1].startswith("~critical~  ·  since")
    assert shown.replies == (
        ("2026-01-01 12:00 UTC  🔴 Second attempt failed: Tried 3 times; the next run is at 07:00.  ·  Run",),
    )
    assert shown.edits == 1


@pytest.mark.parametrize(
    ("severity", "emoji"), [("info", "🔵"), ("warning", "🟡"), ("error", "🟠"), ("critical", "🔴")]
)
async def test_the_colour_says_how_bad_it_is(bot, vendor, severity, emoji):
    await bot.deliver(replace(FAILED, severity=Severity(severity)), None, "k", doubt=False)
    assert vendor.shown()[0].lines[0].startswith(emoji)


async def test_a_test_says_that_nothing_is_wrong(bot, vendor):
    await bot.deliver(replace(FAILED, event=Event.TEST), None, "k", doubt=False)
    [shown] = vendor.shown()
    assert shown.lines[0].startswith("🧪")
    assert "nothing is wrong" in shown.lines[-1]


async def test_times_are_in_each_reader_s_own_zone(bot, vendor):
    await bot.deliver(FAILED, None, "k", doubt=False)
    since = int(FAILED.since.timestamp())
    small_print = sent(vendor)["blocks"][-1]["elements"][0]["text"]
    assert f"<!date^{since}^{{date_short_pretty}} {{time}}|2026-01-01 11:52 UTC>" in small_print


async def test_nothing_in_a_text_becomes_a_mention_by_itself(bot, vendor):
    await bot.deliver(replace(FAILED, error="@channel <!channel>"), None, "k", doubt=False)
    body = sent(vendor)
    assert (body["parse"], body["link_names"]) == ("none", False)
    texts = [block["text"] for block in body["blocks"] if block["type"] == "section" and "text" in block]
    assert texts
    assert all(text["verbatim"] for text in texts)
    assert "<!channel>" not in json.dumps(body)
