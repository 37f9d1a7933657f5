"""Who may ask."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.server.guard import MOST, Asked, judge

TOKEN = "an-api-token"
API = "/api/v1/pipelines/shop/trigger"


def asked(method="POST", path=API, client="127.0.0.1", **headers) -> Asked:
    given = {"host": "127.0.0.1:8787", **{name.replace("_", "-"): value for name, value in headers.items()}}
    kept = {name: value if isinstance(value, list) else [value] for name, value in given.items() if value is not None}
    return Asked(method=method, path=path, headers=kept, client=client)


def status(request: Asked, token=None, *, trusted=False):
    refusal = judge(request, token, trusted=trusted)
    return refusal.status if refusal else None


# --- with a token ----------------------------------------------------------------------------------------------------


def test_with_the_token_anybody_may_ask_by_any_name():
    request = asked(client="203.0.113.7", host="hub.example.com", authorization=f"Bearer {TOKEN}")
    assert status(request, TOKEN) is None


def test_the_word_bearer_is_written_in_any_case():
    assert status(asked(authorization=f"bearer {TOKEN}"), TOKEN) is None


@pytest.mark.parametrize(
    "shown", [None, "", TOKEN, "Bearer", "Bearer ", f"Basic {TOKEN}", "Bearer é", [f"Bearer {TOKEN}", "Bearer x"]]
)
def test_without_the_token_nobody_may_ask(shown):
    assert status(asked(authorization=shown), TOKEN) == 401


@given(st.text(string.printable, min_size=1))
def test_no_other_token_passes(other):
    passed = status(asked(authorization=f"Bearer {other}"), TOKEN) is None
    assert passed == (other.strip() == TOKEN)


def test_reading_needs_the_token_as_well():
    assert status(asked("GET", "/api/v1/runs"), TOKEN) == 401
    assert status(asked("GET", "/"), TOKEN) == 401
    assert status(asked("GET", "/api/openapi.json"), TOKEN) == 401


# --- without one -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8787", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8787"])
def test_this_machine_may_ask_by_its_own_names(host):
    assert status(asked(host=host)) is None


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "hub.example.com",
        "127.0.0.1.example.com",
        "localhost.example.com:8787",
        "example.com:127.0.0.1",
        "localhost:x",
        "[::1",
        "[::1]x",
        "[localhost]",
        "0.0.0.0",
        "192.168.0.4:8787",
        "localhost@example.com",
        ["localhost", "example.com"],
    ],
)
def test_a_name_that_somebody_points_at_us_is_not_answered(host):
    assert status(asked(host=host)) == 403
    assert status(asked("GET", "/api/v1/runs", host=host)) == 403


@pytest.mark.parametrize("client", [None, "192.168.0.4", "203.0.113.7", "2001:db8::1"])
def test_other_machines_may_not_ask(client):
    assert status(asked(client=client)) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", ["same-origin", "cross-site"], "", "none "])
def test_a_page_of_another_site_may_not_ask(site):
    assert status(asked(sec_fetch_site=site)) == 403
    assert status(asked("GET", "/api/v1/runs", sec_fetch_site=site, sec_fetch_mode="cors")) == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://example.com",
        "null",
        "",
        "http://127.0.0.1:3000",
        "http://localhost:8787",
        "http://127.0.0.1:8787.example.com",
        ["http://127.0.0.1:8787", "http://example.com"],
    ],
)
def test_another_origin_may_not_ask(origin):
    assert status(asked(origin=origin)) == 403


def test_our_own_page_may_ask():
    headers = {"origin": "http://127.0.0.1:8787", "sec_fetch_site": "same-origin", "content_type": "application/json"}
    assert status(asked(**headers)) is None


def test_a_link_to_us_may_be_followed_but_not_posted():
    assert status(asked("GET", "/", sec_fetch_site="cross-site", sec_fetch_mode="navigate")) is None
    assert status(asked("POST", API, sec_fetch_site="cross-site", sec_fetch_mode="navigate")) == 403


# --- forms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "",
        ["application/json", "text/plain"],
    ],
)
def test_what_a_form_can_send_is_refused(kind, token):
    request = asked(content_type=kind, authorization=f"Bearer {TOKEN}")
    assert status(request, token) == 415


def test_a_body_without_a_kind_is_refused():
    assert status(asked(content_length="2")) == 415
    assert status(asked(transfer_encoding="chunked")) == 415


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_and_nothing_pass(kind):
    assert status(asked(content_type=kind, content_length="2")) is None
    assert status(asked(content_length="0")) is None
    assert status(asked()) is None


# --- what is open ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/hooks/fivetran", "/hooks/airbyte/secret"])
def test_probes_and_hooks_need_no_token(path):
    request = asked("POST", path, client="203.0.113.7", host="hub.example.com", content_type="text/plain")
    assert status(request, TOKEN) is None
    assert status(request, None) is None


@pytest.mark.parametrize("path", ["/hooks", "/metrics/", "/livez/x", "//livez", "/api/v1/hooks/x", "/hook/x"])
def test_nothing_beside_them_is_open(path):
    assert status(asked("GET", path), TOKEN) == 401


def test_the_socket_needs_nothing():
    assert status(asked(client=None, host=None, content_type="text/plain"), TOKEN, trusted=True) is None


# --- in front of the app ---------------------------------------------------------------------------------------------


async def test_a_body_that_is_too_long_goes_no_further(ground):
    long = b'{"only": ["' + b"x" * MOST + b'"]}'
    async with ground.ask() as client:
        told = await client.post(API, content=long, headers={"content-type": "application/json"})
        heard = await client.post("/hooks/toy", content=long)
    assert (told.status_code, heard.status_code) == (413, 413)
    assert ground.toy.heard == []


async def test_a_body_that_grows_beyond_the_limit_goes_no_further(ground):
    async def drops():
        for _ in range(12):
            yield b"x" * 100_000

    async with ground.ask() as client:
        heard = await client.post("/hooks/toy", content=drops())
    assert heard.status_code == 413
    assert ground.toy.heard == []


async def test_every_answer_bears_the_headers_that_browsers_heed(shared):
    answers = [await shared.get("/"), await shared.get("/nowhere"), await shared.post("/", data={"a": "b"})]
    assert [answer.status_code for answer in answers] == [200, 404, 415]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
