"""``press`` builds from a project that is played: it can be read, and builds parts."""

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import anyio
from engine.far_end import Account
from engine.played import Connector, PlayedJobs
from engine.written import PressOptions, operation, subject

from stackhub.contract import (
    Finished,
    Node,
    NodeState,
    Outcome,
    Reading,
    Rejected,
    Relation,
    Role,
    StartIs,
)
from stackhub.lineage import Held
from stackhub.lineage.infer import catalogue


@dataclass
class Project:
    """A project as its files are now: what each model reads."""

    models: dict[str, list[str]] = field(default_factory=dict)  # model -> sources "crm.orders", or models
    given: dict[str, dict] = field(default_factory=dict)  # source -> what stands under `meta: stackhub:`
    version: int = 1
    owners: dict[str, str] = field(default_factory=dict)  # of models
    flaw: str = ""
    flawed: bytes = b""  # what stands in place of its manifest
    readings: int = 0
    silent: bool = False  # its files do not answer

    def edit(self, **models):
        self.models |= models
        self.version += 1
        return self

    @property
    def ids(self):
        return tuple(f"model.shop.{name}" for name in self.models)

    def manifest(self):
        names = sorted({read for reads in self.models.values() for read in reads if "." in read})
        nodes = {
            f"model.shop.{name}": {
                "depends_on": {"nodes": [f"source.shop.{one}" if "." in one else f"model.shop.{one}" for one in reads]},
                "config": {"meta": {"owner": self.owners[name]} if name in self.owners else {}},
            }
            for name, reads in self.models.items()
        }
        return json.dumps(
            {
                "metadata": {"adapter_type": "postgres"},
                "sources": {f"source.shop.{name}": self._source(name) for name in names},
                "nodes": nodes,
            }
        ).encode()

    def _source(self, name):
        schema, table = name.split(".")
        given = {"config": {"meta": {"stackhub": self.given[name]}}} if name in self.given else {}
        return {"source_name": schema, "name": table, "schema": schema, "database": "raw", **given}

    def below(self, sources):
        """Return the models that read one of these sources, however far up."""
        found = set()
        while True:
            more = {
                name
                for name, reads in self.models.items()
                if name not in found and any(f"source.shop.{one}" in sources or one in found for one in reads)
            }
            if not more:
                return found
            found |= more


class PlayedBuilds(PlayedJobs):
    """Builds what is selected, less what is to be left, or only what is asked for; one model after another."""

    @property
    def project(self) -> Project:
        return self.account.__dict__.setdefault("project", Project())

    async def fingerprint(self):
        if self.project.silent:
            await anyio.sleep_forever()
        return f"files-{self.project.version}"

    async def reading(self, job):
        self.project.readings += 1
        if self.project.flaw:
            raise Rejected(self.project.flaw)
        return Reading(
            project=f"files-{self.project.version}",
            manifest=self.project.flawed or self.project.manifest(),
            selected=self.project.ids,
        )

    async def start(self, job, baseline, key):
        self.account.__dict__.setdefault("jobs_of", {})[subject(job.options)] = job
        return await super().start(job, baseline, key)

    def _look(self, handle):
        answer = super()._look(handle)
        if not isinstance(answer, Finished) or answer.nodes:
            return answer
        made = next(one for one in self.account.jobs if one.id == handle["job"])
        job = self.account.jobs_of[made.what]
        left = self.project.below(set(job.leave))
        wanted = [f"model.shop.{name}" for name in self.project.models if name not in left]
        wanted = [one for one in wanted if not job.only or one in job.only]
        state = NodeState.SUCCEEDED if answer.ok else NodeState.FAILED
        nodes = tuple(Node(id=one, name=one, kind="model", state=state) for one in wanted)
        if not getattr(made, "told", False):
            self.account.__dict__.setdefault("built", []).append(tuple(one.split(".")[-1] for one in wanted))
            made.told = True
        made.end = Finished(outcome=answer.outcome if answer.ok else Outcome.FAILED, note=answer.note, nodes=nodes)
        return made.end


class Press(Connector):
    """A connector that reads before it builds."""

    def __init__(self, world):
        build = operation(StartIs.KEYED, Role.TRANSFORM, PressOptions, settle=timedelta())
        super().__init__(world, "press", {"build": build, "sync": operation(StartIs.KEYED, Role.OTHER)})

    @asynccontextmanager
    async def open(self, settings, context):
        async with super().open(settings, context):
            yield PlayedBuilds(self._world[context.instance], context, self.operations)


def fills(account: Account, name, *tables, schema="crm"):
    """Let an account hold a connection that fills these tables."""
    account.has(name, relations=tuple(Relation("raw", schema, table) for table in tables))


def settled(hub):
    """Say whether what feeds what was found out of all that the accounts are known to load now."""
    listed = hub.engine.catalogue.held.items()
    seen = catalogue(Held(instance=name, connection=one) for name, held in listed for one in held.values())
    known = hub.engine.inference.known.values()
    return bool(known) and all(one.catalogue == seen for one in known)
