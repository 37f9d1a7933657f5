"""The demo's configuration: the files fit together, and its dbt project really runs."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import chdir

import pytest
from dotenv import dotenv_values

from stackhub.sandbox import configurations, demo_directory
from stackhub.sandbox.shop import FEEDS

BUILDS = """
import json, os, sys
from pathlib import Path
from dbt.cli.main import dbtRunner
from stackhub.sandbox.shop import FEEDS, Shop

shop = Shop(directory=Path(os.environ["SHOP_DATA"]))
connection = {feed.tables[0]: (vendor, feed.name) for vendor, feeds in FEEDS.items() for feed in feeds}
here = ["--project-dir", ".", "--profiles-dir", "."]
always = ["--show-all-deprecations", "--warn-error"]
parsed = dbtRunner().invoke(["--quiet", *always, "parse", *here])
if not parsed.success:
    raise SystemExit(f"parse: {parsed.exception}")
runner, told = dbtRunner(manifest=parsed.result), []
for step in sys.argv[1:]:
    verb, *tables = step.split()
    if verb == "land":
        for table in tables:
            shop.land(*connection[table])
    else:
        ended = runner.invoke(["--quiet", *always, *step.split(), *here])
        if ended.result is None:
            raise SystemExit(f"{step}: {ended.exception}")
        told.append({one.node.unique_id: str(one.status) for one in ended.result})
Path("../told.json").write_text(json.dumps(told))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Land, build, land without orders, build, mend, build: in one process, since dbt takes seconds to start."""
    home = tmp_path_factory.mktemp("demo") / "copy"
    shutil.copytree(demo_directory(), home, ignore=shutil.ignore_patterns("target", "logs", ".stackhub"))
    (home / ".stackhub").mkdir()
    steps = (
        "land customers orders payments",
        "build",
        "land customers payments",
        "build",
        "land orders",
        "build",
        "source freshness",
    )
    environment = {**os.environ, **dotenv_values(home / "dbt.env"), "TZ": "America/New_York"}
    ran = subprocess.run(
        [sys.executable, "-c", BUILDS, *steps],
        cwd=home / "dbt",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return home, json.loads((home / "told.json").read_text())


def rows(home, query):
    import duckdb

    with chdir(home / "dbt"), duckdb.connect("../.stackhub/shop.duckdb", read_only=True) as warehouse:
        return warehouse.sql(query).fetchall()


def failed(told):
    return {node for node, status in told.items() if status in {"fail", "error"}}


def test_every_model_and_test_passes_once_all_three_have_landed(built):
    _, (first, *_) = built
    assert {status for node, status in first.items() if not node.startswith("exposure.")} == {"success", "pass"}
    assert sum(node.startswith("model.") for node in first) == 6
    assert sum(node.startswith("test.") for node in first) >= 15


def test_payments_for_orders_that_are_not_in_fail_the_relationship_and_stop_the_marts(built):
    _, (_, second, *_) = built
    assert [node.split(".")[2] for node in failed(second)] == [
        "relationships_stg_payments_order_id__order_id__ref_stg_orders_"
    ]
    assert second["model.shop.fct_orders"] == second["model.shop.fct_revenue_daily"] == "skipped"


def test_it_all_passes_again_once_the_orders_are_in(built):
    home, (*_, third, _) = built
    assert failed(third) == set()
    assert rows(home, "select count(*) from fct_orders") == [(2490,)]
    assert rows(home, "select count(*) from stg_orders") == [(2490,)]


def test_the_incremental_mart_says_what_a_full_build_would(built):
    home, _ = built
    paid = "select sum(amount_cents) from stg_payments where status = 'succeeded'"
    assert rows(home, "select sum(paid_cents) from fct_orders") == rows(home, paid)


def test_a_day_of_revenue_is_a_day_in_utc_wherever_it_is_built(built):
    home, _ = built
    days = rows(home, "select min(day)::text, max(day)::text from fct_revenue_daily")
    assert days == [("2026-10-01", "2026-10-31")]


def test_what_has_just_landed_is_fresh(built):
    _, (*_, freshness) = built
    assert set(freshness.values()) == {"pass"}
    assert len(freshness) == 3


def test_each_source_is_a_relation_that_a_connection_of_the_demo_loads(built):
    home, _ = built
    manifest = json.loads((home / "dbt" / "target" / "manifest.json").read_text())
    read = {(one["database"], one["schema"], one["identifier"]) for one in manifest["sources"].values()}
    loaded = {
        (feed.database, feed.schema, table) for feeds in FEEDS.values() for feed in feeds for table in feed.tables
    }
    assert read == loaded


def test_the_dashboard_has_somebody_to_ask_and_so_have_the_marts(built):
    home, _ = built
    manifest = json.loads((home / "dbt" / "target" / "manifest.json").read_text())
    (exposure,) = manifest["exposures"].values()
    (group,) = manifest["groups"].values()
    assert exposure["owner"]["email"] == group["owner"]["email"] == "finance-data@example.com"
    assert manifest["nodes"]["model.shop.fct_revenue_daily"]["config"]["group"] == "finance"


def test_the_configurations_are_found_in_a_wheel_as_well_as_in_a_checkout(tmp_path, monkeypatch):
    assert (demo_directory() / "stackhub.env").is_file()
    package = tmp_path / "stackhub"
    (package / "configs" / "demo").mkdir(parents=True)
    monkeypatch.setattr("stackhub.sandbox.__file__", str(package / "sandbox" / "__init__.py"))
    assert configurations() == package / "configs"
    assert demo_directory() == package / "configs" / "demo"
