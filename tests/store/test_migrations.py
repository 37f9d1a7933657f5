"""Databases of older versions become ones of this version, whole or not at all."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from store.ground import everything, line, made_ready, say, store_at, texts

import stackhub
from stackhub.errors import StoreUnusable
from stackhub.store import database, schema
from stackhub.store import tables as t


def script():
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    return config


def shape(engine):
    """Every table, column, key and index, as the database itself describes them."""
    seen = sa.inspect(engine)
    return {
        name: (
            [(c["name"], str(c["type"]), c["nullable"], c.get("autoincrement")) for c in seen.get_columns(name)],
            seen.get_pk_constraint(name)["constrained_columns"],
            sorted((i["name"], i["column_names"], i["unique"], _condition(i)) for i in seen.get_indexes(name)),
        )
        for name in seen.get_table_names()
        if name != "alembic_version"
    }


def _condition(index):
    found = {str(value) for name, value in index.get("dialect_options", {}).items() if name.endswith("where")}
    return " ".join("".join(found).split())


def test_migrating_an_empty_database_gives_the_tables_that_a_new_one_has(empty):
    """Where this fails after a change of `tables`, the change wants a migration (before a release: one in 0001)."""
    made_ready(empty)
    engine = database.engine(empty)
    expected = shape(engine)
    t.metadata.drop_all(engine)
    assert shape(engine) == {}
    config = script()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        row = connection.execute(sa.select(t.schema)).one()
    assert shape(engine) == expected
    assert (row.version, row.oldest_reader) == (t.VERSION, t.OLDEST_READER)
    assert sum(len(indexes) for _, _, indexes in expected.values()) > 10
    engine.dispose()


def test_the_newest_migration_makes_the_version_we_know_and_they_are_one_line():
    found = ScriptDirectory.from_config(script())
    revisions = [one.revision for one in found.walk_revisions()]
    assert revisions == [f"{nth:04d}" for nth in range(t.VERSION, 0, -1)]


def older(url):
    """A database from before the first version: nothing but the table that says so."""
    made = str(sa.schema.CreateTable(t.schema))
    say(url, made, "INSERT INTO stackhub_schema VALUES (1, 0, 0, 'stackhub 0.0')")


async def test_an_older_database_is_brought_up_to_date(empty):
    older(empty)
    async with store_at(empty) as store:
        await store.apply(line("works"))
        assert await texts(store) == ["works"]
        row = await store.read(lambda c: c.execute(sa.select(t.schema)).one())
        assert (row.version, row.oldest_reader, row.written_by) == (t.VERSION, t.OLDEST_READER, "test")


def test_a_file_is_brought_up_to_date_after_a_backup(tmp_path):
    url = f"sqlite:///{tmp_path / 'hub 100%.db'}"
    older(url)
    made_ready(url)
    (backup,) = tmp_path.glob("*.before-*")
    assert backup.name.startswith(f"hub 100%.db.before-{t.VERSION}-")
    with sqlite3.connect(backup) as connection:
        assert connection.execute("SELECT version, written_by FROM stackhub_schema").fetchall() == [(0, "stackhub 0.0")]
    connection.close()
    made_ready(url)
    assert len(list(tmp_path.glob("*.before-*"))) == 1, "the second time there is nothing to do"


def test_a_migration_that_cannot_be_done_changes_nothing(empty):
    """As one that somebody has begun by hand."""
    older(empty)
    say(empty, "CREATE TABLE event (mine INTEGER)")
    before = everything(empty)
    engine = database.engine(empty)
    with pytest.raises(StoreUnusable, match=r"cannot be upgraded, nothing has changed: .*event") as caught:
        schema.prepare(engine, "test")
    assert (".before-" in str(caught.value)) == empty.startswith("sqlite"), "the backup is named, where there is one"
    engine.dispose()
    assert everything(empty) == before


@pytest.mark.postgres
@pytest.mark.parametrize("older_one", [True, False])
def test_of_several_hubs_that_come_at_once_one_makes_the_tables_and_the_others_find_them(empty_server_url, older_one):
    if older_one:
        older(empty_server_url)
    hubs = 4
    ready = Barrier(hubs)

    def come(nth):
        engine = database.engine(empty_server_url)
        ready.wait(30)
        schema.prepare(engine, f"hub {nth}")
        engine.dispose()

    with ThreadPoolExecutor(hubs) as pool:
        assert list(pool.map(come, range(hubs))) == [None] * hubs
    engine = database.engine(empty_server_url)
    assert schema.version_of(engine) == t.VERSION
    with engine.connect() as connection:
        assert connection.execute(sa.select(t.schema.c.written_by)).scalar_one().startswith("hub ")
    engine.dispose()


def test_alembic_is_loaded_only_by_who_needs_it(tmp_path):
    """It costs a start a tenth of a second."""
    program = (
        "import sys; from stackhub.store import database, schema, store;"
        f"schema.prepare(database.engine('sqlite:///{tmp_path / 'hub.db'}'), 'test');"
        "print('alembic' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(stackhub.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "False\n"
