"""What systemd and a heartbeat address hear."""

import os
import socket
from contextlib import suppress

import anyio
import httpx
import pytest
from structlog.testing import capture_logs

from stackhub.server.supervisor import Supervisor, heartbeat

URL = "https://beats.example.com/secret-id"


@pytest.fixture
def line(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(5)
        yield made


def said(line) -> dict[str, str]:
    return dict(one.split("=", 1) for one in line.recv(4096).decode().splitlines())


def test_systemd_hears_of_every_turn(line):
    supervisor = Supervisor({"NOTIFY_SOCKET": line.getsockname()})
    supervisor.ready("3 pipelines")
    assert said(line) == {"READY": "1", "STATUS": "3 pipelines"}
    supervisor.reloading()
    told = said(line)
    assert told["RELOADING"] == "1"
    assert told["MONOTONIC_USEC"].isdecimal()
    supervisor.stopping()
    assert said(line)["STOPPING"] == "1"


def test_an_abstract_socket_is_named_with_an_at():
    name = f"stackhub-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(f"\0{name}")
        made.settimeout(5)
        Supervisor({"NOTIFY_SOCKET": f"@{name}"}).ready("")
        assert said(made)["READY"] == "1"


def test_without_systemd_nothing_happens_and_one_that_has_gone_is_logged(tmp_path):
    with capture_logs() as logged:
        Supervisor({}).ready("")
        assert logged == []
        Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("")
    assert [one["event"] for one in logged] == ["systemd cannot be told"]


async def test_signs_of_life_are_given_while_alive_only(line):
    turns, over = iter([True, False, False, True]), anyio.Event()

    def alive():
        turn = next(turns, None)
        if turn is None:
            over.set()
        return bool(turn)

    environ = {"NOTIFY_SOCKET": line.getsockname(), "WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid())}
    async with anyio.create_task_group() as group:
        group.start_soon(Supervisor(environ).watched, alive)
        with anyio.fail_after(10):
            await over.wait()
        group.cancel_scope.cancel()
    line.setblocking(False)
    heard = []
    with suppress(BlockingIOError):
        while True:
            heard.append(line.recv(100))
    assert heard == [b"WATCHDOG=1", b"WATCHDOG=1"]


@pytest.mark.parametrize(
    "environ", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}]
)
async def test_where_no_sign_is_wanted_none_is_given(environ):
    with anyio.fail_after(5):
        await Supervisor(environ).watched(lambda: True)


class Beats:
    """A heartbeat address that answers as it is told, and ends the test when it has nothing more to answer."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.over = anyio.Event()

    async def __call__(self, request):
        self.asked.append(str(request.url))
        answer = self.answers.pop(0)
        if not self.answers:
            self.over.set()
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)


async def beaten(beats, *, url=URL, unready=lambda: ""):
    with capture_logs() as logged:
        async with anyio.create_task_group() as group:
            transport = httpx.MockTransport(beats)
            group.start_soon(lambda: heartbeat(lambda: url, unready, every=0.001, transport=transport))
            with anyio.fail_after(5):
                await beats.over.wait()
            group.cancel_scope.cancel()
    return logged


async def test_the_address_is_called_again_and_again():
    beats = Beats(200, 204, 302, 200)
    assert await beaten(beats) == []
    assert beats.asked == [URL] * 4


async def test_that_it_cannot_be_reached_is_said_once_and_without_the_address():
    beats = Beats(200, httpx.ConnectError(f"no {URL}"), 500, httpx.ReadTimeout("slow"), 200, 200)
    logged = await beaten(beats)
    assert [(one["event"], one.get("error")) for one in logged] == [
        ("the heartbeat address cannot be reached", "ConnectError"),
        ("the heartbeat address is reached again", None),
    ]
    assert "secret-id" not in str(logged)


async def test_a_hub_that_is_not_ready_is_silent():
    turns = iter(["the store is away"] * 5)
    beats = Beats(200)
    await beaten(beats, unready=lambda: next(turns, ""))
    assert next(turns, "") == ""
    assert len(beats.asked) == 1
