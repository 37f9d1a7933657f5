"""Connectors, the schema and the database."""

import sqlite3

import pytest

from stackhub import registry
from stackhub.cli.admin import variables
from stackhub.config.settings import HubSettings
from stackhub.store import tables


def test_every_installed_connector_is_listed_with_what_it_does_and_reads(stackhub):
    found = {one["name"]: one for one in stackhub("connectors", "--json").json}
    assert set(found) == set(registry.installed())
    assert "fivetran.sync" in found["fivetran"]["operations"]
    assert found["slack"]["notifies"]
    fivetran = {one["name"]: one for one in found["fivetran"]["variables"]}
    assert fivetran["FIVETRAN_API_SECRET"] == {
        "name": "FIVETRAN_API_SECRET",
        "required": True,
        "default": None,
        "secret": True,
        "description": "",
    }
    assert fivetran["FIVETRAN_API_URL"]["default"] == "https://api.fivetran.com"
    assert not fivetran["FIVETRAN_API_URL"]["secret"]


def test_connectors_are_shown_one_block_each(stackhub):
    shown = stackhub("connectors", "shell").lines
    assert shown[0].startswith("shell  ")
    assert shown[1].split() == ["shell.run", "Run", "a", "command."]
    assert shown[-1].split()[0] == "*"
    assert stackhub("connectors", "nix").code == 2


def test_a_default_is_never_a_secret():
    found = {one["name"]: one for one in variables(HubSettings)}
    assert all(one["default"] is None for one in found.values() if one["secret"])
    assert found["STACKHUB_GRACE"]["default"] == "10s"
    assert found["STACKHUB_PORT"]["default"] == 8787


def test_the_schema_knows_the_installed_operations(stackhub):
    made = stackhub("schema").json
    assert {"shell.run", "fivetran.sync", "dbt.build"} <= set(made["$defs"]["TaskFile"]["properties"]["uses"]["enum"])


def test_the_database_is_made_and_upgraded_by_hand(stackhub, directory):
    done = stackhub("db", "upgrade")
    assert (done.code, done.err) == (
        0,
        f"the database has tables of version {tables.VERSION}, as this stackhub needs them\n",
    )
    assert (directory / ".stackhub" / "stackhub.db").exists()
    assert stackhub("runs", "--json").json == []


def test_a_backup_is_a_database_that_can_be_read(stackhub, directory, tmp_path):
    none = stackhub("db", "backup", str(tmp_path / "none.db"))
    assert (none.code, none.err.partition(":")[0]) == (2, "there is no database yet")
    assert stackhub("run", "shop").code == 0
    saved = stackhub("db", "backup", str(tmp_path / "saved.db"))
    assert (saved.code, saved.lines) == (0, [str(tmp_path / "saved.db")])
    with sqlite3.connect(tmp_path / "saved.db") as connection:
        assert connection.execute("SELECT count(*) FROM run").fetchone() == (1,)
    connection.close()


@pytest.mark.parametrize("argv", [["runs"], ["show", "last"], ["alerts"], ["trigger", "shop"], ["db", "upgrade"]])
def test_a_file_that_is_no_database_of_ours_is_left_alone(stackhub, directory, argv):
    state = directory / ".stackhub"
    state.mkdir()
    (state / "stackhub.db").write_text("something else entirely, and longer than a header of SQLite is\n" * 20)
    before = (state / "stackhub.db").read_bytes()
    shown = stackhub(*argv)
    assert shown.code == 2
    assert "cannot be used: file is not a database" in shown.err
    assert len(shown.err.splitlines()) == 1
    assert (state / "stackhub.db").read_bytes() == before
