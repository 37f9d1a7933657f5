"""What an incident says: the words for a failure, a lateness, a stall. Pure.

The root cause comes first: the step that failed by itself, not those that could not run because of it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from stackhub.contract import Severity
from stackhub.decide import partial
from stackhub.model.backfill import Backfill, key_of
from stackhub.model.incident import Facet
from stackhub.model.pipeline import Pipeline, Told
from stackhub.model.run import OpenRun
from stackhub.model.step import DONE, OPEN, Step, StepState

AT_RISK: Final = "at risk: waiting on "  # how the cause of such a facet begins
IN_PART: Final = "What does not need it is built now, the rest as soon as it has landed."
LISTED = 5  # names in a list before it becomes a count


def failed(open_run: OpenRun, now: datetime, *, following: datetime | None, contact: str) -> Facet:
    """Say that a run has failed, or is going to: a step of it has failed for good."""
    run, pipeline = open_run.run, open_run.pipeline
    broken = sorted(
        (step for step in open_run.steps.values() if step.state is StepState.FAILED),
        key=lambda step: step.ended_at or now,
    )
    blocked = [step.task for step in open_run.steps.values() if step.state is StepState.UPSTREAM_FAILED]
    cause, left = broken[0], _left(open_run)
    goes_on = any(cause.task in step.without and step.state in OPEN | DONE for step in open_run.steps.values())
    more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
    task = pipeline.task(cause.task)
    facts = [
        ("What failed", f"{cause.task} ({task.connector}.{task.operation}{_of(task.options)})"),
        *((("Also failed", listed([step.task for step in broken[1:]])),) if more else ()),
        ("Attempts", f"{cause.attempt} of {task.retries.attempts}"),
        ("Blocked", f"{listed(blocked)}: not run" if blocked else listed(left) or "nothing else"),
        ("Interval", f"{stamp(run.interval.start)} to {stamp(run.interval.end)}"),
        *((("Owner", pipeline.owner),) if pipeline.owner else ()),
        ("Run", run.id),
    ]
    return Facet(
        kind=Told.FAILED,
        since=now,
        severity=Severity.ERROR,
        title=f"{pipeline.name} failed: {cause.task}{more}",
        cause=f"failed: {cause.task}",
        error=cause.error or cause.note,
        summary=IN_PART if goes_on and not more else _next(open_run, cause, following),
        facts=tuple(facts),
        links=_links(cause, run.id, contact),
        owners=_owners(pipeline),
        run=run.id,
        covers=run.interval.end,
    )


def part(open_run: OpenRun, now: datetime, *, contact: str) -> Facet:
    """Say that a run has built what it could, and what it has left waits for its inputs."""
    run, pipeline = open_run.run, open_run.pipeline
    without = sorted({name for step in open_run.steps.values() for name in step.without})
    broken = [open_run.steps[name] for name in without if open_run.steps[name].state is StepState.FAILED]
    cause = min(broken, key=lambda step: step.ended_at or now, default=None)
    left = _left(open_run)
    facts = [
        ("Missing", listed(without)),
        ("Owed", listed(left) or "nothing: stale data would do"),
        ("Interval", f"{stamp(run.interval.start)} to {stamp(run.interval.end)}"),
        *((("Owner", pipeline.owner),) if pipeline.owner else ()),
        ("Run", run.id),
    ]
    then = "What is owed is built as soon as that has landed." if left else "It resolves itself when a run succeeds."
    return Facet(
        kind=Told.FAILED,
        since=now,
        severity=Severity.ERROR,
        title=f"{pipeline.name} is built in part: without {listed(without)}",
        cause=f"failed: {cause.task}" if cause is not None else f"partial: {', '.join(without)}",
        error=(cause.error or cause.note) if cause is not None else "",
        summary=then,
        facts=tuple(facts),
        links=_links(cause, run.id, contact),
        owners=_owners(pipeline),
        run=run.id,
        covers=run.interval.end,
    )


def late(
    pipeline: Pipeline,
    open_run: OpenRun | None,
    now: datetime,
    *,
    text: str,
    at: datetime,
    covers: datetime | None,
    contact: str,
) -> Facet:
    """Say that a deadline has passed and the data is not there."""
    if open_run is None:
        waiting, facts = "no run was started", [("Run", "none")]
        links: tuple[tuple[str, str], ...] = ()
    else:
        still = [step for step in open_run.steps.values() if step.state in OPEN and step.state is not StepState.WAITING]
        behind = [step.task for step in open_run.steps.values() if step.state is StepState.WAITING]
        waiting = "; ".join(_doing(step, now) for step in still[:LISTED]) or f"the run is {open_run.run.state}"
        facts = [("Waiting on", waiting), *((("Then", listed(behind)),) if behind else ()), ("Run", open_run.run.id)]
        links = _links(still[0] if still else None, open_run.run.id, contact)
    return Facet(
        kind=Told.LATE,
        since=now,
        severity=Severity.ERROR,
        title=f"{pipeline.name} is late: {text}",
        summary=f"The deadline was {stamp(at)}. It resolves itself when a run succeeds.",
        facts=(*facts, *((("Owner", pipeline.owner),) if pipeline.owner else ())),
        links=links,
        owners=_owners(pipeline),
        run=open_run.run.id if open_run else "",
        covers=covers,
    )


def at_risk(
    pipeline: Pipeline,
    open_run: OpenRun,
    now: datetime,
    *,
    text: str,
    at: datetime,
    risk: float,
    finish: datetime | None,
    step: Step | None,
    node: str,
    covers: datetime | None,
    contact: str,
) -> Facet:
    """Say that a deadline will probably be missed; ``finish`` None: not all is known that lies ahead."""
    waits = step.task if step is not None else "its steps"
    clock = finish.astimezone(ZoneInfo(pipeline.sla.timezone if pipeline.sla else "UTC")) if finish else None
    expected = f"expected at {clock:%H:%M}, " if clock else ""
    facts = [
        *((("Waiting on", _doing(step, now)),) if step is not None else ()),
        *((("Building", node),) if node else ()),
        ("Deadline", f"{text}: {stamp(at)}"),
        *((("Expected", stamp(finish)),) if finish else ()),
        ("Run", open_run.run.id),
        *((("Owner", pipeline.owner),) if pipeline.owner else ()),
    ]
    return Facet(
        kind=Told.AT_RISK,
        since=now,
        severity=Severity.WARNING,
        title=f"{pipeline.name} is at risk: {expected}{text} missed with {percent(risk)}; waiting on {waits}",
        cause=f"{AT_RISK}{waits}",
        summary="Told from how long its steps took before. It ends when the run is safe again, or done.",
        facts=tuple(facts),
        links=_links(step, open_run.run.id, contact),
        owners=_owners(pipeline),
        run=open_run.run.id,
        covers=covers,
    )


def percent(risk: float) -> str:
    """Write a probability for people: never surer than what it is made of."""
    return "more than 99 %" if risk > 0.99 else "less than 1 %" if risk < 0.01 else f"{risk:.0%}".replace("%", " %")  # noqa: PLR2004 - one in a hundred


def stalled(open_run: OpenRun, step: Step, now: datetime, *, contact: str) -> Facet:
    """Say that a step's tool gives no answer that makes sense, so nobody knows how the job stands."""
    pipeline = open_run.pipeline
    since = step.odd_since or now
    return Facet(
        kind=Told.STALLED,
        since=since,
        severity=Severity.WARNING,
        title=f"{pipeline.name}: lost sight of {step.task}",
        error=step.note,
        summary="The step stays open and is asked after; nothing that needs it is started.",
        facts=(("Since", stamp(since)), ("Run", open_run.run.id)),
        links=_links(step, open_run.run.id, contact),
        owners=_owners(pipeline),
        run=open_run.run.id,
        covers=open_run.run.interval.end,
    )


def account_down(instance: str, error: str, now: datetime, *, refused: bool, stalled_steps: int) -> Facet:
    """Say that an account cannot be reached, or is ``refused``: it wants other credentials, or cannot be opened at all.

    Which of these it is stands in the error's own words.
    """
    what = "cannot be used as it is configured" if refused else "does not answer"
    then = (
        "A person must mend its credentials or settings; it is tried again every few minutes."
        if refused
        else "It is tried again every few minutes; what waits for it goes on by itself."
    )
    return Facet(
        kind=Told.STALLED,
        since=now,
        severity=Severity.ERROR,
        title=f"{instance} {what}",
        error=error,
        summary=then,
        facts=(("Stalled steps", str(stalled_steps)),) if stalled_steps else (),
    )


def unfit(backfill: Backfill, pipeline: Pipeline, why: str, now: datetime) -> Facet:
    """Say that a backfill cannot go on: what it was asked for fits its pipeline no longer."""
    return Facet(
        kind=Told.FAILED,
        since=now,
        severity=Severity.ERROR,
        title=f"backfill of {backfill.pipeline} failed: the pipeline has changed",
        error=why,
        summary="Nothing more of it begins. Change the pipeline back and ask for the same again, or"
        f" `stackhub alerts close {key_of(backfill)}`.",
        facts=(("Backfill", backfill.id), *((("Asked for by", backfill.by),) if backfill.by else ())),
        owners=_owners(pipeline),
    )


def undelivered(instance: str, lost: str, error: str, now: datetime) -> Facet:
    """Say that a route takes no messages: one was given up."""
    return Facet(
        kind=Told.STALLED,
        since=now,
        severity=Severity.ERROR,
        title=f"stackhub cannot tell {instance}",
        error=error,
        summary="Mend the route; `stackhub alerts` lists what was not told. It resolves itself with the next message.",
        facts=(("Given up", lost),),
    )


def trouble(title: str, error: str, summary: str, now: datetime) -> Facet:
    """Say that the hub itself has a problem."""
    return Facet(kind=Told.STALLED, since=now, severity=Severity.WARNING, title=title, error=error, summary=summary)


def _owners(pipeline: Pipeline) -> tuple[str, ...]:
    return (pipeline.owner,) if pipeline.owner else ()


def listed(names: Sequence[str]) -> str:
    """Write names as a short list."""
    if len(names) <= LISTED:
        return ", ".join(names)
    return f"{', '.join(names[:LISTED])} and {len(names) - LISTED} more"


def stamp(at: datetime) -> str:
    """Write a time for people."""
    return at.strftime("%Y-%m-%d %H:%M:%S UTC").replace(":00 UTC", " UTC")


def span(length: timedelta) -> str:
    """Write a length of time for people: 45s, 12m 05s, 3h 20m."""
    seconds = max(int(length.total_seconds()), 0)  # a clock may have been set back
    if seconds < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{seconds}s"
    if seconds < 3600:  # noqa: PLR2004 - seconds in an hour
        return f"{seconds // 60}m {seconds % 60:02d}s"
    return f"{seconds // 3600}h {seconds % 3600 // 60:02d}m"


def _of(options: object) -> str:
    named = options.get("connection") if isinstance(options, Mapping) else None
    return f" {named}" if named else ""


def _doing(step: Step, now: datetime) -> str:
    since = f" for {span(now - step.began_at)}" if step.began_at else ""
    return f"{step.task} ({step.state}{since})"


def _left(open_run: OpenRun) -> list[str]:
    """Say what is not built for want of an extract, by task."""
    owed = [
        (step.task, partial.left_out(open_run.pipeline.task(step.task), step.without))
        for step in open_run.steps.values()
    ]
    return [f"{len(nodes)} node{'s' if len(nodes) > 1 else ''} of {task}" for task, nodes in owed if nodes]


def _links(step: Step | None, run: str, contact: str) -> tuple[tuple[str, str], ...]:
    url = str(step.handle.get("url", "")) if step is not None and step.handle else ""
    return (*((("Open in its tool", url),) if url else ()), *((("Run", f"{contact}/runs/{run}"),) if contact else ()))


def _next(open_run: OpenRun, cause: Step, following: datetime | None) -> str:
    then = f" The next run is due {stamp(following)}." if following else ""
    if cause.may_have_run:
        return f"It may have run: look there first, then `stackhub retry {open_run.run.id}`.{then}"
    return f"Nothing is tried again by itself: `stackhub retry {open_run.run.id}` goes on from the failure.{then}"
