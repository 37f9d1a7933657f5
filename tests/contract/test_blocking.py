"""What looks at a file system that does not answer any more is left behind, and hangs nobody else."""

import threading

import anyio
import pytest

from stackhub.contract import Aside, Unavailable, in_thread

SHORT = 0.02
LONG = 30.0


@pytest.fixture
def mount():
    """Lend a file system that answers once it is set."""
    answers = threading.Event()
    yield answers
    answers.set()


def aside(patience=LONG):
    return Aside("the files of /mnt/shop", patience)


async def test_work_is_done_in_a_thread_and_returns_what_it_returns_or_raises_what_it_raises():
    assert await aside().run(threading.current_thread) is not threading.current_thread()
    with pytest.raises(FileNotFoundError):
        await aside().run(open, "/nowhere/at/all")


async def test_what_hangs_is_left_behind_and_who_asks_meanwhile_is_told_at_once(mount):
    files = aside(SHORT)
    with pytest.raises(Unavailable, match=r"the files of /mnt/shop: no answer within 0\.02 s"):
        await files.run(mount.wait)
    threads = threading.active_count()
    for _ in range(20):
        with pytest.raises(Unavailable):
            await files.run(mount.wait)
    assert threading.active_count() == threads  # none is begun while one hangs
    assert await in_thread(int, "7") == 7


async def test_when_it_comes_back_all_is_well(mount):
    files = aside(SHORT)
    with pytest.raises(Unavailable):
        await files.run(mount.wait)
    mount.set()
    while True:
        try:
            assert await files.run(int, "7") == 7
        except Unavailable:
            await anyio.lowlevel.checkpoint()  # its thread has not ended yet
        else:
            break


async def test_work_of_one_who_was_cancelled_is_waited_for_not_taken_for_a_hang(mount):
    files = aside()
    began = threading.Event()

    def look():
        began.set()
        return mount.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(files.run, look)
        await in_thread(began.wait)
        group.cancel_scope.cancel()
    found = []
    async with anyio.create_task_group() as group:

        async def ask():
            found.append(await files.run(int, "7"))

        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        assert found == []
        mount.set()
    assert found == [7]


async def test_what_befalls_work_that_was_left_behind_is_nobodys_trouble(mount, caplog):
    def look():
        mount.wait()
        raise OSError(116, "Stale file handle")

    files = aside(SHORT)
    with pytest.raises(Unavailable):
        await files.run(look)
    thread = next(each for each in threading.enumerate() if each.name == "aside")
    mount.set()
    await in_thread(thread.join)
    del files
    await anyio.wait_all_tasks_blocked()
    assert caplog.records == []
