"""How a run comes into the world: the run, its deadlines and its first line of history, as rows of one transaction."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, Protocol

import anyio

from stackhub.clock import Clock
from stackhub.decide import create
from stackhub.decide.deadline import Kind, deadlines
from stackhub.decide.ends import Rule
from stackhub.decide.run import Begin, decide
from stackhub.engine.board import Board
from stackhub.model.backfill import backfill_of, rivals
from stackhub.model.ids import Ids
from stackhub.model.pipeline import Mode, Pipeline
from stackhub.model.run import Interval, OpenRun, Run, Trigger
from stackhub.store import transaction as tx
from stackhub.store.rows import happened, run_made
from stackhub.store.tables import micros
from stackhub.store.transaction import Op


class Feeding(Protocol):
    """Knows what feeds the tasks of a pipeline."""

    async def look(self, pipelines: Sequence[str]) -> None:
        """See whether what is known of these pipelines still holds."""
        ...

    def narrowed(self, pipeline: Pipeline) -> Pipeline:
        """Return a pipeline whose tasks wait for what feeds them, as far as that is known."""
        ...


class Births:
    """Makes runs; they are adopted by the board after their transaction has been committed."""

    def __init__(self, board: Board, clock: Clock, ids: Ids, feeding: Feeding | None = None, *, alone: bool) -> None:
        self.waits = not alone  # for whoever keeps the time among several hubs: two must not begin runs of a pipeline
        self._board = board
        self._clock = clock
        self._ids = ids
        self._turns: dict[str, anyio.Lock] = {}
        self._feeding = feeding

    @asynccontextmanager
    async def turn(self, *pipelines: str, born: bool = True) -> AsyncIterator[None]:
        """Hold these pipelines while runs of them are made, committed and adopted, or a queued one is begun.

        Whether a run may begin hangs on the others there are, so two must not be made without knowing of each other.
        Not ``born``: none will be made.
        """
        async with AsyncExitStack() as stack:
            for name in sorted(set(pipelines)):
                await stack.enter_async_context(self._turns.setdefault(name, anyio.Lock()))
            if born and pipelines and self._feeding is not None:
                await self._feeding.look(pipelines)
            yield

    def fed(self, pipeline: Pipeline) -> Pipeline:
        """Return a pipeline as a run made in this `turn` follows it: each task waits for what feeds it."""
        return pipeline if self._feeding is None else self._feeding.narrowed(pipeline)

    def new(
        self,
        pipeline: Pipeline,
        rules: Mapping[str, Rule],
        trigger: Trigger,
        *,
        interval: Interval | None = None,
        last_end: datetime | None = None,
        run_id: str = "",
        tick: datetime | None = None,
        reason: str = "",
        origin: Mapping[str, Any] | None = None,
        behind: bool = False,
        promised: bool = False,
    ) -> tuple[OpenRun, list[Op]]:
        """Make a run and its rows, in its pipeline's `turn`.

        Without an interval it stands for what came since ``last_end``. ``behind`` says that it waits for its turn,
        whoever else is there; ``promised`` that its deadlines were made with its tick.
        """
        now = self._clock.now()
        made = create.new(
            self.fed(pipeline),
            run_id=run_id or self._ids.make(now),
            trigger=trigger,
            interval=interval or Interval(start=min(last_end or now, now), end=now),
            now=now,
            tick=tick,
            reason=reason,
            origin=origin,
        )
        return self.born(made, rules, behind=behind, promised=promised)

    def born(
        self, made: OpenRun, rules: Mapping[str, Rule], *, behind: bool = False, promised: bool = False
    ) -> tuple[OpenRun, list[Op]]:
        """Return a new run, begun where it is its turn, and its rows. Runs of backfills are in nobody's way."""
        now = self._clock.now()
        run = made.run
        ops = [
            happened(now, "created", pipeline=run.pipeline, run=run.id, text=run.reason or f"trigger: {run.trigger}")
        ]
        if not behind and not rivals(self._board.runs(run.pipeline), run.mode):
            decision = decide(made, [Begin()], rules, now)
            if decision is not None:
                made = decision.open
                ops += [
                    happened(
                        now, m.kind, pipeline=run.pipeline, run=run.id, task=m.task, text=m.text, attempt=m.attempt
                    )
                    for m in decision.moments
                ]
        later = bool(run.retry_of) or run.trigger is Trigger.OWED or create.is_part(run) or bool(backfill_of(run))
        if made.pipeline.sla is not None and not later and not promised:
            ops += deadline_rows(made.pipeline, run.interval, created_at=now, tick=run.tick, run_id=run.id)
        return made, [*run_made(made), *ops]


def put_off(run: Run, pipeline: Pipeline) -> list[Op]:
    """Return the deadline that counts from a run's start, now that it has begun after a wait."""
    if pipeline.sla is None or run.tick is not None or run.started_at is None:
        return []
    found = deadlines(pipeline.sla, tick=None, started_at=run.started_at, created_at=run.created_at)
    return [
        Op(tx.DEADLINE_PUT_OFF, {"id": f"{run.id}:{one.kind}", "at": micros(one.at)})
        for one in found
        if one.kind is Kind.MAX_DURATION
    ]


def deadline_rows(
    pipeline: Pipeline, interval: Interval, *, created_at: datetime, tick: datetime | None, run_id: str
) -> list[Op]:
    """Return the deadlines of a tick, or of a run without one. They exist even where no run was started."""
    if pipeline.sla is None:
        return []
    named = run_id or f"{pipeline.name}:{micros(tick or created_at)}"
    return [
        Op(
            tx.DEADLINE,
            {
                "id": f"{named}:{found.kind}",
                "pipeline": pipeline.name,
                "run": run_id or None,
                "kind": found.kind,
                "at": micros(found.at),
                "text": found.text,
                "state": "open",
                "covers": micros(interval.end),
                "shadow": int(pipeline.mode is Mode.SHADOW),
            },
        )
        for found in deadlines(pipeline.sla, tick=tick, started_at=None, created_at=created_at)
    ]
