"""History played again: the very engine, on a clock of its own, under a configuration that may be another.

Every job goes as it is remembered; what people did is done again at its time. Nothing is started, nobody is told, and
no request can leave: no connector is opened but to be asked how it tells people. The store is a file of its own, which
is gone afterwards; what was recorded is only read.
"""

import math
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import anyio
import sqlalchemy as sa
from sqlalchemy import event

from stackhub.clock.loop import run
from stackhub.clock.virtual import TimeLine, VirtualClock
from stackhub.config.read import Configuration
from stackhub.contract import Connection, Health
from stackhub.decide.deeds import OF_RUNS, Deed, Twins, deeds
from stackhub.decide.past import How, Memory, Shore, Tried, tries
from stackhub.decide.schedule import following
from stackhub.decide.tally import Facts
from stackhub.engine.engine import Engine, attend
from stackhub.errors import Refused
from stackhub.model.ids import Ids
from stackhub.model.pipeline import Mode
from stackhub.model.run import Run
from stackhub.sandbox.listings import Listings
from stackhub.sandbox.player import Player, Scene, marked
from stackhub.store import database, past, queries, tallied
from stackhub.store.inline import InlineWriter
from stackhub.store.past import Around, Rows
from stackhub.store.store import open_store

IDLE: Final = 6 * 3600.0  # virtual seconds between looks of loops that nothing wakes
FOR_EVER: Final = timedelta(days=36_500)
LAST: Final = timedelta(hours=1)  # that it is played on, for what was under way at the end to come to its own
MARK: Final = "replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A part of history, as it was."""

    since: datetime
    until: datetime
    runs: tuple[Run, ...]
    tried: tuple[Tried, ...]
    own: frozenset[tuple[str, str, str]]  # (account, connection, mark) of loads that our own runs began
    around: Around
    found_out: Rows
    facts: Facts

    @property
    def shadows(self) -> int:
        """Return how many runs were in shadow."""
        return sum(run.mode is Mode.SHADOW for run in self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of it."""

    facts: Facts
    calls: Mapping[str, int]  # requests, by account
    hows: Mapping[How, int]  # jobs, by how sure it was how they go
    undone: tuple[str, ...]  # what people did and could not be done again


def record(connection: sa.Connection, since: datetime, until: datetime, pipelines: Collection[str] = ()) -> Recorded:
    """Read a part of history; ``pipelines`` are those that are summed up."""
    gathered, runs, tried = tallied.Gathered(pipelines), [], []
    own: set[tuple[str, str, str]] = set()
    for found in past.chunks(connection, since, until):
        gathered.take(found)
        lines = past.moves(connection, [one.run.id for one in found])
        for one in found:
            runs.append(one.run)
            tried += tries(one, lines.get(one.run.id, {}))
            own |= {
                (step.instance, step.landing.connection, step.landing.mark)
                for step in one.steps.values()
                if step.landing is not None and not step.joined and one.pipeline.task(step.task).operation != "wait"
            }
    return Recorded(
        since=since,
        until=until,
        runs=tuple(runs),
        tried=tuple(tried),
        own=frozenset(own),
        around=past.around(connection, since, until),
        found_out=past.carried(connection) | past.taught(connection, since),
        facts=gathered.close(connection, since, until),
    )


def replay(
    configuration: Configuration, recorded: Recorded, environ: Mapping[str, str], pipelines: Collection[str] = ()
) -> Replayed:
    """Play it under a configuration, from beginning to end."""
    line = TimeLine(recorded.since)
    return run(_play(configuration, recorded, environ, pipelines, line), line)


async def _play(
    configuration: Configuration,
    recorded: Recorded,
    environ: Mapping[str, str],
    pipelines: Collection[str],
    line: TimeLine,
) -> Replayed:
    clock, line.looks = VirtualClock(line), IDLE
    scene = Scene(
        memory=Memory(recorded.tried),
        shore=_shore(recorded),
        twins=Twins(recorded.runs),
        accounts=_well(recorded.around.accounts),
        projects=recorded.around.projects,
        now=clock.now,
    )
    staged = _staged(configuration, scene)
    with TemporaryDirectory(prefix="stackhub-replay-") as made:
        place = Path(made)
        store = open_store(
            f"sqlite:///{place / 'replay.db'}",
            place,
            written_by=MARK,
            writer=lambda engine, loop: InlineWriter(engine, loop, mark=MARK),
            engine=_hasty,
        )
        async with store as kept:
            await kept.call(lambda connection: past.begin(connection, recorded.found_out, _anchors(staged, recorded)))
            ids = Ids(random.Random(0))  # noqa: S311 - a seed
            async with attend(staged, kept, environ, state=place, clock=clock, ids=ids) as engine:
                scene.run = engine.board.get
                listings = Listings(engine=engine, scene=scene, clock=clock, since=recorded.since)
                async with anyio.create_task_group() as group:
                    for instance in staged.instances:
                        group.start_soon(listings.follow, instance, recorded.around, recorded.until)
                    undone = await _done_again(engine, scene, recorded, clock)
                    await anyio.sleep(max((recorded.until + LAST - clock.now()).total_seconds(), 0.0))
                    group.cancel_scope.cancel()
                facts = await kept.read(
                    partial(tallied.facts, since=recorded.since, until=recorded.until, pipelines=pipelines)
                )
                of = await kept.read(partial(_paired, scene=scene, recorded=recorded))
    runs = tuple(replace(one, id=of.get(one.id, "")) for one in facts.runs)
    return Replayed(
        facts=replace(facts, runs=runs), calls=scene.requests(), hows=dict(scene.hows), undone=tuple(undone)
    )


async def _done_again(engine: Engine, scene: Scene, recorded: Recorded, clock: VirtualClock) -> list[str]:
    """Do again what people did, each at its time; return what could not be."""
    undone: list[str] = []
    for deed in deeds(recorded.around.asked, recorded.runs, recorded.since):
        if deed.at >= recorded.until:
            break
        await anyio.sleep(max((deed.at - clock.now()).total_seconds(), 0.0))
        args: dict[str, Any] = dict(deed.args)
        if deed.kind in OF_RUNS:
            args["run"] = scene.twins.played(str(args["run"]))
        scene.twins.asking(deed.makes)
        try:
            done = await engine.commands.submit(deed.kind, args, deed.by)
        except Refused as err:
            if deed.at == recorded.since:  # of before: it was over by then
                continue
            undone.append(f"{deed.at:%Y-%m-%d %H:%M} UTC, {deed.kind} {_of(deed)}: {err}")
            continue
        made = await engine.store.read(partial(queries.run, run_id=str(done.get("run", ""))))
        if deed.makes and made is not None:
            scene.twins.find(made.run)
    scene.twins.asking("")
    return undone


def _of(deed: Deed) -> str:
    return str(deed.args.get("pipeline") or deed.args.get("run") or deed.args.get("key") or "").strip()


def _paired(connection: sa.Connection, scene: Scene, recorded: Recorded) -> dict[str, str]:
    """Return which recorded run each run repeats, of those as well of which nothing was begun."""
    for found in past.chunks(connection, recorded.since, recorded.until):
        for one in found:
            scene.twins.find(one.run)
    return dict(scene.twins.of)


def _shore(recorded: Recorded) -> Shore:
    """Return what others have loaded: that lands whatever we do."""
    shore = Shore()
    for instance, landing in recorded.around.landings:
        ours = (instance, landing.connection, landing.mark) in recorded.own
        if not ours:
            shore.add(instance, replace(landing, mark=marked(landing.ended_at)))
    return shore


def _well(accounts: Mapping[str, Mapping[str, Connection]]) -> dict[str, dict[str, Connection]]:
    """Return connections as if each were well: how they are now says nothing of how they were."""
    return {
        name: {id_: replace(one, health=Health.OK, note="") for id_, one in held.items()}
        for name, held in accounts.items()
    }


def _staged(configuration: Configuration, scene: Scene) -> Configuration:
    """Return the configuration with players in place of its connectors.

    Files and requests that begin runs are not there any more: the runs they began are asked for at their times.
    """
    instances = {
        name: replace(one, connector=Player(one, scene), secrets=()) for name, one in configuration.instances.items()
    }
    pipelines = {name: replace(one, files=(), hook=None) for name, one in configuration.pipelines.items()}
    hub = configuration.hub.model_copy(update={"retention": FOR_EVER})
    return replace(configuration, instances=instances, pipelines=pipelines, hub=hub)


def _anchors(configuration: Configuration, recorded: Recorded) -> Rows:
    """Let schedules that are as they were count from where they did, and fall from the beginning on."""
    anchors, next_at = {}, {}
    for (pipeline, spec), anchor in recorded.around.anchors.items():
        schedule = past.schedule_of(spec)
        whole = configuration.pipelines.get(pipeline)
        if whole is None or schedule not in whole.schedules:
            continue
        if schedule.every is not None and anchor > recorded.since:
            anchor -= schedule.every * math.ceil((anchor - recorded.since) / schedule.every)  # noqa: PLW2901 - brought back
        anchors[pipeline, spec] = anchor
        next_at[pipeline, spec] = following(schedule, recorded.since - timedelta.resolution, anchor)
    return past.anchored(anchors, next_at)


def _hasty(url: str) -> sa.Engine:
    """Open a store that nobody needs after a crash."""
    made = database.engine(url)
    event.listen(made, "connect", _quick)
    return made


def _quick(connection: Any, _: object) -> None:
    for pragma in ("synchronous=OFF", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
