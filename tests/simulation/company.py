"""Company for a hub: the same world with several on one database, each of which dies, sleeps past its lease, is cut off."""

import random
from typing import Any

from simulation.spec import HubEvent, Spec

LONGEST = 2.0  # hours: these renew their leases all the time
LOOKS = 60.0  # seconds
DO = ("kill", "kill", "stop", "pause", "pause", "pause", "cut", "cut", "cut")
LONG, CUT = 1800.0, 400.0  # seconds
COMPANY = 0.25  # of all worlds


def accompanied(spec: Spec) -> Spec:
    """Return a world with several hubs in it, or as it was."""
    rng = random.Random(f"hubs {spec.seed}")
    if rng.random() > COMPANY:
        return spec
    hubs, lease = rng.choice((2, 2, 3)), rng.choice((15.0, 60.0, 120.0, 120.0, 300.0, 300.0))
    hours = min(spec.hours, LONGEST)
    events: list[Any] = [_befalls(rng, event, hubs) for event in spec.hub if event.at < hours * 3600]
    for _ in range(rng.randrange(7)):
        do, seconds = rng.choice(DO), rng.choice((5.0, lease / 2, lease * 1.2, lease * 4, LONG))
        at = round(rng.uniform(1, hours * 3600), 1)
        events.append(
            _shortened(HubEvent(at=at, do=do, step=rng.randrange(200), seconds=seconds, hub=rng.randrange(hubs)))
        )
    events.sort(key=lambda event: event.at)
    more = {"hubs": hubs, "lease": lease, "looks": min(spec.looks, LOOKS), "hours": hours, "hub": events}
    return spec.model_copy(update=more)


def _befalls(rng: random.Random, event: HubEvent, hubs: int) -> HubEvent:
    """Give what befalls a hub to one of them. Their clocks go right: a lease counts on the database's, and that is one."""
    do = "cut" if event.do == "jump" else event.do
    return _shortened(event.model_copy(update={"do": do, "seconds": abs(event.seconds), "hub": rng.randrange(hubs)}))


def _shortened(event: HubEvent) -> HubEvent:
    """Let nobody be cut off for hours: each loop asks every second whether the database is back."""
    return event.model_copy(update={"seconds": min(event.seconds, CUT)}) if event.do == "cut" else event
