"""How a step ends when a person wants it to, and when it takes too long."""

from dataclasses import replace
from datetime import timedelta

import pytest
from decide.steps import BOOM, HOUR, MINUTE, OK, READY, SECOND, S, claimed, lost, poll, running, tell
from decide.worlds import T0, rule, task

from stackhub.contract import (
    Absent,
    Deferred,
    Finished,
    Found,
    Outcome,
    Pending,
    Rejected,
    StartIs,
    Unavailable,
    Unclear,
    Unsure,
)
from stackhub.decide.step import STOP_FOR, Verb, stop
from stackhub.model.pipeline import OnTimeout
from stackhub.model.step import AT_WORK, OPEN, Stop


def cancelled(step, why=Stop.CANCEL, now=T0, by=None, *, shared=False):
    return stop(step, by or rule(), why, now, "enough", shared=shared)


@pytest.mark.parametrize("state", sorted(OPEN - AT_WORK))
@pytest.mark.parametrize(("why", "end"), [(Stop.CANCEL, S.CANCELLED), (Stop.SKIP, S.SKIPPED)])
def test_a_step_without_a_job_ends_at_once(state, why, end):
    step = cancelled(replace(READY, state=state), why)
    assert (step.state, step.ended_at, step.note) == (end, T0, "enough")


def test_a_job_of_ours_is_asked_to_stop_and_the_step_stays_open_until_it_has():
    asked = cancelled(running())
    assert (asked.state, asked.stop, asked.stop_at, asked.due) == (S.RUNNING, Stop.CANCEL, T0, T0)
    over = poll(asked, Finished(outcome=Outcome.CANCELLED), T0 + MINUTE)
    assert over.state is S.CANCELLED


@pytest.mark.parametrize("end", [BOOM, Finished(outcome=Outcome.CANCELLED)])
def test_a_skipped_step_is_skipped_however_its_job_ended_but_done_when_it_landed(end):
    assert poll(cancelled(running(), Stop.SKIP), end).state is S.SKIPPED
    assert poll(cancelled(running(), Stop.SKIP), OK).state is S.SUCCEEDED


@pytest.mark.parametrize(
    ("by", "handle", "shared", "why"),
    [
        ({"cancellable": False}, {"id": "1"}, False, "its tool has no cancel"),
        ({}, {"id": "1", "joined": True}, False, "somebody else started the job"),
        ({}, {"id": "1"}, True, "another step holds the job"),
    ],
)
def test_a_job_that_is_not_ours_alone_is_let_go_and_that_is_said(by, handle, shared, why):
    step = cancelled(running(handle=handle), by=rule(**by), shared=shared)
    assert step.state is S.CANCELLED
    assert f"let go: {why}" in step.note


def test_a_job_that_was_let_go_at_a_timeout_and_goes_on_is_stopped_like_any_other():
    of = task("orders", on_timeout=OnTimeout.LET_GO)
    waiting = poll(running(), Pending(), T0 + 2 * HOUR, of=of)
    assert waiting.state is S.RETRYING
    asked = cancelled(waiting, now=T0 + 2 * HOUR)
    assert (asked.state, asked.stop, asked.handle) == (S.RUNNING, Stop.CANCEL, {"id": "1"})
    let_go = cancelled(waiting, by=rule(cancellable=False))
    assert let_go.state is S.CANCELLED
    assert "let go" in let_go.note


def test_a_job_that_does_not_stop_is_let_go_after_a_while():
    asked = cancelled(running())
    assert poll(asked, Pending(), T0 + STOP_FOR - SECOND).state is S.RUNNING
    over = poll(asked, Pending(), T0 + STOP_FOR)
    assert over.state is S.CANCELLED
    assert "it may go on" in over.note


def test_a_job_that_does_not_stop_at_its_timeout_fails_and_is_never_started_beside_itself():
    late = poll(running(), Pending(), T0 + 2 * HOUR)
    over = poll(late, Pending(), T0 + 2 * HOUR + STOP_FOR)
    assert (over.state, over.attempt) == (S.FAILED, 1)


@pytest.mark.parametrize("answer", [Deferred(), Deferred(until=T0, must_start_again=True)])
def test_a_job_that_is_put_off_while_it_shall_stop_is_not_started_again_and_stops_in_time(answer):
    put_off = poll(running(), Deferred(until=T0 + SECOND, must_start_again=True))
    for step in (cancelled(running()), cancelled(put_off)):
        seen = poll(step, answer, T0 + MINUTE)
        assert seen.state is step.state
        assert seen.stop is Stop.CANCEL
        assert poll(seen, answer, T0 + STOP_FOR).state is S.CANCELLED


def test_asking_again_does_not_put_off_the_end():
    first = cancelled(running())
    assert cancelled(first, Stop.SKIP, T0 + 5 * MINUTE).stop_at == T0
    assert poll(cancelled(first, Stop.SKIP, T0 + 5 * MINUTE), Pending(), T0 + STOP_FOR).state is S.SKIPPED


def test_a_vendor_that_does_not_obey_is_asked_again_less_and_less_often():
    step, gaps = cancelled(running()), []
    for _ in range(8):
        now = step.due
        step = tell(step, Verb.CANCEL, Unsure("cut off"), now)
        gaps.append(step.due - now)
    assert gaps == sorted(gaps)
    assert gaps[0] == timedelta(seconds=10)
    assert gaps[-1] == MINUTE
    assert (step.state, step.stop_tries) == (S.RUNNING, 8)
    assert "no luck yet: cut off" in step.note


def test_a_stop_that_did_not_reach_the_vendor_is_asked_for_again_in_a_moment():
    step = tell(cancelled(running()), Verb.CANCEL, Unavailable("503"), T0)
    assert (step.state, step.stop_tries, step.due) == (S.RUNNING, 0, T0 + SECOND)
    assert "no luck yet: 503" in step.note


def test_a_person_s_reason_is_worth_more_than_the_vendor_s_word_for_it():
    over = poll(cancelled(running()), Finished(outcome=Outcome.CANCELLED, note="status: CANCELLED"))
    assert (over.state, over.note) == (S.CANCELLED, "enough")


def test_what_a_vendor_says_of_a_stopping_job_does_not_hide_that_it_is_stopping():
    asked = poll(running(), Pending(), T0 + 2 * HOUR)
    assert poll(asked, Pending(note="loading"), T0 + 2 * HOUR + MINUTE).note == asked.note


# --- while it is starting ---


@pytest.mark.parametrize(("why", "end"), [(Stop.CANCEL, S.CANCELLED), (Stop.SKIP, S.SKIPPED)])
def test_a_step_that_is_starting_ends_once_it_is_known_whether_there_is_a_job(why, end):
    asked = cancelled(claimed(), why)
    assert (asked.state, asked.stop) == (S.STARTING, why)
    assert tell(asked, Verb.START, Unavailable("503")).state is end
    assert tell(asked, Verb.START, Rejected("no")).state is end
    going = tell(asked, Verb.START, {"id": "1"}, T0 + SECOND)
    assert (going.state, going.stop, going.stop_at) == (S.RUNNING, why, T0 + SECOND)
    assert tell(asked, Verb.FIND, Found(handle={"id": "1"})).stop is why
    assert tell(asked, Verb.FIND, Absent(), T0 + HOUR).state is end
    assert tell(asked, Verb.START, {"id": "1"}, by=rule(cancellable=False)).state is end


def test_a_start_nobody_can_account_for_is_not_looked_for_longer_than_a_stop_may_take():
    asked = cancelled(lost())
    assert tell(asked, Verb.FIND, Unclear(), T0 + STOP_FOR - SECOND).state is S.STARTING
    over = tell(asked, Verb.FIND, Unclear(), T0 + STOP_FOR)
    assert (over.state, over.may_have_run) == (S.CANCELLED, True)
    assert "it may have run" in over.note


def test_a_blind_start_that_is_stopped_says_that_it_may_have_run():
    over = tell(cancelled(lost()), Verb.FIND, Absent(), T0 + HOUR, by=rule(start_is=StartIs.BLIND))
    assert (over.state, over.may_have_run) == (S.CANCELLED, True)
    assert not tell(cancelled(lost()), Verb.FIND, Absent(), T0 + HOUR).may_have_run


def test_a_step_that_a_person_stopped_ends_so_even_when_it_is_given_up():
    asked = cancelled(running(), Stop.SKIP)
    assert tell(asked, Verb.CANCEL, Unavailable("503"), T0 + 6 * HOUR).state is S.SKIPPED
    assert tell(cancelled(claimed()), Verb.START, Unsure("?"), T0 + 6 * HOUR).state is S.CANCELLED
