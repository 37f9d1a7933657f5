"""``press`` builds from a project that is written in the spec: it can be read, and builds parts; its jobs say which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.press import Project
from engine.written import subject
from simulation.players import PlayedJobs
from simulation.vendors import VendorJob

from stackhub.contract import Finished, Node, NodeState, Pending, Reading


def built(models: Mapping[str, list[str]], job: VendorJob) -> list[str]:
    """Return the models that a job builds: all, but for what is below the sources to be left, or those asked for."""
    left = Project(dict(models)).below(set(job.leave))
    return [name for name in models if name not in left and (not job.only or f"model.shop.{name}" in job.only)]


def sources(models: Mapping[str, list[str]], model: str) -> set[str]:
    """Return the connections that a model hangs on, however far up: its source ``crm.c0`` is loaded by ``c0``."""
    found: set[str] = set()
    for read in models[model]:
        found |= {read.partition(".")[2]} if "." in read else sources(models, read)
    return found


@dataclass
class PlayedBuilds(PlayedJobs):
    """An account that builds what is selected, or a part of it."""

    @property
    def _models(self) -> dict[str, list[str]]:
        return self.account.town.spec.models

    async def fingerprint(self) -> str:
        return "files"

    async def reading(self, job: Any) -> Reading:
        del job
        project = Project(self._models)
        return Reading(project="files", manifest=project.manifest(), selected=project.ids)

    async def start(self, job: Any, baseline: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        del baseline
        what = subject(job.options)

        def begin() -> dict[str, Any]:
            made = next((one for one in self.account.jobs if one.key == key), None)
            if made is None:
                made = self.account.begin(what, key, job.operation)
                made.leave, made.only = tuple(job.leave), tuple(job.only)
            return {"job": made.id, "joined": False}

        return await self._call("start", what, begin, key)

    async def poll(self, handles: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        answers = await super().poll(handles)
        return [self._with_nodes(handle, answer) for handle, answer in zip(handles, answers, strict=True)]

    def _with_nodes(self, handle: Mapping[str, Any], answer: Any) -> Any:
        made = self.account.find(handle.get("job"))
        if made is None or not isinstance(answer, Finished) or isinstance(answer, Pending):
            return answer
        state = NodeState.SUCCEEDED if answer.ok else NodeState.FAILED
        names = built(self._models, made)
        nodes = tuple(Node(id=f"model.shop.{name}", name=name, kind="model", state=state) for name in names)
        return replace(answer, nodes=nodes, landing=None)
