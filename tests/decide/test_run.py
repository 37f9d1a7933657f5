"""What becomes of a run, given what became of its steps."""

from dataclasses import replace

import pytest
from decide.steps import BOOM, MINUTE, OK, S
from decide.worlds import CALL, T0, World, needing, pipeline, rule, task

from stackhub.contract import Deferred, Finished, Missing, Outcome, Pending, Unavailable
from stackhub.decide.run import Back, Begin, Cancel, Moment, Skip, decide
from stackhub.decide.step import ODD, Claim, Heard, Verb
from stackhub.model.pipeline import OnTimeout, Pipeline, Retries
from stackhub.model.run import RUN_MOVES, RunState
from stackhub.model.step import Stop

ONCE = Retries(attempts=1)
SHOP = pipeline(task("orders", retries=ONCE), task("users", retries=ONCE), needing("marts", "orders", "users"))


class Played:
    """One run, told one thing after another."""

    def __init__(self, shop=SHOP, **rules):
        world = World(pipeline=shop, rules={one.name: rule(**rules) for one in shop.tasks})
        self.rules, self.now, self.open, self.last = world.rules, T0, world.run("R1", T0), None

    def tell(self, *items):
        self.last = decide(self.open, items, self.rules, self.now)
        self.open = self.last.open if self.last else self.open
        return self

    def begin(self):
        return self.tell(Begin())

    def hear(self, name, verb, answer):
        return self.tell(Heard(task=name, key=self.open.steps[name].key, verb=verb, answer=answer))

    def start(self, *names):
        for name in names:
            self.hear(name, Verb.CLAIM, Claim(baseline={}, call_deadline=self.now + CALL))
            self.hear(name, Verb.START, {"id": name})
        return self

    def end(self, name, how=OK):
        return self.start(name).hear(name, Verb.POLL, how)

    def put(self, name, state):
        """Bring a step into a state nothing that is heard leads to."""
        step = replace(self.open.steps[name], state=state, ended_at=self.now)
        self.open = replace(self.open, steps={**self.open.steps, name: step})
        return self

    @property
    def states(self):
        return {name: step.state for name, step in self.open.steps.items()}

    @property
    def state(self):
        return self.open.run.state


def test_a_queued_run_waits_for_its_turn():
    played = Played()
    assert played.tell().last is None
    assert played.begin().state is RunState.RUNNING
    assert played.open.run.started_at == T0
    assert played.states == {"orders": S.READY, "users": S.READY, "marts": S.WAITING}
    assert played.begin().last is None, "it begins once"


def test_a_step_that_became_ready_is_so_from_that_moment():
    played = Played().begin().end("orders")
    played.now = T0 + MINUTE
    assert played.end("users").open.steps["marts"].due == T0 + MINUTE


def test_an_account_that_is_back_is_tried_at_once_by_what_could_not_reach_it():
    played = Played(pipeline(task("orders"), task("users"), task("far", instance="airbyte"), task("later"))).begin()
    for name in ("orders", "far"):
        played.hear(name, Verb.PREPARE, Unavailable("503", retry_after=MINUTE))
    before = dict(played.open.steps)
    played.now = T0 + MINUTE / 2
    played.tell(Back(instance="fivetran"))
    assert [step.task for step in played.last.changed] == ["orders"]
    assert (played.states["orders"], played.open.steps["orders"].due) == (S.READY, played.now)
    assert played.open.steps["far"] == before["far"]
    assert played.tell(Back(instance="fivetran")).last is None


def test_an_account_that_is_back_does_not_hurry_a_failed_attempt():
    played = Played(pipeline(task("orders"))).begin().end("orders", BOOM)
    assert played.tell(Back(instance="fivetran")).last is None


def test_a_step_is_ready_once_everything_it_needs_is_done():
    played = Played().begin().end("orders")
    assert played.states["marts"] is S.WAITING
    assert played.end("users").states["marts"] is S.READY


def test_a_step_is_ready_when_what_it_needs_was_skipped():
    played = Played().begin().end("orders").tell(Skip(task="users", reason="broken at the vendor"))
    assert played.states == {"orders": S.SUCCEEDED, "users": S.SKIPPED, "marts": S.READY}


@pytest.mark.parametrize(("complete", "then"), [(False, S.READY), (True, S.UPSTREAM_FAILED)])
def test_what_needs_a_partial_step_runs_unless_it_wants_it_complete(complete, then):
    played = Played(pipeline(task("orders"), needing("marts", "orders", complete=complete)))
    assert played.begin().put("orders", S.PARTIAL).tell().states["marts"] is then


def test_what_needs_a_step_complete_waits_for_it_and_runs_when_it_is():
    played = Played(pipeline(task("orders"), needing("marts", "orders", complete=True))).begin()
    assert played.states["marts"] is S.WAITING
    assert played.end("orders").states["marts"] is S.READY


def test_a_job_that_is_done_without_a_load_has_no_landing():
    played = Played().begin().end("orders", Finished(outcome=Outcome.OK))
    assert played.states["orders"] is S.SUCCEEDED
    assert played.last.landings == ()


def test_what_needs_a_failed_step_fails_at_once_and_all_behind_it():
    played = Played(pipeline(task("a", retries=ONCE), task("b"), needing("c", "a", "b"), needing("d", "c")))
    played.begin().end("a", BOOM)
    assert played.states == {"a": S.FAILED, "b": S.READY, "c": S.UPSTREAM_FAILED, "d": S.UPSTREAM_FAILED}
    assert played.open.steps["c"].note == "needs a"
    assert played.open.steps["c"].ended_at == T0
    assert played.state is RunState.RUNNING, "what does not need it goes on"
    assert played.end("b").state is RunState.FAILED


def test_what_needs_a_step_that_was_cancelled_at_the_vendor_is_cancelled():
    played = Played().begin().end("orders", Finished(outcome=Outcome.CANCELLED)).end("users")
    assert played.states["marts"] is S.CANCELLED
    assert played.open.steps["marts"].ended_at == T0
    assert played.open.steps["marts"].note == "needs orders, which was cancelled"
    assert played.state is RunState.CANCELLED


def test_several_answers_are_decided_together():
    played = Played().begin().start("orders", "users")
    told = [
        Heard(task=name, key=played.open.steps[name].key, verb=Verb.POLL, answer=OK) for name in ("orders", "users")
    ]
    version = played.open.run.version
    played.tell(*told)
    assert played.states["marts"] is S.READY
    assert played.open.run.version == version + 1
    assert {step.task for step, _ in played.last.landings} == {"orders", "users"}


def test_a_wait_that_is_over_makes_a_step_ready_again():
    played = Played(pipeline(task("orders"))).begin().end("orders", BOOM)
    due = played.open.steps["orders"].due
    played.now = due - MINUTE / 60
    assert played.tell().last is None
    played.now = due
    assert played.tell().states["orders"] is S.READY
    assert played.open.steps["orders"].due == due


def test_a_job_that_was_let_go_is_watched_on_in_the_next_attempt():
    played = Played(pipeline(task("orders", on_timeout=OnTimeout.LET_GO))).begin().start("orders")
    key = played.open.steps["orders"].key
    played.now = T0 + played.open.pipeline.tasks[0].timeout
    played.hear("orders", Verb.POLL, Pending())
    played.now = played.open.steps["orders"].due
    step = played.tell().open.steps["orders"]
    assert (step.state, step.attempt, step.key, step.handle) == (S.RUNNING, 2, key, {"id": "orders"})
    assert (step.attempt_at, step.due) == (played.now, None), "a new attempt has its whole time"


def test_no_wait_between_attempts_is_no_wait():
    played = Played(pipeline(task("orders", retries=Retries(attempts=2, wait=MINUTE * 0)))).begin().end("orders", BOOM)
    step = played.open.steps["orders"]
    assert (step.state, step.attempt, step.serial) == (S.READY, 2, 2)


@pytest.mark.parametrize(
    ("orders", "users", "marts", "end"),
    [
        (S.SUCCEEDED, S.SUCCEEDED, S.SUCCEEDED, RunState.SUCCEEDED),
        (S.SKIPPED, S.SUCCEEDED, S.SUCCEEDED, RunState.SUCCEEDED),
        (S.SUCCEEDED, S.SUCCEEDED, S.PARTIAL, RunState.PARTIAL),
        (S.PARTIAL, S.FAILED, S.UPSTREAM_FAILED, RunState.FAILED),
        (S.SUCCEEDED, S.CANCELLED, S.CANCELLED, RunState.CANCELLED),
        (S.FAILED, S.CANCELLED, S.UPSTREAM_FAILED, RunState.FAILED),
    ],
)
def test_a_run_ends_as_badly_as_its_worst_step(orders, users, marts, end):
    played = Played().begin().put("orders", orders).put("users", users).put("marts", marts).tell()
    assert played.state is end
    assert played.open.run.ended_at == T0


# --- orders ---


def test_cancel_ends_a_queued_run_at_once():
    played = Played().tell(Cancel(reason="by ada"))
    assert played.state is RunState.CANCELLED
    assert set(played.states.values()) == {S.CANCELLED}
    run = played.open.run
    assert (run.cancel_reason, run.cancel_at, run.ended_at) == ("by ada", T0, T0)
    assert {step.ended_at for step in played.open.steps.values()} == {T0}


def test_cancel_ends_what_waits_at_once_and_asks_what_runs_to_stop():
    played = Played().begin().start("orders").tell(Cancel(reason="by ada"))
    assert played.states == {"orders": S.RUNNING, "users": S.CANCELLED, "marts": S.CANCELLED}
    assert played.open.steps["orders"].stop is Stop.CANCEL
    assert played.state is RunState.RUNNING
    played.now = T0 + MINUTE
    assert played.tell(Cancel(reason="by bob")).last is None, "asked twice is asked once"
    assert (played.open.run.cancel_at, played.open.run.cancel_reason) == (T0, "by ada")
    played.hear("orders", Verb.POLL, Finished(outcome=Outcome.CANCELLED))
    assert played.state is RunState.CANCELLED


def test_cancel_lets_go_of_a_job_that_another_step_holds():
    played = Played().begin().start("orders").tell(Cancel(reason="by ada", shared=frozenset({"orders"})))
    assert played.states["orders"] is S.CANCELLED
    assert "let go" in played.open.steps["orders"].note


def test_a_run_that_was_done_when_cancel_came_has_succeeded():
    played = Played(pipeline(task("orders"))).begin().start("orders").tell(Cancel(reason="by ada"))
    assert played.hear("orders", Verb.POLL, OK).state is RunState.SUCCEEDED


def test_a_skip_lets_go_of_a_job_that_another_step_holds():
    played = Played().begin().start("orders").tell(Skip(task="orders", reason="broken", shared=True))
    assert played.states["orders"] is S.SKIPPED
    assert played.open.steps["orders"].note.startswith("skipped: broken; let go")


def test_orders_to_a_run_that_has_ended_change_nothing():
    played = Played(pipeline(task("orders"))).begin().end("orders")
    assert played.tell(Cancel(reason="late"), Skip(task="orders", reason="late"), Begin()).last is None


def test_a_queued_run_of_which_everything_was_skipped_has_nothing_to_wait_for():
    played = Played(pipeline(task("orders"))).tell(Skip(task="orders", reason="not today"))
    assert played.state is RunState.SUCCEEDED
    assert played.open.run.started_at == played.open.run.ended_at == T0


def test_a_run_without_tasks_is_done_when_it_begins():
    played = Played(Pipeline(name="empty"))
    assert played.begin().state is RunState.SUCCEEDED


# --- history ---


def test_each_move_is_a_line_of_history_and_the_run_s_own_end_too():
    played = Played(pipeline(task("orders"))).begin().start("orders").hear("orders", Verb.POLL, OK)
    assert [(moment.task, moment.kind) for moment in played.last.moments] == [
        ("orders", "succeeded"),
        ("", "succeeded"),
    ]
    assert played.last.ended
    assert [step.task for step in played.last.newly(S.SUCCEEDED)] == ["orders"]


def test_progress_is_no_line_of_history_but_losing_sight_is():
    played = Played(pipeline(task("orders"))).begin().start("orders")
    assert played.hear("orders", Verb.POLL, Pending(note="1 of 9")).last.moments == ()
    played.hear("orders", Verb.POLL, Missing())
    played.now += ODD
    assert [m.kind for m in played.hear("orders", Verb.POLL, Missing()).last.moments] == ["running"]
    assert played.open.steps["orders"].lost_sight


def test_a_run_moves_only_along_its_arrows():
    run = Played().open.run
    for state, moves in RUN_MOVES.items():
        for to in RunState:
            if to in moves:
                assert replace(run, state=state).move(to).state is to
            else:
                with pytest.raises(ValueError, match="no move from"):
                    replace(run, state=state).move(to)


def test_a_line_of_history_says_why_and_at_which_try():
    tried = Played(pipeline(task("orders"))).begin().end("orders", BOOM)
    assert tried.last.moments == (Moment(task="orders", kind="retrying", text="boom", attempt=2),)
    gone = Played(pipeline(task("orders"))).begin().tell(Cancel(reason="by ada"))
    assert [moment.text for moment in gone.last.moments] == ["cancelled: by ada", "by ada"]
    put_off = Played(pipeline(task("orders"))).begin().start("orders")
    put_off.hear("orders", Verb.POLL, Deferred(note="queued")).hear("orders", Verb.POLL, Deferred(note="rescheduled"))
    assert [moment.text for moment in put_off.last.moments] == ["rescheduled"]
