"""What is old is forgotten, and nothing else."""

from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa
from decide.worlds import T0, pipeline, task
from store.ground import new_run

from stackhub.contract import Landing, Node, NodeState
from stackhub.engine import retention
from stackhub.model.incident import Incident
from stackhub.model.run import RunState
from stackhub.model.words import Severity
from stackhub.store import configure, lanes, rows
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.transaction import Op, Transaction

DAY = timedelta(days=1)
BEFORE = T0 - 90 * DAY
OLD, NEW = BEFORE - DAY, BEFORE + DAY


async def everything(store):
    """Every row of every table, by the table's name."""

    def read(connection):
        return {
            name: {tuple(row) for row in connection.execute(sa.select(table))}
            for name, table in t.metadata.tables.items()
            if name != "meta"
        }

    return await store.read(read)


async def keep(store, *ops):
    await store.apply(Transaction().add(*ops))


async def put_run(store, run_id, ended, *, shop=None, retry_of=""):
    made, _ = new_run(run_id, shop or pipeline())
    state = RunState.FAILED if ended else RunState.RUNNING
    run = replace(made.run, state=state, ended_at=ended, retry_of=retry_of)
    node = Node(id="n", name="n", kind="model", state=NodeState.SUCCEEDED)
    await keep(
        store,
        *rows.run_made(replace(made, run=run)),
        rows.node_kept(run_id, "orders", 1, node),
        rows.happened(ended or OLD, "created", run=run_id),
        deadline(f"{run_id}:finish_by", ended or OLD, "met" if ended else "open", run_id),
    )


def deadline(name, at, state, run=None):
    row = {"pipeline": "shop", "run": run, "kind": "finish_by", "text": "", "covers": None, "shadow": 0}
    return Op(tx.DEADLINE, {"id": name, "at": t.micros(at), "state": state, **row})


def incident(name, resolved):
    opened = Incident(id=name, key=name, opened_at=OLD, severity=Severity.ERROR, resolved_at=resolved)
    return rows.incident_kept(opened, None)


def message(name, state, created, of="I-new"):
    row = dict.fromkeys(("route", "instance", "options", "message", "error"), "")
    row |= {"seq": 1, "part": "root", "attempts": 0, "doubt": 0, "sent_at": None, "due": 0}
    return Op(tx.OUTBOX, {**row, "id": name, "incident": of, "state": state, "created_at": t.micros(created)})


def receipt(of):
    return Op(tx.RECEIPT, {"incident": of, "route": "slack", "receipt": "{}", "updated_at": 0})


def command(name, done):
    row = {"kind": "cancel", "args": "{}", "by": "ada", "created_at": 0, "result": None, "error": None}
    return Op(tx.COMMAND, {"id": name, "done_at": t.maybe_micros(done), **row})


def lasted(key, at):
    return Op(tx.DURATION, {"instance": "tap", "key": key, "ended_at": t.micros(at), "data": "[1.0]"})


def tick(at):
    row = {"pipeline": "shop", "spec": "x", "label": "", "verdict": "run", "reason": "", "run": None}
    return Op(tx.TICK, {"at": t.micros(at), "start": t.micros(at), "until": None, **row})


def landing(connection, mark, seen):
    return rows.landed("fivetran", Landing(connection=connection, mark=mark, ended_at=seen), "R1", seen)


async def test_nothing_that_is_new_open_or_in_use_is_forgotten(store):
    await store.call(lambda c: configure.apply(c, {"shop": pipeline()}, OLD))
    await store.call(lambda c: lanes.take(c, ["fivetran"], "me", T0, lease=None))
    await put_run(store, "R1", NEW)
    await put_run(store, "R2", None)
    await put_run(store, "R3", OLD)
    await put_run(store, "R4", None, retry_of="R3")
    await keep(
        store,
        incident("I-open", None),
        incident("I-new", NEW),
        receipt("I-open"),
        receipt("I-new"),
        message("M-pending", "pending", OLD),
        message("M-new", "sent", NEW),
        command("C-waiting", None),
        command("C-new", NEW),
        tick(NEW),
        lasted("new", NEW),
        deadline("D-open", OLD, "open"),
        deadline("D-new", NEW, "late"),
        landing("c", "1", OLD),
        landing("d", "1", NEW),
        landing("d", "2", NEW + DAY),
        rows.happened(NEW, "paused", pipeline="shop"),
    )
    await store.call(lambda c: c.execute(sa.delete(t.event).where(t.event.c.kind == "configuration")))
    await store.call(lambda c: c.execute(sa.delete(t.deadline).where(t.deadline.c.run == "R3")))
    before = await everything(store)
    assert await retention.sweep(store, BEFORE) == 0
    assert await everything(store) == before


async def test_what_is_old_is_forgotten_with_all_that_hangs_on_it(store):
    await store.call(lambda c: configure.apply(c, {"shop": pipeline()}, NEW))
    await put_run(store, "R1", NEW)
    await keep(store, incident("I-new", NEW), receipt("I-new"), landing("c", "2", OLD + DAY))
    before = await everything(store)
    await put_run(store, "R0", OLD, shop=pipeline(task("orders"), owner="ada"))
    await keep(
        store,
        incident("I-old", OLD),
        receipt("I-old"),
        message("M-old", "sent", OLD),
        message("M-older", "undeliverable", OLD),
        message("M-oldest", "superseded", OLD),
        command("C-old", OLD),
        tick(OLD),
        lasted("old", OLD),
        deadline("D-old", OLD, "met"),
        landing("c", "1", OLD),
        rows.happened(OLD, "paused", pipeline="shop"),
    )
    assert await retention.sweep(store, BEFORE) == 1
    assert await everything(store) == before


async def test_many_old_runs_go_in_small_bites(store):
    runs = [new_run(f"R{nth}")[0] for nth in range(retention.BITE + 1)]
    over = [replace(one, run=replace(one.run, state=RunState.FAILED, ended_at=OLD)) for one in runs]
    await keep(store, *[op for one in over for op in rows.run_made(one)])
    commits = store.writer.commits
    assert await retention.sweep(store, BEFORE) == len(runs)
    assert store.writer.commits - commits == 3, "two bites, and what hangs on no run"
    assert (await everything(store))["step"] == set()


async def test_of_old_configurations_the_newest_stays_and_is_counted_on_from(store):
    for owner in ("ada", "bob", "eve"):
        await store.call(lambda c, owner=owner: configure.apply(c, {"shop": pipeline(owner=owner)}, OLD))
    await retention.sweep(store, BEFORE)
    assert [row[0] for row in (await everything(store))["revision"]] == [3]
    same = await store.call(lambda c: configure.apply(c, {"shop": pipeline(owner="eve")}, NEW))
    assert (same.revision, same.any) == (3, False)
    assert (await store.call(lambda c: configure.apply(c, {"shop": pipeline()}, NEW))).revision == 4
