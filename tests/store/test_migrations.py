"""Databases of older versions become ones of this version, whole or not at all."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from store.ground import line, opened, sqlite, store_at, texts

import stackhub
from stackhub.errors import StoreUnusable
from stackhub.store import database
from stackhub.store import tables as t

SCHEMA = str(sa.schema.CreateTable(t.schema))


def script():
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    return config


def shape(path):
    """Every table and index, as SQLite remembers them, free of how the words stand on the line."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        columns = {
            name: connection.execute(f"PRAGMA table_xinfo('{name}')").fetchall()
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    connection.close()
    indexes = {name: " ".join(sql.split()) for name, sql in rows if " INDEX " in sql}
    return {name: found for name, found in columns.items() if name != "alembic_version"}, indexes


def test_migrating_an_empty_database_gives_the_tables_that_a_new_one_has(tmp_path):
    """Where this fails after a change of `tables`, the change wants a migration (before a release: one in 0001)."""
    opened(tmp_path / "new.db").dispose()
    engine = database.engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    config = script()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()
    assert shape(tmp_path / "migrated.db") == shape(tmp_path / "new.db")
    version = "SELECT version, oldest_reader FROM stackhub_schema"
    for name in ("migrated", "new"):
        with sqlite3.connect(tmp_path / f"{name}.db") as connection:
            assert connection.execute(version).fetchall() == [(t.VERSION, t.OLDEST_READER)], name
        connection.close()


def test_the_newest_migration_makes_the_version_we_know_and_they_are_one_line():
    found = ScriptDirectory.from_config(script())
    revisions = [one.revision for one in found.walk_revisions()]
    assert revisions == [f"{nth:04d}" for nth in range(t.VERSION, 0, -1)]


def older(path):
    """A database from before the first version: nothing but the table that says so."""
    sqlite(path, SCHEMA, "INSERT INTO stackhub_schema VALUES (1, 0, 0, 'stackhub 0.0')")


async def test_an_older_database_is_brought_up_to_date_after_a_backup(tmp_path):
    path = tmp_path / "hub 100%.db"
    older(path)
    async with store_at(path) as store:
        await store.apply(line("works"))
        assert await texts(store) == ["works"]
        row = await store.read(lambda c: c.execute(sa.select(t.schema)).one())
        assert (row.version, row.oldest_reader, row.written_by) == (t.VERSION, t.OLDEST_READER, "test")
    (backup,) = tmp_path.glob("*.before-*")
    assert backup.name.startswith(f"hub 100%.db.before-{t.VERSION}-")
    with sqlite3.connect(backup) as connection:
        assert connection.execute("SELECT version, written_by FROM stackhub_schema").fetchall() == [(0, "stackhub 0.0")]
    connection.close()
    opened(path).dispose()
    assert len(list(tmp_path.glob("*.before-*"))) == 1, "the second time there is nothing to do"


def test_a_migration_that_cannot_be_done_changes_nothing_and_names_the_backup(tmp_path):
    path = tmp_path / "hub.db"
    older(path)
    sqlite(path, "CREATE TABLE event (mine INTEGER)")
    engine = database.engine(f"sqlite:///{path}")
    with pytest.raises(StoreUnusable, match=r"nothing has changed: .*event.*hub\.db\.before-"):
        database.prepare(engine, "test")
    engine.dispose()
    with sqlite3.connect(path) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert names == {"stackhub_schema", "event"}
        assert connection.execute("SELECT version FROM stackhub_schema").fetchall() == [(0,)]
    connection.close()


def test_alembic_is_loaded_only_by_who_needs_it(tmp_path):
    """It costs a start a tenth of a second."""
    program = (
        "import sys; from stackhub.store import database, store;"
        f"e = database.engine('sqlite:///{tmp_path / 'hub.db'}'); database.prepare(e, 'test');"
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
