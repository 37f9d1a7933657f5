"""History costs the hot questions nothing: each is answered by an index on what is open, or on what it asks for."""

from contextlib import closing
from functools import partial

import pytest
import sqlalchemy as sa
from decide.worlds import T0
from sqlalchemy import event
from store.ground import new_run, say

from stackhub.engine import commands, deadlines, mail
from stackhub.store import queries
from stackhub.store import tables as t

EXPLAIN = {"sqlite": "EXPLAIN QUERY PLAN", "postgresql": "EXPLAIN"}


async def plans(store, ask):
    """How the database would go about each question that ``ask`` puts."""
    found = []
    how = EXPLAIN[store.engine.dialect.name]

    def explain(connection, cursor, statement, parameters, *_):
        if statement.startswith("SELECT"):
            with closing(connection.connection.dbapi_connection.cursor()) as other:
                found.extend(str(row[-1]) for row in other.execute(f"{how} {statement}", parameters))

    event.listen(store.engine, "before_cursor_execute", explain)
    try:
        await store.read(ask)
    finally:
        event.remove(store.engine, "before_cursor_execute", explain)
    return found


HOT = [
    (queries.open_runs, "run_open"),
    (queries.open_incidents, "incident_open"),
    (partial(queries.due_messages, now=T0), "outbox_pending"),
    (partial(queries.runs, pipeline="shop"), "run_of_pipeline"),
    (partial(queries.last_run, pipeline="shop"), "run_of_pipeline"),
    (partial(queries.events, run_id="R1"), "event_of_run"),
    (partial(queries.old_runs, before=T0), "run_ended"),
    (partial(queries.usual, pipeline="shop"), "run_of_pipeline"),
    (partial(mail.look, instance="slack", now=T0), "outbox_pending"),
    (partial(commands.unobeyed, until=T0), "command_open"),
    (partial(deadlines.due_by, until=T0), "deadline_open"),
    (deadlines._next, "deadline_open"),
]


@pytest.mark.parametrize(("ask", "index"), HOT, ids=lambda value: value if isinstance(value, str) else "")
async def test_a_hot_question_is_answered_by_its_index(file_store, ask, index):
    await file_store.apply(new_run("R1")[1])
    plan = await plans(file_store, ask)
    assert any(index in line for line in plan), plan
    assert not [line for line in plan if line.startswith("SCAN") and "INDEX" not in line], plan


# --- a server, which chooses by what there is ---

N = "lpad(n::text, 6, '0')"
HISTORY = {  # all of it over, long ago
    "run": {"id": f"'Q' || {N}", "pipeline": "'p' || mod(n, 50)", "state": "'succeeded'", "ended_at": "n"},
    "step": {"run": f"'Q' || {N}", "task": "'marts'", "state": "'succeeded'", "ended_at": "n"},
    "event": {"id": "n", "run": f"'Q' || {N}"},
    "deadline": {"id": f"'D' || {N}", "state": "'met'"},
    "incident": {"id": f"'I' || {N}", "key": "'pipeline:p' || mod(n, 50)", "resolved_at": "n"},
    "outbox": {"id": f"'M' || {N}", "state": "'sent'", "instance": "'slack'"},
    "command": {"id": f"'C' || {N}", "done_at": "n"},
}


def happened_long_ago(url, rows=4000):
    """Fill the tables with history; what is not told above is long and says nothing."""
    statements = []
    for name, told in HISTORY.items():
        columns = t.metadata.tables[name].columns
        values = [told.get(c.name) or ("repeat('x', 100)" if isinstance(c.type, sa.Text) else "0") for c in columns]
        names = ", ".join(f'"{c.name}"' for c in columns)
        statements.append(
            f'INSERT INTO "{name}" ({names}) SELECT {", ".join(values)} FROM generate_series(1, {rows}) n'
        )
    # one run at a time may be retried, and none of these is
    statements[0] = statements[0].replace("repeat('x', 100)", "''")
    say(url, *statements, "ANALYZE")


@pytest.mark.postgres
async def test_no_hot_question_of_a_server_walks_through_history(server_store, server_url):
    await server_store.apply(new_run("R1")[1])
    happened_long_ago(server_url)
    for ask, index in HOT:
        plan = await plans(server_store, ask)
        assert any(index in line for line in plan), (ask, plan)
        assert not [line for line in plan if "Seq Scan" in line and "snapshot" not in line], (ask, plan)
