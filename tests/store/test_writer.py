"""The writer: many transactions in one COMMIT, and each answers for itself alone."""

import sqlite3
from dataclasses import replace

import anyio
import anyio.to_thread
import pytest
import sqlalchemy as sa
from decide.worlds import T0
from sqlalchemy import event, exc
from store.ground import count, held, line, locked, new_run, store_at, texts, until
from structlog.testing import capture_logs

from stackhub.errors import LostLane, Refused, StaleRun, StoreUnavailable
from stackhub.model.incident import Incident
from stackhub.model.run import RunState
from stackhub.model.words import Severity
from stackhub.store import lanes, queries
from stackhub.store import tables as t
from stackhub.store import transaction as tx
from stackhub.store.rows import incident_kept, run_made, run_moved
from stackhub.store.transaction import Op, Transaction


async def outcomes(futures):
    """What became of each: None, or its error."""
    found = []
    for future in futures:
        try:
            found.append(await future)
        except Exception as err:  # noqa: BLE001 - to be looked at
            found.append(err)
    return found


async def test_a_thousand_transactions_at_once_take_few_commits(store):
    futures = [store.writer.apply(line(str(nth))) for nth in range(1000)]
    await outcomes(futures)
    assert await texts(store) == [str(nth) for nth in range(1000)]
    assert store.writer.commits < 100


async def test_a_transaction_is_there_for_every_reader_when_its_future_resolves(store):
    for nth in range(5):
        await store.apply(line(str(nth)))
        assert len(await texts(store)) == nth + 1


async def test_a_transaction_without_rows_costs_no_commit(store):
    before = store.writer.commits
    await store.apply(Transaction())
    assert store.writer.commits == before


async def test_a_conflict_fails_only_the_guilty_one_of_a_group(store):
    made, born = new_run("R1")
    await store.apply(born)
    stale = replace(made.run, version=8)
    async with held(store):
        futures = [store.writer.apply(line(str(nth))) for nth in range(20)]
        futures[7:7] = [store.writer.apply(line("never").add(run_moved(stale, was=7)))]
        futures += [store.writer.apply(line("last"))]
    found = await outcomes(futures)
    assert isinstance(found[7], StaleRun)
    assert [error for error in found if error is not None] == [found[7]]
    assert await texts(store) == [*[str(nth) for nth in range(20)], "last"]


async def test_a_group_of_megabytes_is_committed_and_a_conflict_in_it_fails_alone(store):
    """More than the line to a server takes at once: half of it waits in the driver."""
    made, born = new_run("R1")
    await store.apply(born)
    much = [f"{nth} {'x' * 30_000}" for nth in range(300)]
    with anyio.fail_after(25):  # less than a server waits for the rest of a transaction
        for also in ([], [born], [line("never").add(run_moved(replace(made.run, version=8), was=7))]):
            async with held(store):
                futures = [store.writer.apply(each) for each in [*also, *map(line, much)]]
            found = await outcomes(futures)
            assert [type(error) for error in found if error is not None] == [StaleRun for _ in also]
    assert await texts(store) == much * 3


async def test_what_came_first_of_two_that_conflict_is_kept(store):
    made, born = new_run("R1")
    await store.apply(born)
    once, twice = replace(made.run, version=1, reason="first"), replace(made.run, version=1, reason="second")
    async with held(store):
        futures = [store.writer.apply(Transaction().add(run_moved(run, was=0))) for run in (once, twice)]
    assert [type(error) for error in await outcomes(futures)] == [type(None), StaleRun]
    assert (await store.read(lambda c: queries.run(c, "R1"))).run.reason == "first"


async def test_a_run_that_moved_since_it_was_read_is_stale(store):
    made, born = new_run("R1")
    await store.apply(born)
    moved = replace(made.run, version=1, state=RunState.RUNNING)
    await store.apply(Transaction().add(run_moved(moved, was=0)))
    with pytest.raises(StaleRun):
        await store.apply(Transaction().add(run_moved(moved, was=0)))


async def test_a_row_that_is_there_already_is_a_conflict(store):
    _, born = new_run("R1")
    await store.apply(born)
    with pytest.raises(StaleRun):
        await store.apply(new_run("R1")[1])


async def test_one_open_retry_for_a_run_and_one_open_incident_for_a_key(store):
    def retry(run_id):
        made, _ = new_run(run_id)
        return Transaction().add(*run_made(replace(made, run=replace(made.run, retry_of="R1"))))

    await store.apply(retry("R2"))
    with pytest.raises(StaleRun):
        await store.apply(retry("R3"))
    incident = Incident(id="I1", key="hub", opened_at=T0, severity=Severity.ERROR)
    await store.apply(Transaction().add(incident_kept(incident, None)))
    with pytest.raises(StaleRun):
        await store.apply(Transaction().add(incident_kept(replace(incident, id="I2"), None)))
    over = replace(incident, version=1, resolved_at=T0)
    again = replace(incident, id="I3")
    await store.apply(Transaction().add(incident_kept(again, None), incident_kept(over, 0)))
    assert await store.read(queries.open_incidents) == [again]


async def test_what_is_written_under_an_epoch_that_is_over_is_refused(store):
    first = await store.call(lambda c: lanes.take(c, ["fivetran", "dbt"], "me", T0, lease=None))
    await store.call(lambda c: lanes.take(c, ["fivetran"], "you", T0, lease=None))
    epochs = {name: taken.epoch for name, taken in first.items()}
    with pytest.raises(LostLane, match="fivetran"):
        await store.apply(replace_lanes(line("late"), epochs))
    await store.apply(replace_lanes(line("mine"), {"dbt": epochs["dbt"]}))
    with pytest.raises(LostLane):
        await store.apply(replace_lanes(line("nobody's"), {"airbyte": 1}))
    assert await texts(store) == ["mine"]


def replace_lanes(transaction, lanes):
    transaction.lanes.update(lanes)
    return transaction


async def test_a_lost_lane_is_told_before_what_the_database_says_of_the_same_rows(store):
    await store.apply(new_run("R1")[1])
    late = new_run("R1")[1]
    late.lanes["fivetran"] = 3
    with pytest.raises(LostLane, match="fivetran"):
        await store.apply(late)


async def test_two_epochs_of_one_lane_in_a_group_fail_only_the_older(store):
    await store.call(lambda c: lanes.take(c, ["fivetran"], "me", T0, lease=None))
    await store.call(lambda c: lanes.take(c, ["fivetran"], "you", T0, lease=None))
    async with held(store):
        futures = [store.writer.apply(replace_lanes(line(str(epoch)), {"fivetran": epoch})) for epoch in (1, 2, 1, 2)]
    assert [type(error) for error in await outcomes(futures)] == [LostLane, type(None), LostLane, type(None)]
    assert await texts(store) == ["2", "2"]


# --- bugs are their owner's ---


@pytest.mark.parametrize(
    "op",
    [
        Op(tx.META, {"key": "half a character", "value": "\ud800"}),
        Op(tx.META, {"key": "no value"}),
        Op(tx.META, {"key": "not text", "value": object()}),
        Op(tx.DEADLINE_PUT_OFF, {"id": "a number too large", "at": 2**70}),
    ],
    ids=lambda op: op.statement.rank,
)
async def test_a_transaction_that_cannot_be_written_fails_alone_and_the_writer_goes_on(store, op):
    async with held(store):
        futures = [store.writer.apply(line("before"))]
        futures += [store.writer.apply(line("never").add(op))]
        futures += [store.writer.apply(line("after"))]
    found = await outcomes(futures)
    assert isinstance(found[1], Exception)
    assert [found[0], found[2]] == [None, None]
    assert await texts(store) == ["before", "after"]
    assert store.writer.ailing == "", "the database is well"


async def test_a_statement_that_is_wrong_is_no_outage(store):
    with pytest.raises(exc.DBAPIError, match=r"no such table: nowhere|relation \"nowhere\" does not exist"):
        await store.call(lambda connection: connection.execute(sa.text("SELECT * FROM nowhere")))
    await store.apply(line("after"))
    assert store.writer.ailing == ""


# --- functions that write ---


async def test_a_function_that_writes_is_one_transaction_and_its_result_comes_back(store):
    def work(connection):
        connection.execute(tx.META.sql, {"key": "a", "value": "1"})
        return "done"

    assert await store.call(work) == "done"


@pytest.mark.parametrize("error", [Refused("no"), StaleRun("x"), KeyError("bug")])
async def test_a_function_that_raises_changes_nothing_and_its_error_comes_back(store, error):
    before = await count(store, t.meta)

    def work(connection):
        connection.execute(tx.META.sql, {"key": "a", "value": "1"})
        raise error

    with pytest.raises(type(error)):
        await store.call(work)
    assert await count(store, t.meta) == before


async def test_a_function_that_meets_a_row_that_is_there_is_a_conflict(store):
    row = {"name": "shop", "snapshot": "", "retired": 0, "paused_at": None, "paused_reason": "", "revision": 1}
    await store.call(lambda connection: connection.execute(sa.insert(t.pipeline), row))
    with pytest.raises(StaleRun):
        await store.call(lambda connection: connection.execute(sa.insert(t.pipeline), row))


async def test_functions_and_transactions_keep_their_order(store):
    async with held(store):
        futures = [store.writer.apply(line("1"))]
        futures += [store.writer.call(lambda c: c.scalar(sa.select(sa.func.count()).select_from(t.event)))]
        futures += [store.writer.apply(line("3"))]
    assert await outcomes(futures) == [None, 1, None]


# --- a database that goes away ---


async def test_a_database_that_is_locked_is_waited_for_and_nothing_is_lost(file_store, tmp_path):
    store = file_store
    await store.apply(line("before"))
    with capture_logs() as logs:
        other = locked(tmp_path / "hub.db")
        futures = [store.writer.apply(line(str(nth))) for nth in range(10)]
        await until(lambda: store.writer.ailing)
        assert store.ailing == "database is locked"
        assert not any(future.done() for future in futures)
        other.execute("COMMIT")
        other.close()
        await outcomes(futures)
    assert store.ailing == ""
    assert sorted(await texts(store)) == sorted(["before", *[str(nth) for nth in range(10)]])
    assert [one["log_level"] for one in logs] == ["error", "info"], "said once when it goes, once when it is back"


async def test_a_full_disk_is_waited_for_and_nothing_is_lost(file):
    async with store_at(file) as store:
        full = [True]

        def limit(connection, _):
            if full[0]:
                connection.execute("PRAGMA max_page_count=1")

        event.listen(store.engine, "connect", limit)
        store.engine.dispose()
        futures = [store.writer.apply(line("x" * 100_000)) for _ in range(20)]
        await until(lambda: store.writer.ailing)
        assert "full" in store.writer.ailing
        full[0] = False
        assert await outcomes(futures) == [None] * 20
        assert len(await texts(store)) == 20


async def test_closing_while_the_database_is_away_tells_everyone_who_waits(file, tmp_path):
    async with store_at(file) as store:
        await store.apply(line("kept"))
        other = locked(tmp_path / "hub.db")
        futures = [store.writer.apply(line(str(nth))) for nth in range(5)]
        futures += [store.writer.call(lambda _: None), store.writer.apply(line("behind"))]
        await until(lambda: store.writer.ailing)
        await anyio.to_thread.run_sync(store.writer.close)
        assert {type(error) for error in await outcomes(futures)} == {StoreUnavailable}
        other.close()
    async with store_at(file) as store:
        assert await texts(store) == ["kept"]


async def test_closing_commits_what_is_queued_and_then_takes_nothing_more(url):
    async with store_at(url) as store:
        async with held(store):
            futures = [store.writer.apply(line(str(nth))) for nth in range(700)]
            futures += [store.writer.call(lambda _: "done")]
        await anyio.to_thread.run_sync(store.writer.close)
        assert await outcomes(futures) == [*[None] * 700, "done"]
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.apply(line("late"))
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.call(lambda _: None)
        assert len(await texts(store)) == 700


async def test_what_was_committed_before_the_database_went_away_is_not_done_again(store):
    """A group is halved over a conflict: some of it is in when the database goes away."""
    made, born = new_run("R1")
    await store.apply(born)
    commits = []

    def go_away(_):
        commits.append(1)
        if len(commits) == 3:
            raise exc.OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error"))

    async with held(store):
        futures = [store.writer.apply(line(str(nth))) for nth in range(8)]
        futures += [store.writer.apply(Transaction().add(run_moved(replace(made.run, version=8), was=7)))]
        event.listen(store.engine, "commit", go_away)  # the first is that of the function which holds the writer
    found = await outcomes(futures)
    assert [type(error) for error in found] == [*[type(None)] * 8, StaleRun]
    assert await texts(store) == [str(nth) for nth in range(8)]
    assert len(commits) > 4
