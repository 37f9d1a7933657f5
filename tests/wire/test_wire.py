"""The wire: what an error means depends on the method and on whether bytes went out."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub import wire
from stackhub.contract import ConfigError, LostLane, Rejected, Unavailable, Unsure
from stackhub.testing import a_context

URL = "http://vendor.test"
SECRET = "s3cret-token-of-ours"
READS = ["get", "ask"]
VERBS = [*READS, "send"]


async def call(opened, verb, path="/x", **request):
    if verb == "send":
        return await opened.send("POST", path, **request)
    return await getattr(opened, verb)(path, **request)


def requests(router):
    return len(router.calls)


# --- what a status means ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", [408, 425, 429, 503])
async def test_later_is_unavailable_with_the_wait_and_is_never_repeated(router, ours, clock, verb, status):
    router.route().respond(status, headers={"Retry-After": "7"})

    with pytest.raises(Unavailable) as caught:
        await call(ours, verb)

    assert caught.value.retry_after == timedelta(seconds=7)
    assert (requests(router), clock.slept) == (1, [])


@pytest.mark.parametrize("verb", READS)
@pytest.mark.parametrize("status", [500, 501, 502, 504, 599])
async def test_a_read_that_finds_a_broken_server_is_tried_a_few_times(router, ours, clock, verb, status):
    router.route().respond(status)

    with pytest.raises(Unavailable, match=str(status)):
        await call(ours, verb)

    assert requests(router) == wire.TRIES
    assert len(clock.slept) == wire.TRIES - 1  # by the context's sleep, which takes no time here


@pytest.mark.parametrize("verb", READS)
async def test_a_read_that_gets_through_in_the_end_is_no_error(router, ours, verb):
    router.route().mock(side_effect=[httpx.ReadError("cut"), httpx.Response(502), httpx.Response(200, json={"a": 1})])

    assert (await call(ours, verb)).object() == {"a": 1}


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_send_answered_by_a_broken_server_may_have_had_its_effect(router, ours, status):
    router.route().respond(status)

    with pytest.raises(Unsure, match=str(status)):
        await call(ours, "send")

    assert requests(router) == 1


@pytest.mark.parametrize("verb", VERBS)
async def test_401_is_a_persons_to_mend(router, ours, verb):
    router.route().respond(401)

    with pytest.raises(ConfigError, match="credentials are refused"):
        await call(ours, verb)

    assert requests(router) == 1


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed_with_our_credentials(router, ours, verb, status):
    elsewhere = router.route(host="elsewhere.test").respond(200)
    router.route().respond(status, headers={"Location": "http://elsewhere.test/x"})

    with pytest.raises(ConfigError, match="redirects"):
        await call(ours, verb)

    assert not elsewhere.called


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 422])
async def test_any_other_refusal_is_rejected_in_the_vendors_words(router, ours, verb, status):
    router.route().respond(status, text="no such thing here")

    with pytest.raises(Rejected, match="no such thing here") as caught:
        await call(ours, verb)

    assert (caught.value.status, caught.value.body) == (status, "no such thing here")
    assert requests(router) == 1


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", [302, 401, 404, 409, 429, 500])
async def test_a_status_the_verb_accepts_is_its_own_to_read(router, ours, verb, status):
    router.route().respond(status, text="as it is")

    reply = await call(ours, verb, accept={status})

    assert (reply.status, reply.text) == (status, "as it is")


# --- what a body means ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "error"), [("get", Unavailable), ("ask", Unavailable), ("send", Unsure)])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"half": ', b"\xff\xfe\x00", b"[" * 100_000, b"[1]", b"null"])
async def test_an_unreadable_answer_is_no_answer(router, ours, verb, error, body):
    router.route().respond(200, content=body)
    reply = await call(ours, verb)

    with pytest.raises(error, match="answered 200"):
        reply.object()


@pytest.mark.parametrize(("verb", "error"), [("get", Unavailable), ("send", Unsure)])
async def test_an_answer_that_cannot_be_unpacked_is_no_answer(router, ours, verb, error):
    router.route().mock(
        side_effect=lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Chunks(b"not gzip"))
    )

    with pytest.raises(error):
        await call(ours, verb)


@pytest.mark.parametrize(("verb", "error"), [("get", Unavailable), ("send", Unsure)])
async def test_no_more_than_32_mb_are_read(router, ours, verb, error):
    endless = Chunks(bytes(2**20), times=1000)
    router.route().mock(side_effect=lambda _: httpx.Response(200, stream=endless))

    with pytest.raises(error, match="more than 32 MB"):
        await call(ours, verb)

    assert endless.taken == 33


async def test_32_mb_are_read(router, ours):
    router.route().mock(side_effect=lambda _: httpx.Response(200, stream=Chunks(bytes(2**20), times=32)))

    assert len((await call(ours, "get")).body) == wire.MOST


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
async def test_200_characters_of_a_bad_body_are_quoted(router, ours, verb, status):
    router.route().respond(status, text="~" * 5000)

    with pytest.raises((Unavailable, Unsure, Rejected, ConfigError)) as caught:
        (await call(ours, verb)).object()

    assert str(caught.value).count("~") == wire.QUOTE - 1  # and an ellipsis


@given(st.text(), st.integers(min_value=1, max_value=300))
def test_a_quote_is_one_line_and_no_longer_than_allowed(text, most):
    quoted = wire.quote(text, most)

    assert len(quoted) <= most
    assert len(quoted.splitlines()) <= 1


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", [200, 302, 400, 401, 429, 500])
@pytest.mark.parametrize("before", [0, 190, 199])
async def test_a_secret_does_not_leave_in_an_error_whole_or_cut(router, ours, verb, status, before):
    router.route().respond(status, text="." * before + SECRET)

    with pytest.raises((Unavailable, Unsure, Rejected, ConfigError)) as caught:
        (await call(ours, verb, path=f"/x/{SECRET}")).object()

    shown = f"{caught.value!s} {caught.value!r} {getattr(caught.value, 'body', '')}"
    assert not [n for n in range(3, len(SECRET) + 1) if SECRET[:n] in shown]


async def test_a_secret_does_not_leave_in_a_transports_words(router, ours):
    router.route().mock(side_effect=httpx.ConnectError(f"cannot reach {SECRET}"))

    with pytest.raises(Unavailable, match=r"\*\*\*") as caught:
        await call(ours, "get")

    assert SECRET not in str(caught.value)


# --- Retry-After ------------------------------------------------------------------------------------------------------

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", timedelta(seconds=7)),
        ("0", timedelta()),
        ("1.5", timedelta(seconds=1.5)),
        ("-7", timedelta()),
        ("Thu, 01 Jan 2026 12:00:30 GMT", timedelta(seconds=30)),
        ("Thu, 01 Jan 2026 14:00:30 +0200", timedelta(seconds=30)),
        ("Thu, 01 Jan 2026 11:00:00 GMT", timedelta()),
        ("Thu, 01 Jan 2026 12:00:30 -0000", timedelta(seconds=30)),
        ("1e9", timedelta(hours=1)),
        ("Thu, 01 Jan 2099 12:00:00 GMT", timedelta(hours=1)),
        ("soon", None),
        ("", None),
        (None, None),
        ("inf", None),
        ("nan", None),
        ("1e999", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value, wait):
    assert wire.rest(value, NOON) == wait


@given(st.one_of(st.text(max_size=40), st.floats().map(str), st.integers().map(str)))
def test_no_retry_after_is_an_error_and_none_is_out_of_bounds(value):
    wait = wire.rest(value, NOON)

    assert wait is None or timedelta() <= wait <= wire.LONGEST_REST


async def test_a_date_in_retry_after_is_counted_by_the_contexts_clock(router, ours, clock):
    router.route().respond(429, headers={"Retry-After": "Thu, 01 Jan 2026 12:00:30 GMT"})
    clock.advance(10)

    with pytest.raises(Unavailable) as caught:
        await call(ours, "get")

    assert caught.value.retry_after == timedelta(seconds=20)


# --- the gate ---------------------------------------------------------------------------------------------------------


async def test_every_request_passes_the_gate_and_only_reads_wait_there(router, clock):
    router.route().mock(side_effect=[httpx.Response(500), httpx.Response(200), httpx.Response(200)])
    passed = []

    async def gate(*, wait):
        passed.append(wait)

    transport = httpx.MockTransport(router.async_handler)
    async with wire.connect(a_context(clock=clock, transport=transport, gate=gate), url=URL) as opened:
        await opened.get("/x")
        await opened.send("POST", "/x")

    assert passed == [True, True, False]


@pytest.mark.parametrize("verb", VERBS)
async def test_a_lost_lane_sends_nothing(router, clock, verb):
    async def gate(*, wait):
        raise LostLane

    transport = httpx.MockTransport(router.async_handler)
    async with wire.connect(a_context(clock=clock, transport=transport, gate=gate), url=URL) as opened:
        with pytest.raises(LostLane):
            await call(opened, verb)

    assert requests(router) == 0


# --- what goes out ----------------------------------------------------------------------------------------------------


async def test_what_is_asked_for_goes_out_as_it_was_asked(router, ours):
    asked = router.route(method="PUT", path="/x", params={"a": "1"}, headers={"X-Ours": "yes"}, json={"b": 2})
    asked.respond(204)

    reply = await ours.send("PUT", "/x", params={"a": 1}, headers={"X-Ours": "yes"}, body={"b": 2})

    assert (reply.status, reply.body) == (204, b"")
    assert asked.calls.last.request.headers["user-agent"] == "stackhub"


async def test_a_form_goes_out_as_a_form(router, ours):
    asked = router.post("/token", data={"grant": "client"}).respond(200, json={})

    await ours.ask("/token", form={"grant": "client"})

    assert asked.called


# --- fakes ------------------------------------------------------------------------------------------------------------


class Chunks(httpx.AsyncByteStream):
    def __init__(self, chunk, times=1):
        self.chunk, self.times, self.taken = chunk, times, 0

    async def __aiter__(self):
        for _ in range(self.times):
            self.taken += 1
            yield self.chunk
