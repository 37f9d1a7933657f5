"""Company for a hub: the same world with several on one database, each of which dies, sleeps past its lease, is cut off."""

import random

from simulation.spec import HubEvent, Spec

LONGEST = 2.0  # hours: these renew their leases all the time
LOOKS = 60.0  # seconds, at least
DO = ("kill", "kill", "stop", "pause", "pause", "pause", "cut", "cut", "cut")
LONG = 1800.0  # seconds
CUT = 1.3  # leases, at most: whoever is cut off asks every second whether the database is back
COMPANY = 0.06  # of all worlds: one costs as much as five others


def accompanied(spec: Spec, *, always: bool = False) -> Spec:
    """Return a world with several hubs in it, or, unless it must be one, as it was."""
    rng = random.Random(f"hubs {spec.seed}")
    if rng.random() > COMPANY and not always:
        return spec
    hubs, lease = rng.choice((2, 2, 3)), rng.choice((15.0, 60.0, 120.0, 120.0, 300.0, 300.0))
    hours = min(spec.hours, LONGEST if lease >= LOOKS else LONGEST / 2)
    events = [_befalls(rng, event, hubs, lease) for event in spec.hub if event.at < hours * 3600]
    for _ in range(rng.randrange(7)):
        do, seconds = rng.choice(DO), rng.choice((5.0, lease / 2, lease * 1.2, lease * 4, LONG))
        at = round(rng.uniform(1, hours * 3600), 1)
        events.append(_befalls(rng, HubEvent(at=at, do=do, step=rng.randrange(200), seconds=seconds), hubs, lease))
    more = {
        "hubs": hubs,
        "lease": lease,
        "looks": max(LOOKS, lease),
        "hours": hours,
        "hub": sorted(events, key=lambda event: event.at),
        "people": [person for person in spec.people if person.at < hours * 3600],
    }
    return spec.model_copy(update=more)


def _befalls(rng: random.Random, event: HubEvent, hubs: int, lease: float) -> HubEvent:
    """Let one of them have it. Their clocks go right: a lease counts on the database's, and that is one."""
    do = "cut" if event.do == "jump" else event.do
    most = lease * CUT if do == "cut" else LONG * 3
    return event.model_copy(update={"do": do, "seconds": min(abs(event.seconds), most), "hub": rng.randrange(hubs)})
