"""SQL jobs, on DuckDB and on a real PostgreSQL."""

from datetime import UTC, datetime

import pytest

from stackhub.contract import Outcome

PATIENCE = 30


@pytest.fixture(scope="module")
def away(postgres):
    """Lend a database of its own for all that is done here."""
    with postgres.borrowed() as url:
        yield url


@pytest.fixture
def shop(postgres, away):
    with postgres.connected(away.partition("@/")[2].partition("?")[0]) as connection:
        connection.execute("drop table if exists orders, kept cascade")
        connection.execute("create table orders (id int primary key, amount numeric, at timestamptz)")
        connection.execute("insert into orders values (1, 10, '2026-03-01T07:00Z'), (2, -5.5, '2026-03-02T00:00Z')")
        yield connection


async def until(connection, sql: str) -> None:
    """Wait until a query has a row."""
    import anyio

    with anyio.fail_after(PATIENCE):
        while not connection.execute(sql).fetchone():
            await anyio.sleep(0.01)


async def test_duckdb_runs_and_checks_with_bound_values(told, grounds):
    duckdb = pytest.importorskip("duckdb")
    evil = "x'); drop table orders; --"
    made = await told(
        "duckdb:///shop.duckdb",
        statements="""
            create table orders as select range as id, :name as name, :interval_start as made from range(4);
            delete from orders where id = 3 and made >= :interval_start and made < :interval_end
        """,
        params={"name": evil},
    )
    broken = await told("duckdb:///shop.duckdb", statements="create table lost (x int); select * from nowhere")
    check = await told("duckdb:///shop.duckdb", query="select id, name from orders where id > :id", params={"id": 1})
    writes = await told("duckdb:///shop.duckdb", query="delete from orders returning id")

    assert (made.outcome, made.note, made.result) == (Outcome.OK, "", {"code": 0, "statements": 2, "rows": 5})
    assert broken.note.startswith("statement 2: Catalog Error")
    assert not broken.retryable
    assert check.note == f"1 row, and there should be none\nid | name\n2 | {evil}"
    assert "read-only" in writes.note
    with duckdb.connect(str(grounds.root / "shop.duckdb"), read_only=True) as left:
        assert left.execute("select count(*), min(epoch(made)) from orders").fetchone() == (3, 1772323200.0)
        assert left.execute("select table_name from information_schema.tables").fetchall() == [("orders",)]


@pytest.mark.postgres
async def test_postgresql_runs_in_one_transaction_and_checks_without_writing(told, away, shop):
    evil = "x'); drop table orders; --"
    made = await told(
        away,
        statements="""
            create table kept as select * from orders where false;
            insert into kept select * from orders where at >= :interval_start and at < :interval_end and 7 % 2 = 1;
            create function twice(n int) returns int language sql as $$ select n * 2; $$;
            update kept set amount = twice(amount::int) where :name <> '100 % :sure';
            drop function twice
        """,
        params={"name": evil},
    )
    broken = await told(away, statements="delete from orders; alter table orders add x int; insert into nil values (1)")
    one = await told(
        away.replace("postgresql+psycopg", "postgres"),
        query="select id, amount, null as x from orders where amount < 0 and id <> :id",
        params={"id": 7},
    )
    shop.execute("create sequence if not exists counted")
    writes = await told(away, query="select nextval('counted')")

    assert (made.outcome, made.note, made.result) == (Outcome.OK, "", {"code": 0, "statements": 5, "rows": 2})
    assert shop.execute("select id, amount, at from kept").fetchall() == [(1, 20, datetime(2026, 3, 1, 7, tzinfo=UTC))]
    assert broken.note.startswith('statement 3: relation "nil" does not exist')
    assert not broken.retryable
    assert shop.execute("select count(*) from orders").fetchone() == (2,)
    assert one.note == "1 row, and there should be none\nid | amount | x\n2 | -5.5 | NULL"
    assert "in a read-only transaction" in writes.note


@pytest.mark.postgres
async def test_a_statement_without_a_transaction_is_one_by_itself(told, away, shop):
    alone = await told(away, statements="vacuum orders; create index concurrently on orders (at)", transaction=False)
    within = await told(away, statements="vacuum orders")

    assert alone.outcome is Outcome.OK
    assert within.note.endswith("cannot run inside a transaction block\nsay transaction: false")


@pytest.mark.postgres
async def test_a_cancel_reaches_the_statement_at_the_server(grounds, opened, asks, away, shop):
    async with opened(away) as jobs:
        job = asks(statements="delete from orders; select pg_sleep(1000)")
        handle = await jobs.start(job, await jobs.prepare(job), "key")
        sleeping = (
            "select pid from pg_stat_activity where application_name = 'stackhub p.t' and query ~ '^select pg_sl'"
        )
        await until(shop, sleeping)
        await jobs.cancel(handle)
        answer = await grounds.told(jobs, handle)

    assert (answer.outcome, answer.note) == (Outcome.FAILED, "statement 2: cancelled")
    assert not shop.execute(sleeping).fetchone()
    assert shop.execute("select count(*) from orders").fetchone() == (2,)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("options", "again", "words"),
    [
        ({"statements": "delete from orders; select pg_sleep(1000)"}, True, "statement 2: "),
        ({"statements": "delete from orders; select pg_sleep(1000)", "transaction": False}, False, "may have run: "),
        ({"query": "select pg_sleep(1000)"}, True, ""),
    ],
)
async def test_a_connection_that_was_lost_is_tried_again_only_where_nothing_can_have_stayed(
    grounds, opened, asks, away, shop, options, again, words
):
    async with opened(away) as jobs:
        job = asks(**options)
        handle = await jobs.start(job, await jobs.prepare(job), "key")
        await until(
            shop,
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'stackhub p.t' "
            "and query ~ 'pg_sleep|FETCH' and state = 'active'",
        )
        answer = await grounds.told(jobs, handle)

    assert (answer.outcome, answer.retryable) == (Outcome.FAILED, again)
    assert answer.note.startswith(words)
    assert ("look before you run it again" in answer.note) is (words == "may have run: ")


@pytest.mark.postgres
async def test_a_deferred_constraint_that_refuses_the_commit_has_undone_it(told, away, shop):
    shop.execute("create table kept (id int references orders deferrable initially deferred)")

    answer = await told(away, statements="insert into kept values (99)")

    assert "violates foreign key constraint" in answer.note
    assert "may have run" not in answer.note
    assert shop.execute("select * from kept").fetchall() == []


async def test_a_password_is_in_no_answer(told, grounds):
    answer = await told("postgresql://shop:hunter22%21@127.0.0.1:1/shop", statements="select 1")

    assert answer.note.startswith("no connection: ")
    assert answer.retryable
    for path in (grounds.state / "jobs").rglob("*"):
        assert not path.is_file() or b"hunter22" not in path.read_bytes()
