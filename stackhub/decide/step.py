"""What becomes of one step, given what was heard of it. Pure: no clock, no I/O, no randomness.

What was heard is an answer or an error, from one verb of its connector. The rules that everything hangs on:

- A look that fails says nothing about the job: the step stays as it is.
- A start without an answer is looked for; absence counts only once the call cannot be under way any more.
- At the deadline one more look decides.
- A word nobody has heard of is never an end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from msgspec.structs import replace

from stackhub.contract import (
    Absent,
    ConfigError,
    Deferred,
    Finished,
    Found,
    Missing,
    Outcome,
    Pending,
    Rejected,
    StartIs,
    Unavailable,
    Unclear,
    Unknown,
)
from stackhub.decide import ends, partial
from stackhub.decide.ends import Rule
from stackhub.model.pipeline import Freshness, Retries, Task
from stackhub.model.step import AT_WORK, TERMINAL, Step, StepState, Stop
from stackhub.model.words import say

ODD: Final = timedelta(minutes=2)  # answers that make no sense for so long: we have lost sight of the job
FIND_AGAIN: Final = timedelta(seconds=5)
BLINK: Final = timedelta(seconds=1)  # between starts, at least, whatever the vendor says
STALL: Final = Retries(wait=timedelta(seconds=5), backoff=2.0, max_wait=timedelta(minutes=5))
SPREAD: Final = timedelta(seconds=5)  # a fifth of it, at most: what was put off to one time does not march in step
ASK_AGAIN: Final = timedelta(seconds=1)  # a stop that did not get through is asked for again after this
STOP_FOR: Final = timedelta(minutes=10)  # a job that does not stop when asked is let go after this


class Verb(StrEnum):
    """Which question was asked."""

    PREPARE = "prepare"
    CLAIM = "claim"  # the lane is about to start it: the answer is a `Claim`
    START = "start"
    FIND = "find"
    POLL = "poll"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A lane's intent to start a step now."""

    baseline: Mapping[str, Any]
    call_deadline: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One answer, and what it answers. ``key`` is the job's: an answer about an older job is dropped."""

    task: str
    key: str
    verb: Verb
    answer: Any
    shared: bool = False  # another open step holds the same job


def heard(step: Step, task: Task, rule: Rule, what: Heard, now: datetime) -> Step:
    """Say what becomes of a step; the same step means that nothing does."""
    if step.state in TERMINAL or what.key != step.key:
        return step
    match what.verb:
        case Verb.PREPARE:
            moved = _unprepared(step, what.answer, now)
        case Verb.CLAIM:
            moved = _claimed(step, what.answer, now)
        case Verb.START:
            moved = _started(step, task, rule, what.answer, now)
        case Verb.FIND:
            moved = _sought(step, task, rule, what.answer, now)
        case Verb.POLL:
            moved = _looked(step, task, rule, what, now)
        case Verb.CANCEL:
            moved = _asked_to_stop(step, what.answer, now)
    return ends.given_up(moved, task, now)


def stop(step: Step, rule: Rule, why: Stop, now: datetime, note: str, *, shared: bool = False) -> Step:
    """End a step for a person's reason. A job that is not ours alone, or cannot be cancelled, is let go."""
    end = StepState.SKIPPED if why is Stop.SKIP else StepState.CANCELLED
    if step.state is StepState.RETRYING and step.handle is not None:  # let go before, and still going
        step = step.move(StepState.RUNNING, attempt_at=now, due=None)
    if step.state not in AT_WORK:
        return step.move(end, ended_at=now, due=None, note=note)
    since = step.stop_at or now
    if step.state is StepState.STARTING:  # it must be known first whether there is a job
        return step.move(StepState.STARTING, stop=why, stop_at=since, note=note)
    if not rule.cancellable or step.joined or shared:
        return step.move(end, ended_at=now, due=None, note=f"{note}; let go: {ends.still_going(step, rule)}")
    if step.stop:  # it has been asked already; only what it will be called changes
        return step.move(step.state, stop=why, note=note)
    return step.move(step.state, stop=why, stop_at=since, due=now, note=note)


# --- before there is a job -------------------------------------------------------------------------------------------


def _unprepared(step: Step, answer: Any, now: datetime) -> Step:
    if step.state is not StepState.READY or (step.due is not None and step.due > now):
        return step
    match answer:
        case Rejected() as err:
            return ends.fail(step, str(err), now)
        case err:
            return _stalled(step, err, now)


def _stalled(step: Step, err: Exception, now: datetime) -> Step:
    """Nothing happened at the vendor: the step waits, and its tries are not used up."""
    stalls = step.stalls + 1
    asked = getattr(err, "retry_after", None)
    wait = asked if asked is not None else ends.jitter(f"{step.key}:{stalls}", ends.pause(STALL, stalls))
    return step.move(
        StepState.READY,
        due=now + max(wait, BLINK),
        stalls=stalls,
        note=str(err),
        call_deadline=None,
        baseline=None,
        attempt_at=None,
        deferred_for=timedelta(),
        began_at=step.began_at or now,
        stalled_at=step.stalled_at or now,
    )


def _claimed(step: Step, claim: Claim, now: datetime) -> Step:
    if step.state is not StepState.READY or (step.due is not None and step.due > now):
        return step
    return step.move(
        StepState.STARTING,
        baseline=claim.baseline,
        call_deadline=claim.call_deadline,
        began_at=step.began_at or now,
        attempt_at=step.attempt_at or now,
        due=None,
        done=None,
        total=None,
        note="",
    )


# --- a start ---------------------------------------------------------------------------------------------------------


def _started(step: Step, task: Task, rule: Rule, answer: Any, now: datetime) -> Step:
    if step.state is not StepState.STARTING:
        return step
    match answer:
        case Finished():
            return _finished(step, task, answer, now)
        case Mapping():
            return _running(step, answer, now, rule)
        case Rejected() as err:
            return ends.ended(step, now) if step.stop else ends.fail(step, str(err), now)
        case Unavailable() | ConfigError() as err:
            return ends.ended(step, now) if step.stop else _stalled(step, err, now)
        case err:
            return step.move(StepState.STARTING, due=now, note=f"no answer to the start: {err}")


def _running(step: Step, handle: Mapping[str, Any], now: datetime, rule: Rule) -> Step:
    running = step.move(
        StepState.RUNNING,
        handle=handle,
        due=None,
        stalls=0,
        stalled_at=None,
        note="",
        odd_since=None,
        lost_sight=False,
    )
    if step.stop:  # asked to stop while it was starting
        return stop(replace(running, stop=Stop.NO, stop_at=None), rule, step.stop, now, step.note)
    return running


def _sought(step: Step, task: Task, rule: Rule, answer: Any, now: datetime) -> Step:
    if step.state is not StepState.STARTING:
        return step
    settled = (step.call_deadline or now) + rule.settle
    match answer:
        case Found(handle=handle):
            return _running(step, handle, now, rule)
        case Absent() if now < settled:
            return step.move(StepState.STARTING, due=settled)
        case Absent() if step.stop:
            return ends.ended(replace(step, may_have_run=rule.start_is is StartIs.BLIND), now)
        case Absent() if rule.start_is is StartIs.BLIND:
            return ends.may_have_run(step, now, "the start had no answer, and its tool cannot tell whether it ran")
        case Absent():  # the baseline stays: what it is compared with must be older than the first try
            return step.move(StepState.READY, due=now, call_deadline=None, note="no trace of the start: starting again")
        case Unclear(look_again=wait, note=note):
            return _unsettled(step, task, now, wait, note)
        case err:
            return _unsettled(step, task, now, FIND_AGAIN, str(err))


def _unsettled(step: Step, task: Task, now: datetime, wait: timedelta, note: str) -> Step:
    if step.stop_at is not None and now >= step.stop_at + STOP_FOR:
        left = f"{step.note}; its start had no answer and was not found: it may have run"
        return ends.ended(replace(step, note=left, may_have_run=True), now)
    if step.attempt_at is not None and now >= step.attempt_at + task.timeout and not step.stop:
        return ends.may_have_run(step, now, f"the start had no answer, and looking for it did not tell: {note}")
    told = step.note if step.stop else f"looking for a start that had no answer: {note}"
    return step.move(StepState.STARTING, due=now + wait, note=told)


# --- a job -----------------------------------------------------------------------------------------------------------


def _looked(step: Step, task: Task, rule: Rule, what: Heard, now: datetime) -> Step:
    if step.state not in {StepState.RUNNING, StepState.DEFERRED}:
        unseen = step.state is StepState.STARTING and isinstance(what.answer, Unavailable)  # nor can it be looked for
        return _odd(step, now, str(what.answer)) if unseen else step
    match what.answer:
        case Finished() as answer:
            return _finished(step, task, answer, now)
        case Deferred() if step.stop:  # put off or not, it has yet to stop
            seen = replace(step, odd_since=None, lost_sight=False)
        case Deferred() as answer:
            return _deferred(step, answer, now)
        case Pending() as answer:
            seen = _going(step, answer, now)
        case Unknown(raw=raw):
            seen = _odd(step, now, f"its tool says {raw!r}, which stackhub does not know; never taken for an end")
        case Missing(note=note):
            seen = _odd(step, now, f"its tool does not know the job now: {note}".removesuffix(": "))
        case err:
            seen = _odd(step, now, str(err))
    if step.stop:
        return _stopping(step, replace(seen, note=step.note), now)
    end = ends.deadline(seen, task)
    if end is not None and now >= end and not isinstance(what.answer, Exception):
        return ends.too_long(seen, task, rule, now, shared=what.shared)
    return _same_or(step, seen)


def _going(step: Step, answer: Pending, now: datetime) -> Step:
    seen = replace(_undeferred(step, now), odd_since=None, lost_sight=False, note=answer.note)
    told = answer.progress
    return seen if told is None else replace(seen, done=told.done, total=told.total)


def _stopping(step: Step, seen: Step, now: datetime) -> Step:
    """Go on waiting for a job that was asked to stop; one that does not is let go, and never started beside itself."""
    if step.stop_at is None or now < step.stop_at + STOP_FOR:
        return _same_or(step, seen)
    note = f"it did not stop within {say(STOP_FOR)}: let go, it may go on"
    if step.stop is Stop.TIMEOUT:
        return ends.fail(seen, f"timed out; {note}", now)
    return ends.ended(replace(seen, note=note), now)


def _same_or(step: Step, seen: Step) -> Step:
    return step if seen == step else seen


def _odd(step: Step, now: datetime, note: str) -> Step:
    since = step.odd_since or now
    return replace(step, odd_since=since, lost_sight=now >= since + ODD, note=note)


def _undeferred(step: Step, now: datetime) -> Step:
    if step.state is not StepState.DEFERRED:
        return step
    spent = now - step.deferred_at if step.deferred_at else timedelta()
    return step.move(StepState.RUNNING, deferred_at=None, deferred_for=step.deferred_for + spent, due=None, again=False)


def _deferred(step: Step, answer: Deferred, now: datetime) -> Step:
    kept = step.due if step.state is StepState.DEFERRED and step.again else None
    if answer.must_start_again and kept is not None and kept <= now:
        again = _undeferred(step, now)  # the vendor's time has come and it will not resume by itself
        return again.move(StepState.READY, due=now, note="put off by its tool until now: starting it again")
    due = None if answer.until is None else max(answer.until, now)
    if answer.must_start_again:
        named = max(due or now, now + BLINK) + ends.jitter(step.key, SPREAD) - SPREAD
        due = named if kept is None else min(kept, named)  # a time that has once been named is kept
    moved = step.move(
        StepState.DEFERRED,
        deferred_at=step.deferred_at or now,
        due=due,
        again=answer.must_start_again,
        note=answer.note,
        odd_since=None,
        lost_sight=False,
    )
    return _same_or(step, moved)


def _finished(step: Step, task: Task, end: Finished, now: datetime) -> Step:
    step = replace(_undeferred(step, now), odd_since=None, lost_sight=False)
    match end.outcome:
        case Outcome.OK:
            if task.freshness is Freshness.REQUIRE_NEW and step.joined and not step.stop:
                return _anew(step, now)
            owed = partial.note(step, task)
            return step.move(
                partial.ended(step, task),
                ended_at=now,
                due=None,
                landing=end.landing,
                note=f"{end.note}; {owed}" if owed and end.note else owed or end.note,
                warning=end.warning or owed,
                result=end.result,
                serial=step.serial,
            )
        case Outcome.CANCELLED if step.stop is Stop.TIMEOUT:
            return ends.timed_out(step, task, now)
        case Outcome.CANCELLED:
            note = step.note if step.stop else end.note or step.note  # a person's reason is worth more
            return ends.ended(replace(step, note=note, result=end.result), now)
        case Outcome.FAILED:
            step = replace(step, result=end.result)
            if step.stop is Stop.TIMEOUT:
                return ends.timed_out(step, task, now)
            if step.stop:
                return ends.ended(step, now)
            return ends.failed(step, task, now, end.note or "failed", retryable=end.retryable)


def _anew(step: Step, now: datetime) -> Step:
    """A load that was under way before us has landed; the task wants one that began after it was asked for."""
    note = "the load that was already going has landed; freshness is require_new: starting one more"
    return step.move(StepState.READY, due=now, baseline=None, handle=None, serial=step.serial + 1, note=note)


def _asked_to_stop(step: Step, answer: Any, now: datetime) -> Step:
    if not step.stop or step.state not in {StepState.RUNNING, StepState.DEFERRED}:
        return step
    if step.due is not None and step.due > now:
        return step
    if isinstance(answer, Unavailable):  # it was not asked, for certain
        return replace(step, due=now + ASK_AGAIN, note=f"asked to stop, no luck yet: {answer}")
    tries = step.stop_tries + 1
    note = f"asked to stop, no luck yet: {answer}" if isinstance(answer, Exception) else step.note
    return replace(step, stop_tries=tries, due=now + timedelta(seconds=min(10 * tries, 60)), note=note)
