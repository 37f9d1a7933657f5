"""The hub's lock, between processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import stackhub
from stackhub.errors import StoreUnusable
from stackhub.store.lock import HubLock, holder

TAKE = """
import sys
from pathlib import Path
from stackhub.store.lock import HubLock
lock = HubLock.take(Path(sys.argv[1]))
print("taken", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE, str(tmp_path / "hub.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(stackhub.__file__).parents[1])},
    )
    with process:
        assert process.stdout.readline() == "taken\n"
        yield process
        process.kill()


def test_a_lock_that_another_process_holds_is_refused_with_its_number(other, tmp_path):
    with pytest.raises(StoreUnusable, match=rf"process {other.pid}\b.*stop that one"):
        HubLock.take(tmp_path / "hub.lock")
    assert holder(tmp_path / "hub.lock") == str(other.pid)


def test_a_process_that_was_killed_holds_nothing(other, tmp_path):
    other.kill()
    other.wait()
    assert holder(tmp_path / "hub.lock") is None
    HubLock.take(tmp_path / "hub.lock").release()


def test_a_lock_that_was_given_back_may_be_taken(tmp_path):
    path = tmp_path / "deep" / "hub.lock"
    assert holder(path) is None
    lock = HubLock.take(path)
    assert holder(path) == str(os.getpid())
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StoreUnusable):
        HubLock.take(path)
    lock.release()
    assert holder(path) is None
    HubLock.take(path).release()


def test_a_lock_file_that_cannot_be_made_is_told_with_the_way_out(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match=r"cannot be opened .*STACKHUB_STATE_DIR"):
        HubLock.take(tmp_path / "file" / "hub.lock")
