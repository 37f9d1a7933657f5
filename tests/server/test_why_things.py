"""Why a node, a connection, a pipeline is as it is: every kind has a reason, and the nearest comes first."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server.test_why import a_run

from stackhub.contract import Connection, Health
from stackhub.decide.owed import Debt
from stackhub.lineage import Graph
from stackhub.model.landing import Landing
from stackhub.model.mute import Mute
from stackhub.model.node import Node, NodeState
from stackhub.model.pipeline import Pipeline, Schedule
from stackhub.model.run import Interval
from stackhub.model.step import StepState
from stackhub.server.why_step import owing
from stackhub.server.why_things import ConnectionFacts, NodeFacts, PipelineFacts, of_connection, of_node, of_pipeline
from stackhub.store.queries import Known
from stackhub.store.waiting import Skipped, Waiting

NOW = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def node(state, name="orders", **more):
    return Node(id=f"model.shop.{name}", name=name, kind="model", state=NodeState(state), **more)


def facts(one, step=StepState.FAILED, **more):
    return NodeFacts(node=one, task="marts", open_run=a_run(marts={"state": step}), **more)


def because(one, step=StepState.FAILED, **more):
    return of_node(facts(one, step, **more), {}, NOW)


def debt(**more):
    return Debt(
        **{
            "pipeline": "shop",
            "task": "marts",
            "node": "model.shop.orders",
            "extract": "crm",
            "instance": "fivetran",
            "connection": "c1",
            "since": NOW - HOUR,
            "run": "01A",
            "interval": Interval(start=NOW - HOUR, end=NOW),
        }
        | more
    )


@given(st.sampled_from(NodeState), st.sampled_from(StepState), st.text(max_size=5), st.none() | st.booleans())
def test_there_is_always_a_reason(state, step, message, passing):
    said = because(node(state, message=message, passing=passing), step)
    assert said
    assert all(said)


@pytest.mark.parametrize(
    ("passing", "step", "said"),
    [
        (
            False,
            StepState.RETRYING,
            "trying again would not help: these are words of a mistake, not of a passing fault",
        ),
        (True, StepState.RETRYING, "that may pass by itself: it is tried again"),
        (None, StepState.RETRYING, "it is tried again"),
        (True, StepState.FAILED, "that may pass by itself, but it was the last try"),
    ],
)
def test_a_node_that_failed_says_whether_another_try_would_help(passing, step, said):
    assert because(node("failed", message="oh", passing=passing), step)[:2] == ["oh", said]


def test_a_node_that_was_left_names_what_failed_upstream_of_it_and_not_what_failed_beside_it():
    parents = {"model.shop.orders": ("model.shop.above",), "test.shop.t": ("model.shop.above",)}
    graph = Graph(adapter="duckdb", sources={}, parents=parents)
    failed = [
        node("failed", "above", message="no such column\nLINE 1"),
        node("failed", "beside", message="also"),
        Node(id="test.shop.t", name="t", kind="test", state=NodeState.FAILED, message="Got 1 result"),
    ]
    [first, *_] = because(node("skipped"), beside=failed, graph=graph)
    assert first == (
        "it was not built, because upstream of it failed: model.shop.above (no such column), test.shop.t (Got 1 result)"
    )


def test_of_a_node_that_is_not_built_it_is_told_when_it_last_was():
    assert "it was last built in run 01A" in because(node("failed"), last="01A")
    assert "no run that is kept has built it" in because(node("unknown"))


def test_a_debt_says_what_it_waits_for_and_then_what_becomes_of_it():
    [said] = owing([debt()])
    assert said == (
        "model.shop.orders is owed since 2026-11-22 05:30 UTC, when run 01A went on without crm; "
        "built as soon as crm lands"
    )
    assert owing([debt(landed_at=NOW)])[0].endswith("it landed 2026-11-22 06:30 UTC: built with the next run")
    tried = debt(landed_at=NOW, tried="01B")
    assert owing([tried])[0].endswith("it landed 2026-11-22 06:30 UTC, and run 01B was made for it")
    assert owing([debt(), debt(node="model.shop.x")])[0].startswith("2 nodes are owed since ")
    assert because(node("succeeded"), debts=[debt()])[0] == said, "what is owed is nearer than what was"


def crm(**more):
    last = Landing(connection="c1", mark="m", ended_at=NOW - HOUR, rows=7)
    return Connection(**{"id": "c1", "name": "crm", "health": Health.OK, "last": last} | more)


def of(**more):
    return of_connection(ConnectionFacts(instance="fivetran", name="crm", **more), {}, NOW)


def test_a_connection_says_first_what_is_wrong_with_its_account_then_with_itself():
    said = of(seen=crm(health=Health.BROKEN, note="token expired"), held="fivetran does not answer")
    assert said[:3] == [
        "fivetran does not answer",
        "its vendor says broken: token expired",
        "it last landed 2026-11-22 05:30 UTC, 1h 00m ago, 7 rows",
    ]
    assert of(seen=crm())[0].startswith("it last landed")
    assert of(seen=crm(last=None, syncing=True))[:2] == ["it is loading now", "no load of it has been seen"]
    assert of()[0] == "its account has not listed it to the hub yet"


def test_a_connection_names_who_waits_for_it_or_that_nobody_does():
    assert of(seen=crm())[-1] == "no pipeline uses it"
    run = a_run(orders={"state": StepState.SUCCEEDED, "note": "done"})
    said = of(
        seen=crm(schedule="every 6 h"),
        steps=[(run, run.steps["orders"])],
        idle=["late.load"],
        begins=["marts"],
        reads={"shop.marts": [("crm.customers", "tables match"), ("crm.leads", "tables match")]},
    )
    assert said[1:] == [
        "its vendor starts it: every 6 h",
        "shop.orders in run 01B is succeeded: its job ended well: done",
        "late.load loads it, and has not run yet",
        "marts begins when it lands",
        "shop.marts reads crm.customers, crm.leads from it, since tables match",
    ]


def test_a_pipeline_says_why_it_does_not_run():
    known = Known(
        pipeline=Pipeline(name="shop"), snapshot="", retired=False, paused_at=NOW - HOUR, paused_reason="upgrade"
    )
    tick = Waiting(
        pipeline="shop",
        spec="",
        schedule=Schedule(cron="0 6 * * *"),
        label="06:00 Europe/Berlin",
        interval=Interval(start=NOW - HOUR, end=NOW),
        until=NOW + HOUR,
        reason="for fivetran:crm",
    )
    mute = Mute(id="m", key="pipeline:shop", until=NOW + HOUR, reason="known", by="ada", since=NOW)
    skips = [Skipped(NOW - HOUR, "05:30", "calendar de: Christmas Day")]
    assert of_pipeline(PipelineFacts(known=known, ticks=[tick], skips=skips, debts=[debt()], mute=mute)) == [
        "it is paused since 2026-11-22 05:30 UTC: upgrade",
        "the tick of 06:00 Europe/Berlin waits: for fivetran:crm, until 2026-11-22 07:30 UTC at the latest",
        "no run at 05:30: calendar de: Christmas Day",
        *owing([debt()]),
        "nobody is told of it until 2026-11-22 07:30 UTC: known (ada)",
    ]
    assert of_pipeline(PipelineFacts(known=KNOWN)) == []


KNOWN = Known(pipeline=Pipeline(name="shop"), snapshot="", retired=False, paused_at=None, paused_reason="")
