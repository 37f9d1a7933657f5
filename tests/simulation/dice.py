"""Seeds to worlds: what is thrown, and how often. The same seed is always the same world."""

import random
from typing import Any

from simulation.company import accompanied
from simulation.rarely import enriched
from simulation.spec import Fault, HubEvent, Other, Person, PutOff, Spec, Turn
from simulation.stage import made_real

STARTS = (
    "2026-11-02T12:00:00+00:00",
    "2026-10-24T21:30:00+00:00",  # the night in which Berlin falls back
    "2026-03-28T22:00:00+00:00",  # the night in which it springs forward
    "2026-10-31T22:00:00+00:00",  # New York falls back
    "2026-03-08T03:00:00+00:00",  # and springs forward
    "2026-04-04T13:00:00+00:00",  # Lord Howe goes back by half an hour
    "2026-12-31T20:00:00+00:00",
    "2028-02-28T20:00:00+00:00",
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
CRONS = (
    "0 * * * *",
    "*/30 * * * *",
    "15 */2 * * *",
    "30 2 * * *",
    "5 1-5 * * *",
    "0 0 * * *",
    "45 23 * * 6",
    "10,40 3 * * *",
)
EVERY = ("25m", "40m", "1h", "90m", "2h")
EVERY_REAL = 10  # worlds of so many have the true connectors
NOTIFIERS = ("bell", "horn", "post")
ANY = ("down", "patience", "before", "after", "slow", "hang", "bug", "refused")
ODD: dict[str, tuple[str, ...]] = {
    "prepare": (*ANY, "rejected"),
    "start": (*ANY, "after", "late", "late", "rejected"),
    "poll": (*ANY, "unknown", "missing"),
    "find": ANY,
    "cancel": ANY,
    "deliver": (*ANY, "after", "late", "rejected"),
}


def roll(seed: int, *, several: bool = False) -> Spec:
    """Make the world of a seed; ``several``: one with more than one hub."""
    spec = Dice(seed).spec()
    if seed % EVERY_REAL == 0 and not several:
        return made_real(spec)
    return accompanied(enriched(spec), always=several)


class Dice:
    """One world in the making."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rng = seed, random.Random(seed)
        rng = self.rng
        self.hush = random.Random(f"{seed} hush")  # dice of their own: the rest of a world is as it was without them
        self.hours = rng.choice((1, 1, 2, 2, 2, 3, 3, 4, 6)) if rng.random() < 0.98 else rng.choice((12, 24, 36))
        self.looks = rng.choice((60.0, 300.0, 300.0)) if self.hours == 1 else 900.0
        if rng.random() < 0.005:
            self.hours, self.looks = 1, 5.0  # as often as in production
        self.calm = rng.random()  # how little goes wrong
        self.connections = [f"c{n}" for n in range(rng.randint(1, 3))]
        self.selects = [f"s{n}" for n in range(2)]
        self.notifiers = rng.sample(NOTIFIERS, rng.choice((1, 1, 2, 2, 3))) if rng.random() < 0.9 else []

    def _at(self) -> float:
        return round(self.rng.uniform(1, self.hours * 3600), 1)

    def _some(self, most: int) -> int:
        return sum(self.rng.random() > self.calm for _ in range(most))

    def spec(self) -> Spec:
        rng = self.rng
        pipelines = [self._pipeline(f"p{n}", n) for n in range(rng.choice((1, 1, 2, 2, 3)))]
        return Spec(
            seed=self.seed,
            start=rng.choice(STARTS),
            hours=self.hours,
            looks=self.looks,
            retention=rng.choice(("90d", "90d", "90d", "2h")),
            fallback=rng.choice(("", "", *self.notifiers)),
            instances=self._instances(),
            pipelines=pipelines,
            turns=self._turns(),
            faults=[self._fault() for _ in range(self._some(9))],
            others=[self._other() for _ in range(self._some(4))],
            hub=sorted((self._hub() for _ in range(self._some(4))), key=lambda event: event.at),
            people=sorted(self._people(pipelines), key=lambda person: person.at),
        )

    def _people(self, pipelines: list[dict[str, Any]]) -> list[Person]:
        asked = [self._person(pipelines) for _ in range(self._some(6))]
        hush = self.hush
        for route in (route for one in pipelines for route in one.get("alerts", ()) if hush.random() < 0.3):
            route["renotify"] = hush.choice(("5m", "20m", "1h"))
        for _ in range(hush.choice((0, 0, 1, 1, 2, 3))):
            what = {"target": hush.choice([*(one["pipeline"] for one in pipelines), "tap"])}
            at = round(hush.uniform(1, self.hours * 3600), 1)
            if hush.random() < 0.7:
                asked.append(Person(at=at, wish="mute", what={**what, "minutes": hush.choice((1, 10, 45, 180))}))
            else:
                asked.append(Person(at=at, wish="unmute", what=what))
        return asked

    def _instances(self) -> dict[str, dict[str, float | str]]:
        rng = self.rng
        found: dict[str, dict[str, float | str]] = {}
        for name in ("tap", "mill"):
            found[name] = {"look": rng.choice((60, 300, 300, 600)), "first_look": rng.choice((5, 30))}
            if rng.random() < 0.3:
                found[name] |= {"rate": rng.choice((0.05, 0.2, 1.0)), "burst": rng.choice((1, 3, 10))}
            if rng.random() < 0.2:
                found[name]["width"] = rng.choice((1, 2))
            if rng.random() < 0.2:
                found[name]["max_active"] = rng.choice((1, 2))
        found["tap"]["longest"] = 2.0 * float(found["tap"]["look"])
        if rng.random() < 0.2:
            found["tap"]["alone"] = "connection"
        for name in self.notifiers:
            found[name] = {"rate": rng.choice((0.1, 1.0)), "burst": 2} if rng.random() < 0.2 else {}
        return found

    # --- what is configured ---

    def _pipeline(self, name: str, nth: int) -> dict[str, Any]:
        rng = self.rng
        made: dict[str, Any] = {"pipeline": name}
        if rng.random() < 0.8 or nth == 0:
            made["schedule"] = [self._schedule() for _ in range(rng.choice((1, 1, 1, 2)))]
            if len(made["schedule"]) == 2 and made["schedule"][0] == made["schedule"][1]:
                made["schedule"].pop()
        if nth and rng.random() < 0.4:
            made["triggers"] = [{"pipeline": f"p{rng.randrange(nth)}"}]
        if rng.random() < 0.5:
            made["sla"] = self._sla("schedule" in made)
        if rng.random() < 0.7:
            made["catchup"] = rng.choice(("none", "last", "all"))
        if rng.random() < 0.7:
            made["overlap"] = rng.choice(("skip", "queue", "cancel"))
        if rng.random() < 0.2:
            made["max_active"] = rng.choice((1, 2))
        made["tasks"] = self._tasks()
        if rng.random() < 0.5:
            made["alerts"] = [self._route(who) for who in self.notifiers if rng.random() < 0.8]
        return made

    def _schedule(self) -> dict[str, Any]:
        rng = self.rng
        if rng.random() < 0.5:
            return {"every": rng.choice(EVERY)}
        return {"cron": rng.choice(CRONS), "timezone": rng.choice(ZONES)}

    def _sla(self, scheduled: bool) -> dict[str, Any]:
        rng = self.rng
        made: dict[str, Any] = {}
        if scheduled and rng.random() < 0.4:
            made |= {"finish_by": f"{rng.randrange(24):02}:{rng.choice((0, 30)):02}", "timezone": rng.choice(ZONES)}
        if not made or rng.random() < 0.5:
            made["max_duration"] = rng.choice(("5m", "15m", "45m", "2h"))
        return made

    def _tasks(self) -> dict[str, Any]:
        rng = self.rng
        tasks: dict[str, Any] = {}
        for n in range(rng.choice((1, 2, 2, 3, 3, 4, 5))):
            uses = rng.choice(("tap.sync", "tap.sync", "tap.sync", "tap.endless", "tap.wait", "mill.build", "mill.build",
                               "mill.marked", "mill.blind"))  # fmt: skip
            made: dict[str, Any] = {"uses": uses}
            if uses.startswith("tap"):
                made["with"] = {"connection": rng.choice(self.connections)}
            else:
                made["with"] = {"select": rng.choice(self.selects)}
            above = sorted(t for t in tasks if not uses.startswith("tap") or tasks[t]["uses"].startswith("tap"))
            if above and rng.random() < 0.5:
                made["needs"] = rng.sample(above, rng.randint(1, min(2, len(above))))
            if rng.random() < 0.6:
                made["timeout"] = rng.choice(("3m", "10m", "30m", "1h"))
            if rng.random() < 0.6:
                made["retries"] = {"attempts": rng.choice((1, 2, 3)), "wait": rng.choice(("5s", "1m", "5m"))}
            if rng.random() < 0.3:
                made["on_timeout"] = rng.choice(("cancel", "let_go"))
            if uses == "tap.sync" and rng.random() < 0.2:
                made["freshness"] = "require_new"
            tasks[f"t{n}"] = made
        return tasks

    def _route(self, who: str) -> dict[str, Any]:
        rng = self.rng
        route: dict[str, Any] = {"to": who}
        if rng.random() < 0.3:
            route["on"] = rng.sample(("failed", "late", "stalled"), rng.randint(1, 3))
        if rng.random() < 0.2:
            route["severity"] = rng.choice(("info", "warning", "error", "critical"))
        if rng.random() < 0.2:
            route["channel"] = rng.choice(("#data", "#night"))
        return route

    # --- what happens ---

    def _turns(self) -> dict[str, list[Turn]]:
        names = [f"tap:{name}" for name in self.connections] + [f"mill:{name}" for name in self.selects]
        return {name: [self._turn() for _ in range(self.rng.randint(1, 5))] for name in names}

    def _turn(self) -> Turn:
        rng = self.rng
        if rng.random() < max(self.calm, 0.4):
            return Turn(seconds=rng.choice((5.0, 60.0, 250.0, 900.0)))
        off = None
        if rng.random() < 0.2:
            after, lasts = rng.choice((5.0, 100.0)), rng.choice((60.0, 900.0, 3600.0))
            off = PutOff(after=after, lasts=lasts, again=rng.random() < 0.5, named=rng.random() < 0.7)
        return Turn(
            seconds=rng.choice((1.0, 30.0, 120.0, 600.0, 2400.0, 7200.0)),
            ends=rng.choice(("ok", "ok", "failed", "failed", "fatal", "cancelled", "never")),
            put_off=off,
            stubborn=rng.random() < 0.1,
            unseen=rng.choice((0.0, 0.0, 0.0, 3.0, 8.0)),
        )

    def _fault(self) -> Fault:
        rng = self.rng
        instance = rng.choice(("tap", "mill", *self.notifiers))
        at = self._at()
        if rng.random() < 0.25:  # an account that is down for a while
            kind = rng.choice(("down", "patience", "refused", "hang", "before"))
            lasts = rng.choice((120.0, 900.0, 3600.0))
            return Fault(instance=instance, kind=kind, at=at, until=at + lasts, seconds=rng.choice((30.0, 600.0)))
        verb = (
            "deliver"
            if instance in self.notifiers
            else rng.choice(("prepare", "start", "start", "poll", "find", "cancel"))
        )
        return Fault(
            instance=instance,
            verb=verb,
            kind=rng.choice(ODD[verb]),
            at=at if rng.random() < 0.5 else 0.0,
            until=self.hours * 3600.0,
            times=rng.choice((1, 1, 2, 5)),
            seconds=rng.choice((2.0, 30.0, 120.0)),
        )

    def _other(self) -> Other:
        return Other(at=self._at(), instance="tap", what=self.rng.choice(self.connections), turn=self._turn())

    def _hub(self) -> HubEvent:
        rng = self.rng
        do = rng.choice(("kill", "kill", "kill", "kill", "stop", "pause", "jump"))
        seconds = rng.choice((5.0, 60.0, 1200.0, 5400.0))
        if do == "jump":
            seconds *= rng.choice((1, -1))
        return HubEvent(at=self._at(), do=do, step=rng.randrange(200), seconds=seconds)

    def _person(self, pipelines: list[dict[str, Any]]) -> Person:
        rng = self.rng
        wish = rng.choice(
            ("trigger", "trigger", "cancel", "cancel", "retry", "retry", "skip", "skip", "pause", "resume", "close",
             "edit", "edit", "bad_edit", "remove", "restore", "test", "remove_instance", "restore_instance")
        )  # fmt: skip
        what: dict[str, Any] = {"pipeline": f"p{rng.randrange(len(pipelines))}"}
        if wish == "edit":
            what["to"] = self._pipeline(what["pipeline"], 0)
        if wish == "trigger" and rng.random() < 0.2:
            what["only"] = [rng.choice(sorted(pipelines[int(what["pipeline"][1:])]["tasks"]))]
        if wish == "retry":
            what |= {"from_start": rng.random() < 0.2, "latest": rng.random() < 0.2}
        if wish in {"remove_instance", "restore_instance"}:
            what["instance"] = rng.choice(("tap", "mill", *self.notifiers))
        return Person(at=self._at(), wish=wish, pick=rng.randrange(100), what=what)
