"""A failing world made smaller: whatever can be left out, or halved, while it still fails, is."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError
from simulation.spec import Spec

LISTS = ("people", "faults", "hub", "others", "pipelines")
KEYS = ("triggers", "sla", "max_active", "catchup", "overlap", "alerts", "schedule")
WAITS = ({"require", "not_later_than", "otherwise"}, {"not_later_than", "otherwise"}, {"only"}, {"except"})
OPTIONS = ("retries", "timeout", "on_timeout", "freshness", "needs")


def shrink(spec: Spec, fails: Callable[[Spec], bool], *, most: int = 400) -> Spec:
    """Return the smallest spec found in ``most`` tries that still fails."""
    tries, again = 0, True
    while again and tries < most:
        again = False
        for smaller in _smaller(spec):
            tries += 1
            if tries > most:
                break
            if fails(smaller):
                spec, again = smaller, True
                break
    return spec


def _smaller(spec: Spec) -> Iterator[Spec]:
    """Yield specs with a little less, what saves most first."""
    for changed in _changes(spec.model_dump(exclude_defaults=True)):
        try:
            yield Spec.model_validate(changed)
        except ValidationError:
            continue


def _changes(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in LISTS:
        yield from ({**whole, name: less} for less in _less(whole.get(name, [])))
    yield from ({**whole, "hours": whole["hours"] / 2} for _ in range(whole["hours"] > 1 / 4))
    if "turns" in whole:
        yield {**whole, "turns": {}}
        for name in whole["turns"]:
            yield {**whole, "turns": {other: turns for other, turns in whole["turns"].items() if other != name}}
            yield from (
                {**whole, "turns": {**whole["turns"], name: less}} for less in _less(whole["turns"][name]) if less
            )
    for name, settings in whole["instances"].items():
        yield {**whole, "instances": {other: one for other, one in whole["instances"].items() if other != name}}
        yield from ({**whole, "instances": {**whole["instances"], name: {}}} for _ in range(bool(settings)))
    for place, pipeline in enumerate(whole["pipelines"]):
        for less in _pipelines(pipeline):
            yield {**whole, "pipelines": [*whole["pipelines"][:place], less, *whole["pipelines"][place + 1 :]]}
    if "hubs" in whole:
        yield {**whole, "hubs": whole["hubs"] - 1}
    for name in ("fallback", "retention", "lists", "lasted", "models"):
        yield from ({key: value for key, value in whole.items() if key != name} for _ in range(name in whole))


def _less(items: list[Any]) -> Iterator[list[Any]]:
    """Yield the list without some of it: halves first, then one by one."""
    size = len(items) // 2
    while size:
        for start in range(0, len(items), size):
            yield items[:start] + items[start + size :]
        size //= 2
    if len(items) == 1:
        yield []


def _pipelines(pipeline: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key in KEYS:
        if key in pipeline:
            yield {name: value for name, value in pipeline.items() if name != key}
        if isinstance(pipeline.get(key), list):
            yield from ({**pipeline, key: less} for less in _less(pipeline[key]) if less)
    schedules = pipeline.get("schedule")
    for place, schedule in enumerate(schedules if isinstance(schedules, list) else ()):
        for keys in WAITS:
            bare = {name: value for name, value in schedule.items() if name not in keys}
            if bare != schedule:
                yield {**pipeline, "schedule": [*schedules[:place], bare, *schedules[place + 1 :]]}
    tasks = pipeline["tasks"]
    for name in tasks:
        left = {other: _without(task, name) for other, task in tasks.items() if other != name}
        if left:
            yield {**pipeline, "tasks": left}
    for name, task in tasks.items():
        for key in OPTIONS:
            if key in task:
                bare = {option: value for option, value in task.items() if option != key}
                yield {**pipeline, "tasks": {**tasks, name: bare}}


def _without(task: dict[str, Any], gone: str) -> dict[str, Any]:
    needs = [need for need in task.get("needs", ()) if need != gone]
    return {**{key: value for key, value in task.items() if key != "needs"}, **({"needs": needs} if needs else {})}
