"""What feeds a dbt task: the demo's real project, and the vendors it is loaded by, played."""

import json
import os
import shutil
import sys

import anyio
import pytest

from stackhub import registry
from stackhub.sandbox import demo_directory
from stackhub.sandbox.mount import open_stage, serve
from stackhub.sandbox.shop import FEEDS

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
UNLOADED = """
  - name: finance
    database: shop
    tables: [{name: budget}]
  - name: files
    config: {meta: {stackhub: {connection: null}}}
    tables: [{name: holidays}]
"""
WHOLE = "{uses: dbt.build, with: {partial: true}}"
SPEAKS_OF_A_RUN = '{uses: dbt.build, with: {vars: {run: "{{ run.id }}", day: "{{ interval.start_date }}"}}}'
READS_THEM = "select * from {{ source('finance', 'budget') }} cross join {{ source('files', 'holidays') }}\n"


async def test_each_source_of_a_project_has_whoever_loads_its_table_and_one_without_fails_a_check(tmp_path):
    home = tmp_path / "shop"
    shutil.copytree(demo_directory(), home, ignore=shutil.ignore_patterns("target", "logs", ".stackhub"))
    models = home / "dbt" / "models" / "staging"
    with (models / "sources.yml").open("a") as sources:
        sources.write(UNLOADED)
    (models / "stg_budget.sql").write_text(READS_THEM)
    connectors = [registry.load(name) for name in FEEDS]
    async with open_stage(connectors, feeds=FEEDS) as stage, serve(stage, port=0) as url:
        for name, variables in stage.environment(url).items():
            lines = [f'{variable}="{value}"\n' for variable, value in variables.items()]
            (home / f"{name}.env").write_text("# stackhub: public\n" + "".join(lines))
        for notifier in ("slack", "pagerduty"):
            (home / f"{notifier}.env").unlink()
        pipeline = home / "pipelines" / "shop.yaml"
        written = pipeline.read_text().partition("alerts:")[0]
        assert WHOLE in written
        pipeline.write_text(written.replace(WHOLE, SPEAKS_OF_A_RUN))
        environ = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
        argv = [sys.executable, "-m", "stackhub", "--config", str(home), "plan", "shop", "--check", "--json"]
        told = await anyio.run_process(argv, env=environ, check=False)
    assert told.returncode == 1, told.stderr.decode()
    (task,) = json.loads(told.stdout)["tasks"]
    loaded = {one["source"]: [by["connection"] for by in one["loaded_by"]] for one in task["sources"]}
    assert loaded == {
        "files.holidays": [],
        "finance.budget": [],
        "shop_crm.customers": ["fivetran/shop_crm"],
        "shop_orders.orders": ["fivetran/shop_orders"],
        "stripe.payments": ["airbyte/Stripe to warehouse"],
    }
    assert task["without_loader"] == ["finance.budget"]
    assert sorted(task["enough"]) == sorted(task["needs"]) == ["customers", "orders", "payments"]
