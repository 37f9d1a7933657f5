"""Processes that begin once, whoever asks how often, and leave nothing behind that is nobody's business."""

import hashlib
import os
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from launch.grounds import over, spawn_latencies

from stackhub.contract import ConfigError, Context, Unavailable
from stackhub.launch import Elsewhere, Ended, Launcher, NeverBegan, Running
from stackhub.launch.blot import Blot
from stackhub.launch.place import Place

C_LIBRARYS = 1 << 31 | 1 << 32  # signals 32 and 33 are nobody else's to set
LISTING = "import os; print(*sorted(os.readlink(f'/proc/self/fd/{n}') for n in (os.listdir('/proc/self/fd'))[:-1]), sep='\\n')"


async def test_a_job_that_ends_wakes_its_lane_and_says_how(grounds, launcher):
    handle = await launcher.spawn("key", grounds.bash("echo out; echo err >&2; exit 3"))

    ended = await grounds.end(launcher, handle)

    assert isinstance(ended, Ended)
    assert (ended.code, ended.signal, ended.ok, ended.how) == (3, None, False, "exit code 3")
    assert ended.started_at <= ended.ended_at <= datetime.now(UTC)
    assert launcher.tail(handle, "output") == "out\nerr"
    await grounds.until(lambda: grounds.woken == 1)


async def test_both_streams_have_files_of_their_own_unless_merged(grounds, launcher):
    handle = await launcher.spawn("key", grounds.bash("echo out; echo err >&2", merge_output=False))

    await grounds.end(launcher, handle)

    assert launcher.read(handle, "stdout", 0, 100) == (b"out\n", 4)
    assert launcher.read(handle, "stderr", 1, 100) == (b"rr\n", 4)
    assert launcher.read(handle, "output", 7, 100) == (b"", 7)


async def test_one_key_is_one_process_however_many_ask_at_once(grounds, launcher):
    handles = []

    async def ask(hub):
        handles.append(await hub.spawn("key", grounds.waiting()))

    with Launcher(grounds.context()) as other:
        async with anyio.create_task_group() as group:
            for hub in (launcher, other) * 5:
                group.start_soon(ask, hub)

    await grounds.bell.heard()
    grounds.gate.say()
    assert isinstance(await grounds.end(launcher, handles[0]), Ended)
    assert await launcher.spawn("key", grounds.waiting()) == handles[0], "one that has ended is not run again"
    assert all(handle == handles[0] == launcher.find("key") for handle in handles)
    assert grounds.runs() == 1


async def test_another_key_is_another_process(grounds, launcher):
    handles = [await launcher.spawn(key, grounds.bash(f"echo {key}")) for key in ("a", "b")]

    for handle in handles:
        await grounds.end(launcher, handle)

    assert [launcher.tail(handle, "output") for handle in handles] == ["a", "b"]


async def test_what_was_never_spawned_is_not_found(launcher):
    assert launcher.find("key") is None


async def test_a_program_that_is_not_there_ends_with_127_and_its_name(grounds, launcher):
    handle = await launcher.spawn("key", grounds.command("no-such-program"))

    assert (await grounds.end(launcher, handle)).code == 127
    assert launcher.tail(handle, "output") == "stackhub: no-such-program: No such file or directory"


async def test_a_directory_that_is_not_there_ends_with_126_and_its_name(grounds, launcher):
    handle = await launcher.spawn("key", grounds.bash("true", cwd=grounds.root / "nowhere"))

    assert (await grounds.end(launcher, handle)).code == 126
    assert "cannot run in" in launcher.tail(handle, "output")
    assert "nowhere: No such file or directory" in launcher.tail(handle, "output")


async def test_what_a_job_reads_is_all_there_whatever_its_length(grounds, launcher):
    body = os.urandom(3 * 2**20)
    handle = await launcher.spawn("key", grounds.command("sha256sum", stdin=body))

    await grounds.end(launcher, handle)

    assert launcher.tail(handle, "output").split()[0] == hashlib.sha256(body).hexdigest()


async def test_a_job_with_nothing_to_read_reads_the_end_at_once(grounds, launcher):
    handle = await launcher.spawn("key", grounds.bash("cat; echo done"))

    await grounds.end(launcher, handle)

    assert launcher.tail(handle, "output") == "done"


async def test_secrets_reach_the_job_and_no_disk_nor_process_list(grounds, launcher):
    secret = "correct-horse-battery-staple"
    script = f"read line; test $line = $TOKEN && echo same > {grounds.bell}; read _ < {grounds.gate}"
    command = grounds.bash(script, stdin=f"{secret}\n".encode())
    command = grounds.command(*command.argv, env={**command.env, "TOKEN": secret}, stdin=command.stdin)
    handle = await launcher.spawn("key", command)
    assert await grounds.bell.heard() == "same"

    began = Place(launcher.directory(handle)).began()
    shown = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (began.shim, began.pid)]
    shown.append(Path(f"/proc/{began.shim}/environ").read_bytes())
    grounds.gate.say()
    await grounds.end(launcher, handle)
    files = [path for path in grounds.state.rglob("*") if path.is_file()]

    assert len(files) >= 4
    assert not [part for part in (*shown, *(path.read_bytes() for path in files)) if secret.encode() in part]
    assert secret not in repr(command)
    assert secret not in repr(handle)


async def test_a_job_inherits_no_open_file_but_the_lock(grounds, launcher):
    with (grounds.root / "ours").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)
        handle = await launcher.spawn("key", grounds.command(sys.executable, "-I", "-S", "-c", LISTING))
        await grounds.end(launcher, handle)

    found = launcher.tail(handle, "output").splitlines()
    assert [name for name in found if not name.startswith("pipe:")] == [
        "/dev/null",
        f"{launcher.directory(handle)}/lock",
    ]


async def test_a_job_has_its_own_session_the_hubs_umask_and_signals_as_they_are_by_default(grounds, launcher):
    ours = os.umask(0o027)
    try:
        handle = await launcher.spawn(
            "key", grounds.bash("ps -o pid=,pgid=,sid= -p $$; umask; grep -E 'Sig(Blk|Ign)' /proc/self/status")
        )
        await grounds.end(launcher, handle)
    finally:
        os.umask(ours)

    pids, umask, blocked, ignored = launcher.tail(handle, "output").splitlines()
    assert len(set(pids.split())) == 1
    assert int(pids.split()[2]) != os.getsid(0)
    assert umask == "0027"
    assert int(blocked.split()[1], 16) == 0
    assert int(ignored.split()[1], 16) & ~C_LIBRARYS == 0


async def test_only_we_may_look_into_a_jobs_directory(grounds, launcher):
    ours = os.umask(0)
    try:
        handle = await launcher.spawn("key", grounds.bash("echo", files={"plan.json": b"{}"}))
        await grounds.end(launcher, handle)
    finally:
        os.umask(ours)

    place = launcher.directory(handle)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()} == {0o600}
    assert (place / "plan.json").read_bytes() == b"{}"


async def test_a_hub_leaves_no_dead_children_behind(grounds, launcher):
    handle = await launcher.spawn("key", grounds.bash("true"))
    await grounds.until(lambda: grounds.woken == 1)

    shim = Place(launcher.directory(handle)).began().shim

    assert not Path(f"/proc/{shim}").exists()


async def test_children_that_nobody_watched_to_their_end_are_buried_at_the_next_spawn(grounds):
    with Launcher(grounds.context()) as launcher:
        handle = await launcher.spawn("key", grounds.waiting())
        await grounds.bell.heard()
        shim = Place(launcher.directory(handle)).began().shim
    grounds.gate.say()
    await over(shim)
    assert Path(f"/proc/{shim}").exists(), "dead, and not buried"

    with Launcher(grounds.context()) as launcher:
        await launcher.spawn("other", grounds.bash("true"))

    assert not Path(f"/proc/{shim}").exists()


async def test_a_launcher_that_is_closed_wakes_nobody(grounds):
    with Launcher(grounds.context()) as closed:
        handle = await closed.spawn("key", grounds.waiting())
        await grounds.bell.heard()
    began = Place(closed.directory(handle)).began()
    grounds.gate.say()
    await over(began.shim)
    await anyio.lowlevel.checkpoint()

    assert grounds.woken == 0


async def test_another_hosts_job_is_neither_judged_nor_stopped(grounds, launcher):
    handle = {**await launcher.spawn("key", grounds.waiting()), "host": "feedface"}
    await grounds.bell.heard()

    assert launcher.look(handle) == Elsewhere("feedface")
    with pytest.raises(Unavailable, match="belongs to host feedface"):
        await launcher.climb(handle)


async def test_a_host_keeps_its_name(grounds, launcher):
    with Launcher(grounds.context()) as later:
        assert later.host == launcher.host
    assert len(launcher.host) == 16


async def test_where_nothing_can_be_written_nothing_was_started(grounds):
    (grounds.root / "file").touch()

    with Launcher(grounds.context(state=grounds.root / "file")) as launcher, pytest.raises(Unavailable):
        await launcher.spawn("key", grounds.waiting())

    assert grounds.runs() == 0


@pytest.mark.parametrize("argv", [(), ("nul\0",)])
async def test_a_command_that_no_system_could_run_is_a_persons_to_mend(grounds, launcher, argv):
    with pytest.raises(ConfigError):
        await launcher.spawn("key", grounds.command(*argv))

    assert launcher.find("key") is None


@pytest.mark.parametrize("key", ["", ".", "..", ".hidden", "a/b", "host", "a" * 201, "ä", "a b", "a\n", "-rf"])
async def test_a_key_that_is_no_fit_name_is_refused(grounds, launcher, key):
    with pytest.raises(ValueError, match="not the key of a job"):
        await launcher.spawn(key, grounds.waiting())

    assert grounds.runs() == 0


async def test_what_ended_long_ago_is_swept_and_nothing_else(grounds, launcher):
    old = await launcher.spawn("old", grounds.bash("true"))
    await grounds.end(launcher, old)
    going = await launcher.spawn("going", grounds.waiting())
    await grounds.bell.heard()
    launcher.place("never").mkdir()

    assert await launcher.sweep(timedelta(days=1)) == 0
    with Launcher(grounds.context(now=lambda: datetime.now(UTC) + timedelta(days=2))) as later:
        assert await later.sweep(timedelta(days=1)) == 2

    assert launcher.find("old") is None
    assert isinstance(launcher.look(going), Running)
    assert {path.name for path in (grounds.state / "jobs").iterdir()} == {"going", "host"}


async def test_a_state_without_jobs_has_nothing_to_sweep(launcher):
    assert await launcher.sweep(timedelta()) == 0


async def test_latencies_of_a_spawn_can_be_measured(tmp_path):
    found = await spawn_latencies(tmp_path, 2)

    assert len(found) == 2
    assert all(0 < returned < woken for returned, woken in found)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("place"))


@given(text=st.text(alphabet=st.sampled_from("a\nä€😀"), max_size=60), most=st.integers(4, 30))
def test_a_log_read_piece_by_piece_is_the_log(place, text, most):
    (place.path / "log").write_bytes(text.encode())

    pieces, offset = [], 0
    while (read := place.lines("log", offset, most))[1] != offset:
        pieces.append(read[0])
        offset = read[1]

    assert "".join(pieces) == text
    assert offset == len(text.encode())


@given(
    text=st.lists(st.sampled_from(["s3cret-word", "s3cret-word-longer", "s3cret", "-", "ä", "\n"]), max_size=12).map(
        "".join
    ),
    most=st.integers(4, 30),
)
def test_a_log_read_piece_by_piece_shows_no_secret_and_all_else(place, text, most):
    (place.path / "log").write_bytes(text.encode())
    blotting = Place(place.path, Blot(["s3cret-word", "s3cret-word-longer", "-"]))

    pieces, offset = [], 0
    while (read := blotting.lines("log", offset, most))[1] != offset:
        pieces.append(read[0])
        offset = read[1]

    assert "".join(pieces) == text.replace("s3cret-word-longer", "*" * 18).replace("s3cret-word", "*" * 11)


def test_a_log_that_grows_is_not_cut_within_a_character_or_a_line(place):
    (place.path / "log").write_bytes("one\ntwö".encode()[:-1])

    assert place.lines("log", 0, 100) == ("one\n", 4)
    assert place.lines("log", 4, 100) == ("tw", 6)


def test_bytes_that_are_no_text_are_read_all_the_same(place):
    (place.path / "log").write_bytes(b"\xff\xfe")
    assert place.lines("log", 0, 100) == ("\ufffd\ufffd", 2)
    (place.path / "log").write_bytes(b"\xe2\x82")
    assert place.lines("log", 0, 100) == ("\ufffd", 2)


@given(text=st.text(alphabet=st.sampled_from("ab\nä😀"), max_size=80), most=st.integers(1, 40))
def test_a_tail_is_an_end_and_never_too_long(place, text, most):
    (place.path / "log").write_bytes(text.encode())

    tail = place.tail("log", most)

    assert len(tail) <= most
    assert text.rstrip().endswith(tail)
    assert bool(tail) == bool(text.strip())


def test_a_tail_begins_with_a_whole_line_where_there_is_one(place):
    (place.path / "log").write_text("first\nsecond\nthird\n")

    assert place.tail("log", 14) == "second\nthird"[-14:]
    assert place.tail("log", 8) == "third"
    assert place.tail("log", 3) == "ird"


def test_a_directory_that_is_gone_is_a_job_that_is_lost(grounds):
    launcher = Launcher(Context(instance="x", state=grounds.state))
    assert not isinstance(launcher.look({"host": launcher.host, "key": "swept"}), NeverBegan | Running)
