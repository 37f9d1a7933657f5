"""A part, and what is owed of it, with the real dbt on DuckDB: what it leaves and what it builds is read in the warehouse."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest
from engine.far_end import FAILED

from stackhub.contract import Relation
from stackhub.store import queries
from stackhub_dbt import connector

DBT = Path(sys.executable).with_name("dbt")
SLOWLY = {"step": timedelta(milliseconds=5), "patience": 120.0}  # dbt takes its own time
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DBT.exists(), reason="needs the extra: pip install stackhub[dbt]"),
]

PIPELINE = """
pipeline: shop
alerts: [{to: bell}]
defaults: {retries: {attempts: 1}}
tasks:
  orders: {uses: tap.sync, with: {connection: orders}}
  hits: {uses: tap.sync, with: {connection: hits}}
  spare: {uses: tap.sync, with: {connection: spare}}
  marts: {uses: dbt.build, with: {select: "+path:models/marts", partial: true}}
"""
SOURCES = """
sources:
  - {name: crm, schema: crm, tables: [{name: orders}]}
  - {name: web, schema: web, tables: [{name: hits}]}
models:
  - {name: stg_hits, columns: [{name: n, data_tests: [not_null]}]}
  - {name: revenue, columns: [{name: n, data_tests: [not_null]}]}
"""
MODELS = {
    "staging/stg_orders": "select * from {{ source('crm', 'orders') }}",
    "staging/stg_hits": "select * from {{ source('web', 'hits') }}",
    "marts/revenue": "select * from {{ ref('stg_orders') }}",
    "marts/reach": "select o.n + h.n as n from {{ ref('stg_orders') }} o cross join {{ ref('stg_hits') }} h",
    "aside/unselected": "select * from {{ source('web', 'hits') }}",
}


@pytest.fixture
def house(house):
    duckdb = pytest.importorskip("duckdb")
    house.connectors["dbt"] = connector
    root, base = house.root / "project", house.root / "shop.duckdb"
    for name, text in MODELS.items():
        house.write(f"project/models/{name}.sql", "{{ config(materialized='table') }} " + text)
    house.write("project/models/sources.yml", SOURCES)
    house.write("project/dbt_project.yml", "name: shop\nprofile: shop\nversion: '1.0.0'\n")
    house.write(
        "project/profiles.yml",
        f"shop: {{target: dev, outputs: {{dev: {{type: duckdb, path: '{base}', threads: 1}}}}}}\n",
    )
    house.write("dbt.env", f"DBT_PROJECT_DIR={root}\nDBT_PROFILES_DIR={root}\n")
    with duckdb.connect(str(base)) as connection:
        for table in ("crm.orders", "web.hits"):
            connection.execute(f"create schema {table.split('.')[0]}; create table {table} as select 1 as n")
    house.instances("tap", "bell").pipeline(PIPELINE)
    for name, schema in (("orders", "crm"), ("hits", "web"), ("spare", "other")):
        house["tap"].has(name, relations=(Relation("shop", schema, name),))
    house.scheduled = True
    house.base = base
    return house


def tables(house):
    import duckdb

    with duckdb.connect(str(house.base), read_only=True) as connection:
        rows = connection.execute("select table_name from information_schema.tables where table_schema = 'main'")
        return {name for (name,) in rows.fetchall()}


async def test_exactly_what_is_downstream_of_a_failed_extract_is_left_and_exactly_that_is_built_once_it_lands(house):
    house["tap"].outcomes["hits"].append(FAILED)
    async with house.hub() as hub:
        known = hub.engine.inference.known
        await hub.until(lambda: (one := known.get(("shop", "marts"))) and not one.wide, **SLOWLY)
        ended = await hub.ended(await hub.trigger("shop"), **SLOWLY)
        assert [need.task for need in ended.pipeline.task("marts").needs] == ["orders", "hits"]
        assert ended.steps["marts"].state == ended.run.state == "partial", ended.steps["marts"]
        assert tables(house) == {"stg_orders", "revenue"}
        owed = {debt.node for debt in hub.engine.owing.ledger.values()}
        assert {one for one in owed if one.startswith("model.")} == {"model.shop.stg_hits", "model.shop.reach"}
        assert len(owed) == 3  # and the test of stg_hits
        house.clock.pass_time(timedelta(minutes=1))
        hub["tap"].land("hits")
        hub.engine.lanes.open["tap"].sweeper.look_now()
        await hub.until(lambda: not hub.engine.owing.ledger, **SLOWLY)
        assert tables(house) == {"stg_orders", "revenue", "stg_hits", "reach"}
        [paid, _] = await hub.runs("shop")
        assert (paid.trigger, paid.state) == ("owed", "succeeded")
        nodes = await hub.store.read(lambda connection: queries.nodes(connection, paid.id))
        assert {node.id for node in nodes["marts"]} == owed
        [incident] = await hub.incidents()
        assert incident.resolved_at is not None
