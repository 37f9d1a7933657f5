"""Why a model, a connection, a pipeline is as it is: sentences, the nearest cause first. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from stackhub.contract import Connection, Health
from stackhub.decide.facets import listed, span, stamp
from stackhub.decide.incident import head
from stackhub.decide.owed import Debt
from stackhub.lineage import Graph
from stackhub.model.incident import Incident
from stackhub.model.mute import Mute
from stackhub.model.node import DONE, Node, NodeState
from stackhub.model.pipeline import Mode
from stackhub.model.run import OpenRun
from stackhub.model.step import OPEN, Step
from stackhub.server.why_run import origin
from stackhub.server.why_step import now_of, of_step, owing
from stackhub.store.queries import Known
from stackhub.store.shown import LaneSeen
from stackhub.store.waiting import Skipped, Waiting

SKIPS: Final = 3  # ticks that were left out, the newest
CULPRITS: Final = 3
NEVER: Final = "no load of it has been seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What is known of a node: how a run left it, and what stands around it."""

    node: Node
    task: str
    open_run: OpenRun
    beside: Sequence[Node] = ()  # the other nodes of the same step
    graph: Graph | None = None
    debts: Sequence[Debt] = ()  # of this node
    last: str | None = None  # the newest run that built it
    elsewhere: Sequence[str] = ()  # "pipeline.task", where it is built too


def of_node(facts: NodeFacts, lanes: Mapping[str, LaneSeen], now: datetime) -> list[str]:
    """Say why a node was built, failed, was left, is owed."""
    node, step = facts.node, facts.open_run.steps[facts.task]
    said = owing(facts.debts)
    match node.state:
        case NodeState.SUCCEEDED | NodeState.WARNED:
            took = f" in {node.seconds:.1f} s" if node.seconds is not None else ""
            at = f" at {stamp(node.started_at)}" if node.started_at else ""
            said.append(f"{facts.task} built it{took}{at}")
            said += [f"a warning: {node.message}"] if node.message else []
        case NodeState.FAILED:
            said += [node.message or f"dbt says: {node.status}", *_again(node, step)]
        case NodeState.SKIPPED:
            said.append(_skipped(facts))
        case NodeState.RUNNING if step.state in OPEN:
            said.append(f"it is being built{f' since {stamp(node.started_at)}' if node.started_at else ''}")
            said.append(f"its step: {now_of(step, facts.open_run, lanes, now)}")
        case _:
            said.append(
                f"how it ended is not known: {node.message or node.status or 'its job was gone before it told'}"
            )
    if node.state not in DONE:
        said.append(f"it was last built in run {facts.last}" if facts.last else "no run that is kept has built it")
        said += [f"its step ended: {step.error or step.note}"] if step.state not in OPEN and step.error else []
    said += [f"it belongs to {node.owner}"] if node.owner else []
    said += [f"it is built in {listed(facts.elsewhere)} as well"] if facts.elsewhere else []
    return [*said, *(f"its run: {sentence}" for sentence in origin(facts.open_run))]


def _again(node: Node, step: Step) -> list[str]:
    if node.passing is False:
        return ["trying again would not help: these are words of a mistake, not of a passing fault"]
    if step.state not in OPEN:
        return ["that may pass by itself, but it was the last try"] if node.passing else []
    return ["that may pass by itself: it is tried again" if node.passing else "it is tried again"]


def _skipped(facts: NodeFacts) -> str:
    failed = [node for node in facts.beside if node.state is NodeState.FAILED]
    if facts.graph is not None:
        above = facts.graph.upstream([facts.node.id])
        tested = {node.id for node in failed if set(facts.graph.parents.get(node.id, ())) & above}
        failed = [node for node in failed if node.id in above or node.id in tested]
    if not failed:
        return f"dbt did not build it: {facts.node.message or 'it gave no reason'}"
    names = [f"{node.id} ({node.message.strip().splitlines()[0]})" if node.message else node.id for node in failed]
    return f"it was not built, because upstream of it failed: {listed(names[:CULPRITS])}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFacts:
    """What is known of a connection."""

    instance: str
    name: str
    seen: Connection | None = None
    steps: Sequence[tuple[OpenRun, Step]] = ()  # of the tasks that load it, in their pipelines' newest runs
    idle: Sequence[str] = ()  # "pipeline.task": tasks that load it, of pipelines that never ran
    begins: Sequence[str] = ()  # pipelines that begin when it lands
    ticks: Sequence[Waiting] = ()  # that wait for it
    reads: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)  # by "pipeline.task": source and why
    debts: Sequence[Debt] = ()
    incident: Incident | None = None
    mute: Mute | None = None
    held: str = ""  # what is wrong with its account


def of_connection(facts: ConnectionFacts, lanes: Mapping[str, LaneSeen], now: datetime) -> list[str]:
    """Say how a connection is, what it holds up, and who waits for it."""
    one = facts.seen
    said = [facts.held] if facts.held else []
    if one is None:
        said.append("its account has not listed it to the hub yet")
    else:
        if one.health is not Health.OK or one.note:
            said.append(f"its vendor says {one.health.value}{f': {one.note}' if one.note else ''}")
        said += ["it is loading now"] if one.syncing else []
        last = one.last
        rows = f", {last.rows} rows" if last is not None and last.rows is not None else ""
        said.append(f"it last landed {stamp(last.ended_at)}, {span(now - last.ended_at)} ago{rows}" if last else NEVER)
        said += [f"its vendor starts it: {one.schedule}"] if one.schedule else []
    for open_run, step in facts.steps:
        sentence = of_step(step, open_run, (), lanes, now)[0]
        said.append(f"{open_run.run.pipeline}.{step.task} in run {open_run.run.id} is {step.state.value}: {sentence}")
    said += [f"{name} loads it, and has not run yet" for name in facts.idle]
    said += [f"{name} begins when it lands" for name in facts.begins]
    said += [_tick(tick, of=f"{tick.pipeline}'s ") for tick in facts.ticks]
    said += owing(facts.debts)
    said += [
        f"{task} reads {listed([source for source, _ in found])} from it, since {found[0][1]}"
        for task, found in facts.reads.items()
    ]
    if facts.incident is not None:
        said.append(f"an incident is open since {stamp(facts.incident.opened_at)}: {_title(facts.incident)}")
    said += [muted(facts.mute)] if facts.mute is not None else []
    used = facts.steps or facts.idle or facts.begins or facts.ticks or facts.reads
    return [*said, *([] if used else ["no pipeline uses it"])]


def _title(incident: Incident) -> str:
    return head(incident).title if incident.facets else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineFacts:
    """What is known of a pipeline beside its runs."""

    known: Known
    ticks: Sequence[Waiting] = ()
    skips: Sequence[Skipped] = ()  # newer than its newest run, newest first
    debts: Sequence[Debt] = ()
    mute: Mute | None = None


def of_pipeline(facts: PipelineFacts) -> list[str]:
    """Say why a pipeline does not run now: paused, waiting for data, ticks left out; and what it owes."""
    known = facts.known
    said = ["it is not configured any more"] if known.retired else []
    if known.pipeline.mode is Mode.SHADOW and not known.retired:
        said.append("the pipeline is in shadow: its runs go by what lands, start nothing and tell nobody")
    if known.paused_at is not None:
        said.append(f"it is paused since {stamp(known.paused_at)}: {known.paused_reason or 'no reason was given'}")
    said += [_tick(tick, of="the ") for tick in facts.ticks]
    said += [f"no run at {skip.label or stamp(skip.at)}: {skip.reason}" for skip in facts.skips[:SKIPS]]
    said += owing(facts.debts)
    return [*said, *([muted(facts.mute)] if facts.mute is not None else [])]


def muted(mute: Mute) -> str:
    """Say that nobody is told."""
    return f"nobody is told of it until {stamp(mute.until)}: {mute.reason} ({mute.by})"


def _tick(tick: Waiting, *, of: str) -> str:
    until = f", until {stamp(tick.until)} at the latest" if tick.until is not None else ""
    return f"{of}tick of {tick.label or stamp(tick.interval.end)} waits: {tick.reason}{until}"
