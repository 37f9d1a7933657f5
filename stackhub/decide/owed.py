"""The ledger: what a run has left unbuilt because an input had not landed, and what becomes of it. Pure.

    incurred ──▶ landed ──▶ (an owed run is made) ──▶ paid        also straight to paid, by any other run that builds it
                    ▲                │
                    └── lands again ─┘  when that run did not build it

A debt is one node that waits for one extract. It is incurred when a step goes on without the extract, so nothing that
lands from then on can be missed. It is paid by a build that began after the landing was seen, of an interval that
reaches as far. While it has not landed, a later run that leaves the same node for the same extract makes it longer,
not more; once it has landed, such a run incurs another.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from stackhub.decide import partial
from stackhub.decide.run import Decision
from stackhub.model.run import Interval, OpenRun, Trigger
from stackhub.model.step import Step, StepState

Key: TypeAlias = tuple[str, str, str, str, datetime]
Ledger: TypeAlias = Mapping[Key, "Debt"]
LastLanding: TypeAlias = Callable[[str, str], datetime | None]
"""When a connection's newest known load ended, by its vendor's clock: (instance, id) -> time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """One node of a task that waits for an extract."""

    pipeline: str
    task: str
    node: str
    extract: str
    instance: str
    connection: str
    since: datetime
    run: str  # the newest that left it
    interval: Interval
    newer_than: datetime | None = None  # by the vendor's clock: a load that ended by then does not count
    landed_at: datetime | None = None  # by ours, when it was seen
    tried: str = ""  # the owed run that was to build it since it landed
    paid_by: str = ""
    paid_at: datetime | None = None

    @property
    def key(self) -> Key:
        """Name it."""
        return self.pipeline, self.task, self.node, self.extract, self.since

    @property
    def due(self) -> bool:
        """Whether it can be built, and has not been tried since it could."""
        return self.landed_at is not None and not self.tried


def after(
    ledger: Ledger,
    before: OpenRun,
    decision: Decision,
    built: Mapping[str, Iterable[str]],
    last: LastLanding,
    now: datetime,
) -> list[Debt]:
    """Return the debts that a decision about a run changes, as they will be; new ones among them.

    ``built``: the nodes that are done of steps that end with this decision, by task.
    """
    changed: dict[Key, Debt] = {}
    mine = {key: debt for key, debt in ledger.items() if debt.pipeline == before.run.pipeline}
    for step in decision.changed:
        was, known = before.steps[step.task], {**mine, **changed}
        found: list[Debt] = []
        if step.state is StepState.SUCCEEDED is not was.state:
            at = step.landing.ended_at if step.landing is not None else None
            found += [_landed(debt, at, now) for debt in known.values() if debt.extract == step.task and _waits(debt)]
        if step.without and not was.without and before.run.trigger is not Trigger.BACKFILL:
            found += _incurred(known, before, step, last, now)
        if step.ended_at is not None and was.ended_at is None:
            found += _settled(known, before, step, frozenset(built.get(step.task, ())), now)
        changed |= {debt.key: debt for debt in found}
    return [debt for key, debt in changed.items() if ledger.get(key) != debt]


def landed(debts: Iterable[Debt], last: LastLanding, now: datetime) -> list[Debt]:
    """Return the debts whose inputs have landed, whoever loaded them, as they will be."""
    found = []
    for debt in debts:
        at = last(debt.instance, debt.connection)
        if _waits(debt) and at is not None and (debt.newer_than is None or at > debt.newer_than):
            found.append(_landed(debt, at, now))
    return found


def payable(debts: Sequence[Debt]) -> dict[str, tuple[str, ...]]:
    """Return the nodes of one pipeline that can be built now, by task.

    A node that waits for another extract as well is not among them: nothing runs on an input that has not landed.
    """
    missing: dict[tuple[str, str], set[str]] = {}
    ready: dict[tuple[str, str], set[str]] = {}
    for debt in debts:
        if debt.landed_at is None:
            missing.setdefault((debt.task, debt.node), set()).add(debt.extract)
        elif debt.due:
            ready.setdefault((debt.task, debt.node), set()).add(debt.extract)
    found: dict[str, list[str]] = {}
    for (task, node), extracts in sorted(ready.items()):
        if missing.get((task, node), set()) <= extracts:
            found.setdefault(task, []).append(node)
    return {task: tuple(nodes) for task, nodes in found.items()}


def covered(debts: Sequence[Debt], nodes: Mapping[str, Sequence[str]]) -> list[Debt]:
    """Return the debts that a run of these nodes is made for."""
    wanted = {(task, node) for task, found in nodes.items() for node in found}
    return [debt for debt in debts if debt.due and (debt.task, debt.node) in wanted]


def tried(debts: Iterable[Debt], run: str, last: LastLanding) -> list[Debt]:
    """Return debts that a run is made for. What has landed by now is no news to them afterwards."""
    return [
        replace(debt, tried=run, newer_than=_newest(debt.newer_than, last(debt.instance, debt.connection)))
        for debt in debts
    ]


def interval(debts: Iterable[Debt]) -> Interval:
    """Return the interval that a run for these debts stands for: from the first to the last that owes."""
    found = [debt.interval for debt in debts]
    return Interval(start=min(one.start for one in found), end=max(one.end for one in found))


def written_off(debts: Iterable[Debt], why: str, now: datetime) -> list[Debt]:
    """End debts that nobody can pay any more."""
    return [replace(debt, paid_by=why, paid_at=now) for debt in debts]


def _waits(debt: Debt) -> bool:
    """Say whether a landing is news to a debt: it has seen none yet, or the run made of the last did not pay."""
    return debt.landed_at is None or bool(debt.tried)


def _landed(debt: Debt, at: datetime | None, now: datetime) -> Debt:
    return replace(debt, landed_at=now, tried="", newer_than=_newest(debt.newer_than, at))


def _newest(*times: datetime | None) -> datetime | None:
    return max((one for one in times if one is not None), default=None)


def _incurred(known: Ledger, before: OpenRun, step: Step, last: LastLanding, now: datetime) -> Iterable[Debt]:
    task = before.pipeline.task(step.task)
    run = before.run
    for feed in task.feeds:
        if feed.extract not in step.without:
            continue
        for node in sorted(partial.left_out(task, (feed.extract,))):
            fresh = Debt(
                pipeline=run.pipeline,
                task=step.task,
                node=node,
                extract=feed.extract,
                instance=feed.instance,
                connection=feed.connection,
                since=now,
                run=run.id,
                interval=run.interval,
                newer_than=_newer_than(before.steps[feed.extract], last(feed.instance, feed.connection)),
            )
            yield _lengthened(known, fresh)


def _lengthened(known: Ledger, fresh: Debt) -> Debt:
    """Return a debt that waits already for the same, made longer; else the fresh one."""
    for debt in known.values():
        same = (debt.task, debt.node, debt.extract) == (fresh.task, fresh.node, fresh.extract)
        if same and debt.landed_at is None:
            return replace(
                debt, run=fresh.run, interval=interval([debt, fresh]), newer_than=fresh.newer_than or debt.newer_than
            )
    return fresh


def _newer_than(extract: Step, seen: datetime | None) -> datetime | None:
    """Return up to when a load does not count: the newest that was known when the extract was given up.

    Where its account was not looked at since the extract began, an older load might be seen only later. So our own
    clock stands in for the vendor's here; one that runs ahead costs a landing, and never lets an old one count.
    """
    return _newest(extract.began_at, seen)


def _settled(known: Ledger, before: OpenRun, step: Step, built: frozenset[str], now: datetime) -> Iterable[Debt]:
    """Return what the end of a step pays: nodes that are built, by a job that began when their inputs had landed.

    A run that a person cancels leaves nothing owed that it was the first to leave.
    """
    run = before.run
    for debt in known.values():
        if debt.task != step.task or debt.pipeline != run.pipeline:
            continue
        if step.state in {StepState.CANCELLED, StepState.SKIPPED}:
            if debt.run == run.id and debt.since >= run.created_at and debt.landed_at is None:
                yield replace(debt, paid_by=f"{run.id} was {step.state.value}", paid_at=now)
        elif debt.node in built and _began_on(debt, step) and debt.interval.end <= run.interval.end:
            yield replace(debt, paid_by=run.id, paid_at=now)


def _began_on(debt: Debt, step: Step) -> bool:
    """Say whether a step's job began when a debt's input had landed. It may have landed again since."""
    return debt.landed_at is not None and step.began_at is not None and debt.landed_at <= step.began_at
