"""What people are told, on fake vendors that show it."""

import json
import re

import httpx
import pytest


class Vendors:
    """Slack and PagerDuty, from this test on."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._before = {name: len(self._all(name)) for name in ("slack", "pagerduty")}

    def shown(self, name: str) -> list[dict]:
        return self._all(name)[self._before[name] :]

    def _all(self, name: str) -> list[dict]:
        return httpx.get(f"{self._url}/_sandbox/{name}").json()["messages"]


@pytest.fixture
def vendors(directory, sandbox):
    sandbox.configure(directory, "slack", "pagerduty")
    return Vendors(sandbox.url)


@pytest.fixture
def served(start, monkeypatch):
    """Start a daemon when it is wanted."""
    monkeypatch.setenv("STACKHUB_PORT", "0")
    return lambda: start("serve", until="stackhub serves")


def test_a_run_delivers_its_alerts_before_it_ends(stackhub, vendors):
    ran = stackhub("run", "broken")
    assert ran.code == 1
    assert "told slack: broken failed: bad (opened)\n" in ran.out
    [message] = vendors.shown("slack")
    assert "broken failed: bad" in json.dumps(message)
    assert len(vendors.shown("pagerduty")) == 1
    [incident] = stackhub("alerts", "--json").json["incidents"]
    assert incident["title"] == "broken failed: bad"
    assert "broken failed: bad" in stackhub("alerts").out


def test_a_later_run_that_succeeds_resolves_what_an_earlier_one_opened(stackhub, vendors):
    assert stackhub("run", "broken").code == 1
    ran = stackhub("run", "broken", "--with", "bad.command=true")
    assert ran.code == 0
    assert "told slack: broken failed: bad (resolved)\n" in ran.out
    assert stackhub("alerts").out == "no open incidents\n"
    [message] = vendors.shown("slack")
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


def test_a_test_goes_down_each_route_with_a_daemon_or_without(stackhub, vendors, served):
    alone = stackhub("alerts", "test", "--json")
    assert alone.code == 0
    assert {(one["instance"], one["state"]) for one in alone.json} == {("slack", "sent"), ("pagerduty", "sent")}
    with served():
        tested = stackhub("alerts", "test", "broken")
        assert tested.code == 0, tested.out
        assert "slack      delivered  test" in tested.lines
    assert len(vendors.shown("slack")) == 2


def test_an_incident_is_closed_by_its_key_and_whoever_heard_is_told(stackhub, vendors, served):
    assert stackhub("run", "broken").code == 1
    with served():
        closed = stackhub("alerts", "close", "pipeline:broken", "--reason", "seen to")
        assert closed.code == 0
        assert stackhub("alerts", "close", "pipeline:broken").code == 2
    assert stackhub("alerts").out == "no open incidents\n"


def test_without_a_notifier_there_is_nothing_to_test(stackhub):
    tested = stackhub("alerts", "test")
    assert (tested.code, tested.err) == (2, "there is no route to test: no notifier has an env file\n")
    assert stackhub("alerts", "test", "nix").code == 2
