"""Signed requests, and what they hand on."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.decide.payload import MANY, NAME, values
from stackhub.decide.signed import key, sign, verified
from stackhub.errors import Refused, Rejected

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
SECRET = "correct-horse-battery-staple"
FIVE = timedelta(minutes=5)


def request(body=b"{}", at=NOW, secret=SECRET, id_="msg_1", **changed):
    headers = {
        "webhook-id": id_,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": sign(secret, id_, at, body),
    }
    return {**headers, **{name.replace("_", "-"): value for name, value in changed.items()}}


def test_the_example_of_the_specification_verifies():
    """As its reference libraries are tested with (svix, standard-webhooks)."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    at = datetime.fromtimestamp(1614265330, UTC)
    assert verified(secret, headers, b'{"test": 2432232314}', at, FIVE) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


@pytest.mark.parametrize("apart", [timedelta(), FIVE, -FIVE])
def test_a_request_is_believed_as_long_as_its_time_is_near(apart):
    assert verified(SECRET, request(at=NOW - apart), b"{}", NOW, FIVE) == "msg_1"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        request(at=NOW - FIVE - timedelta(seconds=1)),
        request(at=NOW + FIVE + timedelta(seconds=1)),
        request(body=b"{ }"),
        request(secret="another"),
        request(webhook_id="msg_2"),
        request(webhook_timestamp="1"),
        request(webhook_timestamp="\N{SUPERSCRIPT TWO}"),
        request(webhook_timestamp="9" * 40),
        request(webhook_timestamp="-1"),
        request(webhook_signature="v1,"),
        request(webhook_signature="v1,%%%"),
        request(webhook_signature="v2," + request()["webhook-signature"][3:]),
        request(webhook_id="x" * 300),
        {name: value for name, value in request().items() if name != "webhook-id"},
    ],
)
def test_all_else_is_refused_alike(headers):
    with pytest.raises(Rejected, match="the signature is missing or wrong") as caught:
        verified(SECRET, headers, b"{}", NOW, FIVE)
    assert caught.value.status == 401


def test_one_of_several_signatures_is_enough_while_a_secret_is_changed():
    both = f"v1,{base64.b64encode(b'x' * 32).decode()} {request()['webhook-signature']}"
    assert verified(SECRET, request(webhook_signature=both), b"{}", NOW, FIVE) == "msg_1"


def test_a_secret_may_be_written_in_base64():
    assert key("whsec_" + base64.b64encode(b"key").decode()) == b"key"


@given(st.binary(max_size=200), st.integers(0, 199), st.integers(1, 255))
def test_no_other_body_passes(body, at, by):
    headers = request(body=body)
    assert verified(SECRET, headers, body, NOW, FIVE) == "msg_1"
    if body:
        other = bytearray(body)
        other[at % len(body)] ^= by
        with pytest.raises(Rejected):
            verified(SECRET, headers, bytes(other), NOW, FIVE)


# --- what is handed on -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ({}, {}),
        (
            {"day": "2026-11-02", "n": 7, "ok": True, "none": None},
            {"day": "2026-11-02", "n": "7", "ok": "true", "none": ""},
        ),
        ({"order": {"id": 7, "by": {"name": "ada"}}}, {"order.id": "7", "order.by.name": "ada"}),
        ({"files": ["a", "b c"]}, {"files": '["a","b c"]'}),
        ({"event-type": "x", "1st": "y", "": "z"}, {"event_type": "x", "_1st": "y", "_": "z"}),
        ({"a.b": "x"}, {"a.b": "x"}),
        ({"nul": "a\0b", "empty": {}}, {"nul": "a\N{REPLACEMENT CHARACTER}b", "empty": "{}"}),
    ],
)
def test_an_object_becomes_names_and_texts(payload, found):
    assert values(payload) == found
    assert values(values(payload)) == found


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({f"n{number}": 1 for number in range(MANY + 1)}, "more than 200 values"),
        ({"a": "x" * 10_001}, "a has 10001 characters"),
        ({"a-b": 1, "a_b": 2}, "two values are named a_b"),
    ],
)
def test_what_is_too_much_is_refused(payload, why):
    with pytest.raises(Refused, match=why):
        values(payload)


jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=8), jsons, max_size=5))
def test_whatever_is_sent_becomes_names_that_options_can_hold_or_is_refused(payload):
    try:
        found = values(payload)
    except Refused:
        return
    assert all(NAME.fullmatch(name) for name in found)
    assert all(isinstance(value, str) and "\0" not in value for value in found.values())
