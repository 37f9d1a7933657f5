"""What a universe promises to those who write worlds for it."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from engine.far_end import FAILED
from simulation.ground import MONDAY, dumped, ground
from simulation.universe import Fell

from stackhub.errors import Refused

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
LINE = """
pipeline: line
defaults: {retries: {attempts: 1}}
tasks:
  load: {uses: tap.sync, with: {connection: orders}}
  marts: {uses: mill.build}
"""


@pytest.fixture(autouse=True)
def logged():
    with structlog.testing.capture_logs() as found:
        yield found


@pytest.fixture
def on():
    with ground(looks=timedelta(minutes=1)) as made:
        made.house.instances("mill", "bell").write("tap.env", "TAP_LOOK=30\n").pipeline(LINE)
        yield made


def up(on, **more):
    life = on.hub(**more)
    on.universe.run_while(lambda: not life.up)
    return life


def finish(on, life, asked=None):
    """Let time pass until nothing is open."""
    if asked is not None:
        on.universe.run_while(lambda: not asked.done)
    on.universe.run_while(life.engine.board.runs)


def test_one_seed_is_one_history_in_every_process():
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parent)}
    argv = [sys.executable, str(HERE / "history.py"), "5", "2026"]  # once, 2026 went by the order of a set
    begun = [
        subprocess.Popen(argv, env={**environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for seed in ("1", "2")
    ]
    (one, words), (other, _) = [process.communicate(timeout=120) for process in begun]
    assert [process.returncode for process in begun] == [0, 0], words.decode()
    assert one == other
    text = one.decode()
    assert text.count("\nrun: ") > 5, "there was a history"
    assert " steps, " in text
    assert " 1 lives\n" not in text


def test_a_run_takes_its_virtual_time(on):
    life = up(on)
    on["tap"].hold = True
    asked = life.submit("trigger", pipeline="line")
    on.universe.at(timedelta(hours=1), lambda: on["tap"].end("orders"))
    finish(on, life, asked)
    assert on.ask("SELECT state FROM run") == [("succeeded",)]
    assert timedelta(hours=1) <= on.universe.clock.now() - MONDAY < timedelta(hours=1, minutes=1)


def test_nothing_that_a_dead_hub_was_about_to_do_has_any_effect(on):
    life = up(on)
    life.submit("trigger", pipeline="line")
    on.universe.run_while(lambda: not on["tap"].count("prepare"))
    life.kill()
    before = dumped(on.database)
    on.universe.run_until(timedelta(minutes=5))
    assert dumped(on.database) == before
    assert on["tap"].count("start") == 0
    assert life.over
    assert life.dead
    assert isinstance(life.submit("trigger", pipeline="line").error, ConnectionRefusedError)


def test_the_next_hub_finds_the_lock_free_and_goes_on(on):
    life = up(on)
    life.submit("trigger", pipeline="line")
    on.universe.run_while(lambda: not on["tap"].count("start"))
    life.kill()
    finish(on, up(on))
    assert len(on["tap"].jobs) == 1
    assert len(on["mill"].jobs) == 1


def test_a_second_hub_on_the_same_file_falls(on):
    up(on)
    with pytest.raises(Fell, match="held by another"):
        up(on)


def test_a_hub_that_is_stopped_leaves_in_peace(on):
    life = up(on)
    life.stop()
    on.universe.run_while(lambda: not life.over)
    assert not life.dead
    assert life.loop.complaints == []
    up(on)


def test_a_paused_hub_does_nothing_and_then_goes_on(on):
    life = up(on)
    asked = life.submit("trigger", pipeline="line")
    life.pause(timedelta(minutes=10))
    steps = life.steps
    on.universe.run_until(timedelta(minutes=9))
    assert life.steps == steps
    assert not asked.done
    finish(on, life, asked)
    assert on.universe.clock.now() >= MONDAY + timedelta(minutes=10)


@pytest.mark.parametrize("where", ["tap start: before", "tap start: after", "COMMIT: before", "COMMIT: after"])
def test_a_hub_may_die_inside_a_callback(on, where):
    life = up(on)
    on.universe.run_until(timedelta(seconds=1))  # what it keeps at its start has been kept
    life.fate = lambda point: point == where
    asked = life.submit("trigger", pipeline="line")
    on.universe.run_while(lambda: not life.over)
    assert life.dead
    assert on["tap"].count("start") == (where == "tap start: after")
    assert len(on.ask("SELECT id FROM command")) == (where != "COMMIT: before")
    assert asked.result is None or where.startswith("tap")


def test_what_is_refused_is_told_to_who_asked(on):
    life = up(on)
    asked = life.submit("trigger", pipeline="nonesuch")
    on.universe.run_while(lambda: not asked.done)
    assert isinstance(asked.error, Refused)


def test_a_bug_in_what_was_asked_comes_to_light(on):
    life = up(on)
    life.ask(lambda engine: engine.no_such_thing())
    with pytest.raises(Fell, match="no_such_thing"):
        on.universe.run_until(timedelta(seconds=1))


def test_an_edit_comes_into_force(on):
    life = up(on)
    on.house.pipeline(LINE.replace("pipeline: line", "pipeline: other"))
    asked = life.apply(on.house.read())
    on.universe.run_while(lambda: not asked.done)
    assert asked.result.revision > 0
    assert life.submit("trigger", pipeline="other").error is None


def test_events_happen_when_they_are_due_and_long_waits_cost_little(on):
    seen = []
    on.universe.line.looks = 7200.0
    life = up(on)
    on["mill"].outcomes["all"].append(FAILED)
    for hours in (30, 10, 20):
        on.universe.at(timedelta(hours=hours), lambda hours=hours: seen.append((hours, on.universe.clock.now())))
    steps = life.steps
    on.universe.run_until(timedelta(days=7))
    assert seen == [(hours, MONDAY + timedelta(hours=hours)) for hours in (10, 20, 30)]
    assert life.steps - steps < 10_000
