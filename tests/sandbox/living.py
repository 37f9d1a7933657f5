"""A history, made by the engine on a clock of its own: true connectors before their fake vendors, and a script."""

import random
from dataclasses import replace
from datetime import timedelta

import anyio

from stackhub.clock.loop import run
from stackhub.clock.virtual import TimeLine, VirtualClock
from stackhub.contract.sandbox import Feed
from stackhub.engine.engine import attend
from stackhub.model.ids import Ids
from stackhub.sandbox.cast import Part, furnish
from stackhub.sandbox.mount import open_stage
from stackhub.sandbox.understudy import Act, Script, Understudy
from stackhub.store.inline import InlineWriter
from stackhub.store.store import open_store

SYNC = 60.0  # seconds that a sync takes


class Patient(Understudy):
    """Is not asked every second."""

    def limits(self, settings):
        return replace(super().limits(settings), look=timedelta(seconds=10), first_look=timedelta(seconds=10))


class Told(Script):
    """Jobs without a fake vendor go as ``says`` has it: (task, time, try) -> Act."""

    def __init__(self, says, now):
        super().__init__()
        object.__setattr__(self, "says", says)
        object.__setattr__(self, "now", now)

    __slots__ = ("now", "says")

    def act(self, job, role):
        return self.says(job, self.now())


def live(configuration, environ, *, since, until, says=lambda job, now: Act(seconds=60), happens=(), others=None):
    """Let the engine live; ``happens``: (time, what(stage, engine)) - what others do meanwhile.

    ``others``: connections, by account, that no task speaks of.
    """
    line = TimeLine(since)
    run(_live(configuration, environ, line, until, says, sorted(happens, key=lambda one: one[0]), others or {}), line)


async def _live(configuration, environ, line, until, says, happens, others):
    clock, line.looks = VirtualClock(line), 3600.0
    script, whole = Told(says, clock.now), next(iter(configuration.pipelines.values()))
    cast = [Part(one, clock, environ) for one in configuration.instances.values()]
    feeds = {
        part.name: [replace(feed, seconds=SYNC) for feed in part.feeds(configuration.pipelines.values(), whole, script)]
        for part in cast
    }
    state = configuration.hub.state_dir
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = open_store(
        configuration.hub.database_url.get_secret_value(),
        state,
        written_by="test",
        writer=lambda engine, loop: InlineWriter(engine, loop, mark="test"),
    )
    async with open_stage(cast, feeds=feeds, now=clock.now, sleep=anyio.sleep) as stage, store as kept:
        for name, connections in others.items():
            for one in connections:
                stage.add(name, Feed(id=f"id_of_{one}", name=one, seconds=SYNC))
        instances = {part.name: part.instance(stage, script, clock) for part in cast}
        instances |= {
            name: replace(one, connector=Patient(configuration.instances[name].connector, script, clock.now))
            for name, one in instances.items()
            if isinstance(one.connector, Understudy)
        }
        routes = [route for one in configuration.pipelines.values() for route in one.alerts or ()]
        furnish(stage, instances.values(), [*routes, *configuration.routes], environ)
        played = replace(configuration, instances=instances)
        ids = Ids(random.Random(1))
        async with attend(played, kept, environ, state=state, clock=clock, ids=ids) as engine:
            for at, what in happens:
                await anyio.sleep((at - clock.now()) / timedelta(seconds=1))
                await what(stage, engine)
            await anyio.sleep((until - clock.now()) / timedelta(seconds=1))
