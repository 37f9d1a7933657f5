"""Mutes, graphs and the age of data as rows, on each kind of database."""

from datetime import timedelta

import pytest
from decide.worlds import T0

from stackhub.contract import Landing
from stackhub.engine import retention
from stackhub.errors import StaleRun
from stackhub.lineage import Exposure, Graph, Source
from stackhub.model.incident import Facet, Incident
from stackhub.model.mute import Mute
from stackhub.model.pipeline import Told
from stackhub.model.relation import Relation
from stackhub.model.words import Severity
from stackhub.store import asof, muted, projects, rows, shown
from stackhub.store import transaction as tx
from stackhub.store.transaction import Op, Transaction

HOUR = timedelta(hours=1)
MUTE = Mute(id="M1", key="pipeline:shop", until=T0 + 2 * HOUR, reason="known", by="ada", since=T0)


async def keep(store, *ops):
    await store.apply(Transaction().add(*ops))


async def in_force(store):
    return await store.read(muted.in_force)


async def test_a_mute_is_kept_and_ended_once(store):
    await keep(store, muted.kept(MUTE))
    assert await in_force(store) == [MUTE]
    await keep(store, muted.ended(MUTE, T0 + HOUR, "eve"))
    await keep(store, muted.ended(MUTE, T0 + 2 * HOUR, ""))
    assert await in_force(store) == []
    [kept] = await store.read(lambda connection: muted.between(connection, T0, T0 + HOUR))
    assert (kept.ended_at, kept.ended_by) == (T0 + HOUR, "eve")


async def test_of_two_hubs_that_mute_the_same_one_does_and_a_new_one_takes_an_old_one_s_place(store):
    other = Mute(id="M2", key=MUTE.key, until=T0 + 5 * HOUR, reason="longer", by="bob", since=T0 + HOUR)
    await keep(store, muted.kept(MUTE))
    with pytest.raises(StaleRun):
        await keep(store, muted.kept(other))
    await keep(store, muted.ended(MUTE, T0 + HOUR, "bob"), muted.kept(other))
    assert await in_force(store) == [other]


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [(-2, -1, False), (-2, 1, True), (1, 1, True), (2, 3, False), (5, 9, False)],
)
async def test_mutes_of_a_period_are_those_that_held_at_some_time_of_it(store, since, until, found):
    await keep(store, muted.kept(MUTE))
    asked = await store.read(lambda connection: muted.between(connection, T0 + since * HOUR, T0 + until * HOUR))
    assert bool(asked) is found


async def test_what_is_over_for_long_is_forgotten_and_what_is_in_force_is_not(store):
    old = Mute(id="M0", key="instance:tap", until=T0, reason="known", by="ada", since=T0 - HOUR)
    await keep(store, muted.kept(MUTE), muted.kept(old))
    await keep(store, muted.ended(old, T0 - HOUR, ""))
    await retention.sweep(store, T0 + 9 * HOUR)
    assert await store.read(lambda connection: muted.between(connection, T0 - 9 * HOUR, T0 + 9 * HOUR)) == [MUTE]


async def test_a_graph_is_kept_whole_and_read_again_only_when_it_is_another(store):
    graph = Graph(
        adapter="duckdb",
        sources={"source.a": Source(id="source.a", name="a.b", relation=Relation("d", "a", "b"), given={"x": [1]})},
        parents={"model.a": ("source.a",)},
        exposures={"e": Exposure(id="e", name="board", owner="cfo", reads=("model.a",))},
        owners={"model.a": "data"},
    )
    await keep(store, projects.read_project("dbt", "m1", graph, T0))
    assert await store.read(lambda connection: projects.newer(connection, {})) == {"dbt": ("m1", graph)}
    assert await store.read(lambda connection: projects.newer(connection, {"dbt": "m1"})) == {}
    await keep(store, projects.read_project("dbt", "m2", graph, T0))
    assert set(await store.read(lambda connection: projects.newer(connection, {"dbt": "m1"}))) == {"dbt"}
    await store.call(lambda connection: projects.forget(connection, {"other"}))
    assert await store.read(lambda connection: projects.newer(connection, {})) == {}


async def test_incidents_of_a_run_are_those_it_had_a_part_in_or_has_ended(store):
    facet = Facet(kind=Told.FAILED, since=T0, severity=Severity.ERROR, title="RUN9 in a title counts for nothing")
    made = {"opened_at": T0, "severity": Severity.ERROR, "facets": {Told.FAILED: facet}}
    for number, more in enumerate(
        [{"runs": ("RUN9",)}, {"resolution": "run RUN9 succeeded", "resolved_at": T0}, {"runs": ("RUN8",)}]
    ):
        await keep(
            store, rows.incident_kept(Incident(id=f"I{number}", key=f"pipeline:p{number}", **made, **more), None)
        )
    found = await store.read(lambda connection: shown.of_run(connection, "RUN9"))
    assert [one.id for one in found] == ["I0", "I1"]


async def test_the_last_load_of_a_task_is_as_old_as_its_landing(store):
    for mark, ended in (("1", T0), ("2", T0 + HOUR)):
        landing = Landing(connection="c", mark=mark, ended_at=ended)
        consumed = {
            "pipeline": "shop",
            "task": "orders",
            "instance": "tap",
            "connection": "c",
            "mark": mark,
            "run": "R",
        }
        await keep(store, rows.landed("tap", landing, "R", ended), Op(tx.CONSUMED, consumed))
    assert await store.read(lambda connection: asof.last_loads(connection, "shop")) == {"orders": T0 + HOUR}
    assert await store.read(lambda connection: asof.last_good(connection, "shop")) is None
