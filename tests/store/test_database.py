"""Opening a database: what is ours is used, what is not is left as it is, and a person is told what to do."""

import stat

import pytest
import sqlalchemy as sa
from store.ground import everything, made_ready, opened, say

from stackhub.errors import StoreUnavailable, StoreUnusable
from stackhub.store import database, schema
from stackhub.store import tables as t
from stackhub.store.store import open_store


def ours(url, *statements):
    made_ready(url)
    say(url, *statements)


def foreign(url):
    say(url, "CREATE TABLE customers (id INTEGER)", "INSERT INTO customers VALUES (7)")


def newer(url):
    ours(url, f"UPDATE stackhub_schema SET version = {t.VERSION + 8}, oldest_reader = {t.VERSION + 1}")


def half_made(url):
    ours(url, "DELETE FROM stackhub_schema")


def robbed(url):
    ours(url, "DROP TABLE run", "DROP TABLE step")


def half_migrated(url):
    ours(url, "ALTER TABLE outbox DROP COLUMN doubt")


def newer_and_robbed(url):
    ours(url, f"UPDATE stackhub_schema SET version = {t.VERSION + 1}", "ALTER TABLE run DROP COLUMN version")


def older(url):
    ours(url, "UPDATE stackhub_schema SET version = 0, oldest_reader = 0")


UNUSABLE = [
    (foreign, "is not a stackhub database.* name one of its own"),
    (newer, "written by a newer stackhub .*start that version, or restore a backup"),
    (half_made, "half made: delete it, or restore a backup"),
    (robbed, r"lacks tables \(run, step\): restore a backup"),
    (half_migrated, r"lacks columns \(outbox.doubt\): restore a backup"),
    (newer_and_robbed, r"lacks columns \(run.version\): restore a backup"),
    (older, "run `stackhub db upgrade` first"),
]


@pytest.mark.parametrize(("make", "told"), UNUSABLE, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_not_ours_to_use_is_told_with_the_way_out_and_left_as_it_was(empty, tmp_path, make, told):
    make(empty)
    before = everything(empty)
    engine = database.engine(empty)
    with pytest.raises(StoreUnusable, match=told) as caught:
        schema.prepare(engine, "test", migrate=False)
    engine.dispose()
    assert str(caught.value).startswith(database.named(engine))
    assert everything(empty) == before
    assert [path.name for path in tmp_path.iterdir()] in ([], ["hub.db"]), "no journal is left beside it"


def test_a_file_that_is_no_database_is_left_as_it_was(tmp_path):
    path = tmp_path / "hub.db"
    path.write_text("Dear diary, " * 100)
    with pytest.raises(StoreUnusable, match=r"hub\.db cannot be used: file is not a database"):
        schema.prepare(database.engine(f"sqlite:///{path}"), "test", migrate=False)
    assert path.read_text() == "Dear diary, " * 100
    assert list(tmp_path.iterdir()) == [path]


def test_a_version_that_still_lets_us_read_is_used(empty):
    ours(empty, f"UPDATE stackhub_schema SET version = {t.VERSION + 1}", "ALTER TABLE run ADD COLUMN colour TEXT")
    engine = opened(empty)
    assert schema.version_of(engine) == t.VERSION + 1
    engine.dispose()


def test_a_new_database_says_who_made_it(empty):
    engine = opened(empty)
    with engine.connect() as connection:
        row = connection.execute(sa.select(t.schema)).one()
    engine.dispose()
    assert (row.version, row.oldest_reader, row.written_by) == (t.VERSION, t.OLDEST_READER, "test")


def test_a_new_file_is_private(file, tmp_path):
    made_ready(file)
    assert stat.S_IMODE((tmp_path / "hub.db").stat().st_mode) == 0o600


def test_a_file_that_is_empty_is_a_new_database(tmp_path, file):
    (tmp_path / "hub.db").touch()
    made_ready(file)


def test_opening_twice_changes_nothing(empty):
    made_ready(empty)
    before = everything(empty)
    made_ready(empty)
    assert everything(empty) == before


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nonsense", "not a database URL"),
        ("mongodb://x/y", "not a database URL"),
        ("postgresql+psycopg2://x/y", r"leave out \+psycopg2"),
        ("sqlite:////nowhere/at/all/hub.db", "/nowhere/at/all/hub.db cannot be used: unable to open"),
    ],
)
def test_a_url_that_leads_nowhere_is_told(url, told):
    with pytest.raises(StoreUnusable, match=told):
        schema.prepare(database.engine(url), "test")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:hunter2@localhost:1/x",
        "postgresql://ada@localhost:1/x?password=hunter2",
        "postgresql://ada:x@hunter2@localhost:1/x",
        "postgresql://ada:x/y:hunter2@localhost:1/x",
        "postgresql://ada@localhost:hunter2/x",
    ],
)
def test_a_password_in_a_url_is_not_told(url):
    with pytest.raises((StoreUnusable, StoreUnavailable)) as caught:
        schema.version_of(database.engine(url))
    seen = caught.value
    while seen is not None:
        assert "hunter2" not in str(seen)
        seen = seen.__cause__


def told_of(url):
    """Return what is said of a database that cannot be used."""
    engine = database.engine(url)
    with pytest.raises((StoreUnusable, StoreUnavailable)) as caught:
        schema.prepare(engine, "test")
    engine.dispose()
    return caught.value


@pytest.mark.postgres
def test_a_server_that_does_not_answer_may_later_and_one_that_refuses_will_not(postgres, tmp_path):
    away = told_of(f"postgresql://postgres@/x?host={tmp_path}")
    assert isinstance(away, StoreUnavailable)
    assert str(away).startswith(f"the database 'x' at {tmp_path} cannot be used now: ")
    gone = told_of(postgres.url("nowhere"))
    assert isinstance(gone, StoreUnusable)
    assert 'database "nowhere" does not exist' in str(gone)


@pytest.mark.postgres
def test_a_database_that_could_not_keep_every_character_is_refused(postgres):
    name = postgres.database(like="template0", options="ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    told = told_of(postgres.url(name))
    assert isinstance(told, StoreUnusable)
    assert "keeps text as SQL_ASCII: make one with CREATE DATABASE ... ENCODING 'UTF8'" in str(told)


@pytest.mark.postgres
def test_a_database_that_lets_us_make_no_tables_says_so(empty_server_url):
    say(empty_server_url, "DROP SCHEMA public")
    told = told_of(empty_server_url)
    assert isinstance(told, StoreUnusable)
    assert "cannot be made ready: no schema has been selected" in str(told)


async def test_older_tables_are_migrated_unasked_only_where_no_other_hub_can_be_at_work(empty, tmp_path):
    older(empty)
    say(empty, *(f'DROP TABLE "{name}"' for name in t.metadata.tables if name != t.schema.name))
    before = everything(empty)
    if not empty.startswith("sqlite"):
        with pytest.raises(
            StoreUnusable, match="`stackhub db upgrade` first, or start with `stackhub serve --migrate`"
        ):
            async with open_store(empty, tmp_path, written_by="test"):
                pass
        assert everything(empty) == before
    async with open_store(empty, tmp_path, written_by="test", migrate=None if empty.startswith("sqlite") else True):
        pass
    made_ready(empty)


# --- one hub at a time ---


async def test_one_hub_at_a_time_has_a_file_wherever_its_state_directory_is(tmp_path):
    url = f"sqlite:///{tmp_path / 'elsewhere' / 'hub.db'}"
    (tmp_path / "elsewhere").mkdir()
    async with open_store(url, tmp_path / "one", written_by="test"):
        with pytest.raises(StoreUnusable, match="held by another stackhub"):
            async with open_store(url, tmp_path / "two", written_by="test"):
                pass
    async with open_store(url, tmp_path / "two", written_by="test"):
        pass


async def test_one_hub_at_a_time_has_a_state_directory_wherever_its_database_is(tmp_path, empty):
    other = f"sqlite:///{tmp_path / 'other.db'}"
    async with open_store(empty, tmp_path / "one", written_by="test"):
        with pytest.raises(StoreUnusable, match="held by another stackhub"):
            async with open_store(other, tmp_path / "one", written_by="test"):
                pass
        with pytest.raises(StoreUnusable, match="held by another stackhub"):
            async with open_store(empty, tmp_path / "one", written_by="test"):
                pass
    async with open_store(empty, tmp_path / "one", written_by="test"):
        pass


@pytest.mark.postgres
async def test_several_hubs_have_a_server_s_database_each_with_its_own_state_directory(tmp_path, server_url):
    async with (
        open_store(server_url, tmp_path / "one", written_by="test") as one,
        open_store(server_url, tmp_path / "two", written_by="test") as two,
    ):
        query = sa.select(t.schema.c.version)
        for store in (one, two):
            assert await store.read(lambda connection: connection.scalar(query)) == t.VERSION


async def test_a_store_that_cannot_be_opened_leaves_no_lock(tmp_path, empty):
    foreign(empty)
    for _ in range(2):
        with pytest.raises(StoreUnusable, match="not a stackhub database"):
            async with open_store(empty, tmp_path / "state", written_by="test"):
                pass


async def test_a_state_directory_that_cannot_be_made_is_told(tmp_path, empty):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="STACKHUB_STATE_DIR"):
        async with open_store(empty, tmp_path / "file" / "state", written_by="test"):
            pass
