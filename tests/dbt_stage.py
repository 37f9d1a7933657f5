"""A project with a played dbt, and jobs on it."""

import json
import sys
from pathlib import Path

import anyio.lowlevel
from launch.grounds import PATIENCE, Grounds

from stackhub.contract import Finished, Job, Node, NodeState
from stackhub_dbt import connector
from stackhub_dbt.options import OPTIONS, DbtSettings

HERE = Path(__file__).parent / "connectors"
RECORDED = HERE / "dbt_events"
PLAYED = HERE / "played_dbt.py"
SECRET = "correct-horse-battery-staple"


class Stage:
    """A project with a played dbt, and what it is to play."""

    def __init__(self, grounds: Grounds) -> None:
        self.grounds = grounds
        self.path = grounds.root / "play"
        self.play = {
            "says": str(RECORDED / "v1_failing.jsonl"),
            "leaves": "",
            "code": 1,
            "holds": [],
            "list_code": 0,
            "bell": str(grounds.bell),
            "gate": str(grounds.gate),
        }
        self.plays()
        self.executable = grounds.root / "dbt"
        self.executable.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{PLAYED}" "$@"\n')
        self.executable.chmod(0o755)
        (grounds.root / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")

    def plays(self, **changes):
        self.play |= changes
        self.path.write_text(json.dumps(self.play))

    def half(self):
        lines = Path(self.play["says"]).read_bytes().splitlines(keepends=True)
        return len(b"".join(lines[: len(lines) // 2]))

    def settings(self, **changes):
        further = {"PLAYED": str(self.path), "PASSWORD": SECRET}
        return DbtSettings(**{"executable": "./dbt", "further": further} | changes)

    def open(self, **changes):
        return connector.open(self.settings(**changes), self.grounds.context())

    def asked(self):
        path = self.grounds.root / "asked"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def asking(operation="build", nodes=(), **options):
    made = OPTIONS[operation](**options)
    return Job(operation=operation, options=made, pipeline="p", run="01RUN", task="t", nodes=tuple(nodes))


async def begun(stage, dbt, job, key="key"):
    """Start a job and wait until the first half of what it says can be read."""
    handle = await dbt.start(job, await dbt.prepare(job), key)
    await stage.grounds.bell.heard()
    output = dbt._launcher.directory(handle) / "output"
    with anyio.fail_after(PATIENCE):  # it is on its way from the pipe to the file, and nobody tells when it is there
        while output.stat().st_size < stage.half():
            await anyio.lowlevel.checkpoint()
    return handle


async def ended(stage, dbt, handle):
    """Wait for an end, and return what is told of it."""
    await stage.grounds.end(dbt._launcher, handle)
    [answer] = await dbt.poll([handle])
    assert isinstance(answer, Finished)
    return answer


async def answer_to(stage, dbt, job, key="key"):
    handle = await begun(stage, dbt, job, key)
    stage.grounds.gate.say()
    return await ended(stage, dbt, handle)


def pid_of(dbt, handle, whose="pid"):
    return json.loads((dbt._launcher.directory(handle) / "began").read_text())[whose]


def built(*ids, state=NodeState.SUCCEEDED):
    return tuple(Node(id=unique, name=unique, kind="model", state=state) for unique in ids)


HOLDS = ["source.shop.shop.raw_orders", "model.shop.orders", "model.shop.feed", "test.shop.unique_orders_id.1360ecc70e"]
