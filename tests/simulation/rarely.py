"""What only some worlds have: each part with dice of its own, so that a world without it is as it was before."""

import random
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from simulation.spec import Other, Person, Spec, Turn

Part = Callable[[Spec, random.Random], Spec]
SHARE = 0.15
LANDS = (Turn(seconds=5.0), Turn(seconds=60.0), Turn(seconds=300.0), Turn(seconds=60.0, ends="failed"))


def enriched(spec: Spec) -> Spec:
    """Return a world with some parts more, or as it was."""
    for part in PARTS:
        rng = random.Random(f"{spec.seed} {part.__name__}")
        if rng.random() < SHARE:
            spec = part(spec, rng)
    return spec


def lands(spec: Spec, rng: random.Random) -> Spec:
    """Let the last pipeline begin when data has come in. It is the last, so that none can set off one that loads for it."""
    *others, last = deepcopy(spec.pipelines)
    watched = _some(spec, rng)
    trigger: dict[str, Any] = {"landed": [f"tap:{name}" for name in watched]}
    if len(watched) > 1 and rng.random() < 0.4:
        trigger["any"] = True
    last["triggers"] = [*last.get("triggers", ()), trigger]
    if rng.random() < 0.5:
        last.pop("schedule", None)
        last.get("sla", {}).pop("finish_by", None)
        if last.get("sla") in ({}, {"timezone": last.get("sla", {}).get("timezone")}):
            last.pop("sla")
    if rng.random() < 0.4:
        for task in last["tasks"].values():
            if task["uses"] == "tap.sync":
                task["uses"] = "tap.wait"
                task.pop("freshness", None)
    return _loaded(spec, rng, watched, 3).model_copy(update={"pipelines": [*others, last], "lists": True})


def waits(spec: Spec, rng: random.Random) -> Spec:
    """Let the ticks of a pipeline wait for data, most of them not for ever."""
    pipelines = deepcopy(spec.pipelines)
    found = [schedule for one in pipelines for schedule in one.get("schedule", ())]
    if not found:
        return spec
    schedule, watched = rng.choice(found), _some(spec, rng)
    schedule["require"] = [f"tap:{name}" for name in watched]
    if rng.random() < 0.8:
        zone = ZoneInfo(schedule.get("timezone", "UTC"))
        at = (spec.begins + timedelta(minutes=rng.randrange(5, int(spec.hours * 60)))).astimezone(zone)
        schedule |= {"not_later_than": f"{at:%H:%M}", "otherwise": rng.choice(("run", "run", "skip", "alert"))}
    return _loaded(spec, rng, watched, 1).model_copy(update={"pipelines": pipelines, "lists": True})


def pasts(spec: Spec, rng: random.Random) -> Spec:
    """Let people ask for stretches of the past, for some twice in the same words, and think better of some."""
    most, more = spec.hours * 3600, []
    for _ in range(rng.choice((1, 1, 2))):
        first = spec.begins.date() - timedelta(days=rng.randrange(3, 40))
        what = {
            "pipeline": rng.choice(spec.pipelines)["pipeline"],
            "from": f"{first}",
            "until": f"{first + timedelta(days=rng.choice((1, 2, 3)))}",
            "every": rng.choice((43200, 86400, 86400)),
            "parallel": rng.choice((1, 1, 2, 3)),
        }
        what |= {name: True for name in ("newest_first", "keep_going", "extracts") if rng.random() < 0.3}
        at = rng.uniform(1, most * 0.7)
        more += [
            Person(at=round(when, 1), wish="backfill", what=what)
            for when in (at, rng.uniform(at, most))[: rng.choice((1, 2))]
        ]
        if rng.random() < 0.4:
            more.append(Person(at=round(rng.uniform(at, most), 1), wish="cancel_backfill", pick=rng.randrange(9)))
    return spec.model_copy(update={"people": sorted([*spec.people, *more], key=lambda one: one.at)})


def days(spec: Spec, rng: random.Random) -> Spec:
    """Let schedules keep to some days, or leave some out, of those around the world's own."""
    pipelines = deepcopy(spec.pipelines)
    for one in (one for one in pipelines if one.get("schedule")):
        near = [(spec.begins + timedelta(days=day)).date() for day in range(-2, 4)]
        one["calendars"] = {"odd": [f"{day}" for day in near if rng.random() < 0.5] or [f"{near[2]}"]}
        for nth, schedule in enumerate(one["schedule"]):
            if not nth or rng.random() < 0.5:
                weekly = schedule.get("cron", "").endswith("6")  # its day may be none of those, and that is refused
                schedule["except" if weekly else rng.choice(("only", "except"))] = ["odd"]
    return spec.model_copy(update={"pipelines": pipelines})


def ahead(spec: Spec, rng: random.Random) -> Spec:
    """Let the hub know how long tasks take, and give runs times by which some will be done, and some will not."""
    pipelines, lasted = deepcopy(spec.pipelines), {}
    for one in pipelines:
        one["sla"] = {**one.get("sla", {}), "max_duration": rng.choice(("4m", "10m", "30m", "1h"))}
        one["sla"]["at_risk"] = rng.choice((0.2, 0.5, 0.9))
        for task in one["tasks"]:
            usual = rng.choice((10.0, 60.0, 240.0, 900.0))
            known = rng.choice((0, 3, 8, 20))
            lasted[f"{one['pipeline']}/{task}"] = [round(usual * rng.lognormvariate(0, 0.5), 1) for _ in range(known)]
    return spec.model_copy(
        update={"pipelines": pipelines, "lasted": {name: one for name, one in lasted.items() if one}}
    )


def parts(spec: Spec, rng: random.Random) -> Spec:
    """Let a pipeline build what it can, and owe the rest until it lands."""
    pipelines = deepcopy(spec.pipelines)
    one = rng.choice(pipelines)
    loads = sorted({task["with"]["connection"] for task in one["tasks"].values() if task["uses"] == "tap.sync"})
    known = sorted(name.removeprefix("tap:") for name in spec.turns if name.startswith("tap:"))
    if len(known) > 1 and len(loads) < 2:
        loads = known[:2]
        one["tasks"] |= {f"x{name}": {"uses": "tap.sync", "with": {"connection": name}} for name in loads}
    if not loads:
        return spec
    partial = rng.choice((True, True, {"wait": "10m"}))
    one["tasks"]["part"] = {"uses": "press.build", "with": {"partial": partial}}
    models = {f"m_{name}": [f"crm.{name}"] for name in loads} | {"static": []}
    models["both"] = [f"m_{name}" for name in loads[:2]]
    more = {"pipelines": pipelines, "models": models, "lists": True, "instances": {**spec.instances, "press": {}}}
    return _loaded(spec, rng, loads, 2).model_copy(update=more)


def _some(spec: Spec, rng: random.Random) -> list[str]:
    """Return one connection or two of those there are."""
    known = sorted(name.removeprefix("tap:") for name in spec.turns if name.startswith("tap:"))
    return rng.sample(known, min(len(known), rng.choice((1, 1, 2))))


def _loaded(spec: Spec, rng: random.Random, names: list[str], most: int) -> Spec:
    """Let somebody else load these as well, each so many times at most."""
    more = [
        Other(at=round(rng.uniform(1, spec.hours * 3600), 1), instance="tap", what=name, turn=rng.choice(LANDS))
        for name in names
        for _ in range(rng.randint(0, most))
    ]
    return spec.model_copy(update={"others": [*spec.others, *more]})


PARTS: tuple[Part, ...] = (lands, waits, pasts, days, ahead, parts)
