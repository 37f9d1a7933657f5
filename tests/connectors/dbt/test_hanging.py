"""A project whose files do not answer any more, as on a mount that is gone: a pipe that nobody writes into."""

import os
import threading

import pytest
from dbt_stage import RECORDED, asking, begun, ended

from stackhub.contract import Aside, Unavailable, in_thread
from stackhub_dbt import instance

GONE = r"the files: no answer within 0\.05 s"


async def test_whoever_looks_at_them_is_told_so_until_they_answer_again(stage, dbt):
    pipe = stage.grounds.root / "orders.sql"
    os.mkfifo(pipe)
    dbt._aside = Aside("the files", 0.05)
    with pytest.raises(Unavailable, match=GONE):
        await dbt.fingerprint()
    for asked in (dbt.fingerprint(), dbt.check(), dbt.prepare(asking()), dbt.reading(asking())):
        with pytest.raises(Unavailable, match=GONE):
            await asked
    hangs = next(thread for thread in threading.enumerate() if thread.name == "aside")
    writer = os.open(pipe, os.O_RDWR)
    pipe.unlink()
    os.close(writer)
    await in_thread(hangs.join)
    dbt._aside._patience = 30.0
    assert await dbt.fingerprint() == await dbt.fingerprint()


async def test_a_job_that_has_ended_has_ended(stage, dbt, monkeypatch):
    stage.plays(says=str(RECORDED / "v1_nothing.jsonl"), code=0)
    mount = threading.Event()
    monkeypatch.setattr(instance, "revision", lambda _: "3f2a1c9d04b7")
    handle = await begun(stage, dbt, asking())
    monkeypatch.setattr(instance, "revision", lambda _: mount.wait())
    dbt._aside = Aside("the files", 0.05)
    stage.grounds.gate.say()
    answer = await ended(stage, dbt, handle)
    mount.set()
    assert answer.result["revision"] == "3f2a1c9d04b7"
    assert "underneath" not in answer.warning
