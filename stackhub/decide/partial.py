"""What a task that may build a part does when an input is missing. Pure.

It waits for its inputs as any task does, with two differences. An extract that ended without landing costs what is
downstream of its required sources and no more. With ``wait``, an extract that is late does too: once the first input
has landed, the others have so long. What is left out is written on the step before it begins (``Step.without``), so
that what is built, what is owed and what a retry of the job does are one decision.

A source that is ``optional`` costs nothing: stale data will do. An extract of which it is not known what it feeds
costs everything, as without ``partial``.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from stackhub.model.feeding import Feed
from stackhub.model.pipeline import Task
from stackhub.model.step import TERMINAL, Step, StepState

MISSED: Final = frozenset({StepState.FAILED, StepState.UPSTREAM_FAILED, StepState.CANCELLED})  # of an extract
OWING: Final = frozenset({StepState.PARTIAL, StepState.FAILED, StepState.UPSTREAM_FAILED})
LISTED: Final = 5


def may(task: Task) -> bool:
    """Say whether a task builds a part where it must, and it is known which."""
    return task.partial is not None and bool(task.feeds)


def unlock(step: Step, task: Task, steps: Mapping[str, Step], now: datetime) -> Step | None:
    """Say what becomes of a waiting step; None: what becomes of any other that waits."""
    feeds = {feed.extract: feed for feed in task.feeds}
    needs = {need.task: steps[need.task] for need in task.needs}
    missed = [name for name, need in needs.items() if need.state in MISSED]
    halves = any(need.complete and steps[need.task].state is StepState.PARTIAL for need in task.needs)
    if halves or any(name not in feeds for name in missed):
        return None
    open_needs = [name for name, need in needs.items() if need.state not in TERMINAL]
    if not open_needs:
        return _begun(step, task, missed, now) if missed else None
    late = [name for name in open_needs if name in feeds]
    until = _until(task, needs)
    if until is None or len(late) < len(open_needs):
        return replace(step, due=None)
    if now < until or _all_left(task, [*missed, *late]):
        return replace(step, due=until if now < until else None)
    return _begun(step, task, [*missed, *late], now)


def left_out(task: Task, without: Collection[str]) -> frozenset[str]:
    """Return the nodes that are not built without these extracts."""
    mine = sum(1 << at for at, feed in enumerate(task.feeds) if feed.extract in without)
    if not mine:
        return frozenset()
    return frozenset(node for node, hangs in zip(task.nodes, task.hangs, strict=True) if int(hangs, 16) & mine)


def sources(task: Task, without: Collection[str]) -> tuple[str, ...]:
    """Return the unique ids of the sources downstream of which nothing may be built without these extracts."""
    return tuple(sorted({source for feed in _feeds(task, without) for source in feed.sources}))


def stale(task: Task, without: Collection[str]) -> tuple[str, ...]:
    """Return the sources that are read as they are without these extracts."""
    return tuple(sorted({source for feed in _feeds(task, without) for source in feed.stale}))


def ended(step: Step, task: Task) -> StepState:
    """Return how a step ends whose job ended well."""
    return StepState.PARTIAL if left_out(task, step.without) else StepState.SUCCEEDED


def note(step: Step, task: Task) -> str:
    """Say what a step that went on without some extracts left, and what it read as it was; "" for any other."""
    if not step.without:
        return ""
    parts = []
    if nodes := left_out(task, step.without):
        parts.append(f"{len(nodes)} of {len(task.nodes)} nodes are owed until {_listed(step.without)} has landed")
    if read := stale(task, step.without):
        parts.append(f"built on stale data of {_listed(read)}, for which that will do")
    return "; ".join(parts)


def borne(tasks: Mapping[str, Task], steps: Mapping[str, Step]) -> frozenset[str]:
    """Return the failed extracts whose whole cost was borne by tasks that built a part, or could do with stale data."""
    done = {StepState.PARTIAL, StepState.SUCCEEDED}
    return frozenset(
        name for step in steps.values() if step.without and step.state in done for name in step.without if name in tasks
    )


def _begun(step: Step, task: Task, without: list[str], now: datetime) -> Step:
    step = replace(step, without=tuple(sorted(without)), due=None)
    if _all_left(task, without):
        text = f"needs {', '.join(step.without)}; nothing is left to build without"
        return step.move(StepState.UPSTREAM_FAILED, ended_at=now, note=text)
    return step.move(StepState.READY, due=now, note=f"goes on without {', '.join(step.without)}: {note(step, task)}")


def _all_left(task: Task, without: Collection[str]) -> bool:
    return len(left_out(task, without)) >= len(task.nodes)


def _until(task: Task, needs: Mapping[str, Step]) -> datetime | None:
    """Return when late inputs are not waited for any more; None while there is no such time."""
    landed = [
        need.ended_at for need in needs.values() if need.state is StepState.SUCCEEDED and need.ended_at is not None
    ]
    if task.partial is None or task.partial.wait is None or not landed:
        return None
    return min(landed) + task.partial.wait


def _feeds(task: Task, without: Collection[str]) -> list[Feed]:
    return [feed for feed in task.feeds if feed.extract in without]


def _listed(names: Collection[str]) -> str:
    found = sorted(names)
    return ", ".join(found) if len(found) <= LISTED else f"{', '.join(found[:LISTED])} and {len(found) - LISTED} more"
