"""What people are told, on fake vendors that show it."""

import json
import re

import httpx
import pytest


@pytest.fixture
def vendors(directory, start):
    """The sandbox's address, with Slack and PagerDuty configured."""
    with start("sandbox", "--port", "0", until="What has been asked of it", stream="stdout") as (_, said):
        text = "".join(said)
        for name, block in re.findall(r"^(slack|pagerduty)\.env:\n((?:  .*\n)+)", text, re.MULTILINE):
            (directory / f"{name}.env").write_text(re.sub(r"^  ", "", block, flags=re.MULTILINE))
            (directory / f"{name}.env").chmod(0o600)
        yield re.search(r"http://127.0.0.1:\d+", text)[0]


def shown(vendors, name):
    return httpx.get(f"{vendors}/_sandbox/{name}").json()["messages"]


def test_a_run_delivers_its_alerts_before_it_ends(stackhub, vendors):
    ran = stackhub("run", "broken")
    assert ran.code == 1
    assert "told slack: broken failed: bad (opened)\n" in ran.out
    [message] = shown(vendors, "slack")
    assert "broken failed: bad" in json.dumps(message)
    assert len(shown(vendors, "pagerduty")) == 1
    [incident] = stackhub("alerts", "--json").json["incidents"]
    assert incident["title"] == "broken failed: bad"
    assert "broken failed: bad" in stackhub("alerts").out


def test_a_later_run_that_succeeds_resolves_what_an_earlier_one_opened(stackhub, vendors):
    assert stackhub("run", "broken").code == 1
    ran = stackhub("run", "broken", "--with", "bad.command=true")
    assert ran.code == 0
    assert "told slack: broken failed: bad (resolved)\n" in ran.out
    assert stackhub("alerts").out == "no open incidents\n"
    [message] = shown(vendors, "slack")
    assert message["edits"] == 1


def test_what_could_not_be_told_is_said_and_stays_visible(stackhub, vendors, directory, monkeypatch):
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-of-somebody-else")
    tested = stackhub("alerts", "test")
    assert tested.code == 1
    assert re.search(r"slack +undelivered +test: .*invalid_auth", tested.out)
    assert re.search(r"pagerduty +delivered +test", tested.out)
    listed = stackhub("alerts", "list")
    assert "! slack could not be told (is tried again): A test from stackhub: " in listed.out
    assert [one["instance"] for one in stackhub("alerts", "--json").json["undelivered"]] == ["slack"]


def test_a_test_goes_down_each_route_with_a_daemon_or_without(stackhub, vendors, start, monkeypatch):
    alone = stackhub("alerts", "test", "--json")
    assert alone.code == 0
    assert {(one["instance"], one["state"]) for one in alone.json} == {("slack", "sent"), ("pagerduty", "sent")}
    monkeypatch.setenv("STACKHUB_PORT", "0")
    with start("serve", until="stackhub serves"):
        served = stackhub("alerts", "test", "broken")
        assert served.code == 0, served.out
        assert "slack      delivered  test" in served.lines
    assert len(shown(vendors, "slack")) == 2


def test_an_incident_is_closed_by_its_key_and_whoever_heard_is_told(stackhub, vendors, start, monkeypatch):
    assert stackhub("run", "broken").code == 1
    monkeypatch.setenv("STACKHUB_PORT", "0")
    with start("serve", until="stackhub serves"):
        closed = stackhub("alerts", "close", "pipeline:broken", "--reason", "seen to")
        assert closed.code == 0
        assert stackhub("alerts", "close", "pipeline:broken").code == 2
    assert stackhub("alerts").out == "no open incidents\n"


def test_without_a_notifier_there_is_nothing_to_test(stackhub):
    tested = stackhub("alerts", "test")
    assert (tested.code, tested.err) == (2, "there is no route to test: no notifier has an env file\n")
    assert stackhub("alerts", "test", "nix").code == 2
