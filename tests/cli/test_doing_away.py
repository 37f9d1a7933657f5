"""What is asked for while the database is away."""

import sqlite3


def test_a_wish_that_cannot_be_kept_is_told_and_not_kept_later(stackhub, directory, monkeypatch):
    monkeypatch.setattr("stackhub.cli.asking.PATIENCE", 0.1)
    assert stackhub("run", "broken").code == 1
    (path,) = directory.rglob("stackhub.db")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    asked = stackhub("pause", "broken", "--reason", "later")
    other.execute("COMMIT")
    assert asked.code == 1
    assert asked.err == "the database is away: database is locked\n"
    assert other.execute("SELECT count(*) FROM command WHERE kind = 'pause'").fetchone() == (0,)
    other.close()
