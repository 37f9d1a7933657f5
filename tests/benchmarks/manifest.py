"""P9: a large project's manifest, read, matched with what sixty connections load, and planned."""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import anyio
from row import Row

from stackhub import registry
from stackhub.cli.plan import diagram, edges
from stackhub.config.asked import Asked, asked
from stackhub.config.read import read as reading
from stackhub.contract import Connection, Context, Health, Relation
from stackhub.lineage import Held, match, read
from stackhub.lineage.infer import Wiring, infer, narrowed
from stackhub.model.feeding import Partial
from stackhub.model.pipeline import Need, Pipeline, Task
from stackhub.store import inferences
from stackhub.store.store import open_store
from stackhub.store.transaction import Transaction

MODELS: Final = 1500
TESTS: Final = 3200
SOURCES: Final = 200
CONNECTIONS: Final = 60
TIMES: Final = 15
SQL: Final = "select id, amount, customer_id, created_at from {{ ref('x') }} where amount > 0\n" * 12


def planning() -> list[Row]:
    """P9: from the bytes of manifest.json to the edges of the plan and its flowchart."""
    data, held = manifest(), connections()
    pipeline = shop()
    wirings = [Wiring(task=task.name, instance="fivetran", connection=task.name) for task in pipeline.tasks[:-1]]
    selected = _selected()
    spans: list[float] = []
    decoding: list[float] = []
    for _ in range(TIMES):
        start = time.perf_counter()
        graph = read(data)
        decoding.append((time.perf_counter() - start) * 1000)
        found = infer(pipeline.tasks[-1], wirings, graph, selected, held, match(graph, held))
        planned = narrowed(pipeline, {"marts": found}, {})
        edges(planned)
        diagram([planned])
        spans.append((time.perf_counter() - start) * 1000)
    assert not found.wide, found.wide
    assert len(found.edges) == CONNECTIONS - 1  # one fills nothing that is read
    size = f"{len(data) / 2**20:.0f} MB, {MODELS:,} models, {SOURCES} sources, {CONNECTIONS} connections"
    return [
        Row("P9", f"manifest read, matched, planned: {size}", "ms", spans, min(decoding), "reading it", "150 ms"),
        *command(),
    ]


def command() -> list[Row]:
    """Run `stackhub plan` on such a project, once a hub has found out what feeds what."""
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        _project(home)
        anyio.run(_found_out, home)
        argv = [sys.executable, "-m", "stackhub", "--config", str(home), "plan", "shop", "--json"]
        spans, worked = [], []
        for _ in range(5):
            start, before = time.perf_counter(), _worked()
            done = subprocess.run(argv, check=True, capture_output=True)
            spans.append((time.perf_counter() - start) * 1000)
            worked.append((_worked() - before) * 1000)
        [plan] = json.loads(done.stdout)
        assert len(plan["edges"]) == CONNECTIONS - 1, plan["edges"][:1]
        floor = _floor()
    return [
        Row("P9", "stackhub plan of it, as a process", "ms", spans, floor, "stackhub --help", "1 s"),
        Row("P9", "stackhub plan of it: processor time", "ms", worked, floor, "stackhub --help", "1 s"),
    ]


def _worked() -> float:
    """Return the processor time of all children that have ended, in seconds: what a busy machine does not change."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _floor() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "stackhub", "--help"], check=True, capture_output=True)
    return (time.perf_counter() - start) * 1000


def _project(home: Path) -> None:
    tasks = [f"  {task.name}: {{uses: fivetran.sync, with: {{connection: {task.name}}}}}" for task in shop().tasks[:-1]]
    (home / "pipelines").mkdir()
    (home / "pipelines" / "shop.yaml").write_text(
        "\n".join(["pipeline: shop", "tasks:", *tasks, "  marts: {uses: dbt.build, with: {partial: true}}"])
    )
    for name, text in (("fivetran", "FIVETRAN_API_KEY=k\nFIVETRAN_API_SECRET=s\n"), ("dbt", "DBT_PROJECT_DIR=dbt\n")):
        (home / f"{name}.env").write_text(text)
        (home / f"{name}.env").chmod(0o600)
    models = home / "dbt" / "models"
    models.mkdir(parents=True)
    (home / "dbt" / "dbt_project.yml").write_text("name: shop\nprofile: shop\nversion: '1.0'\n")
    for nth in range(MODELS):
        (models / f"m{nth}.sql").write_text(SQL)


async def _found_out(home: Path) -> None:
    """Keep what a hub would have found out of the manifest."""
    environ = dict(os.environ)
    configuration = reading(home, environ, registry.load, registry.installed())
    pipeline = configuration.pipelines["shop"]
    marts, instance = pipeline.task("marts"), configuration.instances["dbt"]
    question = asked(pipeline, marts, configuration.instances.get, environ)
    assert isinstance(question, Asked)
    graph, held = read(manifest()), connections()
    found = infer(marts, question.wirings, graph, _selected(), held, match(graph, held))
    context = Context(instance="dbt", directory=home, state=configuration.hub.state_dir)
    async with instance.connector.open(instance.settings, context) as opened:
        project = await opened.fingerprint()
    found = replace(found, subject=question.subject, project=project)
    configuration.hub.state_dir.mkdir(exist_ok=True)
    url = configuration.hub.database_url.get_secret_value()
    async with open_store(url, configuration.hub.state_dir, written_by="bench") as store:
        row = inferences.inferred("shop", "marts", found, datetime.now(UTC))
        await store.apply(Transaction().add(row))


def _selected() -> list[str]:
    return [f"model.shop.m{nth}" for nth in range(MODELS)] + [f"test.shop.t{nth}" for nth in range(TESTS)]


def shop() -> Pipeline:
    """Make a pipeline of all connections and one task that reads every source, and may build a part."""
    names = [f"c{nth}" for nth in range(CONNECTIONS)]
    extracts = tuple(
        Task(name=name, connector="fivetran", operation="sync", instance="fivetran", extract=True) for name in names
    )
    needs = tuple(Need(task=name) for name in names)
    marts = Task(name="marts", connector="dbt", operation="build", instance="dbt", needs=needs, partial=Partial())
    return Pipeline(name="shop", tasks=(*extracts, marts))


def connections() -> list[Held]:
    """Make connections that fill the sources between them; the last fills another table."""
    busy = CONNECTIONS - 1
    tables = [[f"t{nth}" for nth in range(SOURCES) if nth % busy == at] for at in range(busy)]
    return [_held(at, names) for at, names in enumerate([*tables, ["idle"]])]


def _held(at: int, names: Sequence[str]) -> Held:
    relations = tuple(Relation("RAW", f"S{_schema(name)}", name.upper()) for name in names)
    one = Connection(id=f"id{at}", name=f"c{at}", health=Health.OK, relations=relations)
    return Held(instance="fivetran", connection=one)


def _schema(table: str) -> int:
    return int(table[1:]) % 10 if table[1:].isdigit() else 0


def manifest() -> bytes:
    """Write a manifest as dbt does: every node with its code, columns and whatever else nobody here needs."""
    dice = random.Random(9)
    sources = {
        f"source.shop.s.t{nth}": {
            "source_name": "s",
            "name": f"t{nth}",
            "schema": f"s{nth % 10}",
            "identifier": f"t{nth}",
            "database": "raw",
            "columns": {},
            "config": {"enabled": True, "meta": {}},
            "description": "A table",
            "meta": {},
        }
        for nth in range(SOURCES)
    }
    nodes: dict[str, Any] = {}
    for nth in range(MODELS):
        parents = [f"source.shop.s.t{nth}"] if nth < SOURCES else []
        parents += [f"model.shop.m{dice.randrange(max(nth - 200, 0), nth)}" for _ in range(2) if nth >= SOURCES]
        nodes[f"model.shop.m{nth}"] = _node(f"m{nth}", parents, "model")
    for nth in range(TESTS):
        nodes[f"test.shop.t{nth}"] = _node(f"t{nth}", [f"model.shop.m{nth % MODELS}"], "test")
    exposures = {
        f"exposure.shop.e{nth}": {
            "name": f"e{nth}",
            "owner": {"name": "ada", "email": "ada@example.com"},
            "depends_on": {"nodes": [f"model.shop.m{MODELS - 1 - nth}"], "macros": []},
        }
        for nth in range(CONNECTIONS)
    }
    return json.dumps(
        {
            "metadata": {"adapter_type": "snowflake", "dbt_version": "1.11.0"},
            "sources": sources,
            "nodes": nodes,
            "exposures": exposures,
            "groups": {},
            "macros": {},
        }
    ).encode()


def _node(name: str, parents: Sequence[str], kind: str) -> dict[str, Any]:
    columns = {f"column_{nth}": {"name": f"column_{nth}", "description": "A column", "meta": {}} for nth in range(6)}
    return {
        "unique_id": f"{kind}.shop.{name}",
        "name": name,
        "resource_type": kind,
        "package_name": "shop",
        "depends_on": {"nodes": list(parents), "macros": ["macro.dbt.statement"]},
        "config": {"enabled": True, "materialized": "table", "meta": {"owner": "ada"}, "tags": ["nightly"]},
        "columns": columns,
        "raw_code": SQL,
        "description": "What it is " * 5,
        "fqn": ["shop", name],
        "tags": [],
    }
