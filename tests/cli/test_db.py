"""Moving to another database."""

import json

import pytest

from stackhub.store.lock import HubLock


@pytest.fixture
def server_url(postgres, monkeypatch):
    """A new database, whose URL is in the environment and has a password in it."""
    with postgres.borrowed() as lent:
        yield lent.replace("postgres@", "postgres:hunter2@")


def test_a_store_moves_to_a_server_and_its_history_with_it(stackhub, directory, server_url, monkeypatch):
    assert stackhub("run", "shop").code == 0
    assert stackhub("run", "broken").code == 1
    before = stackhub("runs", "--json").json
    monkeypatch.setenv("STACKHUB_DATABASE_URL", server_url)
    assert stackhub("runs", "--json").json == []

    done = stackhub("db", "copy", str(directory / ".stackhub" / "stackhub.db"))

    assert done.code == 0, done.err
    assert ["run", "2"] in [line.split() for line in done.lines]
    assert ["step", "6"] in [line.split() for line in done.lines]
    assert "the file is as it was" in done.err
    assert "hunter2" not in done.out + done.err
    assert stackhub("runs", "--json").json == before
    assert stackhub("logs", "last.good").out == "fine\n"
    assert stackhub("run", "shop").code == 0, "and it goes on there"
    assert len(stackhub("runs", "--json").json) == 3

    again = stackhub("db", "copy", str(directory / ".stackhub" / "stackhub.db"))
    assert again.code == 2
    assert "in use already" in again.err
    assert "hunter2" not in again.out + again.err


def test_what_cannot_be_copied_from_is_told(stackhub, directory, tmp_path, monkeypatch):
    file = directory / ".stackhub" / "stackhub.db"
    assert stackhub("db", "copy", str(file)).err == f"there is no file {file}\n"
    assert stackhub("run", "shop").code == 0
    same = stackhub("db", "copy", str(file))
    assert (same.code, same.err.partition(": ")[2]) == (2, "set STACKHUB_DATABASE_URL to the new one first\n")
    monkeypatch.setenv("STACKHUB_DATABASE_URL", "sqlite:///other.db")
    notes = tmp_path / "notes"
    notes.write_text("no database, and longer than the header of one is, which has a hundred bytes\n" * 20)
    told = stackhub("db", "copy", str(notes))
    assert (told.code, told.err) == (2, f"{notes} cannot be used: file is not a database\n")


def test_a_file_that_a_hub_works_on_is_not_copied(stackhub, directory, monkeypatch, tmp_path):
    assert stackhub("run", "shop").code == 0
    monkeypatch.setenv("STACKHUB_DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    monkeypatch.setenv("STACKHUB_STATE_DIR", str(tmp_path / "elsewhere"))
    state = directory / ".stackhub"
    (tmp_path / "link").symlink_to(state)
    for lock in ("hub.lock", "stackhub.db.lock"):
        held = HubLock.take(state / lock)
        for way in (state, tmp_path / "link"):
            told = stackhub("db", "copy", str(way / "stackhub.db"))
            assert told.code == 2
            assert "works on" in told.err
            assert "stop it first" in told.err
        held.release()
        (state / lock).unlink()
    assert not (tmp_path / "new.db").exists()
    assert stackhub("db", "copy", str(state / "stackhub.db")).code == 0
    assert len(json.loads(stackhub("runs", "--json").out)) == 1


def test_a_server_that_is_away_is_told_in_one_line(stackhub, monkeypatch, tmp_path):
    monkeypatch.setenv("STACKHUB_DATABASE_URL", f"postgresql://ada:hunter2@/x?host={tmp_path}")
    for argv in (["runs"], ["db", "upgrade"], ["trigger", "shop"], ["show", "last"]):
        told = stackhub(*argv)
        assert told.code == 1, argv
        assert len(told.err.splitlines()) == 1, told.err
        assert "hunter2" not in told.err
        assert f"the database 'x' at {tmp_path} cannot be used now" in told.err
