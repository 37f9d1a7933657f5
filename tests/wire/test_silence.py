"""The wire when no answer comes: what may have happened is told by whether bytes went out."""

import re
import socket
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import httpx
import pytest

from stackhub import wire
from stackhub.contract import ConfigError, LostLane, Unavailable, Unsure
from stackhub.contract.sandbox import Breaks, Fault, faulty
from stackhub.testing import a_context

URL = "http://vendor.test"
READS = ["get", "ask"]
VERBS = [*READS, "send"]


async def call(opened, verb, path="/x", **request):
    if verb == "send":
        return await opened.send("POST", path, **request)
    return await getattr(opened, verb)(path, **request)


def requests(router):
    return len(router.calls)


CUTS = [httpx.ReadError("cut"), httpx.RemoteProtocolError("cut"), httpx.ReadTimeout("late"), httpx.WriteError("cut")]
NEVER_SENT = [httpx.ConnectError("refused"), httpx.ConnectTimeout("late"), httpx.PoolTimeout("late")]


@pytest.mark.parametrize("cut", CUTS, ids=repr)
async def test_a_send_without_an_answer_is_unsure_and_is_not_repeated(router, ours, cut):
    router.route().mock(side_effect=cut)

    with pytest.raises(Unsure, match="no answer"):
        await call(ours, "send")

    assert requests(router) == 1


@pytest.mark.parametrize("never", NEVER_SENT, ids=repr)
async def test_a_send_that_never_left_is_unavailable_and_is_not_repeated(router, ours, never):
    router.route().mock(side_effect=never)

    with pytest.raises(Unavailable, match="not sent"):
        await call(ours, "send")

    assert requests(router) == 1


@pytest.mark.parametrize("verb", READS)
@pytest.mark.parametrize("silence", [*CUTS, *NEVER_SENT], ids=repr)
async def test_a_read_without_an_answer_is_tried_a_few_times(router, ours, verb, silence):
    router.route().mock(side_effect=silence)

    with pytest.raises(Unavailable):
        await call(ours, verb)

    assert requests(router) == wire.TRIES


async def test_an_address_that_is_none_is_a_persons_to_mend(clock):
    for url in ("ftp://vendor.test", "vendor.test"):
        async with wire.connect(a_context(clock=clock), url=url) as opened:
            with pytest.raises(ConfigError):
                await opened.get("/x")


@pytest.mark.parametrize("verb", VERBS)
async def test_a_port_nobody_listens_on_is_unavailable(clock, verb):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    async with wire.connect(a_context(clock=clock), url=f"http://127.0.0.1:{port}") as opened:
        with pytest.raises(Unavailable):
            await call(opened, verb)


@pytest.mark.parametrize(
    ("verb", "error", "times"), [("get", Unavailable, 3), ("ask", Unavailable, 3), ("send", Unsure, 1)]
)
async def test_a_server_that_reads_and_cuts_may_have_done_it(clock, verb, error, times):
    async with server(lambda _: None) as (url, heard), wire.connect(a_context(clock=clock), url=url) as opened:
        with pytest.raises(error):
            await call(opened, verb)

    assert len(heard) == times


@pytest.mark.parametrize(("verb", "error", "times"), [("get", Unavailable, 3), ("send", Unsure, 1)])
async def test_a_server_that_cuts_in_the_middle_of_its_answer_may_have_done_it(clock, verb, error, times):
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    async with (
        server(lambda stream: stream.send(half)) as (url, heard),
        wire.connect(a_context(clock=clock), url=url) as opened,
    ):
        with pytest.raises(error):
            await call(opened, verb)

    assert len(heard) == times


@pytest.mark.parametrize(("verb", "error"), [("get", Unavailable), ("send", Unsure)])
async def test_a_server_that_reads_and_says_nothing_in_time_may_have_done_it(clock, verb, error):
    async with (
        server(lambda _: anyio.sleep_forever()) as (url, _),
        wire.connect(a_context(clock=clock), url=url, timeout=timedelta(milliseconds=50)) as opened,
    ):
        with pytest.raises(error):
            await call(opened, verb)


async def test_a_send_may_have_a_timeout_of_its_own(clock):
    async with (
        server(lambda _: anyio.sleep_forever()) as (url, _),
        wire.connect(a_context(clock=clock), url=url) as opened,
    ):
        with anyio.fail_after(10), pytest.raises(Unsure):
            await opened.send("POST", "/x", timeout=timedelta(milliseconds=50))


async def test_what_a_played_vendor_drops_is_an_answer_lost(clock):
    faults, heard = [Fault(breaks=Breaks.AFTER)], []
    context = a_context(faulty(says_ok, faults, heard, clock.world()), clock=clock)
    async with wire.connect(context, url=URL) as opened:
        with pytest.raises(Unsure):
            await opened.send("POST", "/x")
        assert (await opened.send("POST", "/x")).text == "ok"

    assert heard == [("POST", "/x"), ("POST", "/x")]


# --- fakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
async def test_a_lease_that_passes_while_the_line_is_made_lets_nothing_out(verb):
    asked = []

    def passed():
        asked.append(verb)
        raise LostLane("the lease has passed")

    async with server(lambda _: None) as (url, heard), wire.connect(a_context(lease=passed), url=url) as opened:
        with pytest.raises(LostLane):
            await call(opened, verb)
    assert (asked, heard) == ([verb], [])


async def test_a_lease_that_passes_between_head_and_body_leaves_the_request_unsaid():
    asked = []

    def passes():
        asked.append(len(asked))
        if len(asked) > 1:
            raise LostLane("the lease has passed")

    async with server(lambda _: None) as (url, heard), wire.connect(a_context(lease=passes), url=url) as opened:
        with pytest.raises(LostLane):
            await opened.send("POST", "/x", body={"force": False})
    assert (asked, heard) == ([0, 1], [])


async def says_ok(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def length(text):
    found = re.search(rb"(?i)content-length: (\d+)", text)
    return int(found[1]) if found else 0


@asynccontextmanager
async def server(answer):
    """Listen on loopback; each request is read to its end and noted, answered as told, and then cut off."""
    heard = []

    async def serve(stream):
        async with stream:
            text = b""
            try:
                while b"\r\n\r\n" not in text or len(text.partition(b"\r\n\r\n")[2]) < length(text):
                    text += await stream.receive()
            except anyio.EndOfStream:  # it was never said to its end
                return
            heard.append(text)
            if (answering := answer(stream)) is not None:
                await answering

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        yield f"http://127.0.0.1:{port}", heard
        tasks.cancel_scope.cancel()
