"""One step, told one thing after another."""

from datetime import timedelta

from decide.worlds import CALL, T0, rule, task

from stackhub.contract import Finished, Landing, Outcome, Unsure
from stackhub.decide.step import Claim, Heard, Verb, heard
from stackhub.model.step import Step, StepState

S = StepState
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
READY = Step(run="R1", task="orders", instance="fivetran", state=S.READY, due=T0)
OK = Finished(outcome=Outcome.OK, landing=Landing(connection="c", mark="7", ended_at=T0))
BOOM = Finished(outcome=Outcome.FAILED, note="boom")


def tell(step, verb, answer, now=T0, *, of=None, by=None, **told):
    what = Heard(task="orders", key=told.pop("key", step.key), verb=verb, answer=answer, **told)
    return heard(step, of or task("orders"), by or rule(), what, now)


def claimed(step=READY, now=T0, **of):
    return tell(step, Verb.CLAIM, Claim(baseline={"before": "6"}, call_deadline=now + CALL), now, **of)


def running(now=T0, handle=None, **of):
    return tell(claimed(now=now), Verb.START, handle or {"id": "1"}, now, **of)


def poll(step, answer, now=T0, **of):
    return tell(step, Verb.POLL, answer, now, **of)


def lost(now=T0):
    return tell(claimed(now=now), Verb.START, Unsure("cut off"), now)
