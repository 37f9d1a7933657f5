"""Statements that take many rows at once: the same rows, the same order, the same conflicts as one by one."""

from dataclasses import replace

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from store.ground import held, line, new_run, texts

from stackhub.errors import StaleRun
from stackhub.store import queries
from stackhub.store import transaction as tx
from stackhub.store.rows import run_moved, step_moved
from stackhub.store.transaction import Statement, Transaction

SHAPED = {
    name: found for name, found in vars(tx).items() if isinstance(found, Statement) and found.shape and name.isupper()
}


@pytest.mark.parametrize("count", [1, 3, 4, 5, 63, 65, 341])
async def test_any_number_of_rows_is_kept_and_changed_in_one_group(store, count):
    made = [new_run(f"R{nth:03}") for nth in range(count)]
    async with held(store):
        for _, born in made:
            store.writer.apply(born)
    moved = []
    async with held(store):
        for nth, (open_run, _) in enumerate(made):
            run = replace(open_run.run, version=1, reason=f"because of {nth}")
            steps = {name: replace(step, note=f"{name} of {nth}") for name, step in open_run.steps.items()}
            moved.append(replace(open_run, run=run, steps=steps))
            changed = Transaction().add(run_moved(run, was=0), *(step_moved(step) for step in steps.values()))
            store.writer.apply(changed)
    await store.apply(line("after"))
    assert await store.read(queries.open_runs) == moved


async def test_history_keeps_the_order_in_which_it_was_told(store):
    async with held(store):
        for nth in range(150):
            store.writer.apply(line(str(nth)))
    await store.apply(line("150"))
    assert await texts(store) == [str(nth) for nth in range(151)]


async def test_one_row_of_many_that_is_not_as_expected_fails_alone(store):
    made = [new_run(f"R{nth:03}") for nth in range(100)]
    async with held(store):
        for _, born in made:
            store.writer.apply(born)
    async with held(store):
        futures = [
            store.writer.apply(Transaction().add(run_moved(replace(one.run, version=1), was=7 if nth == 42 else 0)))
            for nth, (one, _) in enumerate(made)
        ]
        twice = store.writer.apply(Transaction().add(run_moved(replace(made[99][0].run, version=2), was=1)))
    with pytest.raises(StaleRun):
        await futures.pop(42)
    for future in [*futures, twice]:
        await future
    versions = [open_run.run.version for open_run in await store.read(queries.open_runs)]
    assert versions == [*[1] * 42, 0, *[1] * 56, 2]


async def test_two_moves_of_one_run_in_one_group_are_made_one_after_the_other(store):
    open_run, born = new_run("R1")
    await store.apply(born)
    async with held(store):
        moves = [
            store.writer.apply(Transaction().add(run_moved(replace(open_run.run, version=nth + 1), was=nth)))
            for nth in range(10)
        ]
    for move in moves:
        await move
    assert [found.run.version for found in await store.read(queries.open_runs)] == [10]


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("name", SHAPED)
def test_a_statement_for_many_rows_takes_the_values_that_it_takes_for_one(name, dialect):
    statement = SHAPED[name]
    made = statement.sql.compile(dialect=dialect, column_keys=list(statement.shape.names))
    assert set(made.params) == set(statement.shape.names)
    assert len(statement.shape.names) == len(statement.shape.changed) + len(statement.shape.keys)
