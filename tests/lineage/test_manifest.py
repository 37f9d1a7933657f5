"""A manifest as dbt v2 writes it: 2.0.0-alpha.4, of a project for DuckDB; its macros and most of its models cut out."""

import json
from pathlib import Path

import pytest

from stackhub.contract import Relation
from stackhub.lineage import read

GRAPH = read((Path(__file__).parent / "v2.manifest.json").read_bytes())
MART, STAGED = "model.shop.fct_orders", "model.shop.stg_orders"


def test_a_source_is_its_relation_and_what_the_project_says_of_it():
    assert GRAPH.adapter == "duckdb"
    holidays, orders = (GRAPH.sources[f"source.shop.{name}"] for name in ("files.holidays", "shop_orders.orders"))
    assert (holidays.relation, holidays.given) == (Relation("shop", "files", "HOLIDAYS_2026"), {"connection": None})
    assert (orders.relation, orders.given) == (Relation("shop", "shop_orders", "orders"), None)


def test_a_model_reads_what_it_names_and_belongs_to_its_group():
    assert GRAPH.parents == {
        MART: ("model.shop.stg_payments", STAGED),
        STAGED: ("source.shop.shop_orders.orders",),
        "model.shop.stg_h": ("source.shop.files.holidays",),
    }
    assert [one.name for one in GRAPH.sources_of([MART])] == ["shop_orders.orders"]
    assert GRAPH.owners == {MART: "Finance data"}


def test_an_exposure_has_a_label_an_owner_and_what_it_reads():
    weekly = GRAPH.exposures["exposure.shop.weekly"]
    assert (weekly.name, weekly.owner, weekly.reads) == ("Weekly", "Finance", ("model.shop.stg_h",))


@pytest.mark.parametrize(
    ("meta", "owner"),
    [
        ({"owner": "ann", "stackhub": {"owner": "bob"}}, "bob"),
        ({"owner": {"email": "ann@example.com"}, "stackhub": {"rule": "optional"}}, "ann@example.com"),
        ({"owner": 7}, "Finance"),
    ],
)
def test_a_node_is_whose_its_meta_says_first_for_stackhub_else_its_groups_owners(meta, owner):
    node = {"depends_on": {"nodes": []}, "config": {"meta": meta, "group": "finance"}}
    groups = {"group.shop.finance": {"name": "finance", "owner": {"name": "Finance"}}}
    data = {"metadata": {}, "sources": {}, "nodes": {"model.shop.a": node}, "groups": groups}
    assert read(json.dumps(data).encode()).owners == {"model.shop.a": owner}
