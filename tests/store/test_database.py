"""Opening a database: what is ours is used, what is not is left as it is, and a person is told what to do."""

import stat

import pytest
import sqlalchemy as sa
from store.ground import opened, sqlite

from stackhub.errors import StoreUnusable
from stackhub.store import database
from stackhub.store import tables as t
from stackhub.store.store import open_store


def ours(path, *statements):
    opened(path).dispose()
    sqlite(path, *statements)


def foreign(path):
    sqlite(path, "CREATE TABLE customers (id INTEGER)", "INSERT INTO customers VALUES (7)")


def text(path):
    path.write_text("Dear diary, " * 100)


def newer(path):
    ours(path, f"UPDATE stackhub_schema SET version = {t.VERSION + 8}, oldest_reader = {t.VERSION + 1}")


def half_made(path):
    ours(path, "DELETE FROM stackhub_schema")


def robbed(path):
    ours(path, "DROP TABLE run", "DROP TABLE step")


def older(path):
    ours(path, "UPDATE stackhub_schema SET version = 0, oldest_reader = 0")


UNUSABLE = [
    (foreign, "is not a stackhub database"),
    (text, "file is not a database"),
    (newer, "written by a newer stackhub .*start that version, or restore a backup"),
    (half_made, "half made: delete it, or restore a backup"),
    (robbed, r"lacks tables \(run, step\): restore a backup"),
    (older, "run `stackhub db upgrade` first"),
]


@pytest.mark.parametrize(("make", "told"), UNUSABLE, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_not_ours_to_use_is_told_with_the_way_out_and_left_as_it_was(tmp_path, make, told):
    path = tmp_path / "hub.db"
    make(path)
    before = path.read_bytes()
    engine = database.engine(f"sqlite:///{path}")
    with pytest.raises(StoreUnusable, match=told) as caught:
        database.prepare(engine, "test", migrate=False)
    engine.dispose()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path], "no journal is left beside it"


def test_a_version_that_still_lets_us_read_is_used(tmp_path):
    ours(tmp_path / "hub.db", f"UPDATE stackhub_schema SET version = {t.VERSION + 1}")
    engine = opened(tmp_path / "hub.db")
    assert database.version_of(engine) == t.VERSION + 1
    engine.dispose()


def test_a_new_database_is_private_and_says_who_made_it(tmp_path):
    engine = opened(tmp_path / "hub.db")
    with engine.connect() as connection:
        row = connection.execute(sa.select(t.schema)).one()
    engine.dispose()
    assert (row.version, row.oldest_reader, row.written_by) == (t.VERSION, t.OLDEST_READER, "test")
    assert stat.S_IMODE((tmp_path / "hub.db").stat().st_mode) == 0o600


def test_a_file_that_is_empty_is_a_new_database(tmp_path):
    (tmp_path / "hub.db").touch()
    opened(tmp_path / "hub.db").dispose()


def test_opening_twice_changes_nothing(tmp_path):
    opened(tmp_path / "hub.db").dispose()
    before = (tmp_path / "hub.db").read_bytes()
    opened(tmp_path / "hub.db").dispose()
    assert (tmp_path / "hub.db").read_bytes() == before


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nonsense", "not a database URL"),
        ("mongodb://x/y", "not a database URL"),
        ("sqlite:////nowhere/at/all/hub.db", "/nowhere/at/all/hub.db cannot be used: unable to open"),
    ],
)
def test_a_url_that_leads_nowhere_is_told(url, told):
    with pytest.raises(StoreUnusable, match=told):
        database.prepare(database.engine(url), "test")


def test_a_password_in_a_url_is_not_told():
    engine = sa.create_engine("postgresql+psycopg://ada:hunter2@localhost:1/x")
    with pytest.raises(StoreUnusable) as caught:
        database.version_of(engine)
    assert "hunter2" not in str(caught.value)
    assert "***" in str(caught.value)


async def test_one_hub_at_a_time_has_a_database_wherever_its_state_directory_is(tmp_path):
    url = f"sqlite:///{tmp_path / 'elsewhere' / 'hub.db'}"
    (tmp_path / "elsewhere").mkdir()
    async with open_store(url, tmp_path / "one", written_by="test"):
        with pytest.raises(StoreUnusable, match="held by another stackhub"):
            async with open_store(url, tmp_path / "two", written_by="test"):
                pass
        other = f"sqlite:///{tmp_path / 'other.db'}"
        with pytest.raises(StoreUnusable, match="held by another stackhub"):
            async with open_store(other, tmp_path / "one", written_by="test"):
                pass
    async with open_store(url, tmp_path / "two", written_by="test"):
        pass


async def test_a_store_that_cannot_be_opened_leaves_no_lock(tmp_path):
    text(tmp_path / "hub.db")
    for _ in range(2):
        with pytest.raises(StoreUnusable, match="not a database"):
            async with open_store(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path, written_by="test"):
                pass


async def test_a_state_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="STACKHUB_STATE_DIR"):
        async with open_store(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path / "file" / "state", written_by="test"):
            pass
