"""A week of fifty pipelines, with the real connectors in front of their fake vendors; prints how long it took.

`python tests/simulation/week.py [PIPELINES [DAYS]]`
"""

import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import anyio
import httpx
import structlog
from simulation.ground import MONDAY, Ground, ground

from stackhub import registry
from stackhub.contract.sandbox import Breaks, Ends, FakeVendor, Fault, Feed, Turn, World
from stackhub.sandbox.mount import Stage

VENDORS = ("fivetran", "airbyte", "slack", "pagerduty")
URL = "http://vendors"
LOOKS = timedelta(minutes=10)
FAILS = 7  # every so manyth sync of a pipeline that is not well
PIPELINE = """
pipeline: p{nth:02}
schedule: {{cron: "{minute} {hours} * * *"}}
sla: {{max_duration: 40m}}
tasks:
  crm: {{uses: fivetran.sync, with: {{connection: crm_{nth:02}}}, retries: {{attempts: 1}}}}
  pay: {{uses: airbyte.sync, with: {{connection: pay_{nth:02}}}, retries: {{attempts: 2, wait: 1m}}}}
  marts: {{uses: mill.build, with: {{select: m{nth:02}}}}}
alerts:
  - {{to: slack, channel: "#data-alerts", on: [failed, late, resolved]}}
  - {{to: pagerduty, on: [failed]}}
"""


@dataclass
class Sandboxed:
    """A ground whose vendors are the connectors' own fakes, reached through httpx's transport."""

    ground: Ground
    vendors: dict[str, FakeVendor]
    stage: Stage


def played(on: Ground, seed: int = 0) -> Sandboxed:
    """Put new fake vendors in front of a ground's hubs to come."""
    world = World(now=on.universe.clock.now, sleep=anyio.sleep, rng=random.Random(seed))
    vendors = {name: registry.load(name).sandbox(world) for name in VENDORS}
    stage = Stage(vendors)
    on.transport = lambda _: httpx.ASGITransport(app=stage)
    return Sandboxed(on, vendors, stage)


def reach(on: Sandboxed) -> None:
    """Write an instance for each vendor, and one that builds."""
    house = on.ground.house
    house.connectors = {**house.connectors, **{name: registry.load(name) for name in VENDORS}}
    for name, variables in on.stage.environment(URL).items():
        house.write(f"{name}.env", "".join(f'{key}="{value}"\n' for key, value in variables.items()))
    house.instances("mill")


@contextmanager
def sandboxed(seed: int = 0) -> Iterator[Sandboxed]:
    """Make a ground with fake vendors, and an instance for each."""
    with ground(seed, looks=LOOKS) as on:
        made = played(on, seed)
        reach(made)
        yield made


def furnish(on: Sandboxed, pipelines: int) -> None:
    """Write the pipelines, and say what their vendors do."""
    rng = on.ground.universe.rng
    for nth in range(pipelines):
        hours = "*/6" if nth % 5 == 0 else f"{rng.randrange(24)}"
        on.ground.house.pipeline(PIPELINE.format(nth=nth, minute=rng.randrange(60), hours=hours))
        crm = Feed(id=f"crm_{nth:02}", name=f"crm_{nth:02}", schema=f"crm_{nth:02}", seconds=rng.uniform(60, 600))
        pay = Feed(id=f"00000000-0000-4000-8000-{nth:012}", name=f"pay_{nth:02}", seconds=rng.uniform(60, 600))
        on.stage.add("fivetran", crm)
        on.stage.add("airbyte", pay)
        if nth % 3 == 0:
            turns = [
                Turn(ends=Ends.BADLY, reason="the source is down") if n % FAILS == 3 else Turn() for n in range(40)
            ]
            on.vendors["fivetran"].script(crm.id, *turns)
    faults = on.vendors["airbyte"].faults
    faults += [Fault(breaks=Breaks.AFTER, method="POST", path="jobs", after=after) for after in (3, 30, 60)]
    faults += [Fault(breaks=Breaks.STATUS, status=503, after=after, times=3) for after in (100, 1000, 2000)]
    faults += [Fault(breaks=Breaks.HANG, seconds=90, after=after) for after in (500, 1500)]


def live(on: Sandboxed, days: float) -> list[str]:
    """Let time pass, with a hub that dies now and then; return what is to be said of it."""
    universe, lives = on.ground.universe, [on.ground.hub()]

    def die():
        lives[-1].kill()
        universe.at(timedelta(seconds=universe.rng.uniform(1, 120)), lambda: lives.append(on.ground.hub()))

    for hours in range(13, round(days * 24), 31):
        universe.at(timedelta(hours=hours, seconds=universe.rng.uniform(0, 3600)), die)
    universe.run_until(MONDAY + timedelta(days=days))
    ask = on.ground.ask
    states = dict(ask("SELECT state, count(*) FROM run GROUP BY state ORDER BY state"))
    untold = ask("SELECT count(*) FROM outbox WHERE state <> 'sent' AND state <> 'superseded'")[0][0]
    requests = sum(len(vendor.requests) for vendor in on.vendors.values())
    return [
        f"runs: {states}",
        f"lives: {len(lives)}, callbacks: {universe.steps}, requests: {requests}",
        f"incidents: {ask('SELECT count(*) FROM incident')[0][0]}, messages not told: {untold}",
    ]


def main(arguments: list[str]) -> None:
    """Live through it and say how long it took."""
    structlog.configure(processors=[_drop])
    pipelines, days = int(arguments[0]) if arguments else 50, float(arguments[1]) if arguments[1:] else 7.0
    with sandboxed(1) as on:
        furnish(on, pipelines)
        wall, cpu = time.perf_counter(), time.process_time()
        print(*live(on, days), sep="\n")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{pipelines} pipelines, {days:g} days: {wall:.1f} s, of which {cpu:.1f} s of CPU")


def _drop(*_):
    raise structlog.DropEvent


if __name__ == "__main__":
    main(sys.argv[1:])
