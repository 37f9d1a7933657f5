"""The oracle can fail: each invariant has a hub, or a database, that breaks it, and is caught."""

import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog
from simulation.oracle import Violation
from simulation.spec import Spec
from simulation.world import live

from stackhub.decide import run as decide_run
from stackhub.decide import step as decide_step
from stackhub.engine import incidents, scheduler
from stackhub.engine.gate import LaneGate
from stackhub.engine.inforce import InForce
from stackhub.engine.outbox import Outbox
from stackhub.model.step import StepState

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
LINE = {
    "pipeline": "line",
    "schedule": {"every": "25m"},
    "overlap": "queue",
    "tasks": {
        "load": {"uses": "tap.sync", "with": {"connection": "c0"}, "retries": {"attempts": 1}},
        "build": {"uses": "mill.build", "with": {"select": "s0"}, "needs": ["load"], "retries": {"attempts": 1}},
    },
}
FAILS = {"mill:s0": [{"seconds": 60, "ends": "fatal"}, {"seconds": 60}]}


@pytest.fixture(autouse=True)
def silence():
    with structlog.testing.capture_logs():
        yield


def world(**more) -> Spec:
    whole = {
        "seed": 1,
        "start": "2026-11-02T12:00:00+00:00",
        "hours": 1.0,
        "instances": {"tap": {}, "mill": {}, "bell": {}, "horn": {}, "post": {}},
        "pipelines": [LINE],
        **more,
    }
    return Spec.model_validate(whole)


def caught(spec, number, *, prepare=lambda world: None, match):
    with pytest.raises(Violation, match=match) as found:
        live(spec, prepare=prepare)
    assert found.value.number == number, found.value


def at(seconds, sql):
    """Doctor the database at a time."""

    def prepare(made):
        def doctor():
            connection = sqlite3.connect(made.crowd.database, isolation_level=None)
            connection.execute(sql)
            connection.close()
            made.universe.commits += 1  # there is something to look at

        made.universe.at(timedelta(seconds=seconds), doctor)

    return prepare


@pytest.mark.parametrize(
    "more", [{}, {"turns": FAILS}, {"faults": [{"instance": "tap", "kind": "after", "until": 9e9}]}]
)
def test_nothing_is_caught_where_nothing_is_wrong(more):
    told = live(world(**more))
    assert told.runs == 2
    assert told.calls > 10


def test_a_build_that_does_not_wait_for_its_load(monkeypatch):
    def unlocked(pipeline, steps, now):
        waiting = {name: step for name, step in steps.items() if step.state is StepState.WAITING}
        return {**steps, **{name: step.move(StepState.READY, due=now) for name, step in waiting.items()}}

    monkeypatch.setattr(decide_run, "_unlocked", unlocked)
    caught(world(), 1, match="which it needs, was")


def test_an_old_load_that_is_taken_for_a_new_one():
    def prepare(made):
        def doctor():
            job = made.town["tap"].jobs[-1]
            landing = replace(job.end.landing, mark=f"{made.town['tap'].jobs[0].ended:09}")
            job.end = replace(job.end, landing=landing)

        made.universe.at(timedelta(minutes=51, seconds=5), doctor)

    spec = world(turns={"tap:c0": [{"seconds": 30}]}, instances={"tap": {"look": 300, "first_look": 300}, "mill": {}})
    caught(spec, 1, prepare=prepare, match="landed before it could be started")


def test_a_start_that_is_made_again_before_it_can_be_known_what_became_of_it(monkeypatch):
    rules = InForce.rules

    def hasty(self, pipeline):
        return {name: replace(rule, settle=-timedelta(days=1)) for name, rule in rules(self, pipeline).items()}

    monkeypatch.setattr(InForce, "rules", hasty)
    tasks = {"build": {"uses": "mill.marked", "with": {"select": "s0"}}}
    spec = world(
        pipelines=[{**LINE, "tasks": tasks}],
        turns={"mill:s0": [{"seconds": 600, "unseen": 8}]},
        faults=[{"instance": "mill", "verb": "start", "kind": "after", "times": 1, "until": 9e9}],
    )
    live(world(pipelines=[{**LINE, "tasks": tasks}]))
    caught(spec, 2, match="has two jobs")


def test_a_call_that_is_made_before_its_intent_is_kept(monkeypatch):
    claimed = decide_step._claimed

    def careless(step, claim, now):
        return replace(claimed(step, claim, now), serial=step.serial + 1)

    monkeypatch.setattr(decide_step, "_claimed", careless)
    caught(world(), 2, match="was started while the store says")


@pytest.mark.parametrize(
    ("sql", "match"),
    [
        ("UPDATE step SET state = 'running' WHERE state = 'succeeded'", "and is written again as running"),
        ("UPDATE run SET state = 'failed' WHERE state = 'succeeded'", "and is written again as failed"),
        ("UPDATE run SET state = 'succeeded' WHERE state = 'running'", "while its steps are"),
        ("DELETE FROM run WHERE state = 'running'", "was forgotten while it was running"),
    ],
)
def test_what_is_over_and_changes_all_the_same(sql, match):
    spec = world(turns={"mill:s0": [{"seconds": 60}, {"seconds": 600}]})
    caught(spec, 3, prepare=at(53 * 60, sql), match=match)


def test_a_failure_that_is_no_incident(monkeypatch):
    monkeypatch.setattr(incidents.Incidents, "observe", lambda self, *_, **__: None)
    caught(world(turns=FAILS), 4, match="no open incident says so")


def test_a_recovery_that_ends_nothing(monkeypatch):
    monkeypatch.setattr(incidents.Incidents, "cease", lambda self, *_, **__: None)
    caught(world(turns=FAILS), 4, match="is still failed")


def test_a_route_that_never_hears():
    drop = "UPDATE outbox SET state = 'sent', doubt = 0 WHERE route = 'horn' AND state = 'pending'"
    spec = world(turns=FAILS, faults=[{"instance": "horn", "kind": "down", "until": 9e9}])
    caught(spec, 4, prepare=at(28 * 60, drop), match="nobody saw it")


def test_a_message_that_is_told_twice(monkeypatch):
    async def forgetful(self, waiting, receipt):
        await self._again(waiting, TimeoutError("forgotten"), doubt=False)

    monkeypatch.setattr(Outbox, "_sent", forgetful)
    caught(world(turns=FAILS), 4, match="again, and without doubt")


def test_a_line_in_a_thread_that_is_not_there():
    heard = (
        "INSERT INTO receipt (incident, route, receipt, updated_at)"
        " SELECT DISTINCT incident, route, '{}', 0 FROM outbox WHERE route = 'bell' AND part = 'entry'"
    )
    failing = [{"seconds": 60, "ends": "fatal"}] * 2 + [{"seconds": 60}]
    down = [{"instance": "bell", "kind": "down", "until": 90 * 60.0}]
    spec = world(hours=2.0, turns={"mill:s0": failing}, faults=down)
    live(spec)
    caught(spec, 4, prepare=at(85 * 60, heard), match="a thread that is not there")


def test_a_tick_that_is_lost(monkeypatch):
    fall_due = scheduler.fall_due
    monkeypatch.setattr(
        scheduler, "fall_due", lambda *args, **more: (fall_due(*args, **more)[0][1:], fall_due(*args, **more)[1])
    )
    hub = [{"at": 600, "do": "kill", "seconds": 2400}]
    caught(world(hub=hub), 5, match="no word of its ticks")


def test_a_tick_that_is_made_up():
    sql = (
        "INSERT INTO tick (pipeline, spec, at, label, verdict, reason) "
        "SELECT pipeline, spec, anchor + 60000000, '', 'skip', '' FROM schedule"
    )
    caught(world(), 5, prepare=at(1800, sql), match="it has no tick at")


def test_calls_above_an_accounts_rate(monkeypatch):
    async def at_once(self):
        self._tokens -= 1

    monkeypatch.setattr(LaneGate, "_wait", at_once)
    instances = {"tap": {"rate": 0.01, "burst": 1}, "mill": {}}
    caught(world(instances=instances), 6, match="above its rate")


def test_calls_to_an_account_that_has_asked_to_be_left_alone(monkeypatch):
    monkeypatch.setattr(LaneGate, "rest", lambda self: timedelta())
    faults = [{"instance": "tap", "verb": "prepare", "kind": "patience", "times": 1, "seconds": 3000, "until": 9e9}]
    often = {**LINE, "pipeline": "often", "schedule": {"cron": "*/2 * * * *"}}
    caught(world(faults=faults, pipelines=[LINE, often]), 6, match="was called")


def test_a_call_by_a_hub_whose_lane_is_anothers():
    sql = "UPDATE lane SET owner = 'somebody', epoch = epoch + 1 WHERE instance = 'tap'"
    spec = world(hubs=2, lease=300, turns={"tap:c0": [{"seconds": 600}]})
    live(spec)
    caught(spec, 2, prepare=at(25 * 60 + 20, sql), match="and its lane is somebody's")


def test_something_left_undone_that_nobody_is_told_of():
    sql = "UPDATE step SET state = 'partial' WHERE state = 'running'"
    caught(world(), 7, prepare=at(25 * 60 + 20, sql), match="is partial")


def test_a_message_that_waits_for_ever():
    sql = "UPDATE outbox SET due = due * 2 WHERE route = 'horn' AND state = 'pending'"
    spec = world(turns=FAILS, faults=[{"instance": "horn", "kind": "down", "until": 9e9}])
    caught(spec, 0, prepare=at(55 * 60, sql), match="is pending")


def test_a_command_that_is_never_obeyed(monkeypatch):
    sql = "INSERT INTO command (id, kind, args, by, created_at) VALUES ('0', 'pause', '{\"pipeline\": \"line\"}', 'ada', 0)"
    monkeypatch.setattr("stackhub.engine.commands.unobeyed", lambda connection, until: [])
    caught(world(), 0, prepare=at(600, sql), match="is not obeyed")
