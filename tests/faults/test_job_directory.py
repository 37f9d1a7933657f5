"""A job's directory in which somebody, or a power cut, has done harm: never an error, never an end that was none."""

import json
import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from stackhub.contract import ConfigError
from stackhub.launch import CommandJobs, Ended, Launcher, Lost, NeverBegan, Running
from stackhub.launch.place import Place

FILES = ("lock", "began", "record", "output", "shim", "claim")


def cut(path):
    path.write_bytes(path.read_bytes()[:7] if path.is_file() else b"")


def garbage(path):
    path.write_bytes(b'\xff\x00{"pid": "../../1", "code": "x"' * 50)


def another_document(path):
    path.write_text(json.dumps({"code": [], "signal": {}, "pid": 1.5, "space": None, "started_at": "now"}))


def deep(path):
    path.write_text("[" * 200_000)


def times_out_of_range(path):
    found = {"code": 0, "signal": None, "started_at": 1e300, "ended_at": float("nan"), "pid": True}
    path.write_text(json.dumps(found))


def gone(path):
    path.unlink(missing_ok=True)


def directory(path):
    gone(path)
    path.mkdir()


def pipe(path):
    gone(path)
    os.mkfifo(path)


def loop(path):
    gone(path)
    path.symlink_to(path)


HARMS = (cut, garbage, another_document, deep, times_out_of_range, gone, directory, pipe, loop)


@pytest.fixture
def jobs(launcher):
    return CommandJobs(launcher, build=None, check=None)


async def asked(launcher, jobs, handle):
    """Ask everything that is asked of a job; none of it may raise."""
    process = launcher.look(handle)
    (answer,) = await jobs.poll([handle])
    assert answer is not None
    for name in ("output", "shim"):
        launcher.tail(handle, name)
        launcher.lines(handle, name, 0, 1000)
    launcher.find("key")
    return process


@pytest.mark.parametrize("name", FILES)
async def test_a_job_that_has_ended(grounds, launcher, jobs, name):
    handle = await launcher.spawn("key", grounds.bash("echo hello; exit 3"))
    await grounds.end(launcher, handle)
    place = launcher.directory(handle)
    whole = grounds.root / "whole"
    shutil.copytree(place, whole)
    for harm in HARMS:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, place)
        harm(place / name)
        process = await asked(launcher, jobs, handle)
        if name == "record":
            assert isinstance(process, Lost), harm
            assert "damaged" in process.note or harm in (gone, loop), harm
        else:
            assert isinstance(process, Ended), harm
            assert process.code == 3
        assert launcher.find("key") == handle, "what has begun is never begun again"
        assert await launcher.spawn("key", grounds.waiting()) == handle
        assert grounds.runs() == 0
        assert await launcher.sweep(timedelta(days=-1)) == 1, "and it is forgotten in its time"


@pytest.mark.parametrize("name", FILES)
async def test_a_job_that_runs(grounds, launcher, jobs, name):
    handle = await launcher.spawn("key", grounds.waiting("exit 4"))
    await grounds.bell.heard()
    place = launcher.directory(handle)
    kept = {path: path.rename(grounds.root / path.name) for path in (place / name,) if path.exists()}
    for harm in HARMS:
        if harm is cut and kept:
            shutil.copy(grounds.root / name, place / name)
        harm(place / name)
        process = await asked(launcher, jobs, handle)
        assert isinstance(process, Running), harm
        assert await launcher.spawn("key", grounds.waiting()) == handle
        assert grounds.runs() == 1, "a second one is never begun beside it"
        assert await launcher.sweep(timedelta(days=1)) == 0
        shutil.rmtree(place / name) if (place / name).is_dir() else gone(place / name)
    for path, aside in kept.items():
        aside.rename(path)
    grounds.gate.say()
    assert (await grounds.end(launcher, handle)).code == 4


async def test_a_whole_directory_that_is_gone_or_something_else(grounds, launcher, jobs):
    handle = await launcher.spawn("key", grounds.bash("exit 0"))
    await grounds.end(launcher, handle)
    place = launcher.directory(handle)
    shutil.rmtree(place)
    assert isinstance(await asked(launcher, jobs, handle), Lost)
    place.write_text("a file")
    assert isinstance(await asked(launcher, jobs, handle), Lost)


async def test_a_spawn_that_died_before_its_job_began_is_no_job_whatever_is_left_of_it(grounds, launcher, jobs):
    place = launcher.place("key")
    place.mkdir(parents=True)
    (place / "claim").touch()
    (place / "began").write_text('{"pid": 4')
    assert isinstance(await asked(launcher, jobs, {"host": launcher.host, "key": "key"}), NeverBegan)
    await launcher.spawn("key", grounds.bash("echo ran >> runs"))
    await grounds.end(launcher, {"host": launcher.host, "key": "key"})
    assert grounds.runs() == 1


async def test_a_host_whose_name_is_damaged_says_so_and_judges_nobody(grounds, launcher):
    handle = await launcher.spawn("key", grounds.bash("exit 0"))
    await grounds.end(launcher, handle)
    name = grounds.state / "jobs" / "host"
    for said in (b"", b"\xff\x00", b"somebody else"):
        name.write_bytes(said)
        with Launcher(grounds.context()) as other, pytest.raises(ConfigError, match="is damaged"):
            other.look(handle)


async def test_one_damaged_directory_keeps_no_other_from_being_forgotten(grounds, launcher):
    handle = await launcher.spawn("key", grounds.bash("exit 0"))
    await grounds.end(launcher, handle)
    for nth, harm in enumerate(HARMS):
        shutil.copytree(launcher.directory(handle), launcher.place(f"a{nth}"))
        for name in FILES:
            harm(launcher.place(f"a{nth}") / name)
    assert await launcher.sweep(timedelta(days=-1)) == len(HARMS) + 1
    assert Place(launcher.place("key")).path.exists() is False


@pytest.mark.parametrize("end", ["job", "shim", "both"])
async def test_whoever_the_kernel_kills_it_is_told_as_it_was(grounds, launcher, jobs, end):
    """`tests/launch` asks what each death leaves; this, what a person reads of it."""
    handle = await launcher.spawn("key", grounds.waiting())
    await grounds.bell.heard()
    began = Place(launcher.directory(handle)).began()
    for pid in {"job": [began.pid], "shim": [began.shim], "both": [began.shim, began.pid]}[end]:
        os.kill(pid, signal.SIGKILL)
    if end == "shim":
        assert isinstance(launcher.look(handle), Running), "its job goes on without it"
        grounds.gate.say()
    await grounds.end(launcher, handle)
    answer = (await jobs.poll([handle]))[0]
    if end == "job":
        assert answer.note.startswith("ended by SIGKILL, which was not ours: the kernel does so when memory runs out")
    else:
        assert answer.note == "the process was lost: it and its supervisor were killed, so nobody saw how it ended"


async def test_a_line_of_fifty_megabytes_takes_little_memory_and_its_cut_is_marked(grounds):
    with Launcher(grounds.context(), most=2_000_000) as launcher:
        line = "head -c 52428800 /dev/zero | tr '\\0' x; echo; echo last"
        handle = await launcher.spawn(
            "key", grounds.bash(f"{line}; echo $$ > {grounds.bell}; read _ < {grounds.gate}; exit 5")
        )
        await grounds.bell.heard()
        began = Place(launcher.directory(handle)).began()
        held = dict(row.split(":", 1) for row in Path(f"/proc/{began.shim}/status").read_text().splitlines())
        assert int(held["VmHWM"].split()[0]) < 40_000, "kB, of the shim at its highest"
        grounds.gate.say()
        assert (await grounds.end(launcher, handle)).code == 5
        whole, offset = b"", 0
        while True:
            text, following = launcher.lines(handle, "output", offset, 65_536)
            if following == offset:
                break
            assert len(text) <= 65_536
            whole, offset = whole + text.encode(), following
        assert len(whole) < 2_100_000
        assert b"\n[stackhub: 50428806 bytes were dropped here]\n" in whole
        assert whole.endswith(b"x\nlast\n")
        assert len(launcher.tail(handle, "output")) <= 2000
