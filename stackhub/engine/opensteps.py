"""The open steps, by lane and by the job they hold: each is found without looking at all the others."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from stackhub.model.step import OPEN, Step

_Key: TypeAlias = tuple[str, str]  # run and task
_Job: TypeAlias = tuple[Any, ...]


class OpenSteps:
    """Keeps what is open of the steps it is shown."""

    def __init__(self) -> None:
        self._of_instance: dict[str, dict[_Key, Step]] = {}
        self._holders: dict[_Job, set[_Key]] = {}

    def of(self, instance: str) -> list[Step]:
        """Return the open steps of a lane, those of older runs first."""
        return sorted(self._of_instance.get(instance, {}).values(), key=lambda step: step.run)

    def instances(self) -> set[str]:
        """Return the instances that open steps need now, or later."""
        return {name for name, steps in self._of_instance.items() if steps}

    def shared(self, step: Step) -> bool:
        """Say whether another open step holds the same job."""
        job = _job(step)
        return job is not None and bool(self._holders.get(job, set()) - {(step.run, step.task)})

    def show(self, steps: Iterable[Step]) -> None:
        """Take over steps as they are now; each keeps its place."""
        for step in steps:
            lane, key = self._of_instance.setdefault(step.instance, {}), (step.run, step.task)
            self._let_go(lane.get(key), key)
            if step.state in OPEN:
                lane[key] = step
                if (job := _job(step)) is not None:
                    self._holders.setdefault(job, set()).add(key)
            else:
                lane.pop(key, None)

    def forget(self, steps: Iterable[Step]) -> None:
        """Keep nothing of these any more."""
        for step in steps:
            key = (step.run, step.task)
            self._let_go(self._of_instance.get(step.instance, {}).pop(key, None), key)

    def _let_go(self, was: Step | None, key: _Key) -> None:
        if was is not None and (job := _job(was)) is not None:
            self._holders[job].discard(key)
            if not self._holders[job]:
                del self._holders[job]


def _job(step: Step) -> _Job | None:
    if not step.handle:
        return None
    told = ((name, str(value)) for name, value in step.handle.items() if name not in {"joined", "url"})
    return (step.instance, *sorted(told))
