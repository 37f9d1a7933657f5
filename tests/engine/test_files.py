"""Files that come in: each is handed to one run, once it does not grow any more, whatever dies when."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from engine.house import House
from engine.lives import every_death
from engine.test_triggers import ran
from s3 import KEYS, bucket, endpoint

from stackhub.engine import files
from stackhub.engine.localfiles import local_files
from stackhub_objects import s3

STEP = timedelta(seconds=5)
WHEN_NEW = """
pipeline: marts
triggers: [{file: in/*.csv, every: 10s, settle: 5s}]
tasks: {build: {uses: mill.build, with: {select: "{{ trigger.files:-nothing }}"}, retries: {attempts: 1}}}
"""


def furnish(house, text=WHEN_NEW):
    house.scheduled = True
    house.instances("mill").pipeline(text)
    (house.root / "in").mkdir()
    put(house, "old.csv")
    return house


@pytest.fixture
def inbox(house):
    return furnish(house)


def put(house, name, text="1,2\n"):
    path = house.root / "in" / name
    path.write_text(text)
    return str(path)


async def in_force(hub):
    await looked(hub)


async def looked(hub, times=2):
    """Let the folder be looked at so often."""
    (how,) = hub.engine.files._standing.values() if hub.engine.files._standing else (None,)
    for _ in range(times):
        before = how.next_at if how else 0.0

        def again(before=before):
            standing = list(hub.engine.files._standing.values())
            return standing and standing[0].next_at > before and not standing[0].busy

        await hub.until(again, step=STEP)
        (how,) = hub.engine.files._standing.values()


async def test_new_files_begin_one_run_which_is_handed_all_of_them(inbox):
    async with inbox.hub() as hub:
        await in_force(hub)
        names = [put(inbox, name) for name in ("a.csv", "b b.csv")]
        put(inbox, "c.txt")
        run = await ran(hub, 1)
        assert run.trigger == "file"
        assert run.origin["params"]["files"] == "\n".join(names)
        assert hub["mill"].jobs[0].what == "\n".join(names)
        await looked(hub)
        assert len(await hub.runs()) == 1


async def test_a_file_that_is_written_anew_is_new(inbox):
    async with inbox.hub() as hub:
        await in_force(hub)
        path = put(inbox, "old.csv", "another\n")
        assert (await ran(hub, 1)).origin["params"]["files"] == path


async def test_what_was_there_before_begins_nothing(inbox):
    async with inbox.hub() as hub:
        await in_force(hub)
        await looked(hub, 3)
        assert await hub.runs() == []


async def test_a_file_that_still_grows_is_not_taken(inbox):
    async with inbox.hub() as hub:
        await in_force(hub)
        text = ""
        for number in range(6):
            text += f"{number}\n"
            put(inbox, "grows.csv", text)
            await looked(hub, 1)
            assert await hub.runs() == []
        await ran(hub, 1)


async def test_files_that_come_while_a_run_is_going_or_the_hub_is_down_are_one_run_after_that(inbox):
    inbox["mill"].hold = True
    async with inbox.hub() as hub:
        await in_force(hub)
        put(inbox, "a.csv")
        await hub.until(hub["mill"].running, step=STEP)
        put(inbox, "b.csv")
        await looked(hub, 3)
        put(inbox, "c.csv")
        assert len(await hub.runs()) == 1
    inbox["mill"].hold = False
    put(inbox, "d.csv")
    async with inbox.hub() as hub:
        run = await ran(hub, 2)
        assert [Path(one).name for one in run.origin["params"]["files"].split("\n")] == [
            "b.csv",
            "c.csv",
            "d.csv",
        ]


async def test_a_folder_that_does_not_answer_is_an_incident_until_it_does_and_hangs_nothing_else(inbox, monkeypatch):
    inbox.instances("bell")
    mount = threading.Event()
    monkeypatch.setattr(files, "FOLDER", 0.02)
    async with inbox.hub() as hub:
        await in_force(hub)
        monkeypatch.setattr(files, "local_files", lambda *asked: mount.wait() and local_files(*asked))
        threads = threading.active_count()
        await hub.until(lambda: hub.engine.incidents.open, step=STEP)
        (found,) = hub.engine.incidents.open.values()
        assert "the folder: no answer within 0.02 s" in str(found.facets)
        assert threading.active_count() <= threads + 1  # that which is left behind
        put(inbox, "a.csv")
        mount.set()
        assert (await ran(hub, 1)).trigger == "file"
        await hub.until(lambda: not hub.engine.incidents.open, step=STEP)


async def test_a_folder_that_is_not_there_is_an_incident_until_it_is(inbox):
    inbox.instances("bell")
    (inbox.root / "in").rename(inbox.root / "out")
    async with inbox.hub() as hub:
        await hub.until(lambda: hub.engine.incidents.open, step=STEP)
        (incident,) = hub.engine.incidents.open.values()
        assert incident.key == "trigger:marts/in/*.csv"
        (facet,) = incident.facets.values()
        assert facet.title == "marts: in/*.csv cannot be looked at"
        assert facet.error.startswith("there is no folder")
        (inbox.root / "out").rename(inbox.root / "in")
        await hub.until(lambda: not hub.engine.incidents.open, step=STEP)


async def test_a_file_that_went_and_came_back_is_new(inbox):
    async with inbox.hub() as hub:
        await in_force(hub)
        path = put(inbox, "a.csv")
        await ran(hub, 1)
        Path(path).unlink()
        put(inbox, "b.csv")
        await ran(hub, 2)
        put(inbox, "a.csv")
        await ran(hub, 3)


async def test_a_paused_pipeline_takes_nothing_and_all_of_it_when_it_is_resumed(inbox):
    async with inbox.hub() as hub:
        await in_force(hub)
        await hub.submit("pause", pipeline="marts")
        put(inbox, "a.csv")
        await hub.pass_time(timedelta(minutes=2), step=STEP)
        assert await hub.runs() == []
        await hub.submit("resume", pipeline="marts")
        await ran(hub, 1)


async def test_each_file_is_handed_to_one_run_whatever_dies_when(tmp_path):
    async def story(hub):
        await in_force(hub)
        if not (hub.house.root / "in" / "a.csv").exists():
            put(hub.house, "a.csv")
        await ran(hub, 1)
        await looked(hub)

    async def check(hub):
        (run,) = await hub.runs("marts")
        assert run.state == "succeeded"
        assert run.origin["params"]["files"].endswith("/in/a.csv")
        assert len(hub["mill"].jobs) == 1

    points = await every_death(tmp_path, lambda root: furnish(House(root)), story, check, about=("FILE",))
    assert any("FILES_TURN" in point for point in points)


# --- in a bucket, on a real server -----------------------------------------------------------------------------------

__all__ = ["bucket", "endpoint"]  # fixtures


@pytest.fixture
def store(house, endpoint, bucket):
    house.scheduled = True
    house.connectors["s3"] = s3
    keys = "".join(f"S3_{name.removeprefix('aws_').upper()}={value}\n" for name, value in KEYS.items())
    house.write("s3.env", f"{keys}S3_REGION=us-east-1\nS3_ENDPOINT={endpoint}\n")
    return furnish(house, WHEN_NEW.replace("in/*.csv", f"s3://{bucket.name}/daily/*.csv"))


async def test_objects_that_are_new_begin_a_run_at_once(store, bucket):
    bucket("daily/old.csv")
    async with store.hub() as hub:
        await in_force(hub)
        bucket("daily/a.csv")
        bucket("daily/b.csv")
        bucket("other/c.csv")
        run = await ran(hub, 1)
        assert run.origin["params"]["files"] == f"s3://{bucket.name}/daily/a.csv\ns3://{bucket.name}/daily/b.csv"
        bucket("daily/old.csv", b"other")
        assert (await ran(hub, 2)).origin["params"]["files"] == f"s3://{bucket.name}/daily/old.csv"


async def test_a_bucket_that_is_not_there_is_an_incident_of_the_trigger_and_no_crash(store, bucket):
    store.instances("bell")
    store.pipeline(WHEN_NEW.replace("in/*.csv", f"s3://{bucket.name}-none/*.csv"))
    async with store.hub() as hub:
        await hub.until(lambda: hub.engine.incidents.open, step=STEP)
        (incident,) = hub.engine.incidents.open.values()
        assert incident.key == f"trigger:marts/s3://{bucket.name}-none/*.csv"
        (facet,) = incident.facets.values()
        assert facet.error == f"s3://{bucket.name}-none: 404 NoSuchBucket"
        assert not any(value in facet.error for value in KEYS.values())


async def test_a_store_that_is_away_is_told_of_after_a_while_and_loses_nothing(store, bucket):
    store.instances("bell")
    async with store.hub() as hub:
        await in_force(hub)
        file = store.root / "s3.env"
        good = file.read_text()
        bad = good.replace("S3_ENDPOINT=http://127.0.0.1:", "S3_ENDPOINT=http://127.0.0.1:1#")
        await hub.engine.apply(store.write("s3.env", bad).read())
        bucket("daily/a.csv")
        await hub.until(lambda: hub.engine.incidents.open, step=STEP)
        assert await hub.runs() == []
        await hub.engine.apply(store.write("s3.env", good).read())
        await ran(hub, 1)
        await hub.until(lambda: not hub.engine.incidents.open, step=STEP)
