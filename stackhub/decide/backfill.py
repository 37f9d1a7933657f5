"""How a backfill goes on: which intervals begin, what run each is, and when it has ended. Pure.

    a run of the pipeline that is no backfill's is open     nothing begins: a tick's run goes before the next interval
    an interval has failed                                  nothing begins, unless it is to keep going
    fewer than ``parallel`` intervals run                   the next one begins, the oldest or the newest first

What was running ends as it will. The part that loads everything anew comes alone, before all others.

A run of a backfill is no tick's and no landing's: it has no deadline, it moves no watermark, it starts no pipeline that
waits for this one, and it neither opens nor ends the pipeline's own incident. Its extracts are skipped, since a sync
loads what is newest and knows no interval, unless they are asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from msgspec import structs

from stackhub.decide import create
from stackhub.errors import Refused
from stackhub.model.backfill import LEFT, RESYNC, Backfill, BackfillState, Part, PartState
from stackhub.model.incident import Facet
from stackhub.model.pipeline import Pipeline
from stackhub.model.run import OpenRun, RunState, Trigger
from stackhub.model.step import StepState

NOT_LOADED = "skipped: a backfill loads nothing; --resync-first loads once before, --extracts in each interval"

_ENDS = {RunState.SUCCEEDED: PartState.SUCCEEDED, RunState.CANCELLED: PartState.CANCELLED}


def due(backfill: Backfill, parts: Sequence[Part], *, busy: bool) -> tuple[Part, ...]:
    """Return the intervals that begin now; ``busy`` says that another run of the pipeline is open."""
    if busy or backfill.state is not BackfillState.RUNNING:
        return ()
    first = next((part for part in parts if part.seq == RESYNC), None)
    if first is not None and first.state is not PartState.SUCCEEDED:
        return (first,) if first.state is PartState.WAITING else ()
    if not backfill.keep_going and any(part.state is PartState.FAILED for part in parts):
        return ()
    running = sum(part.state is PartState.RUNNING for part in parts)
    waiting = [part for part in in_order(backfill, parts) if part.state is PartState.WAITING]
    return tuple(waiting[: max(0, backfill.parallel - running)])


def in_order(backfill: Backfill, parts: Sequence[Part]) -> list[Part]:
    """Return the parts in the order in which they are done."""
    rest = sorted((part for part in parts if part.seq != RESYNC), key=lambda part: part.seq)
    return [*(part for part in parts if part.seq == RESYNC), *(reversed(rest) if backfill.newest_first else rest)]


def settled(backfill: Backfill, parts: Sequence[Part]) -> tuple[BackfillState, str] | None:
    """Say how a backfill has ended, and why; None while it goes on, or stands as it stood."""
    states = [part.state for part in parts]
    done = sum(state is PartState.SUCCEEDED for state in states)
    if done == len(parts):
        return _new(backfill, BackfillState.SUCCEEDED, "every interval is done")
    if backfill.state not in {BackfillState.RUNNING, BackfillState.CANCELLING} or PartState.RUNNING in states:
        return None
    if backfill.state is BackfillState.CANCELLING:
        return BackfillState.CANCELLED, backfill.reason
    failed = sum(state is PartState.FAILED for state in states)
    stopped = failed and (not backfill.keep_going or _unloaded(parts))
    if PartState.WAITING in states and not stopped and not _unloaded(parts):
        return None
    left = f"{done} of {len(parts)} intervals are done; the same command goes on"
    if failed:
        return BackfillState.FAILED, f"{failed} failed, {left}"
    return BackfillState.CANCELLED, f"{sum(state in LEFT for state in states)} cancelled, {left}"


def _unloaded(parts: Sequence[Part]) -> bool:
    return any(part.seq == RESYNC and part.state in LEFT for part in parts)


def _new(backfill: Backfill, state: BackfillState, reason: str) -> tuple[BackfillState, str] | None:
    return (state, reason) if backfill.state is not state else None


def ended_as(state: RunState) -> PartState:
    """Say what the end of its run makes of an interval; one that was built in part is not done."""
    return _ENDS.get(state, PartState.FAILED)


def again(parts: Sequence[Part], open_parts: frozenset[int], *, everything: bool) -> tuple[Part, ...]:
    """Return the parts that the same request does again; not those for which a run is open, a retry say."""
    return tuple(
        replace(part, state=PartState.WAITING)
        for part in parts
        if (part.state in LEFT or (everything and part.state is PartState.SUCCEEDED)) and part.seq not in open_parts
    )


def run_of(pipeline: Pipeline, backfill: Backfill, part: Part, count: int, *, run_id: str, now: datetime) -> OpenRun:
    """Make the run of one interval, of the pipeline as it is now.

    Raises:
        Refused: the pipeline has not got the tasks any more that were asked for, or nothing but extracts.
    """
    check_work(pipeline, backfill)  # it may have been edited since: a run of nothing is over before it has begun
    shaped = create.with_options(pipeline, backfill.options) if backfill.options else pipeline
    shaped = create.only(shaped, backfill.only) if backfill.only else shaped
    made = create.new(
        shaped,
        run_id=run_id,
        trigger=Trigger.BACKFILL,
        interval=part.interval,
        now=now,
        reason=f"backfill {backfill.id}: interval {part.seq} of {count}",
        origin={"backfill": backfill.id, "part": part.seq, **({"only": list(backfill.only)} if backfill.only else {})},
    )
    if backfill.extracts:
        return made
    loads = {task.name for task in shaped.tasks if task.extract and task.name not in backfill.only}
    steps = {
        name: structs.replace(step, state=StepState.SKIPPED, ended_at=now, note=NOT_LOADED) if name in loads else step
        for name, step in made.steps.items()
    }
    return structs.replace(made, steps=steps)


def resync_of(
    pipeline: Pipeline, backfill: Backfill, part: Part, reloads: Mapping[str, str], *, run_id: str, now: datetime
) -> OpenRun:
    """Make the run that loads everything anew; ``reloads`` names, by task, the operation that does.

    Raises:
        Refused: no task of the pipeline can.
    """
    return create.new(
        resynced(pipeline, reloads),
        run_id=run_id,
        trigger=Trigger.BACKFILL,
        interval=part.interval,
        now=now,
        reason=f"backfill {backfill.id}: everything is loaded anew",
        origin={"backfill": backfill.id, "part": part.seq},
    )


def resynced(pipeline: Pipeline, reloads: Mapping[str, str]) -> Pipeline:
    """Return the pipeline's extracts alone, each by the operation that loads everything anew.

    Raises:
        Refused: none of them has one.
    """
    if not reloads:
        raise Refused(f"{pipeline.name} has no extract that can load everything anew: leave --resync-first out")
    shaped = create.only(pipeline, tuple(reloads))
    tasks = tuple(
        replace(
            task,
            operation=reloads[task.name],
            options={name: value for name, value in task.options.items() if name == "connection"},
        )
        for task in shaped.tasks
    )
    return replace(shaped, tasks=tasks)


def check_work(pipeline: Pipeline, backfill: Backfill) -> None:
    """Refuse a backfill of which each interval would do nothing.

    Raises:
        Refused: every task is an extract.
    """
    names = [task.name for task in pipeline.tasks if not backfill.only or task.name in backfill.only]
    if not backfill.extracts and not backfill.only and all(pipeline.task(name).extract for name in names):
        raise Refused(
            f"{pipeline.name} has only extracts, and a backfill loads nothing by itself: add --extracts to sync in each"
            " interval"
        )


def told(facet: Facet, backfill: str, pipeline: str) -> Facet:
    """Say that it is the backfill that something is wrong with."""
    title = facet.title.replace(f"{pipeline} ", f"backfill of {pipeline} ", 1).replace(
        f"{pipeline}: ", f"backfill of {pipeline}: ", 1
    )
    return replace(facet, title=title, covers=None, facts=(*facet.facts, ("Backfill", backfill)))
