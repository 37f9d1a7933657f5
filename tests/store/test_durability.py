"""What was acknowledged is kept: after a close, after a kill, in a backup made meanwhile."""

import subprocess
import sys
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa
from store.ground import line, store_at, texts

import stackhub
from stackhub.errors import StoreUnusable
from stackhub.store import database

TESTS = Path(__file__).parents[1]
APPLYING = Path(__file__).with_name("applying.py")


async def test_every_commit_is_on_the_disk_before_it_is_acknowledged(file_store):
    for pragma, wanted in (("synchronous", 2), ("journal_mode", "wal")):
        found = await file_store.call(lambda c, pragma=pragma: c.exec_driver_sql(f"PRAGMA {pragma}").scalar())
        assert found == wanted


async def test_what_was_kept_is_there_when_the_store_is_opened_again(url):
    async with store_at(url) as store:
        await store.apply(line("kept"))
    async with store_at(url) as store:
        assert await texts(store) == ["kept"]


@pytest.mark.parametrize("lines", [1, 333])
async def test_a_process_that_is_killed_loses_nothing_it_acknowledged(url, lines):
    paths = f"{TESTS}:{Path(stackhub.__file__).parents[1]}"
    process = subprocess.Popen(
        [sys.executable, str(APPLYING), url],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": paths, "PATH": "/usr/bin:/bin"},
    )
    try:
        told = [process.stdout.readline().strip() for _ in range(lines)]
    finally:
        process.kill()
        left, _ = process.communicate()
    told += [name for name in left.split("\n")[:-1] if name]
    assert len(told) >= lines
    async with store_at(url) as store:
        kept = await texts(store)
    assert set(told) <= set(kept)
    assert len(set(kept)) == len(kept)


async def test_a_backup_made_while_things_are_kept_is_whole_and_private(file_store, tmp_path):
    store = file_store
    to = tmp_path / "backups" / "hub.db"
    async with anyio.create_task_group() as group:
        for nth in range(300):
            group.start_soon(store.apply, line(str(nth)))
        await store.apply(line("before"))
        await anyio.to_thread.run_sync(database.backup, store.engine, to)
    assert to.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in to.parent.iterdir()) == ["hub.db"]
    async with store_at(f"sqlite:///{to}") as copy:
        found = await texts(copy)
        assert "before" in found
        assert set(found) <= set(await texts(store))
        assert await copy.call(lambda c: c.exec_driver_sql("PRAGMA integrity_check").scalar()) == "ok"


async def test_a_backup_takes_the_place_of_nothing(file_store, tmp_path):
    to = tmp_path / "notes.txt"
    to.write_text("mine")
    with pytest.raises(StoreUnusable, match="exists already"):
        database.backup(file_store.engine, to)
    assert to.read_text() == "mine"
    with pytest.raises(StoreUnusable, match="cannot write the backup"):
        database.backup(file_store.engine, tmp_path / "notes.txt" / "hub.db")


def test_another_kind_of_database_is_backed_up_with_its_own_tools():
    with pytest.raises(StoreUnusable, match="pg_dump"):
        database.backup(sa.create_engine("postgresql+psycopg://nowhere/x"), Path("x"))


async def test_a_file_that_vanishes_is_waited_for_and_never_made_anew(file_store, tmp_path):
    """A mount that is gone leaves an empty directory: SQLite would make an empty database in it."""
    store = file_store
    await store.apply(line("before"))
    store.engine.dispose()
    with pytest.raises(ZeroDivisionError):  # after which the writer trusts its connection no more
        await store.call(lambda _: 1 / 0)
    away = (tmp_path / "hub.db").rename(tmp_path / "elsewhere.db")
    async with anyio.create_task_group() as group:
        read = []

        async def look() -> None:
            read.extend(await texts(store))

        group.start_soon(look)
        future = store.writer.apply(line("after"))
        with anyio.fail_after(10):
            while not (store.writer.ailing and store.read.ailing):
                await anyio.lowlevel.checkpoint()
        assert "is gone" in store.ailing
        assert not (tmp_path / "hub.db").exists()
        away.rename(tmp_path / "hub.db")
        await future
    assert "before" in read
    assert await texts(store) == ["before", "after"]
    assert store.ailing == ""
