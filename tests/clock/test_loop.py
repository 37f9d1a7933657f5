"""Time that jumps: nothing waits, one callback at a time, and the same order always."""

import asyncio
import gc
import subprocess
import sys
import weakref
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from stackhub.clock import Believed
from stackhub.clock.loop import VirtualLoop
from stackhub.clock.virtual import TimeLine, VirtualClock
from stackhub.contract import in_thread

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture
def anyio_backend():
    return "asyncio", {"loop_factory": VirtualLoop}


@pytest.mark.anyio
async def test_a_day_passes_at_once():
    began = anyio.current_time()
    await anyio.sleep(86400)
    with anyio.move_on_after(3600) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert anyio.current_time() - began == 90000


@pytest.mark.anyio
async def test_what_is_due_first_happens_first_and_of_two_the_one_asked_for_first():
    heard = []

    async def say(after, word):
        await anyio.sleep(after)
        heard.append(word)

    async with anyio.create_task_group() as group:
        for after, word in ((3, "c"), (1, "a"), (3, "d"), (2, "b")):
            group.start_soon(say, after, word)
    assert heard == list("abcd")


@pytest.mark.anyio
async def test_work_that_blocks_is_done_by_the_loop_itself():
    loop = asyncio.get_running_loop()
    assert await in_thread(loop.time) == loop.time()
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


@pytest.mark.anyio
async def test_a_wait_that_is_cancelled_leaves_nothing_behind():
    loop = asyncio.get_running_loop()
    with anyio.move_on_after(1):
        await anyio.sleep(3600)
    before = loop.time()
    await anyio.sleep(1)
    assert loop.time() == before + 1
    assert loop.complaints == []


def test_nobody_waits_for_what_never_comes():
    loop = VirtualLoop()
    with pytest.raises(RuntimeError, match="nothing will ever happen"):
        loop.run_until_complete(anyio.sleep_forever())
    loop.abandon(Gone)


def test_a_loop_that_somebody_drives_does_not_run_by_itself():
    with pytest.raises(RuntimeError, match="somebody drives the loop"):
        VirtualLoop().run_forever()


def test_one_step_is_the_code_between_two_awaits():
    loop, heard = VirtualLoop(), []

    async def talk():
        for word in "abc":
            heard.append(word)
            await asyncio.sleep(0)

    loop.create_task(talk())
    for nth in range(1, 4):
        assert loop.next_at() == 0
        loop.step()
        assert heard == list("abc")[:nth]
    loop.step()
    assert loop.next_at() is None


def test_a_task_keeps_its_context_even_one_with_nothing_in_it():
    loop, word = VirtualLoop(), ContextVar("word")

    async def say():
        token = word.set("a")
        await asyncio.sleep(0)
        word.reset(token)

    loop.run_until_complete(loop.create_task(say(), context=Context()))


def test_what_a_callback_raises_comes_out_of_the_step():
    loop = VirtualLoop()
    loop.call_soon(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        loop.step()


class Gone(BaseException):
    """The process is no more."""


def test_an_abandoned_loop_ends_its_tasks_where_they_stand_and_runs_nothing():
    loop, heard = VirtualLoop(), []

    @asynccontextmanager
    async def held(name):
        try:
            yield
        finally:
            heard.append(f"{name} let go")
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)
            heard.append(f"{name} went on")

    async def wait(name):
        async with held(name):
            await anyio.sleep_forever()
            heard.append(f"{name} woke")

    async def many():
        async with held("all"), anyio.create_task_group() as group:
            group.start_soon(wait, "one")
            group.start_soon(wait, "two")
            await anyio.sleep(1)
            group.start_soon(wait, "never")

    loop.create_task(many())
    while loop.line.seconds < 1:
        loop.line.pass_to(loop.next_at())
        if loop.line.seconds < 1:
            loop.step()
    loop.abandon(Gone)
    assert heard == ["two let go", "one let go", "all let go"]
    assert loop.next_at() is None
    assert loop.is_closed()


def test_of_an_abandoned_loop_nothing_is_left():
    loop, kept = VirtualLoop(), weakref.WeakSet()

    class Held:
        """What a hub has in hand."""

    async def wait(held):
        with anyio.CancelScope():
            await anyio.sleep_forever()

    async def many():
        async with anyio.create_task_group() as group:
            for _ in range(3):
                held = Held()
                kept.add(held)
                group.start_soon(wait, held)
            try:
                await anyio.sleep_forever()
            finally:
                group.start_soon(wait, held)

    loop.create_task(many())
    for _ in range(5):
        loop.step()
    assert len(kept) == 3
    loop.abandon(Gone)
    kept.add(loop)
    del loop
    gc.collect()
    assert not set(kept)


def test_the_clocks_of_a_time_line():
    line = TimeLine(NOON)
    right, wrong = VirtualClock(line), VirtualClock(line, wrong_by=timedelta(minutes=3))
    watch = Believed(wrong)
    line.pass_to(0.1 + 0.2)
    assert right.now() == NOON + timedelta(milliseconds=300)
    assert wrong.now() - right.now() == timedelta(minutes=3)
    assert watch.believe() == timedelta()
    boot = wrong.since_boot()
    wrong.set_wall(NOON)
    assert watch.believe() == -timedelta(minutes=3, milliseconds=300)
    assert wrong.since_boot() == boot
    line.pass_to(0.1)
    assert line.seconds == pytest.approx(0.3), "it only grows"
    assert line.until(right.now()) == pytest.approx(line.seconds)


CANCELLED = """
import anyio, sys
from stackhub.clock.loop import VirtualLoop

heard, kept = [], [object() for _ in range(int(sys.argv[1]))]

async def wait(name):
    kept.append(bytearray(hash(str(name)) % 5000))  # memory is laid out otherwise in each process
    try:
        with anyio.CancelScope():
            await anyio.sleep_forever()
    finally:
        heard.append(name)

async def main():
    async with anyio.create_task_group() as group:
        for name in range(60):
            group.start_soon(wait, name)
        await anyio.sleep(1)
        group.cancel_scope.cancel()

anyio.run(main, backend_options={"loop_factory": VirtualLoop})
print(heard)
"""


def test_what_is_cancelled_together_ends_in_the_same_order_in_every_process():
    said = set()
    for nth in (1, 7777):
        argv = [sys.executable, "-c", CANCELLED, str(nth)]
        done = subprocess.run(argv, env={"PYTHONHASHSEED": str(nth)}, capture_output=True, text=True, check=True)
        said.add(done.stdout)
    assert len(said) == 1
    assert len(eval(said.pop())) == 60
