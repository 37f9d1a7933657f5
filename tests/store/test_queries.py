"""What the store is asked, and that history costs the hot questions nothing."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

import anyio
import pytest
import sqlalchemy as sa
from decide.worlds import T0, needing, pipeline, task
from store.ground import new_run

from stackhub.contract import Landing, Node, NodeState
from stackhub.model.ids import Ids
from stackhub.model.incident import Facet, Incident, Knows
from stackhub.model.pipeline import Told
from stackhub.model.run import RunState
from stackhub.model.step import StepState
from stackhub.model.words import Severity
from stackhub.store import queries, rows
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.transaction import Op, Transaction

SHOP = pipeline(task("orders"), needing("marts", "orders"))
DAY = timedelta(days=1)


async def keep(store, *ops):
    await store.apply(Transaction().add(*ops))


async def put(store, run_id, *, shop=SHOP, state=RunState.RUNNING, took=(), ended=None, retry_of=""):
    """Keep a run in some state; ``took`` are the seconds each step took."""
    made, _ = new_run(run_id, shop)
    run = replace(made.run, state=state, ended_at=ended, retry_of=retry_of)
    steps = dict(made.steps)
    for name, seconds in zip(steps, took, strict=False):
        steps[name] = replace(
            steps[name],
            state=StepState.SUCCEEDED,
            began_at=T0,
            ended_at=T0 + timedelta(seconds=seconds),
        )
    whole = replace(made, run=run, steps=steps)
    await keep(store, *rows.run_made(whole))
    return whole


async def test_open_runs_come_whole_and_oldest_first(store):
    kept = [await put(store, f"R{nth}") for nth in (2, 1, 3)]
    await put(store, "R0", state=RunState.FAILED, ended=T0)
    found = await store.read(queries.open_runs)
    assert found == sorted(kept, key=lambda open_run: open_run.run.id)
    assert list(found[0].steps) == ["orders", "marts"], "in the pipeline's order"
    assert await store.read(partial(queries.run, run_id="R1")) == kept[1]
    assert await store.read(partial(queries.run, run_id="R9")) is None


async def test_more_runs_than_one_question_may_name_come_all(store):
    many = queries.MANY + 3
    async with anyio.create_task_group() as group:
        for nth in range(many):
            group.start_soon(partial(put, store, f"R{nth:04d}", shop=pipeline()))
    assert len(await store.read(queries.open_runs)) == many


async def test_a_run_goes_by_its_pipeline_as_it_was_when_it_began(store):
    await put(store, "R1", shop=SHOP)
    await put(store, "R2", shop=replace(SHOP, owner="ada"))
    first, second = await store.read(queries.open_runs)
    assert (first.pipeline.owner, second.pipeline.owner) == ("", "ada")


async def test_runs_are_shown_newest_first_page_by_page(store):
    for nth in range(7):
        await put(store, f"R{nth}", state=RunState.FAILED if nth % 2 else RunState.RUNNING)
    await put(store, "S0", shop=replace(SHOP, name="other"))
    ask = partial(queries.runs, pipeline="shop", limit=3)
    first = await store.read(ask)
    second = await store.read(partial(ask, before=first[-1].id))
    third = await store.read(partial(ask, before=second[-1].id))
    assert [run.id for run in (*first, *second, *third)] == [f"R{nth}" for nth in reversed(range(7))]
    assert [run.id for run in await store.read(partial(queries.runs, state="failed"))] == ["R5", "R3", "R1"]
    assert (await store.read(partial(queries.last_run, pipeline="shop"))).id == "R6"
    assert await store.read(partial(queries.last_run, pipeline="nobody")) is None


async def test_a_run_is_found_by_how_its_name_begins_or_ends(store):
    ids = Ids()
    names = [ids.make(T0 + nth * DAY) for nth in range(12)]
    for name in names:
        await put(store, name)

    async def ask(typed):
        return await store.read(partial(queries.run_ids, beginning=typed))

    assert await ask(names[3]) == [names[3]]
    assert await ask(names[3].lower()[-8:]) == [names[3]]
    assert await ask(names[3][:7]) == [names[3]]
    assert len(await ask("0")) == 10, "no more than ten"
    assert await ask("%") == await ask("_") == [], "what a person types is no pattern"


async def test_the_usual_time_of_a_task_is_the_median_of_the_last_good_runs(store):
    await put(store, "R00", state=RunState.SUCCEEDED, took=(9000, 9000))
    for nth, seconds in enumerate((10, 30, 20), start=1):
        await put(store, f"R{nth:02}", state=RunState.SUCCEEDED, took=(seconds, 2 * seconds))
    await put(store, "R04", state=RunState.FAILED, took=(7000,))
    usual = await store.read(partial(queries.usual, pipeline="shop", last=3))
    assert usual == {"orders": 20.0, "marts": 40.0}
    assert await store.read(partial(queries.usual, pipeline="nobody")) == {}


async def test_what_was_carried_over_took_no_time(store):
    made, _ = new_run("R1", SHOP)
    carried = {name: replace(step, state=StepState.SUCCEEDED, ended_at=T0) for name, step in made.steps.items()}
    await keep(store, *rows.run_made(replace(made, run=replace(made.run, state=RunState.SUCCEEDED), steps=carried)))
    assert await store.read(partial(queries.usual, pipeline="shop")) == {}


async def test_old_runs_are_those_that_ended_long_ago_and_that_no_open_run_carries_from(store):
    for nth in range(5):
        await put(store, f"R{nth}", state=RunState.FAILED, ended=T0 + nth * DAY)
    await put(store, "R5")
    await put(store, "R6", retry_of="R1")
    await put(store, "R7", retry_of="R2", state=RunState.FAILED, ended=T0 + 9 * DAY)
    ask = partial(queries.old_runs, before=T0 + 4 * DAY)
    assert await store.read(ask) == ["R0", "R2", "R3"]
    assert await store.read(partial(ask, limit=1)) == ["R0"]


async def test_messages_that_are_due_are_counted(store):
    row = dict.fromkeys(("incident", "route", "instance", "options", "message", "error"), "")
    row |= {"seq": 1, "part": "root", "attempts": 0, "doubt": 0, "created_at": 0, "sent_at": None}
    for nth, (state, due) in enumerate([("pending", T0), ("pending", T0 + DAY), ("sent", T0)]):
        await keep(store, Op(tx.OUTBOX, {**row, "id": f"M{nth}", "state": state, "due": t.micros(due)}))
    assert await store.read(partial(queries.due_messages, now=T0)) == 1
    assert await store.read(partial(queries.due_messages, now=T0 + DAY)) == 2


async def test_nodes_landings_and_history_are_kept_as_they_were_last_heard(store):
    await put(store, "R1")
    node = Node(id="model.shop.orders", name="orders", kind="model", state=NodeState.RUNNING, started_at=T0)
    await keep(store, rows.node_kept("R1", "marts", 1, node))
    await keep(store, rows.node_kept("R1", "marts", 2, replace(node, state=NodeState.FAILED, message="boom")))
    found = await store.read(partial(queries.nodes, run_id="R1"))
    assert found == {"marts": [replace(node, state=NodeState.FAILED, message="boom")]}
    assert await store.read(partial(queries.nodes, run_id="R1", task="orders")) == {}

    step = (await store.read(partial(queries.run, run_id="R1"))).steps["orders"]
    for mark in ("7", "8"):
        landing = Landing(connection="c", mark=mark, ended_at=T0)
        await keep(store, rows.landed("fivetran", landing, "R1", T0), rows.consumed("shop", step, landing))
        await keep(store, rows.landed("fivetran", landing, "R2", T0))
    other = Landing(connection="d", mark="4", ended_at=T0)  # the task named another connection for a while
    await keep(store, rows.consumed("shop", step, other))
    marks = await store.read(partial(queries.consumed, pipeline="shop", task="orders", instance="fivetran"))
    assert marks == {"c": "8", "d": "4"}
    assert await store.read(lambda c: set(c.scalars(sa.select(t.landing.c.run)))) == {"R1"}, "the first to see it"

    for nth in range(4):
        await keep(store, rows.happened(T0, "test", run="R1", task="orders", text=str(nth), attempt=nth))
    lines = await store.read(partial(queries.events, run_id="R1", limit=3))
    assert [(one.text, one.attempt, one.at) for one in lines] == [("0", 0, T0), ("1", 1, T0), ("2", 2, T0)]
    rest = await store.read(partial(queries.events, run_id="R1", after=lines[-1].id))
    assert [one.text for one in rest] == ["3"]


async def test_an_incident_is_kept_whole(store):
    facet = Facet(kind=Told.FAILED, since=T0, severity=Severity.ERROR, title="a", facts=(("x", "y"),), covers=T0)
    knows = Knows(severity=Severity.ERROR, cause="a", instance="slack", speaks="live", options={"channel": "#data"})
    incident = Incident(
        id="I1",
        key="pipeline:shop",
        opened_at=T0,
        severity=Severity.ERROR,
        facets={Told.FAILED: facet},
        routes={"slack": knows},
    )
    await keep(store, rows.incident_kept(incident, None))
    assert await store.read(queries.open_incidents) == [incident]
    over = replace(incident, version=1, resolved_at=T0 + DAY, resolution="run R2 succeeded")
    await keep(store, rows.incident_kept(over, 0))
    assert await store.read(queries.open_incidents) == []
    assert await store.read(queries.incidents) == [over]
    assert await store.read(partial(queries.incident, incident_id="I1")) == over


@pytest.mark.parametrize("text", ["half \ud800 a character", "a NUL \0 within", "ünïcödé ✓"])
async def test_whatever_a_tool_says_can_be_kept(store, text):
    made, _ = new_run("R1", SHOP)
    step = replace(made.steps["orders"], note=text, handle={"said": [text]}, result={text: 1})
    await keep(store, *rows.run_made(replace(made, steps={**made.steps, "orders": step})))
    await keep(store, rows.happened(T0, "test", run="R1", text=text))
    found = await store.read(partial(queries.run, run_id="R1"))
    assert found.steps["orders"].note.startswith(text[:4])
    assert len(await store.read(partial(queries.events, run_id="R1"))) == 1
