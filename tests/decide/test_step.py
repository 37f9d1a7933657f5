"""What becomes of one step: each rule by an example that a person can follow."""

from dataclasses import replace
from datetime import timedelta

import pytest
from decide.steps import BOOM, HOUR, MINUTE, OK, READY, SECOND, S, claimed, lost, poll, running, tell
from decide.worlds import CALL, T0, rule, task
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import (
    Absent,
    ConfigError,
    Deferred,
    Finished,
    Found,
    Missing,
    Outcome,
    Pending,
    Progress,
    Rejected,
    StartIs,
    Unavailable,
    Unclear,
    Unknown,
    Unsure,
)
from stackhub.decide.ends import JITTER, pause
from stackhub.decide.step import ODD, Verb
from stackhub.model.pipeline import Freshness, OnTimeout, Retries
from stackhub.model.step import Stop

# --- a start ---


def test_a_claim_keeps_what_was_before_and_when_the_call_can_no_longer_be_under_way():
    step = claimed()
    assert (step.state, step.baseline, step.call_deadline) == (S.STARTING, {"before": "6"}, T0 + CALL)
    assert step.attempt_at == step.began_at == T0
    assert step.due is None, "it is looked for as soon as the call is known to have had no answer"


def test_a_step_is_not_claimed_before_it_is_due():
    early = replace(READY, due=T0 + SECOND)
    assert claimed(early) is early


def test_an_answer_to_the_start_is_the_job():
    step = running(handle={"id": "1", "url": "https://x"})
    assert (step.state, step.handle, step.due) == (S.RUNNING, {"id": "1", "url": "https://x"}, None)


def test_a_job_that_was_reached_at_last_has_no_stalls_behind_it():
    stalled = tell(READY, Verb.PREPARE, Unavailable("503"))
    going = tell(claimed(stalled, stalled.due), Verb.START, {"id": "1"}, stalled.due)
    assert (going.stalls, going.stalled_at, going.due) == (0, None, None)
    assert (going.began_at, going.attempt_at) == (T0, stalled.due)


def test_a_start_may_be_its_own_end():
    assert tell(claimed(), Verb.START, OK).state is S.SUCCEEDED


def test_a_start_that_did_not_reach_the_vendor_waits_and_costs_no_try():
    step = tell(claimed(), Verb.START, Unavailable("refused", retry_after=timedelta(seconds=40)))
    assert (step.state, step.due, step.attempt) == (S.READY, T0 + timedelta(seconds=40), 1)
    assert step.baseline is None, "nothing was started, so things are looked at anew"
    assert (step.attempt_at, step.call_deadline) == (None, None), "nor does its time run"
    assert (step.began_at, step.stalled_at) == (T0, T0)


@pytest.mark.parametrize("answer", [Unsure("cut off"), TimeoutError("?"), None])
def test_a_start_without_an_answer_is_looked_for_at_once_and_never_repeated(answer):
    step = tell(claimed(), Verb.START, answer, T0 + 2 * SECOND)
    assert (step.state, step.due) == (S.STARTING, T0 + 2 * SECOND)


def test_a_start_that_is_refused_for_good_fails_at_its_first_try():
    step = tell(claimed(), Verb.START, Rejected("no such connection"))
    assert (step.state, step.attempt, step.error) == (S.FAILED, 1, "no such connection")


@pytest.mark.parametrize("error", [Unavailable("503"), ConfigError("the key is refused"), ValueError("a bug")])
def test_what_goes_wrong_before_a_start_is_waited_for_longer_each_time(error):
    first = tell(READY, Verb.PREPARE, error)
    second = tell(first, Verb.PREPARE, error, first.due)
    assert (first.state, first.stalls, second.stalls) == (S.READY, 1, 2)
    assert second.due - first.due > first.due - T0 > timedelta()
    assert second.began_at == second.stalled_at == T0


def test_what_a_vendor_asks_for_is_waited_for_but_never_less_than_a_moment():
    assert tell(READY, Verb.PREPARE, Unavailable("429", retry_after=HOUR)).due == T0 + HOUR
    assert tell(READY, Verb.PREPARE, Unavailable("429", retry_after=timedelta())).due >= T0 + SECOND


def test_a_start_that_cannot_reach_its_vendor_is_given_up_after_three_timeouts():
    step = tell(READY, Verb.PREPARE, Unavailable("503"))
    assert tell(replace(step, due=T0), Verb.PREPARE, Unavailable("503"), T0 + 6 * HOUR - SECOND).state is S.READY
    over = tell(replace(step, due=T0), Verb.PREPARE, Unavailable("503"), T0 + 6 * HOUR)
    assert over.state is S.FAILED
    assert "503" in over.error


def test_the_progress_of_an_older_job_is_not_shown_for_a_new_one():
    assert (claimed(replace(READY, done=3, total=9)).done, claimed(replace(READY, done=3, total=9)).total) == (
        None,
        None,
    )


# --- looking for it ---


def test_what_is_found_is_believed_at_once():
    step = tell(lost(), Verb.FIND, Found(handle={"id": "1", "joined": True}), T0 + SECOND)
    assert (step.state, step.joined) == (S.RUNNING, True)


def test_absence_is_believed_only_once_the_call_is_over_and_its_trace_would_be_seen():
    settled = T0 + CALL + timedelta(seconds=10)
    early = tell(lost(), Verb.FIND, Absent(), settled - timedelta(microseconds=1))
    assert (early.state, early.due) == (S.STARTING, settled)
    again = tell(early, Verb.FIND, Absent(), settled)
    assert (again.state, again.key, again.attempt) == (S.READY, early.key, 1)
    assert (again.due, again.call_deadline) == (settled, None)
    assert again.baseline == {"before": "6"}, "what it is compared with must be older than the first try"


def test_a_blind_start_that_left_no_trace_is_never_repeated_a_person_is_asked():
    step = tell(lost(), Verb.FIND, Absent(), T0 + HOUR, by=rule(start_is=StartIs.BLIND))
    assert (step.state, step.may_have_run) == (S.FAILED, True)
    assert step.error.startswith("may have run")


def test_a_look_that_cannot_tell_is_repeated_when_it_says():
    step = tell(lost(), Verb.FIND, Unclear(look_again=MINUTE), T0)
    assert (step.state, step.due) == (S.STARTING, T0 + MINUTE)


@pytest.mark.parametrize("answer", [Unclear(), Unavailable("503"), None])
def test_a_start_that_cannot_be_found_until_its_timeout_may_have_run(answer):
    before = tell(lost(), Verb.FIND, answer, T0 + 2 * HOUR - SECOND)
    assert before.state is S.STARTING
    over = tell(lost(), Verb.FIND, answer, T0 + 2 * HOUR)
    assert (over.state, over.may_have_run) == (S.FAILED, True)


# --- a job ---


def test_a_landing_is_a_success():
    end = replace(OK, warning="nothing was selected", result={"rows": 3})
    step = poll(running(), end, T0 + MINUTE)
    assert (step.state, step.landing.mark, step.ended_at) == (S.SUCCEEDED, "7", T0 + MINUTE)
    assert (step.warning, step.result) == ("nothing was selected", {"rows": 3})


def test_progress_is_kept_and_nothing_new_is_no_change():
    going = poll(running(), Pending(note="loading", progress=Progress(done=3, total=9)))
    assert (going.done, going.total, going.note) == (3, 9, "loading")
    assert poll(going, Pending(note="loading", progress=Progress(done=3, total=9)), T0 + MINUTE) is going


@pytest.mark.parametrize("answer", [Unavailable("503"), Unsure("?"), Rejected("404"), Missing(), Unknown(raw="HUH")])
def test_a_poll_that_says_nothing_we_understand_says_nothing_about_the_job(answer):
    step = poll(running(), answer, T0 + MINUTE)
    assert (step.state, step.odd_since, step.lost_sight) == (S.RUNNING, T0 + MINUTE, False)
    later = poll(step, answer, T0 + MINUTE + ODD)
    assert (later.state, later.lost_sight) == (S.RUNNING, True)
    seen = poll(later, Pending(), T0 + 2 * MINUTE + ODD)
    assert (seen.odd_since, seen.lost_sight) == (None, False)


@pytest.mark.parametrize("answer", [Deferred(), BOOM, OK])
def test_whatever_makes_sense_again_ends_that_we_had_lost_sight(answer):
    lost_it = poll(poll(running(), Missing()), Missing(), T0 + ODD)
    assert lost_it.lost_sight
    step = poll(lost_it, answer, T0 + ODD)
    assert (step.odd_since, step.lost_sight) == (None, False)


def test_a_job_found_again_by_a_new_start_is_in_sight():
    odd = replace(READY, odd_since=T0, lost_sight=True)
    step = tell(claimed(odd), Verb.START, {"id": "1"})
    assert (step.odd_since, step.lost_sight) == (None, False)


def test_a_word_nobody_knows_is_quoted():
    assert "'HIBERNATING'" in poll(running(), Unknown(raw="HIBERNATING")).note


def test_a_failed_job_is_tried_again_under_another_name_after_a_wait():
    step = poll(running(), replace(BOOM, result={"exit": 2}), T0 + MINUTE)
    assert (step.state, step.attempt, step.serial, step.result) == (S.RETRYING, 2, 2, {"exit": 2})
    wait = step.due - (T0 + MINUTE)
    assert timedelta(seconds=30) <= wait <= timedelta(seconds=30) * (1 + JITTER)
    assert (step.handle, step.baseline, step.error) == (None, None, "boom")
    assert (step.attempt_at, step.call_deadline, step.deferred_for) == (None, None, timedelta())


def test_the_last_try_that_fails_and_one_that_could_not_help_are_the_end():
    assert poll(replace(running(), attempt=3), BOOM).state is S.FAILED
    assert poll(running(), replace(BOOM, retryable=False)).state is S.FAILED


def test_a_job_that_a_person_cancelled_at_the_vendor_is_cancelled_and_not_tried_again():
    step = poll(running(), Finished(outcome=Outcome.CANCELLED, note="by ada", result={"exit": 130}))
    assert (step.state, step.note, step.result) == (S.CANCELLED, "by ada", {"exit": 130})


@given(nth=st.integers(1, 1000), backoff=st.floats(1, 100), wait=st.timedeltas(timedelta(), timedelta(days=2)))
def test_a_wait_grows_up_to_its_longest(nth, backoff, wait):
    retries = Retries(wait=wait, backoff=backoff, max_wait=timedelta(days=2))
    assert wait <= pause(retries, nth) <= pause(retries, nth + 1) <= timedelta(days=2)
    assert pause(replace(retries, backoff=1), nth) == wait


def test_a_first_attempt_that_was_put_off_for_long_does_not_use_up_the_others():
    queued = poll(running(), Deferred(), T0)
    failed = poll(queued, BOOM, T0 + 100 * HOUR)
    assert (failed.state, failed.attempt) == (S.RETRYING, 2)
    stalled = tell(replace(failed, state=S.READY), Verb.PREPARE, Unavailable("503"), failed.due)
    assert stalled.state is S.READY, "each attempt has three timeouts of its own"


def test_a_long_wait_between_attempts_is_no_reason_to_give_up():
    short = task("orders", timeout=MINUTE, retries=Retries(attempts=3, wait=HOUR, max_wait=HOUR))
    waits = poll(running(of=short), BOOM, T0 + SECOND, of=short)
    due = replace(waits, state=S.READY)
    assert tell(due, Verb.PREPARE, Unavailable("503"), waits.due, of=short).state is S.READY


# --- freshness ---


def test_a_load_that_was_under_way_before_us_will_do_unless_the_task_wants_a_newer_one():
    joined = {"id": "1", "joined": True}
    assert poll(running(handle=joined), OK).state is S.SUCCEEDED
    fresh = task("orders", freshness=Freshness.REQUIRE_NEW)
    step = poll(running(handle=joined), OK, of=fresh)
    assert (step.state, step.serial, step.attempt, step.handle, step.baseline) == (S.READY, 2, 1, None, None)
    assert step.due == T0, "at once"
    assert poll(running(handle={"id": "2"}), OK, of=fresh).state is S.SUCCEEDED


# --- put off ---


def test_what_is_put_off_shows_until_when_and_goes_on_by_itself():
    step = poll(running(), Deferred(until=T0 + HOUR, note="rescheduled"), T0 + MINUTE)
    assert (step.state, step.due, step.again, step.deferred_at) == (S.DEFERRED, T0 + HOUR, False, T0 + MINUTE)
    going = poll(step, Pending(), T0 + HOUR)
    assert (going.state, going.due, going.deferred_for) == (S.RUNNING, None, 59 * MINUTE)
    again = poll(running(), Deferred(until=T0 + HOUR, must_start_again=True))
    assert poll(again, Pending(), T0 + MINUTE).again is False


def test_what_will_not_resume_by_itself_is_started_again_when_its_time_has_come():
    said = Deferred(until=T0 + HOUR, must_start_again=True)
    step = poll(running(), said)
    assert T0 + HOUR <= step.due <= T0 + HOUR + 2 * SECOND
    assert poll(step, said, T0 + MINUTE) == step, "a time that was named is kept"
    again = poll(step, said, step.due)
    assert (again.state, again.attempt, again.key) == (S.READY, 1, step.key)


def test_what_resumes_by_itself_after_all_is_not_started_again():
    step = poll(running(), Deferred(until=T0 + HOUR, must_start_again=True))
    after = poll(step, Deferred(until=T0 + 3 * HOUR), T0 + 2 * HOUR)
    assert (after.state, after.again, after.due) == (S.DEFERRED, False, T0 + 3 * HOUR)


def test_what_does_not_resume_by_itself_any_more_waits_for_the_time_it_names_now():
    step = poll(running(), Deferred(until=T0 + HOUR))
    after = poll(step, Deferred(until=T0 + 5 * HOUR, must_start_again=True), T0 + 2 * HOUR)
    assert (after.state, after.again) == (S.DEFERRED, True)
    assert after.due >= T0 + 5 * HOUR


def test_time_put_off_before_a_start_that_failed_does_not_lengthen_the_next():
    said = Deferred(until=T0 + 9 * HOUR, must_start_again=True)
    put_off = poll(running(), said)
    again = poll(put_off, said, put_off.due)
    stalled = tell(claimed(again, put_off.due), Verb.START, Unavailable("503"), put_off.due)
    step = tell(claimed(stalled, stalled.due), Verb.START, {"id": "2"}, stalled.due)
    assert poll(step, Pending(), stalled.due + 2 * HOUR).stop is Stop.TIMEOUT


def test_a_job_put_off_without_a_time_that_must_be_started_again_is_so_a_moment_later():
    step = poll(running(), Deferred(must_start_again=True))
    assert T0 < step.due <= T0 + 3 * SECOND
    assert poll(step, Deferred(must_start_again=True), step.due).state is S.READY


@given(
    before=st.timedeltas(timedelta(), timedelta(minutes=119)),
    put_off=st.timedeltas(timedelta(), timedelta(days=9)),
)
def test_time_put_off_does_not_count_as_timeout(before, put_off):
    queued = poll(running(), Deferred(), T0 + before)
    back = poll(queued, Pending(), T0 + before + put_off)
    assert back.state is S.RUNNING
    end = T0 + 2 * HOUR + put_off
    assert poll(back, Pending(), end - SECOND).stop is Stop.NO
    assert poll(back, Pending(), end).stop is Stop.TIMEOUT


def test_a_job_that_is_put_off_is_waited_for_however_long_the_vendor_says_so():
    queued = poll(running(), Deferred())
    assert poll(queued, Deferred(), T0 + timedelta(days=30)).state is S.DEFERRED


def test_a_job_that_was_put_off_and_is_not_seen_since_is_given_up_in_the_end():
    queued = poll(running(), Deferred(until=T0 + HOUR))
    gone = poll(queued, Missing(), T0 + 2 * MINUTE)
    assert poll(gone, Missing(), T0 + 7 * HOUR - SECOND).state is S.DEFERRED, "the vendor's own hour does not count"
    assert poll(gone, Missing(), T0 + 7 * HOUR).state is S.FAILED


# --- too long ---


def test_at_the_deadline_one_more_look_decides():
    assert poll(running(), OK, T0 + 2 * HOUR).state is S.SUCCEEDED
    assert poll(running(), Unavailable("503"), T0 + 2 * HOUR).stop is Stop.NO, "a look that fails decides nothing"
    late = poll(running(), Pending(), T0 + 2 * HOUR)
    assert (late.state, late.stop, late.due) == (S.RUNNING, Stop.TIMEOUT, T0 + 2 * HOUR)


@pytest.mark.parametrize(
    ("of", "by", "handle", "shared", "why"),
    [
        ({"on_timeout": OnTimeout.LET_GO}, {}, {"id": "1"}, False, "on_timeout is let_go"),
        ({}, {"cancellable": False}, {"id": "1"}, False, "no cancel"),
        ({}, {}, {"id": "1", "joined": True}, False, "somebody else started"),
        ({}, {}, {"id": "1"}, True, "another step holds"),
    ],
)
def test_a_job_that_is_not_ours_to_cancel_is_let_go_and_the_next_attempt_watches_the_same(of, by, handle, shared, why):
    of, by = task("orders", **of), rule(**by)
    step = poll(running(handle=handle), Pending(), T0 + 2 * HOUR, of=of, by=by, shared=shared)
    assert (step.state, step.attempt, step.handle, step.stop) == (S.RETRYING, 2, handle, Stop.NO)
    assert step.key == running().key
    assert (step.attempt_at, step.stalled_at, step.deferred_for) == (None, None, timedelta())
    assert why in step.error


def test_the_last_attempt_that_takes_too_long_fails():
    of = task("orders", on_timeout=OnTimeout.LET_GO, retries=Retries(attempts=1))
    assert poll(running(), Pending(), T0 + 2 * HOUR, of=of).state is S.FAILED


def test_a_job_that_stopped_at_its_timeout_is_tried_again_under_another_name():
    late = poll(running(), Pending(), T0 + 2 * HOUR)
    asked = tell(late, Verb.CANCEL, None, T0 + 2 * HOUR)
    assert (asked.stop_tries, asked.stop_at) == (1, T0 + 2 * HOUR)
    step = poll(asked, Finished(outcome=Outcome.CANCELLED), T0 + 2 * HOUR + MINUTE)
    assert (step.state, step.attempt, step.serial, step.stop) == (S.RETRYING, 2, 2, Stop.NO)
    assert (step.stop_tries, step.stop_at) == (0, None), "the next attempt has not been asked to stop"


def test_a_stop_that_did_not_get_through_is_asked_for_again_soon_and_is_no_rung_of_the_ladder():
    now = T0 + 2 * HOUR
    stopping = poll(running(), Pending(), now)

    unheard = tell(stopping, Verb.CANCEL, Unavailable("only beginning"), now)
    asked = tell(stopping, Verb.CANCEL, None, now)

    assert (unheard.stop_tries, unheard.due) == (0, now + SECOND)
    assert (asked.stop_tries, asked.due) == (1, now + 10 * SECOND)


def test_an_attempt_without_any_end_in_sight_is_given_up_after_three_timeouts():
    assert poll(running(), Unavailable("503"), T0 + 6 * HOUR - SECOND).state is S.RUNNING
    over = poll(running(), Unavailable("503"), T0 + 6 * HOUR)
    assert (over.state, over.may_have_run) == (S.FAILED, False)
    assert "given up after 6h" in over.error
