"""What feeds what: the project's graph, and who loads its sources."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackhub.contract import Connection, Health, Relation
from stackhub.errors import ConfigError
from stackhub.lineage import Confidence, Graph, Held, Source, impact, loaded_by, match, read


def manifest(adapter="postgres", sources=(), nodes=(), exposures=()) -> bytes:
    return json.dumps(
        {
            "metadata": {"adapter_type": adapter, "dbt_version": "1.11.0", "something": {"new": 1}},
            "sources": dict(sources),
            "nodes": dict(nodes),
            "exposures": dict(exposures),
            "macros": {"macro.x": {"big": "thing"}},
        }
    ).encode()


def source(name="crm.customers", database="raw", meta=None, identifier=None, **more):
    schema, table = name.split(".")
    found = {"source_name": schema, "name": table, "schema": schema, "database": database, "identifier": identifier}
    return f"source.shop.{name}", {**found, "config": {"meta": meta or {}}, **more}


def node(name, *parents):
    return f"model.shop.{name}", {"depends_on": {"nodes": list(parents)}}


def held(name, *relations, instance="fivetran"):
    listed = tuple(Relation(*relation) for relation in relations)
    return Held(
        instance=instance, connection=Connection(id=f"id_{name}", name=name, health=Health.OK, relations=listed)
    )


def found(data, *connections):
    loads = match(read(data), connections)
    return {(load.source.name, load.held.name): load.confidence for load in loads.loads}


# --- the graph -------------------------------------------------------------------------------------------------------


def test_a_selection_reads_what_is_upstream_however_far():
    crm, web = source("crm.customers"), source("web.hits")
    nodes = [node("stg", crm[0]), node("mart", "model.shop.stg", "model.shop.other"), node("other"), node("w", web[0])]
    graph = read(manifest(sources=[crm, web], nodes=nodes))
    assert [one.name for one in graph.sources_of(["model.shop.mart"])] == ["crm.customers"]
    assert [one.name for one in graph.sources_of(["model.shop.w", "model.shop.stg"])] == ["crm.customers", "web.hits"]
    assert graph.sources_of(["model.shop.other"]) == []
    assert graph.downstream([crm[0]]) == {crm[0], "model.shop.stg", "model.shop.mart"}


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), unique=True)))
def test_who_is_upstream_of_another_has_it_downstream(parents):
    graph = Graph(adapter="", sources={}, parents={name: tuple(found) for name, found in parents.items()})
    for one in "abcdef":
        for other in "abcdef":
            assert (other in graph.upstream([one])) == (one in graph.downstream([other]))


def test_exposures_name_their_owners():
    exposures = {
        "exposure.shop.board": {
            "name": "board",
            "label": "The board",
            "owner": {"name": None, "email": ["ada@example.com", "bob@example.com"]},
            "depends_on": {"nodes": ["model.shop.mart"]},
        }
    }
    (one,) = read(manifest(exposures=exposures.items())).exposures.values()
    assert (one.name, one.owner, one.reads) == ("The board", "ada@example.com, bob@example.com", ("model.shop.mart",))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"metadata": {}}', b'{"metadata": 1, "sources": {}, "nodes": {}}']
)
def test_what_is_no_manifest_is_refused(data):
    with pytest.raises(ConfigError, match=r"manifest\.json cannot be read"):
        read(data)


# --- who loads what --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("adapter", "relation", "sure"),
    [
        ("postgres", ("raw", "crm", "customers"), Confidence.CERTAIN),
        ("snowflake", ("RAW", "CRM", "CUSTOMERS"), Confidence.CERTAIN),
        ("bigquery", ("raw", "crm", "Customers"), None),
        ("bigquery", ("raw", "crm", "customers"), Confidence.CERTAIN),
        ("postgres", ("", "crm", "customers"), Confidence.LIKELY),
        ("postgres", ("raw", "crm", ""), Confidence.POSSIBLE),
        ("postgres", ("other", "crm", "customers"), None),
        ("postgres", ("other", "crm", ""), None),
        ("postgres", ("raw", "web", "customers"), None),
        ("postgres", ("raw", "crm", "orders"), None),
    ],
)
def test_tables_are_compared_as_the_warehouse_compares_them(adapter, relation, sure):
    seen = found(manifest(adapter, [source()]), held("crm", relation))
    assert seen == ({("crm.customers", "fivetran/crm"): sure} if sure else {})


def test_the_table_counts_and_not_what_its_source_is_called():
    data = manifest(sources=[source("mine.people", schema="crm", identifier="customers")])
    assert found(data, held("crm", ("raw", "crm", "customers"))) == {
        ("mine.people", "fivetran/crm"): Confidence.CERTAIN
    }


def test_many_load_many_and_the_same_names_of_two_accounts_are_kept_apart():
    data = manifest(sources=[source("crm.customers"), source("crm.orders")])
    ours = held("crm", ("raw", "crm", "customers"), ("raw", "crm", "orders"))
    theirs = held("crm", ("raw", "crm", "orders"), instance="fivetran.eu")
    assert found(data, ours, theirs) == {
        ("crm.customers", "fivetran/crm"): Confidence.CERTAIN,
        ("crm.orders", "fivetran/crm"): Confidence.CERTAIN,
        ("crm.orders", "fivetran.eu/crm"): Confidence.CERTAIN,
    }


def test_a_table_that_is_named_counts_for_more_than_its_schema():
    both = held("crm", ("raw", "crm", ""), ("raw", "crm", "customers"))
    assert found(manifest(sources=[source()]), both) == {("crm.customers", "fivetran/crm"): Confidence.CERTAIN}


@pytest.mark.parametrize("said", ["web", "id_web", "fivetran/web", {"connection": "web", "instance": "fivetran"}])
def test_what_the_project_says_counts_for_more_than_tables(said):
    meta = {"stackhub": said if isinstance(said, dict) else {"connection": said}}
    data = manifest(sources=[source(meta=meta)])
    by_table = held("crm", ("raw", "crm", "customers"))
    assert found(data, by_table, held("web")) == {("crm.customers", "fivetran/web"): Confidence.GIVEN}


def test_meta_of_dbt_v1_is_read_as_well():
    data = manifest(sources=[source(meta={})])
    old = json.loads(data)
    old["sources"]["source.shop.crm.customers"] |= {"config": {}, "meta": {"stackhub": {"connection": "web"}}}
    assert found(json.dumps(old).encode(), held("web")) == {("crm.customers", "fivetran/web"): Confidence.GIVEN}


def test_what_nobody_loads_and_what_nobody_reads_is_told():
    data = manifest(
        sources=[
            source("crm.customers"),
            source("files.budget", meta={"stackhub": {"connection": None}}),
            source("web.hits", meta={"stackhub": {"connection": "hits", "instance": "airbyte"}}),
        ]
    )
    loads = match(read(data), [held("idle", ("raw", "ads", "clicks"))])
    assert [one.name for one in loads.orphans] == ["crm.customers"]
    assert [(one.name, named) for one, named in loads.mistaken] == [("web.hits", "airbyte/hits")]
    assert [one.name for one in loads.idle] == ["fivetran/idle"]


names = st.sampled_from(["raw", "crm", "web", "Raw", "CRM", "customers", "orders"])


@given(
    st.lists(st.tuples(names, names, names), max_size=6, unique=True),
    st.lists(st.lists(st.tuples(names, names, names | st.just("")), max_size=4), max_size=4),
    st.sampled_from(["postgres", "snowflake", "bigquery"]),
)
def test_each_source_is_loaded_or_an_orphan_and_each_connection_busy_or_idle(tables, connections, adapter):
    sources = {
        f"source.{nth}": Source(id=f"source.{nth}", name=f"s{nth}", relation=Relation(*table))
        for nth, table in enumerate(tables)
    }
    all_held = [held(f"c{nth}", *relations) for nth, relations in enumerate(connections)]
    loads = match(Graph(adapter=adapter, sources=sources, parents={}), all_held)
    fed = {load.source.id for load in loads.loads}
    assert fed | {one.id for one in loads.orphans} == sources.keys()
    assert not fed & {one.id for one in loads.orphans}
    busy = {load.held.name for load in loads.loads}
    assert busy | {one.name for one in loads.idle} == {one.name for one in all_held}
    assert not busy & {one.name for one in loads.idle}
    pairs = [(load.source.id, load.held.name) for load in loads.loads]
    assert len(pairs) == len(set(pairs))


# --- what hangs on it ------------------------------------------------------------------------------------------------


def test_what_hangs_on_a_source_is_every_model_and_dashboard_downstream_and_their_owners():
    crm, web = source("crm.customers"), source("web.hits")
    owned = node("stg", crm[0])[0], {**node("stg", crm[0])[1], "config": {"group": "finance"}}
    said = (
        node("mart", "model.shop.stg")[0],
        {**node("mart", "model.shop.stg")[1], "config": {"meta": {"owner": "ada"}}},
    )
    exposures = [
        ("exposure.shop.board", {"name": "board", "owner": {"name": "bob"}, "depends_on": {"nodes": [said[0]]}}),
        ("exposure.shop.hits", {"name": "hits", "owner": {"name": "eve"}, "depends_on": {"nodes": ["model.shop.w"]}}),
    ]
    data = json.loads(manifest(sources=[crm, web], nodes=[owned, said, node("w", web[0])], exposures=exposures))
    data["groups"] = {"group.shop.finance": {"name": "finance", "owner": {"email": "finance@example.com"}}}
    graph = read(json.dumps(data).encode())
    loads = match(graph, [held("crm", ("raw", "crm", "customers"))])
    found = impact(graph, loaded_by(loads, "fivetran", "id_crm"))
    assert found.models == ("model.shop.mart", "model.shop.stg")
    assert [one.name for one in found.exposures] == ["board"]
    assert found.owners == ("ada", "bob", "finance@example.com")
    assert loaded_by(loads, "fivetran.eu", "crm") == []
