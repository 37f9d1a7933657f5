"""The hub's numbers for Prometheus. Their names are a stable list: docs/metrics.md, which a test holds to this file.

Counters count what this process has seen: like every counter they begin at 0 with it. Without a token the labels
``pipeline`` and ``instance`` are left out, and what they told apart is summed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

import anyio
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

import stackhub
from stackhub.clock import Clock
from stackhub.engine.engine import Engine
from stackhub.errors import StoreUnavailable
from stackhub.model.pipeline import Mode
from stackhub.model.run import RUN_OPEN, OpenRun
from stackhub.model.step import OPEN, TERMINAL, Step, StepState
from stackhub.server.patience import read
from stackhub.store import shown
from stackhub.store.shown import Counts

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
BUCKETS: Final = (10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0)
NAMES: Final = frozenset({"pipeline", "instance"})
Values: TypeAlias = Mapping[tuple[str, ...], float]
BEAT: Final = 1.0  # seconds between looks at how late the loop is


@dataclass(slots=True)
class Span:
    """A histogram being filled."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def note(self, seconds: float) -> None:
        """Add one."""
        self.counts[sum(seconds > edge for edge in BUCKETS)] += 1
        self.total += seconds

    def add(self, other: "Span") -> None:
        """Add all of another."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def buckets(self) -> list[tuple[str, int]]:
        """Return (upper edge, how many up to it), as Prometheus wants them."""
        edges = [*(f"{edge:.1f}" for edge in BUCKETS), "+Inf"]
        return [(edge, sum(self.counts[: place + 1])) for place, edge in enumerate(edges)]


class Metrics:
    """Counts what moves, and asks the rest when it is scraped."""

    def __init__(self, clock: Clock, standing: Iterable[OpenRun] = ()) -> None:
        self.loop_lag = 0.0
        self._clock = clock
        self._created: Counter[tuple[str, ...]] = Counter()  # (pipeline, trigger)
        self._ended: Counter[tuple[str, ...]] = Counter()  # (pipeline, state)
        self._spans: dict[tuple[str, ...], Span] = {}  # (pipeline,)
        self._starts: Counter[tuple[str, ...]] = Counter()  # (instance,)
        self._steps: Counter[tuple[str, ...]] = Counter()  # (instance, state)
        self._seen = {open_run.run.id: _states(open_run) for open_run in standing}
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)

    async def watch_loop(self) -> None:
        """Measure, until cancelled, how late the loop comes round."""
        while True:
            before = self._clock.since_boot()
            await anyio.sleep(BEAT)
            self.loop_lag = max(self._clock.since_boot() - before - BEAT, 0.0)

    def moved(self, open_run: OpenRun, changed: Sequence[Step]) -> None:
        """Count what a committed decision changed; the board calls it. Nobody is to be woken for a run in shadow."""
        run = open_run.run
        if run.mode is Mode.SHADOW:
            return
        before = self._seen.get(run.id)
        if before is None:
            self._created[run.pipeline, run.trigger.value] += 1
        else:
            for step in changed:
                self._step(step, before.get(step.task))
        if run.ended_at is None:
            self._seen[run.id] = _states(open_run)
            return
        self._seen.pop(run.id, None)
        self._ended[run.pipeline, run.state.value] += 1
        if run.started_at is not None:
            self._spans.setdefault((run.pipeline,), Span()).note((run.ended_at - run.started_at).total_seconds())

    def _step(self, step: Step, before: StepState | None) -> None:
        if step.state is before:
            return
        if step.state is StepState.STARTING:
            self._starts[step.instance,] += 1
        elif step.state in TERMINAL:
            self._steps[step.instance, step.state.value] += 1

    async def text(self, engine: Engine, *, named: bool) -> bytes:
        """Write all numbers, with or without names."""
        now = engine.clock.now()
        counts = None
        if not engine.store.ailing:
            with suppress(StoreUnavailable):
                counts = await read(engine, shown.counts)
        registry = CollectorRegistry()
        registry.register(_Once([*self._counted(named=named), *_asked(engine, counts, now, named=named)]))
        lag = GaugeMetricFamily("stackhub_loop_lag_seconds", "How late the event loop last came round", self.loop_lag)
        registry.register(_Once([lag]))
        return generate_latest(registry) + generate_latest(self._process)

    def _counted(self, *, named: bool) -> list[Metric]:
        spans = HistogramMetricFamily(
            "stackhub_run_duration_seconds",
            "How long runs took, from start to end",
            labels=["pipeline"] if named else [],
        )
        whole = Span()
        for labels, span in sorted(self._spans.items()):
            whole.add(span)
            if named:
                spans.add_metric(labels, span.buckets(), span.total)
        if not named:
            spans.add_metric((), whole.buckets(), whole.total)
        return [
            _counter("stackhub_runs_created", "Runs made", ("pipeline", "trigger"), self._created, named=named),
            _counter("stackhub_runs_ended", "Runs ended, by how", ("pipeline", "state"), self._ended, named=named),
            spans,
            _counter("stackhub_step_starts", "Starts asked of connectors", ("instance",), self._starts, named=named),
            _counter("stackhub_steps_ended", "Steps ended, by how", ("instance", "state"), self._steps, named=named),
        ]


class _Once(Collector):
    """Gives the registry what was gathered for this scrape."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _asked(engine: Engine, counts: Counts | None, now: datetime, *, named: bool) -> list[Metric]:
    """Gather what stands, rather than what happened. ``counts`` is None while the store is away."""
    runs: Counter[tuple[str, ...]] = Counter({("", state.value): 0 for state in RUN_OPEN} if not named else {})
    live = [one.run for one in engine.board.runs() if one.run.mode is Mode.LIVE]
    runs.update((run.pipeline, run.state.value) for run in live)
    lanes = {name: held.health for name, held in engine.lanes.open.items() if held.lane is not None}
    steps: Counter[tuple[str, ...]] = Counter({("", state.value): 0 for state in OPEN} if not named else {})
    steps.update(
        (name, step.state.value)
        for name in lanes
        for step in engine.board.steps(name)
        if not engine.board.shadows(step)
    )
    calls: Values = Counter({(name, how): many for name, health in lanes.items() for how, many in health.heard.items()})
    circuits: Values = Counter({(name,): int(health.circuit.open) for name, health in lanes.items()})
    lags = {(name,): held.outbox.lag.total_seconds() for name, held in engine.lanes.open.items() if held.outbox}
    found = [
        _gauge("stackhub_info", "Which version this is", ("version",), {(stackhub.__version__,): 1}, named=named),
        _plain("stackhub_ready", "Whether /readyz is 200", not engine.unready()),
        _plain("stackhub_started_timestamp_seconds", "When this process began", engine.started_at.timestamp()),
        _plain("stackhub_config_revision", "The configuration in force", engine.revision),
        _plain("stackhub_config_refused", "Whether a newer configuration was refused", bool(engine.refused)),
        _plain(
            "stackhub_incidents", "Incidents that last", sum(not one.shadow for one in engine.incidents.open.values())
        ),
        _plain("stackhub_store_available", "Whether the store answers", not engine.store.ailing),
        CounterMetricFamily("stackhub_store_commits", "Transactions committed in groups", engine.store.writer.commits),
        _gauge("stackhub_runs", "Runs that have not ended", ("pipeline", "state"), runs, named=named),
        _gauge("stackhub_steps", "Steps that have not ended", ("instance", "state"), steps, named=named),
        _counter("stackhub_calls", "Calls to connectors, by how they went", ("instance", "result"), calls, named=named),
        _longest("stackhub_alert_lag_seconds", "How long the message told last had waited", lags, named=named),
        _gauge("stackhub_circuit_open", "Accounts not worth calling now", ("instance",), circuits, named=named),
    ]
    if counts is not None:
        oldest = (now - counts.oldest_pending).total_seconds() if counts.oldest_pending else 0.0
        held: Counter[tuple[str, ...]] = Counter(
            dict.fromkeys((("", state) for state in ("pending", "undeliverable")), 0) if not named else {}
        )
        held.update(counts.outbox)
        found += [
            _gauge("stackhub_outbox_messages", "Messages not told", ("instance", "state"), held, named=named),
            _plain("stackhub_outbox_oldest_seconds", "How long the oldest of them has waited", max(oldest, 0.0)),
        ]
    return found


def _plain(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, float(value))


def _longest(name: str, text: str, values: Mapping[tuple[str], float], *, named: bool) -> Metric:
    """Show lengths of time by instance, or the longest: a sum of them says nothing."""
    if not named:
        return _plain(name, text, max(values.values(), default=0.0))
    family = GaugeMetricFamily(name, text, labels=["instance"])
    for row, value in sorted(values.items()):
        family.add_metric(row, value)
    return family


def _gauge(name: str, text: str, labels: Sequence[str], values: Values, *, named: bool) -> Metric:
    kept = [label for label in labels if named or label not in NAMES]
    family = GaugeMetricFamily(name, text, labels=kept)
    for row, value in _summed(labels, kept, values):
        family.add_metric(row, value)
    return family


def _counter(name: str, text: str, labels: Sequence[str], values: Values, *, named: bool) -> Metric:
    kept = [label for label in labels if named or label not in NAMES]
    family = CounterMetricFamily(name, text, labels=kept)
    for row, value in _summed(labels, kept, values):
        family.add_metric(row, value)
    return family


def _summed(labels: Sequence[str], kept: Sequence[str], values: Values) -> list[tuple[tuple[str, ...], float]]:
    sums: dict[tuple[str, ...], float] = {} if kept else {(): 0.0}
    for row, value in values.items():
        short = tuple(one for label, one in zip(labels, row, strict=True) if label in kept)
        sums[short] = sums.get(short, 0.0) + value
    return sorted(sums.items())


def _states(open_run: OpenRun) -> dict[str, StepState]:
    return {name: step.state for name, step in open_run.steps.items()}
