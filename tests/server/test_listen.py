"""Connections, and their bounds."""

from contextlib import AsyncExitStack, asynccontextmanager, suppress

import anyio

from stackhub.server.listen import Bounds, served
from stackhub.server.places import bind_port, bound_socket


async def hello(scope, receive, send):
    """Answer who asks, once `held` lets it."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def asked(stream, text=b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n") -> bytes:
    await stream.send(text)
    got = b""
    while not got.endswith(b"hello"):
        got += await stream.receive()
    return got


async def ended(stream) -> bool:
    """Wait until the far side has gone."""
    with anyio.fail_after(10):
        while True:
            try:
                await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return True


@asynccontextmanager
async def listening(**bounds):
    with bind_port("127.0.0.1", 0) as bound:
        async with served([(hello, bound)], patience=1, bounds=Bounds(**bounds)):
            yield bound.getsockname()[1]


async def test_port_and_socket_are_served_side_by_side(tmp_path):
    async def here(scope, receive, send):
        assert scope["client"] is None
        await hello(scope, receive, send)

    with bind_port("127.0.0.1", 0) as bound, bound_socket(tmp_path) as local:
        async with served([(hello, bound), (here, local)], patience=1):
            async with await anyio.connect_tcp("127.0.0.1", bound.getsockname()[1]) as stream:
                assert b"200 OK" in await asked(stream)
            async with await anyio.connect_unix(str(tmp_path / "hub.sock")) as stream:
                assert b"200 OK" in await asked(stream)


async def test_who_keeps_a_connection_open_does_not_hold_up_the_end():
    with bind_port("127.0.0.1", 0) as bound, anyio.fail_after(10):
        async with AsyncExitStack() as streams:
            async with served([(hello, bound)], patience=5):
                number = bound.getsockname()[1]
                kept = await streams.enter_async_context(await anyio.connect_tcp("127.0.0.1", number))
                await asked(kept)
                half = await streams.enter_async_context(await anyio.connect_tcp("127.0.0.1", number))
                await half.send(b"GET / HT")
            assert await ended(kept)
            assert await ended(half)


async def test_a_request_under_way_may_end():
    begun, held = anyio.Event(), anyio.Event()

    async def slow(scope, receive, send):
        begun.set()
        await held.wait()
        await hello(scope, receive, send)

    got = []

    async def ask(number):
        async with await anyio.connect_tcp("127.0.0.1", number) as stream:
            got.append(await asked(stream))

    with bind_port("127.0.0.1", 0) as bound, anyio.fail_after(10):
        async with anyio.create_task_group() as group, served([(slow, bound)], patience=5):
            group.start_soon(ask, bound.getsockname()[1])
            await begun.wait()
            group.start_soon(_after_a_turn, held)
    assert b"hello" in got[0]


async def _after_a_turn(held):
    await anyio.wait_all_tasks_blocked()
    held.set()


async def test_who_says_nothing_is_not_waited_for():
    async with listening(header_seconds=0.05) as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        assert await ended(stream)


async def test_who_begins_and_does_not_go_on_is_not_waited_for():
    async with listening(header_seconds=0.05) as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        await asked(stream)
        await stream.send(b"GET / HTTP/1.1\r\nhost: ")
        assert await ended(stream)


async def test_headers_without_end_are_cut_off():
    async with listening(header_bytes=20_000) as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        sent = 0
        with suppress(anyio.BrokenResourceError), anyio.fail_after(10):
            await stream.send(b"GET / HTTP/1.1\r\n")
            while True:
                await stream.send(b"x-more: " + b"x" * 8000 + b"\r\n")
                sent += 1
        assert sent > 0


async def test_beyond_so_many_connections_further_ones_are_closed():
    async with listening(connections=2) as port, AsyncExitStack() as stack:
        first, second, third = [
            await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", port)) for _ in range(3)
        ]
        assert await ended(third)
        assert b"200 OK" in await asked(first)
        assert b"200 OK" in await asked(second)


async def test_what_is_no_http_is_told_so():
    async with listening() as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in await stream.receive()
