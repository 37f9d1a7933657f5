"""SQL jobs, on SQLite: it is everywhere."""

import os
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from launch.grounds import OnGrounds

from stackhub.contract import Finished, Outcome, Rejected
from stackhub.launch.place import Place
from stackhub.testing import JobsContract
from stackhub_sql.connector import NO_URL, UNSEEN, connector, judged
from stackhub_sql.doors import Failed, hiding, open_any

SHOP = "sqlite:///shop.db"
SECRET = "sqlite:///shop.db?vfs=unix&token=s3cr3t-t0ken"  # nothing reads it


@pytest.fixture
def shop(grounds):
    """Return the shop's database, which waits for nobody."""
    with closing(sqlite3.connect(grounds.root / "shop.db", isolation_level=None, timeout=0)) as connection:
        connection.execute("create table orders (id int primary key, amount int, at text)")
        connection.execute("insert into orders values (1, 10, '2026-03-01 07:00:00'), (2, -5, '2026-03-02 00:00:00')")
        yield connection


class TestSqlJobs(OnGrounds, JobsContract):
    """A job that goes on: it waits for a database that somebody holds."""

    @pytest.fixture
    async def jobs(self, opened, shop):
        async with opened(SECRET) as jobs:
            yield jobs

    @pytest.fixture
    def job(self, asks, shop):
        shop.execute("begin exclusive")
        return asks(statements="update orders set amount = 0")

    @pytest.fixture
    def operation(self):
        return connector.operations["run"]

    @pytest.fixture
    def secrets(self):
        return ("s3cr3t-t0ken",)

    @pytest.fixture
    def finish(self, grounds, jobs, job, shop):
        async def finish():
            shop.execute("rollback")
            for path in (grounds.state / "jobs").glob("*/"):
                await grounds.told(jobs, (await jobs.find(job, {}, path.name)).handle)

        return finish


async def test_statements_are_one_transaction(told, shop):
    good = await told(SHOP, statements=["insert into orders values (3, 1, ''); delete from orders where amount < 0"])
    bad = await told(SHOP, statements="create table made (x int); delete from orders; insert into nowhere values (1)")

    assert good == Finished(outcome=Outcome.OK, result={"code": 0, "statements": 2, "rows": 2})
    assert (bad.outcome, bad.note) == (Outcome.FAILED, "statement 3: no such table: nowhere")
    assert shop.execute("select count(*) from orders").fetchone() == (2,), "both before and after"
    assert shop.execute("select count(*) from sqlite_schema where name = 'made'").fetchone() == (0,)


async def test_without_a_transaction_what_was_done_stays_and_is_not_done_again(told, shop):
    answer = await told(SHOP, statements="delete from orders; vacuum; select nil", transaction=False)

    assert answer.note == (
        "statement 3: no such column: nil\nstatements 1 to 2 have taken effect; look before you run it again"
    )
    assert not answer.retryable
    assert shop.execute("select count(*) from orders").fetchone() == (0,)


async def test_what_cannot_stand_in_a_transaction_is_told_how_it_can(told, shop):
    assert (await told(SHOP, statements="vacuum")).note.endswith("\nsay transaction: false")


async def test_a_runs_values_are_bound_and_never_read_as_code(told, shop):
    evil = "x'); drop table orders; --"

    await told(
        SHOP,
        statements="""
            create table kept as select :name as name, :n as n, :run_id as run, :task_name as task;
            delete from orders where at >= :interval_end or date(at) < :interval_start_date;
        """,
        params={"name": evil, "n": None},
    )

    assert shop.execute("select * from kept").fetchall() == [(evil, None, "01RUN", "t")]
    assert shop.execute("select id from orders").fetchall() == [(1,)], "the interval's end is not in it"


async def test_a_file_is_read_when_the_job_begins(told, grounds, shop):
    (grounds.root / "clean.sql").write_text("delete from orders\n where at < :interval_end;\n-- done\n")

    assert (await told(SHOP, file="clean.sql")).result["rows"] == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"select '\xff'", "is not UTF-8"),
        (b"select :x", "nobody gives :x"),
        (b"select 1; rollback", "leave out ROLLBACK"),
        (b"select '{{ trigger.x }}'", "params: {x: '{{ trigger.x }}'}"),
        (b" " * 2**21, "is larger than"),
    ],
)
async def test_a_file_that_will_not_do_is_refused_before_anything_begins(opened, asks, grounds, text, words):
    if text is not None:
        (grounds.root / "x.sql").write_bytes(text)
    async with opened(SHOP) as jobs:
        with pytest.raises(Rejected) as err:
            await jobs.prepare(asks(file="x.sql"))
    assert words in str(err.value)


async def test_without_a_database_the_way_to_name_one_is_told(opened, asks):
    async with opened(None) as jobs:
        with pytest.raises(Rejected) as err:
            await jobs.prepare(asks(statements="select 1"))
    assert str(err.value) == NO_URL


async def test_a_check_holds_or_tells_what_does_not(told, shop):
    holds = await told(SHOP, query="select * from orders where amount < :least", params={"least": -100})
    fails = await told(SHOP, query="select id, amount from orders where amount < 0")
    sums = await told(SHOP, query="select sum(amount) from orders", min=6, url="sqlite:///shop.db")

    assert holds == Finished(outcome=Outcome.OK, result={"code": 0, "rows": 0})
    assert fails == Finished(
        outcome=Outcome.FAILED,
        note="1 row, and there should be none\nid | amount\n2 | -5",
        retryable=True,
        result={"code": 1},
    )
    assert sums.note == "5 is below the least, 6"


async def test_a_check_changes_nothing(told, shop):
    answer = await told(SHOP, query="delete from orders returning id")

    assert "readonly" in answer.note
    assert shop.execute("select count(*) from orders").fetchone() == (2,)


async def test_a_check_makes_no_database(told, grounds):
    answer = await told("sqlite:///none.db", query="select 1")

    assert answer.note == "there is no database none.db"
    assert not (grounds.root / "none.db").exists()


async def test_a_job_that_waits_for_its_database_can_be_cancelled_and_has_done_nothing(grounds, opened, asks, shop):
    shop.execute("begin exclusive")
    async with opened(SHOP) as jobs:
        job = asks(statements="delete from orders")
        handle = await jobs.start(job, await jobs.prepare(job), "key")
        while Place(jobs._launcher.directory(handle)).began() is None:
            await grounds.context().sleep(0.01)
        await jobs.cancel(handle)
        answer = await grounds.told(jobs, handle)
        shop.execute("rollback")

    assert answer.outcome is Outcome.FAILED
    assert shop.execute("select count(*) from orders").fetchone() == (2,)


@pytest.mark.parametrize(
    ("options", "again"),
    [
        ({"statements": "delete from orders"}, False),
        ({"statements": "delete from orders", "repeatable": True}, True),
        ({"query": "select * from orders"}, True),
    ],
)
async def test_what_may_have_run_is_not_run_again_unless_that_does_no_harm(grounds, opened, asks, shop, options, again):
    shop.execute("begin exclusive")
    async with opened(SHOP) as jobs:
        job = asks(**options)
        handle = await jobs.start(job, await jobs.prepare(job), "key")
        while (began := Place(jobs._launcher.directory(handle)).began()) is None:
            await grounds.context().sleep(0.01)
        os.kill(began.pid, signal.SIGKILL)
        answer = await grounds.told(jobs, handle)

    assert (answer.outcome, answer.retryable) == (Outcome.FAILED, again)
    assert (UNSEEN in answer.note) is not again


def test_an_end_that_nobody_saw_is_judged_by_what_was_left():
    lost = Finished(outcome=Outcome.FAILED, note="the process was lost: power", retryable=False)
    done = {"result": {"statements": 1, "rows": 3}}

    assert judged(lost, done, repeatable=False).outcome is Outcome.OK
    assert judged(lost, {}, repeatable=False).note == f"the process was lost: power\n{UNSEEN}"
    assert judged(lost, {"error": "no", "again": True}, repeatable=False).retryable
    unsure = replace(lost, retryable=True, result={"code": 1})
    for repeatable in (True, False):
        assert judged(unsure, {"error": "may have run", "again": False}, repeatable=repeatable).retryable is repeatable
    never = replace(lost, note="the process never began", retryable=True)
    assert judged(never, {}, repeatable=False) == never
    for code in (126, 127):
        absent = replace(never, result={"code": code})
        assert judged(absent, {}, repeatable=False) == absent


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "its url is none: write postgresql://"),
        ("snowflake://u:hunter22@h/d", "speaks snowflake: pip install 'snowflake-sqlalchemy'"),
        ("mysql://u:hunter22@h/d", "the driver MySQLdb is not installed: pip install 'mysqlclient'"),
        ("odd://u:hunter22@h/d", "nothing is installed that speaks odd: install the package"),
    ],
)
def test_what_is_not_installed_is_told_with_the_way_to_it(url, words):
    with pytest.raises(Failed) as err:
        open_any(url, reads=False, alone=False, who="")

    assert words in str(err.value)
    assert "hunter22" not in str(err.value)
    assert not err.value.again


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hun%2Fter22@h/d",
        "postgresql://u:hun/ter22@[::bad/d",
        "snowflake://u@h/d?warehouse=w&private_key_passphrase=hun%2Fter22",
    ],
)
def test_whatever_a_driver_repeats_of_a_url_its_secret_is_hidden(url):
    hide = hiding(url)

    for said in (url, "password hun/ter22 is wrong", f"cannot open {url} for u"):
        assert "ter22" not in hide(said)
    assert hide("no such host h") == "no such host h"


async def test_a_database_that_does_not_open_has_done_nothing(told):
    answer = await told("sqlite:////no/such/place/x.db", statements="select 1")

    assert (answer.note, answer.retryable) == ("no connection: unable to open database file", True)


async def test_a_url_is_in_no_process_list_and_in_no_file(grounds, opened, asks, shop):
    async with opened(SECRET) as jobs:
        job = asks(statements='select * from "s3cr3t-t0ken"')
        command = jobs._build(job, grounds.root)
        handle = await jobs.start(job, await jobs.prepare(job), "key")
        answer = await grounds.told(jobs, handle)

    assert "s3cr3t" not in f"{command!r}{command.argv}{command.env}"
    assert b"s3cr3t-t0ken" in command.stdin
    assert answer.note == "no such table: ***"
    for path in jobs._launcher.directory(handle).iterdir():
        assert b"s3cr3t" not in path.read_bytes()


async def test_a_probe_connects_or_names_what_to_mend(opened, shop):
    async with opened(SHOP) as jobs, opened("sqlite:///none.db") as none, opened(None) as unset:
        [good], [bad], [each] = await jobs.check(), await none.check(), await unset.check()

    assert (good.ok, good.detail) == (True, "sqlite")
    assert (bad.ok, bad.detail, bad.remedy) == (False, "there is no database none.db", "mend SQL_URL, or what it names")
    assert each.ok
    assert "SQL_URL is not set" in each.detail


def test_it_has_no_far_side_to_play():
    assert connector.sandbox(None) is None
