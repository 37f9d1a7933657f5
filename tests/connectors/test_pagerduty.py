"""PagerDuty, as the hub uses it: the contract, and what is PagerDuty's own."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stackhub.contract import (
    ConfigError,
    Connector,
    Event,
    Fact,
    Link,
    Message,
    Part,
    Probe,
    Promise,
    Rejected,
    Severity,
    Speaks,
    Unavailable,
)
from stackhub.contract.sandbox import Breaks, Fault, InboxVendor
from stackhub.testing import Clock, a_context, open_on, settings_from
from stackhub.testing.notifier import AWKWARD, NotifierContract
from stackhub_pagerduty import PagerDutyRoute, PagerDutySettings, connector
from stackhub_pagerduty.event import BODY, SUMMARY, event
from stackhub_pagerduty.sandbox import ROUTING_KEY, PagerDutyVendor

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)

FAILED = Message(
    incident="01INCIDENT",
    dedup="5f2d9c0e",
    part=Part.ROOT,
    event=Event.OPENED,
    severity=Severity.ERROR,
    title="revenue failed: fct_orders",
    summary="Tried 3 times.",
    facts=(Fact(label="Attempts", text="3 of 3"),),
    error='column "amount" does not exist',
    links=(Link(text="Run", url="https://hub.example/runs/1"),),
    at=AT,
    since=AT - timedelta(minutes=8),
    pipeline="revenue",
    source="hub.prod",
)
OVER = replace(FAILED, event=Event.RESOLVED)


@pytest.fixture
def vendor(clock):
    return PagerDutyVendor(clock.world())


@pytest.fixture
async def service(vendor, clock):
    async with open_on(connector, vendor, clock=clock) as opened:
        yield opened


def sent(vendor):
    return json.loads(vendor.bodies[-1])


def states(vendor):
    return [shown.lines[0] for shown in vendor.shown()]


class TestPagerDuty(NotifierContract):
    sends = "/v2/enqueue$"

    @pytest.fixture
    def notifier(self, service):
        return service

    @pytest.fixture
    def secrets(self):
        return (ROUTING_KEY,)


def test_it_is_a_connector_and_its_vendor_an_inbox(vendor):
    opened: Connector = connector
    assert (opened.name, dict(opened.operations), opened.route) == ("pagerduty", {}, PagerDutyRoute)
    assert isinstance(vendor, InboxVendor)
    assert isinstance(connector.sandbox(Clock().world()), PagerDutyVendor)


def test_the_rate_is_the_key_s_120_a_minute():
    limits = connector.limits(PagerDutySettings(routing_key=ROUTING_KEY, max_active=2))
    assert (limits.rate, limits.width) == (2.0, 2)


async def test_it_is_an_alarm_that_rings_once(service):
    assert (service.speaks, service.promise) == (Speaks.ALARM, Promise.ONCE)


@pytest.mark.parametrize("key", ["", "short", "x" * 20, "x" * 33, "é" * 32, "x" * 31 + "-"])
def test_a_routing_key_of_another_form_is_refused_and_not_shown(key):
    with pytest.raises(ValidationError, match="32 characters") as caught:
        PagerDutySettings(routing_key=key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("url", ["https://events.eu.pagerduty.com", "https://events.eu.pagerduty.com/v2/enqueue/"])
def test_the_url_may_be_the_endpoint_s_own(url):
    settings = PagerDutySettings(routing_key=f" {ROUTING_KEY}\n", api_url=url)
    assert settings.api_url == "https://events.eu.pagerduty.com"
    assert settings.routing_key.get_secret_value() == ROUTING_KEY


def test_a_severity_that_pagerduty_does_not_know_is_refused():
    with pytest.raises(ValidationError, match="severity"):
        PagerDutyRoute(severity="fatal")


async def test_a_trigger_says_what_where_and_how_bad(vendor, clock):
    settings = settings_from(connector, vendor.environment("http://vendor.test"))
    context = a_context(vendor, clock=clock, contact="https://hub.example")
    async with connector.open(settings, context) as opened:
        await opened.deliver(FAILED, None, "k", doubt=False)

    assert sent(vendor) == {
        "routing_key": ROUTING_KEY,
        "event_action": "trigger",
        "dedup_key": "5f2d9c0e",
        "payload": {
            "summary": "revenue failed: fct_orders: Tried 3 times.",
            "source": "hub.prod",
            "severity": "error",
            "timestamp": "2026-01-01T12:00:00+00:00",
            "component": "revenue",
            "group": "stackhub",
            "class": "pipeline",
            "custom_details": {
                "error": 'column "amount" does not exist',
                "Attempts": "3 of 3",
                "since": "2026-01-01T11:52:00+00:00",
                "incident": "01INCIDENT",
            },
        },
        "client": "stackhub",
        "client_url": "https://hub.example",
        "links": [{"href": "https://hub.example/runs/1", "text": "Run"}],
    }


async def test_a_worse_turn_rings_the_same_alert_and_a_resolve_ends_it(service, vendor):
    await service.deliver(FAILED, None, "k1", doubt=False)
    await service.deliver(replace(FAILED, event=Event.UPDATED, severity=Severity.CRITICAL), None, "k2", doubt=False)
    assert states(vendor) == ["open, error (triggered 2 times)"]

    await service.deliver(OVER, {"dedup_key": "5f2d9c0e"}, "k3", doubt=False)
    assert states(vendor) == ["resolved, error (triggered 2 times)"]
    assert set(sent(vendor)) == {"routing_key", "event_action", "dedup_key"}


async def test_a_resolve_that_was_overtaken_is_made_good_by_a_second(service, vendor):
    await service.deliver(OVER, None, "k2", doubt=False)  # arrives first, and is dropped
    await service.deliver(FAILED, None, "k1", doubt=True)
    await service.deliver(OVER, None, "k2", doubt=False)
    assert states(vendor) == ["resolved, error"]
    assert len(vendor.dropped) == 1


async def test_a_route_s_severity_overrides(service, vendor):
    route = PagerDutyRoute(severity="critical")
    await service.deliver(replace(FAILED, route=route), None, "k", doubt=False)
    assert sent(vendor)["payload"]["severity"] == "critical"


async def test_a_test_rings_as_softly_as_can_be_and_is_resolved_by_its_second_message(service, vendor):
    trial = replace(FAILED, event=Event.TEST, route=PagerDutyRoute(severity="critical"))
    await service.deliver(trial, None, "k1", doubt=False)
    assert (sent(vendor)["payload"]["severity"], sent(vendor)["payload"]["class"]) == ("info", "test")
    await service.deliver(replace(trial, event=Event.RESOLVED), None, "k2", doubt=False)
    assert states(vendor) == ["resolved, info"]


async def test_a_check_pages_nobody_and_says_what_it_could_not_try(service, vendor):
    assert isinstance(service, Probe)
    [found] = await service.check()
    assert found.ok
    assert "alerts test" in found.detail
    assert not vendor.requests


# --- refusals -------------------------------------------------------------------------------------------------------


async def test_an_invalid_event_is_refused_with_pagerduty_s_own_words(service, vendor):
    body = json.dumps({"status": "invalid event", "errors": ["'summary' is too long (maiximum is 1024 characters)"]})
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=400, body=body))
    with pytest.raises(Rejected, match=r"maiximum is 1024") as caught:
        await service.deliver(FAILED, None, "k", doubt=False)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, "Length of 'routing_key' is incorrect (should be 32 characters)"),
        (400, "Invalid routing key"),
        (403, "forbidden"),
        (404, "not found"),
    ],
)
async def test_a_key_that_is_refused_is_a_matter_of_configuration(service, vendor, status, body):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=status, body=body))
    with pytest.raises(ConfigError, match=r"PAGERDUTY_ROUTING_KEY.*Integration Key"):
        await service.deliver(FAILED, None, "k", doubt=False)


async def test_another_integration_s_key_is_refused(vendor, clock):
    async with open_on(connector, vendor, clock=clock, routing_key="x" * 32) as opened:
        with pytest.raises(ConfigError, match="Invalid routing key"):
            await opened.deliver(FAILED, None, "k", doubt=False)


async def test_too_many_events_wait_for_half_a_minute(service, vendor, clock):
    for number in range(120):
        await service.deliver(replace(FAILED, dedup=f"d{number}"), None, "k", doubt=False)
    with pytest.raises(Unavailable) as caught:
        await service.deliver(FAILED, None, "k", doubt=False)
    assert caught.value.retry_after == timedelta(seconds=30)
    clock.advance(caught.value.retry_after * 2)
    await service.deliver(FAILED, None, "k", doubt=False)
    assert len(vendor.shown()) == 121


# --- rendering ------------------------------------------------------------------------------------------------------

WORDS = st.one_of(
    st.text(st.characters(), max_size=60),
    st.builds(
        lambda piece, times: piece * times,
        st.sampled_from(["🧨", "\x01", "漢", '"', "\ud83d", "x"]),
        st.integers(0, 20_000),
    ),
)
MESSAGES = st.builds(
    Message,
    incident=WORDS,
    dedup=st.just("5f2d9c0e"),
    part=st.just(Part.ROOT),
    event=st.sampled_from(Event),
    severity=st.sampled_from(Severity),
    title=WORDS,
    summary=WORDS,
    facts=st.lists(st.builds(Fact, label=WORDS, text=WORDS), max_size=30).map(tuple),
    error=WORDS,
    links=st.lists(st.builds(Link, text=WORDS, url=WORDS.map("https://{}".format)), max_size=15).map(tuple),
    at=st.datetimes(timezones=st.just(UTC)),
    since=st.datetimes(timezones=st.just(UTC)),
    pipeline=WORDS,
    source=WORDS,
)


def valid(found):
    """Whether PagerDuty takes it, in the widest JSON there is."""
    body = json.dumps({"routing_key": ROUTING_KEY, **found})
    json.dumps(found, ensure_ascii=False).encode()  # as it is sent: no half of a character
    assert len(body) <= BODY
    if found["event_action"] == "trigger":
        assert 0 < len(found["payload"]["summary"]) <= SUMMARY
        assert found["payload"]["source"].strip()
        assert all(each["href"].startswith("http") and each["text"] for each in found.get("links", ()))


@given(MESSAGES, st.none() | st.sampled_from(Severity))
def test_any_message_is_within_pagerduty_s_limits(message, severity):
    valid(event(message, severity=severity, contact=""))


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD)
def test_the_largest_message_there_can_be_is_within_the_limits(text):
    facts = tuple(Fact(label=f"{number}{text}", text=text) for number in range(99))
    links = (Link(text=text, url=f"https://{text}"), Link(text=text, url="https://" + "漢" * 992)) * 20
    largest = replace(
        FAILED,
        incident=text,
        title=text,
        summary=text,
        facts=facts,
        error=text,
        links=links,
        pipeline=text,
        source=text,
    )
    valid(event(largest, severity=None, contact=""))


def test_a_summary_is_cut_by_characters_not_bytes():
    found = event(replace(FAILED, title="🧨" * 2_000), severity=None, contact="")
    assert found["payload"]["summary"] == "🧨" * 1_023 + "…"


def test_a_long_error_keeps_its_beginning_and_its_end():
    found = event(replace(FAILED, error=f"first {'x' * 50_000} last"), severity=None, contact="")
    error = found["payload"]["custom_details"]["error"]
    assert error.startswith("first")
    assert error.endswith("last")
    assert len(error) == 10_000


def test_facts_of_one_name_are_all_told_and_hide_no_error():
    facts = (Fact(label="Blocked", text="a"), Fact(label="Blocked", text="b"), Fact(label="error", text="c"))
    details = event(replace(FAILED, facts=facts), severity=None, contact="")["payload"]["custom_details"]
    assert details["Blocked"] == "a; b"
    assert details["error"] == 'column "amount" does not exist; c'
