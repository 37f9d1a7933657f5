"""Several hubs on one database: any may die, be stopped for a while and wake, or be cut off; nothing twice, nothing lost.

The database is an SQLite file without a lock, and its clock that of the universe: what is decided by leases and epochs
is the same on PostgreSQL, where `tests/daemon` has real ones.
"""

import itertools
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
import structlog
from engine.far_end import FAILED, Lost
from simulation.ground import ground
from simulation.universe import Fell

from stackhub.contract import Pending, Unavailable
from stackhub.store import lanes
from stackhub.store.tables import micros

LINE = """
pipeline: line
defaults: {retries: {attempts: 1}}
tasks:
  load: {uses: tap.sync, with: {connection: orders}}
  marts: {uses: mill.build}
"""
LEASE = timedelta(seconds=15)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def logged():
    with structlog.testing.capture_logs() as found:
        yield found


class Hubs:
    """Hubs by letter."""

    def __init__(self, on):
        self.on, self.universe, self.lives = on, on.universe, {}

    def __getitem__(self, letter):
        return self.lives[letter]

    def start(self, letter, **more):
        state = self.on.house.root / f"host-{letter}"
        state.mkdir(mode=0o700, exist_ok=True)
        url = f"sqlite:///{self.on.database}"
        life = self.universe.hub(self.on.house.read(), state=state, url=url, lock=False, **more)
        self.lives[letter] = life
        self.universe.run_while(lambda: not life.up)
        self.let(2 * SECOND)
        return life

    def let(self, span):
        self.universe.run_until(self.universe.clock.now() + span)

    def until(self, holds, most=timedelta(minutes=20)):
        self.universe.run_while(lambda: not holds(), most)

    def owner(self, name):
        """Return the letter of the hub that thinks that it holds a lane; there is never more than one."""
        held = [letter for letter, life in self.lives.items() if life.up and life.engine.tenure.holds(name)]
        assert len(held) <= 1, held
        return held[0] if held else None

    def trigger(self, letter, pipeline="line"):
        asked = self[letter].submit("trigger", pipeline=pipeline)
        self.until(lambda: asked.done)
        assert asked.error is None, asked.error
        return asked.result["run"]

    def ended(self):
        for _ in range(1000):
            if not self.on.ask("SELECT 1 FROM run WHERE ended_at IS NULL"):
                return
            self.let(2 * SECOND)
        raise AssertionError(self.on.ask("SELECT data FROM step"))

    def states(self):
        return [state for (state,) in self.on.ask("SELECT state FROM run ORDER BY id")]


@pytest.fixture
def on(monkeypatch):
    with ground() as made:
        monkeypatch.setattr(lanes, "_clock", lambda _connection, _now: micros(made.universe.clock.now()))
        made.house.instances("tap", "mill", "bell", "horn").pipeline(LINE)
        yield made


@pytest.fixture
def hubs(on):
    return Hubs(on)


def test_one_of_two_does_the_work_and_both_see_it(hubs, on):
    a, b = hubs.start("a"), hubs.start("b")
    assert {hubs.owner(name) for name in ("tap", "mill", "bell", "@time")} == {"a"}
    assert {hubs.owner("@host:" + life.engine.lanes._place.hosts.mine) for life in (a, b)} == {"a", "b"}
    assert (a.engine.unready(), b.engine.unready()) == ("", "")
    run = hubs.trigger("b")
    hubs.until(lambda: b.engine.board.get(run) is None)
    assert hubs.states() == ["succeeded"]
    assert [len(on[name].jobs) for name in ("tap", "mill")] == [1, 1]
    assert a.engine.board.runs() == b.engine.board.runs() == []


def test_lanes_move_within_the_lease_when_a_hub_dies(hubs, on):
    on["tap"].hold = True
    hubs.start("a"), hubs.start("b")
    hubs.trigger("a")
    hubs.until(lambda: on["tap"].jobs)
    hubs["a"].kill()
    died = hubs.universe.clock.now()
    hubs.until(lambda: hubs.owner("tap") == "b" and hubs.owner("@time") == "b")
    assert hubs.universe.clock.now() - died <= LEASE + 6 * SECOND
    on["tap"].end("orders")
    hubs.ended()
    assert hubs.states() == ["succeeded"]
    assert [len(on[name].jobs) for name in ("tap", "mill")] == [1, 1]


def test_a_hub_that_leaves_gives_its_lanes_to_the_others_at_once(hubs):
    hubs.start("a"), hubs.start("b")
    hubs["a"].stop()
    left = hubs.universe.clock.now()
    hubs.until(lambda: hubs.owner("tap") == "b")
    assert hubs.universe.clock.now() - left <= 6 * SECOND


@pytest.mark.parametrize("point", ["prepare", "start", "poll"])
def test_a_hub_that_is_stopped_past_its_lease_and_wakes_does_nothing_more(hubs, on, point):
    on["tap"].pending["orders"].extend([Pending()] * 3)
    hubs.start("a"), hubs.start("b")
    hubs.trigger("a")
    hubs.until(lambda: on["tap"].count(point))
    hubs["a"].pause(2 * MINUTE)
    hubs.ended()
    calls = len(on["tap"].calls), len(on["mill"].calls)
    hubs.let(3 * MINUTE)
    assert hubs.states() == ["succeeded"]
    assert (len(on["tap"].calls), len(on["mill"].calls)) == calls, "the one that woke asked nobody anything"
    assert [len(on[name].jobs) for name in ("tap", "mill")] == [1, 1]
    assert hubs["a"].up
    assert hubs["a"].engine.board.runs() == [], "it has caught up"


def test_what_a_hub_heard_before_it_was_stopped_is_refused_when_it_wakes(hubs, on):
    """Its answer was there, but not committed: another has found the job since, and seen it through."""
    hubs.start("a"), hubs.start("b")
    seen = []

    def late(where):
        if where == "tap start: after" and not seen:
            seen.append(where)
            hubs["a"].pause(2 * MINUTE)
        return False

    hubs["a"].fate = late
    hubs.trigger("a")
    hubs.ended()
    hubs.let(3 * MINUTE)
    assert seen
    assert hubs.states() == ["succeeded"]
    assert [len(on[name].jobs) for name in ("tap", "mill")] == [1, 1]


def test_a_lost_start_is_looked_for_by_whoever_has_the_lane_then(hubs, on):
    on["tap"].will("start", Lost())
    hubs.start("a"), hubs.start("b")
    hubs.trigger("a")
    hubs.until(lambda: on["tap"].count("start"))
    hubs["a"].kill()
    hubs.ended()
    assert hubs.states() == ["succeeded"]
    assert len(on["tap"].jobs) == 1


def test_patience_and_rate_go_with_the_lane(hubs, on):
    hubs.start("a"), hubs.start("b")
    on["tap"].will("start", Unavailable("429", retry_after=10 * MINUTE))
    hubs.trigger("a")
    hubs.until(lambda: on["tap"].count("start"))
    hubs.let(SECOND)
    asked = hubs.universe.clock.now()
    hubs["a"].kill()
    hubs.ended()
    second = [call.at for call in on["tap"].calls if call.verb == "start"][1]
    assert second - asked >= 10 * MINUTE - 2 * SECOND


def test_what_the_last_owner_knew_of_an_account_the_next_one_knows(hubs, on):
    """One that stood by has asked for nothing, and so its own bucket is full: that says nothing of the account."""
    hubs.start("a"), hubs.start("b")
    hubs.let(10 * MINUTE)
    on["tap"].will("start", Unavailable("429", retry_after=10 * MINUTE))
    hubs.trigger("a")
    hubs.until(lambda: on["tap"].count("start"))
    hubs.let(SECOND)
    asked = hubs.universe.clock.now()
    hubs["a"].kill()
    opened = hubs["b"].engine.lanes.open
    hubs.until(lambda: "tap" in opened and not opened["tap"].standby)
    gate = opened["tap"].gate
    assert gate.not_before - asked >= 10 * MINUTE - 2 * SECOND
    assert gate.tokens < 1


def test_a_failure_is_told_once_whoever_decided_it_and_whoever_tells(hubs, on):
    on["mill"].outcomes["all"].append(FAILED)
    hubs.start("a"), hubs.start("b")
    hubs.trigger("b")
    hubs.ended()
    hubs.let(MINUTE)
    hubs["a"].kill()
    hubs.trigger("b") if hubs.owner("@time") else None
    hubs.let(2 * MINUTE)
    assert [event for _, event, _ in on["bell"].order][:1] == ["opened"]
    assert len([1 for _, event, _ in on["bell"].order if event == "opened"]) == 1
    hubs.trigger("b")
    hubs.ended()
    hubs.let(2 * MINUTE)
    assert on.ask("SELECT count(*) FROM incident WHERE resolved_at IS NULL") == [(0,)]
    assert [event for _, event, _ in on["bell"].order].count("resolved") >= 1


def test_ticks_fall_once_though_the_keeper_of_the_time_changes(hubs, on):
    on.house.pipeline(LINE + "schedule: [{cron: '* * * * *'}]\n")
    hubs.start("a"), hubs.start("b")
    hubs.let(5 * MINUTE)
    hubs["a"].pause(3 * MINUTE)
    hubs.let(5 * MINUTE)
    hubs["b"].kill()
    hubs.let(5 * MINUTE)
    ticks = [at for (at,) in on.ask("SELECT at FROM tick ORDER BY at")]
    assert len(ticks) == len(set(ticks)) >= 14
    assert {later - earlier for earlier, later in itertools.pairwise(ticks)} == {60_000_000}
    runs = on.ask("SELECT count(*) FROM run")[0][0]
    assert len(on["tap"].jobs) == len(on["mill"].jobs) == runs or runs - len(on["mill"].jobs) <= 1


def test_runs_of_one_pipeline_never_go_beside_each_other(hubs, on):
    on["tap"].hold = True
    hubs.start("a"), hubs.start("b")
    first, second = hubs["a"].submit("trigger", pipeline="line"), hubs["b"].submit("trigger", pipeline="line")
    hubs.until(lambda: first.done and second.done)
    hubs.let(30 * SECOND)
    assert sorted(hubs.states()) == ["queued", "running"]
    on["tap"].end("orders")
    hubs.until(lambda: len(on["tap"].jobs) == 2)
    on["tap"].end("orders")
    hubs.ended()
    assert hubs.states() == ["succeeded", "succeeded"]


def test_a_job_that_is_a_process_is_judged_on_its_own_host_alone(hubs, on):
    """The one that owns the lane cannot see it; the one that comes back can."""
    on.house.pipeline("pipeline: line\ntasks: {b: {uses: mill.build, retries: {attempts: 1}}}\n")
    mill = on["mill"]
    mill.hold = mill.hosted = True
    hubs.start("a"), hubs.start("b")
    hubs.trigger("a")
    hubs.until(lambda: mill.jobs)
    hubs.let(5 * SECOND)
    hubs["a"].kill()
    hubs.until(lambda: hubs.owner("mill") == "b")
    polls = mill.count("poll")
    mill.end("all")
    hubs.let(MINUTE)
    assert mill.count("poll") == polls, "nobody asks in another host's place"
    hubs.until(lambda: on.ask("SELECT count(*) FROM incident WHERE resolved_at IS NULL") == [(1,)])
    assert "silent" in str(on.ask("SELECT data FROM step"))
    hubs.start("a")
    hubs.ended()
    assert hubs.owner("mill") == "b"
    assert hubs.states() == ["succeeded"]
    assert len(mill.jobs) == 1
    hubs.let(MINUTE)
    assert on.ask("SELECT count(*) FROM incident WHERE resolved_at IS NULL") == [(0,)]


@pytest.mark.parametrize("point", ["start", "poll"])
@pytest.mark.parametrize("answer", ["retry", "cancel"])
def test_a_person_answers_for_a_job_whose_host_is_gone(hubs, on, answer, point):
    on.house.pipeline("pipeline: line\ntasks: {b: {uses: mill.build, retries: {attempts: 1}}}\n")
    mill = on["mill"]
    mill.hold = mill.hosted = True
    hubs.start("a"), hubs.start("b")
    run = hubs.trigger("a")
    hubs.until(lambda: mill.count(point))
    hubs["a"].kill()
    refused = hubs["b"].submit(answer, run=run, lost=True)
    hubs.until(lambda: refused.done)
    assert "lost sight of" in str(refused.error)
    hubs.until(lambda: (step := hubs["b"].engine.board.get(run).steps["b"]) and step.lost_sight)
    asked = hubs["b"].submit(answer, run=run, lost=True)
    hubs.until(lambda: asked.done)
    assert asked.error is None
    if answer == "retry":
        hubs.until(lambda: len(mill.jobs) == 2)
        mill.end("all")
    hubs.ended()
    assert hubs.states() == ["succeeded" if answer == "retry" else "cancelled"]
    assert len(mill.jobs) == (2 if answer == "retry" else 1)
    hubs.start("a")
    hubs.let(MINUTE)
    assert hubs.states() == ["succeeded" if answer == "retry" else "cancelled"]


def test_a_hub_that_may_not_read_the_tables_any_more_ends_and_says_what_to_do(hubs, on):
    hubs.start("a"), hubs.start("b")
    with closing(sqlite3.connect(on.database)) as connection, connection:
        connection.execute("UPDATE stackhub_schema SET version = 99, oldest_reader = 99, written_by = '9.9'")
    with pytest.raises(Fell, match="upgrade this hub"):
        hubs.let(MINUTE)
