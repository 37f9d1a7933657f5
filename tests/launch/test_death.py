"""Whatever dies when: a job is judged by what is in its directory, and never run twice."""

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import textwrap

import pytest
from launch.grounds import over

from stackhub.contract import Rejected
from stackhub.launch import Ended, Launcher, Lost, NeverBegan, Running, shim
from stackhub.launch.place import Place

HUB = """
    import anyio, json, sys
    from pathlib import Path
    from stackhub.contract import Context
    from stackhub.launch import Command, Launcher

    async def main(state, script):
        with Launcher(Context(instance="tested", state=Path(state))) as launcher:
            command = Command(argv=("bash", "-c", script), cwd=Path(state), env={"PATH": "/usr/bin:/bin"}, merge_output=True)
            print(json.dumps(await launcher.spawn("key", command)), flush=True)
            sys.stdin.read()

    anyio.run(main, *sys.argv[1:])
"""
CLIMBER = """
import signal, sys
def tell(number, _):
    with open(sys.argv[1], "w") as bell:
        bell.write(signal.Signals(number).name + "\\n")
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, tell)
with open(sys.argv[1], "w") as bell:
    bell.write("ready\\n")
while True:
    signal.pause()
"""


async def place_of_one_that_waits(grounds, launcher, then="echo done"):
    """Spawn a job that waits at the gate, and wait until it does."""
    handle = await launcher.spawn("key", grounds.waiting(then))
    await grounds.bell.heard()
    return handle, Place(launcher.directory(handle))


async def test_a_job_does_not_notice_that_its_hub_was_killed(grounds, launcher):
    script = grounds.waiting("echo done; exit 5").argv[2]
    hub = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HUB), str(grounds.state), script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with hub:
        handle = json.loads(hub.stdout.readline())
        await grounds.bell.heard()
        os.killpg(hub.pid, signal.SIGKILL)  # all of its session, as a terminal that is closed would do

    assert launcher.find("key") == handle
    assert isinstance(launcher.look(handle), Running)
    grounds.gate.say()
    ended = await grounds.end(launcher, handle)

    assert isinstance(ended, Ended)
    assert ended.code == 5
    assert launcher.tail(handle, "output") == "done"
    await grounds.until(lambda: grounds.woken == 1)  # a job found again wakes its lane, too
    assert grounds.runs() == 1


async def test_a_hub_killed_before_the_spawn_has_started_nothing_and_its_key_is_still_good(grounds, launcher):
    place = Place(launcher.place("key"))
    place.path.mkdir(parents=True)
    (place.path / "claim").touch()

    assert launcher.find("key") is None
    assert isinstance(place.look(), NeverBegan)
    handle = await launcher.spawn("key", grounds.waiting())
    await grounds.bell.heard()

    assert isinstance(launcher.look(handle), Running)
    assert grounds.runs() == 1


async def test_a_spawn_under_way_is_found_and_is_not_made_again(grounds, launcher):
    place = Place(launcher.place("key"))
    place.path.mkdir(parents=True)
    with (place.path / "claim").open("w") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        found = launcher.find("key")

        assert isinstance(launcher.look(found), Running)
        assert await launcher.spawn("key", grounds.waiting()) == found

    assert isinstance(launcher.look(found), NeverBegan)
    assert grounds.runs() == 0


class Begins(Place):
    """A place where the spawn under way begins between two looks at it."""

    def under_way(self):
        if (self.path / "claim").exists():
            (self.path / "claim").rename(self.path / "lock")
        return False


def test_a_job_that_begins_while_it_is_looked_at_is_running(grounds):
    place = Begins(grounds.root / "key")
    place.path.mkdir()
    with (place.path / "claim").open("w") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)

        assert isinstance(place.look(), Running)


class Records(Place):
    """A place where a job ends between the question for its record and the one for its lock."""

    def held(self, name):
        (self.path / "record").write_text('{"format": 1, "code": 0, "signal": null, "started_at": 1, "ended_at": 2}')
        return False


def test_a_job_that_ends_while_it_is_looked_at_has_ended(grounds):
    assert isinstance(Records(grounds.root).look(), Ended)


class Ends(Place):
    """A place where a whole job has come and gone between the first question and the next."""

    def begun(self):
        before = super().begun()
        (self.path / "lock").touch()
        return before


async def test_a_job_that_came_and_went_while_it_was_asked_for_is_not_run_again(grounds, launcher):
    place = Ends(launcher.place("key"))

    assert launcher._spawn(place, grounds.waiting(), b"") == 0
    assert {path.name for path in place.path.iterdir()} == {"lock", "claim"}


async def test_a_request_whose_sender_died_half_way_is_not_obeyed(grounds, launcher):
    place = Place(launcher.place("key"))
    place.path.mkdir(parents=True)
    argv = [sys.executable, "-I", "-S", str(shim.__file__), str(place.path)]
    with (place.path / "claim").open("w") as claim, (place.path / "shim").open("w") as words:
        fcntl.flock(claim, fcntl.LOCK_EX)
        os.set_inheritable(claim.fileno(), True)
        cut = subprocess.run(
            ["bash", "-c", f"exec {shlex.join(argv)} 3<&{claim.fileno()}"],
            input=b"9\x001\x00500",
            stderr=words,
            pass_fds=[claim.fileno()],
            check=False,
        )

    assert cut.returncode == 1
    assert place.look() == NeverBegan("the request was cut short")
    assert launcher.find("key") is None


async def test_a_job_whose_shim_was_killed_runs_on_and_is_lost_when_it_ends(grounds, launcher):
    handle, place = await place_of_one_that_waits(grounds, launcher)
    began = place.began()
    os.kill(began.shim, signal.SIGKILL)
    await grounds.until(lambda: grounds.woken == 1)

    assert isinstance(launcher.look(handle), Running), "and is watched itself from now on"
    grounds.gate.say()
    lost = await grounds.end(launcher, handle)

    assert isinstance(lost, Lost)
    assert "nobody saw how it ended" in lost.note
    assert await launcher.spawn("key", grounds.waiting()) == handle, "what is lost is not run again under its key"
    assert grounds.runs() == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
async def test_a_shim_stays_with_its_job_when_it_is_asked_to_go(grounds, launcher, number):
    handle, place = await place_of_one_that_waits(grounds, launcher, "exit 8")

    os.kill(place.began().shim, number)
    grounds.gate.say()

    assert (await grounds.end(launcher, handle)).code == 8


async def test_a_job_that_the_kernel_killed_has_ended_by_that_signal(grounds, launcher):
    handle, place = await place_of_one_that_waits(grounds, launcher)

    os.kill(place.began().pid, signal.SIGKILL)
    ended = await grounds.end(launcher, handle)

    assert (ended.code, ended.signal, ended.how) == (None, 9, "ended by SIGKILL")


async def test_a_job_has_ended_though_one_it_left_behind_holds_its_lock(grounds, launcher):
    handle = await launcher.spawn(
        "key", grounds.bash(f"(read _ < {grounds.gate}; echo late > {grounds.bell}) & exit 4")
    )

    ended = await grounds.end(launcher, handle)

    assert ended.code == 4
    assert Place(launcher.directory(handle)).held("lock")
    grounds.gate.say()
    assert await grounds.bell.heard() == "late", "and what it left behind is let live"


async def test_a_job_is_lost_though_one_it_left_behind_holds_its_lock(grounds, launcher):
    script = f"(read _ < {grounds.gate}; echo late > {grounds.bell}) & echo $! > {grounds.bell}; wait"
    handle = await launcher.spawn("key", grounds.bash(script))
    await grounds.bell.heard()
    place = Place(launcher.directory(handle))
    began = place.began()
    os.kill(began.shim, signal.SIGKILL)
    await over(began.shim)
    os.kill(began.pid, signal.SIGKILL)
    await over(began.pid)

    assert place.held("lock")
    assert isinstance(await grounds.end(launcher, handle), Lost)
    grounds.gate.say()
    assert await grounds.bell.heard() == "late"


async def test_what_ran_when_the_machine_went_down_is_lost(grounds, launcher):
    handle, place = await place_of_one_that_waits(grounds, launcher)
    began = place.began()
    for pid in (began.shim, began.pid):
        os.kill(pid, signal.SIGKILL)
        await over(pid)
    change(place, space="another boot")

    lost = launcher.look(handle)

    assert isinstance(lost, Lost)
    assert "started anew" in lost.note


async def test_a_cancel_climbs_and_a_hub_that_comes_later_climbs_on(grounds, launcher):
    handle = await launcher.spawn("key", grounds.command(sys.executable, "-I", "-S", "-c", CLIMBER, str(grounds.bell)))
    assert await grounds.bell.heard() == "ready"

    await launcher.climb(handle)
    assert await grounds.bell.heard() == "SIGINT"
    with Launcher(grounds.context()) as later:
        await later.climb(handle)
        assert await grounds.bell.heard() == "SIGTERM"
        await later.climb(handle)
        ended = await grounds.end(later, handle)
        await later.climb(handle)

    assert ended.signal == signal.SIGKILL


async def test_a_ladder_of_ones_own_ends_on_its_last_rung(grounds, launcher):
    handle = await launcher.spawn("key", grounds.command(sys.executable, "-I", "-S", "-c", CLIMBER, str(grounds.bell)))
    await grounds.bell.heard()

    for _ in range(3):
        await launcher.climb(handle, ladder=(signal.SIGTERM,))
        assert await grounds.bell.heard() == "SIGTERM"


async def test_all_that_a_job_has_started_is_signalled_with_it(grounds, launcher):
    child = f"trap 'echo child > {grounds.bell}; exit' TERM; echo ready > {grounds.bell}; while :; do read -t 1 _ < {grounds.gate}; done"
    handle = await launcher.spawn("key", grounds.bash(f"({child}) & wait"))
    await grounds.bell.heard()

    await launcher.climb(handle, ladder=(signal.SIGTERM,))

    assert await grounds.bell.heard() == "child"
    assert (await grounds.end(launcher, handle)).signal == signal.SIGTERM


def change(place, **facts):
    """Write down that a job is somebody else."""
    path = place.path / "began"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def stranger_to(birth):
    """Begin a process of another birth: two of the same hundredth of a second have the same."""
    while True:
        found = subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True)
        if shim.birth(found.pid) != birth:
            return found
        found.communicate()


@pytest.mark.parametrize("fact", ["pid", "birth", "space"])
async def test_a_process_that_may_be_another_is_not_signalled(grounds, launcher, fact):
    handle, place = await place_of_one_that_waits(grounds, launcher)
    true = place.began()
    stranger = stranger_to(true.birth)
    change(place, **{fact: {"pid": stranger.pid, "birth": true.birth + 1, "space": "another boot"}[fact]})

    await launcher.climb(handle, ladder=(signal.SIGKILL,))
    stranger.stdin.close()

    assert stranger.wait() == 0, "it ended by itself"
    change(place, pid=true.pid, birth=true.birth, space=true.space)
    assert shim.birth(true.pid) == true.birth
    assert not (place.path / "rung.0").exists()
    grounds.gate.say()
    assert (await grounds.end(launcher, handle)).ok


async def test_where_processes_cannot_be_told_apart_none_is_signalled_and_a_person_is_told(grounds, launcher):
    handle, place = await place_of_one_that_waits(grounds, launcher)
    true = place.began()
    change(place, space="")

    with pytest.raises(Rejected, match="stop it by hand"):
        await launcher.climb(handle)

    change(place, space=true.space)
    assert place.began().job_lives


async def test_a_long_output_is_cut_in_its_middle_and_says_so(grounds):
    with Launcher(grounds.context(), most=10_000) as launcher:
        handle = await launcher.spawn("key", grounds.bash("seq -w 100000"))
        await grounds.end(launcher, handle)

        found = launcher.read(handle, "output", 0, 10**6)[0].decode().splitlines()

    assert (found[0], found[-1]) == ("000001", "100000")
    assert "[stackhub: 690000 bytes were dropped here]" in found
    assert sum(len(line) + 1 for line in found) < 10_100


async def test_a_full_disk_does_not_stop_what_a_job_says(grounds, launcher):
    launcher.place("key").mkdir(parents=True)
    (launcher.place("key") / "output").symlink_to("/dev/full")

    handle = await launcher.spawn("key", grounds.bash("seq 1000000"))

    assert (await grounds.end(launcher, handle)).ok


async def test_an_end_waits_for_room_on_the_disk(grounds, launcher):
    record = launcher.place("key") / "record.new"
    handle, place = await place_of_one_that_waits(grounds, launcher, f"ln -sf /dev/full {record}; exit 6")
    job = place.began().pid
    grounds.gate.say()
    await over(job)

    assert isinstance(launcher.look(handle), Running)
    record.unlink()

    assert (await grounds.end(launcher, handle)).code == 6


async def test_a_job_that_cannot_be_noted_down_is_not_run_and_can_be_started_again(grounds, launcher):
    place = Place(launcher.place("key"))
    place.path.mkdir(parents=True)
    (place.path / "record.new").symlink_to("/dev/full")
    handle = await launcher.spawn("key", grounds.waiting())

    await grounds.freed(launcher, handle)
    never = launcher.look(handle)
    assert isinstance(never, NeverBegan)
    assert "No space left on device" in never.note
    assert launcher.find("key") is None
    assert grounds.runs() == 0

    (place.path / "record.new").unlink()
    assert await launcher.spawn("key", grounds.waiting()) == handle
    await grounds.bell.heard()
    assert grounds.runs() == 1


async def test_a_shim_killed_at_birth_leaves_a_job_that_never_began_or_is_lost(grounds, launcher):
    handle = await launcher.spawn("key", grounds.waiting())
    [newborn] = launcher._watch._fds
    os.kill(newborn, signal.SIGKILL)
    grounds.gate.say()  # to a job that was quicker, and goes on without its shim
    await grounds.freed(launcher, handle)
    process = launcher.look(handle)

    if isinstance(process, NeverBegan):
        assert launcher.find("key") is None
        assert grounds.runs() == 0
    else:
        assert isinstance(process, Lost)
        assert launcher.find("key") == handle
