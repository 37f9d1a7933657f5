"""A history that has a bit of everything, printed: all tables, every call that reached a vendor, every message.

`python tests/simulation/history.py SEED WORLD` prints the same for the same seeds, whatever the process.
"""

import sys
from datetime import timedelta
from functools import partial

import structlog
from engine.far_end import FAILED, Lost, Stuck
from simulation import world
from simulation.dice import roll
from simulation.ground import MONDAY, dumped, ground
from simulation.spec import Spec

from stackhub.contract import Pending, Unavailable

PIPELINES = (
    """
pipeline: shop
schedule: {every: 30m}
sla: {max_duration: 10m}
overlap: queue
tasks:
  orders: {uses: tap.sync, with: {connection: orders}, retries: {attempts: 2, wait: 5s}}
  stripe: {uses: tap.sync, with: {connection: stripe}}
  events: {uses: tap.marked, with: {connection: events}}
  marts: {uses: mill.build, with: {select: marts}, retries: {attempts: 1}}
""",
    """
pipeline: after
triggers: [{pipeline: shop}]
tasks:
  report: {uses: mill.build, with: {select: report}}
  other: {uses: tap.hasty, with: {connection: other}}
""",
)


def happen(on, rng) -> None:
    """Plan what happens."""
    hubs = []

    def begin():
        hubs.append(on.hub())

    def die_and_come_back():
        hubs[-1].kill()
        on.universe.at(timedelta(seconds=rng.uniform(0, 90)), begin)

    def leave_and_come_back():
        life = hubs[-1]
        life.stop()
        on.universe.at(timedelta(seconds=30), begin)

    def edit():
        on.house.pipeline(PIPELINES[1].replace("report", "reports").replace("pipeline: after", "pipeline: after"))
        hubs[-1].apply(on.house.read())

    def outage():
        on["tap"].broken = Unavailable("down")
        on.universe.at(timedelta(minutes=7), partial(setattr, on["tap"], "broken", None))

    def fail():
        on["mill"].outcomes["marts"].append(FAILED)
        on["bell"].will("deliver", Unavailable("busy"))

    def oddities():
        on["tap"].will("start", Lost())
        on["tap"].will("poll", Stuck(), Pending())

    begin()
    plans = (die_and_come_back, leave_and_come_back, edit, outage, fail, oddities)
    for minutes in range(10, 140, 10):
        on.universe.at(timedelta(minutes=minutes + rng.uniform(0, 9)), rng.choice(plans))
    on.universe.at(timedelta(minutes=31), lambda: hubs[-1].pause(timedelta(minutes=4)))
    on.universe.at(timedelta(minutes=62), lambda: hubs[-1].clock.set_wall(on.universe.clock.now() + timedelta(hours=1)))
    on.universe.at(timedelta(minutes=93), lambda: hubs[-1].submit("trigger", pipeline="shop"))


def history(seed: int) -> list[str]:
    """Return all that came of it."""
    with ground(seed, looks=timedelta(minutes=2)) as on:
        on.house.instances("tap", "mill", "bell", "horn")
        for pipeline in PIPELINES:
            on.house.pipeline(pipeline)
        happen(on, on.universe.rng)
        on.universe.run_until(MONDAY + timedelta(hours=3))
        calls = [
            f"{call.at.isoformat()} {name} {call.verb} {call.what}"
            for name, account in sorted(on.house.world.accounts.items())
            for call in account.calls
        ]
        told = [f"{name} {said}" for name, account in on.house.world.accounts.items() for said in account.order]
        return [*dumped(on.database), *calls, *told, f"{on.universe.steps} steps, {on.universe.born} lives"]


OURS = ("'hub'", "installation")


def lived(spec: Spec) -> list[str]:
    """Return all that came of a world, but for what names this very machine, or nothing at all."""
    with world.ground() as root:
        whole = world.World(spec, root)
        try:
            whole.run()
            kept = [row for row in dumped(root / ".stackhub" / "stackhub.db") if not any(word in row for word in OURS)]
            accounts = whole.town.accounts.values()
            calls = [f"{call.verb} {call.what} {call.at} {call.key}" for one in accounts for call in one.calls]
            return [*kept, *calls, f"{whole.universe.steps} steps"]
        finally:
            whole.close()


if __name__ == "__main__":
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()], logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    print("\n".join([*history(int(sys.argv[1])), *lived(roll(int(sys.argv[2])))]))
