"""How an attempt ends: tried again, failed, let go, cancelled. Pure, as everything in `decide`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

from msgspec.structs import replace

from stackhub.contract import StartIs
from stackhub.model.pipeline import OnTimeout, Retries, Task
from stackhub.model.step import AT_WORK, TERMINAL, Step, StepState, Stop
from stackhub.model.words import say

_ANEW: Final[Mapping[str, Any]] = {  # nothing of an attempt that is over goes into the next
    "baseline": None,
    "handle": None,
    "call_deadline": None,
    "attempt_at": None,
    "stalled_at": None,
    "deferred_at": None,
    "deferred_for": timedelta(),
    "again": False,
}
GIVE_UP: Final = 3  # timeouts, after which an attempt is ended whatever it is doing
JITTER: Final = 0.2  # of a wait, at most, added so that retries do not march in step


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a task's operation promises; see `stackhub.contract.Operation`."""

    start_is: StartIs
    settle: timedelta
    cancellable: bool


def deadline(step: Step, task: Task) -> datetime | None:
    """Return when this attempt has taken too long, as far as is known now; None while it has not begun."""
    if step.attempt_at is None or step.deferred_at is not None:
        return None
    return step.attempt_at + task.timeout + step.deferred_for


def jitter(key: str, wait: timedelta) -> timedelta:
    """Lengthen a wait by up to a fifth, always by the same for the same key."""
    share = int.from_bytes(blake2b(key.encode(), digest_size=4).digest(), "big") / 2**32
    return wait * (1 + JITTER * share)


def pause(retries: Retries, nth: int) -> timedelta:
    """Return the wait after the ``nth`` failure (from 1), without jitter."""
    factor = retries.backoff ** min(nth - 1, 64)
    longest = retries.max_wait / max(retries.wait, timedelta(microseconds=1))
    return min(retries.wait * min(factor, max(longest, 1.0)), retries.max_wait)


def still_going(step: Step, rule: Rule) -> str:
    """Say why a job that is let go is not cancelled."""
    if step.joined:
        return "somebody else started the job, and it goes on"
    return "another step holds the job, and it goes on" if rule.cancellable else "its tool has no cancel; it goes on"


def too_long(step: Step, task: Task, rule: Rule, now: datetime, *, shared: bool) -> Step:
    """End an attempt that has reached its deadline, the job still going."""
    if task.on_timeout is OnTimeout.CANCEL and rule.cancellable and not (step.joined or shared):
        note = f"timed out after {say(task.timeout)}: asking it to stop"
        return step.move(StepState.RUNNING, stop=Stop.TIMEOUT, stop_at=now, due=now, note=note)
    return let_go(step, task, rule, now)


def let_go(step: Step, task: Task, rule: Rule, now: datetime) -> Step:
    """The attempt is over, its job is not: the next attempt goes on watching the same job."""
    why = still_going(step, rule) if task.on_timeout is OnTimeout.CANCEL else "on_timeout is let_go; it goes on"
    error = f"timed out after {say(task.timeout)}; let go: {why}"
    if step.attempt >= task.retries.attempts:
        return fail(step, error, now)
    return step.move(
        StepState.RETRYING,
        attempt=step.attempt + 1,
        due=now + jitter(f"{step.key}:{step.attempt}", pause(task.retries, step.attempt)),
        attempt_at=None,
        stalled_at=None,
        deferred_for=timedelta(),
        error=error,
        note=error,
    )


def timed_out(step: Step, task: Task, now: datetime) -> Step:
    """End an attempt whose job has stopped because we asked it to at its deadline."""
    step = replace(step, stop=Stop.NO, stop_at=None, stop_tries=0)
    return failed(step, task, now, f"timed out after {say(task.timeout)}; cancelled", retryable=True)


def failed(step: Step, task: Task, now: datetime, error: str, *, retryable: bool) -> Step:
    """An attempt failed and its job is known to have ended: try again, or that is it."""
    if not retryable or step.attempt >= task.retries.attempts:
        return fail(step, error, now)
    return step.move(
        StepState.RETRYING,
        attempt=step.attempt + 1,
        serial=step.serial + 1,
        due=now + jitter(f"{step.key}:{step.attempt}", pause(task.retries, step.attempt)),
        **_ANEW,
        error=error,
        note=error,
    )


def fail(step: Step, error: str, now: datetime) -> Step:
    """End the step; ``error`` is what people are told."""
    return step.move(StepState.FAILED, ended_at=now, due=None, error=error, note=error)


def lost(step: Step, now: datetime, why: str, *, again: bool) -> Step:
    """End a job that we have lost sight of, on the word of a person; any other stays as it is."""
    if not step.lost_sight or step.state not in AT_WORK:
        return step
    if not again:
        return step.move(StepState.CANCELLED, ended_at=now, due=None, lost_sight=False, note=why)
    return step.move(
        StepState.READY,
        **_ANEW,
        attempt=step.attempt + 1,
        serial=step.serial + 1,
        due=now,
        lost_sight=False,
        odd_since=None,
        note=why,
    )


def ended(step: Step, now: datetime) -> Step:
    """End a step that a person stopped, now that its job is known to be over, never was, or is let go."""
    end = StepState.SKIPPED if step.stop is Stop.SKIP else StepState.CANCELLED
    return step.move(end, ended_at=now, due=None)


def given_up(step: Step, task: Task, now: datetime) -> Step:
    """End a step whose attempt has been at it for three timeouts without any end in sight; else return it as it is.

    Time that the vendor has put it off does not count, nor the wait before another attempt.
    """
    since = step.attempt_at or step.stalled_at
    if step.state in TERMINAL or step.state is StepState.RETRYING or since is None:
        return step
    put_off = _put_off(step)
    if put_off is None or now < since + GIVE_UP * task.timeout + put_off:
        return step
    sight = f"given up after {say(now - since)}: {step.note or 'it never ended'}"
    if step.stop in {Stop.CANCEL, Stop.SKIP}:
        return ended(replace(step, note=sight, may_have_run=step.state is StepState.STARTING), now)
    return may_have_run(step, now, sight) if step.state is StepState.STARTING else fail(step, sight, now)


def _put_off(step: Step) -> timedelta | None:
    """Return how long the vendor has put this attempt off by now; None while it says that it still does."""
    if step.deferred_at is None:
        return step.deferred_for
    if step.odd_since is None:
        return None
    return step.deferred_for + max(step.odd_since, step.due or step.odd_since) - step.deferred_at


def may_have_run(step: Step, now: datetime, why: str) -> Step:
    """End a step whose start nobody can account for: a person is asked, it is never repeated."""
    return replace(fail(step, f"may have run: {why}", now), may_have_run=True)
