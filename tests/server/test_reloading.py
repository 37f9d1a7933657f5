"""The configuration, read again."""

from datetime import UTC, datetime

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from server.ground import PIPELINE
from structlog.testing import capture_logs

from stackhub.config.read import fingerprint_directory, read
from stackhub.server.reloading import STILL, Reloader, Stillness


def state(name: str):
    return ((name, 0, 0, 0),)


# --- when ------------------------------------------------------------------------------------------------------------


def test_a_change_is_due_once_it_has_been_still():
    still = Stillness(state("a"))
    assert [still.is_due(state("b"), now) for now in (10, 10 + STILL / 2, 10 + STILL)] == [False, False, True]


def test_a_directory_that_goes_on_changing_is_waited_for():
    still = Stillness(state("a"))
    assert not any(still.is_due(state(str(now)), now) for now in range(10, 60))


def test_an_edit_that_was_taken_back_is_no_change():
    still = Stillness(state("a"))
    assert not still.is_due(state("b"), 10)
    assert not any(still.is_due(state("a"), now) for now in (11, 20, 30))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.1, 3)), max_size=20))
def test_nothing_is_due_that_was_not_seen_for_so_long_without_a_change(looks):
    still, now, since, seen = Stillness(state("a")), 10.0, 10.0, "a"
    for name, later in looks:
        now += later
        if name != seen:
            seen, since = name, now
        assert still.is_due(state(name), now) == (name != "a" and now - since >= STILL)


# --- what ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def reloader(ground):
    connectors = {"toy": ground.toy, "bell": ground.bell}
    ground.applied = []
    return Reloader(
        ground.directory,
        ground.engine,
        lambda: read(ground.directory, {}, connectors.__getitem__, connectors),
        ground.applied.append,
        seen=fingerprint_directory(ground.directory),
    )


@pytest.fixture
def edit(ground):
    def write(text: str, name: str = "pipelines/shop.yaml") -> None:
        (ground.directory / name).write_text(text)

    return write


async def incidents(ground):
    async with ground.ask() as client:
        return (await client.get("/api/v1/incidents")).json()


async def test_a_good_edit_is_in_force_at_once(ground, reloader, edit):
    edit(PIPELINE.replace("The shop's marts", "All of the shop"))
    with capture_logs() as logged:
        assert await reloader.now() == ""
    assert ground.engine.in_force.active("shop").pipeline.description == "All of the shop"
    assert ground.engine.revision == 2
    assert [(line["event"], line["changed"]) for line in logged] == [("configuration applied", ["shop"])]
    assert len(ground.applied) == 1


async def test_reading_what_is_in_force_changes_nothing(ground, reloader):
    with capture_logs() as logged:
        assert await reloader.now() == ""
    assert [line["event"] for line in logged] == ["configuration unchanged"]
    assert ground.engine.revision == 1


async def test_a_bad_edit_is_refused_whole_with_its_place(ground, reloader, edit):
    edit(PIPELINE.replace("description:", "descripton:").replace("orders}}", "orders, x: 1}}"))
    edit("STACKHUB_PRT=1\n", "stackhub.env")
    with capture_logs() as logged:
        refused = await reloader.now()
    assert {(line["log_level"], line["place"].partition(":")[0]) for line in logged} == {
        ("error", "pipelines/shop.yaml"),
        ("error", "stackhub.env"),
    }
    assert all(line["place"].count(":") >= 1 for line in logged)
    assert refused == ground.engine.refused
    assert ground.engine.in_force.active("shop").pipeline.description == "The shop's marts"
    assert (ground.engine.revision, ground.applied) == (1, [])


async def test_people_hear_that_an_edit_is_refused_and_that_it_is_good_again(ground, reloader, edit):
    with capture_logs():
        edit("nonsense")
        await reloader.now()
        [bad] = await incidents(ground)
        assert (bad["key"], bad["state"], bad["facets"][0]["kind"]) == ("hub", "open", "stalled")
        assert "pipelines/shop.yaml:1" in bad["facets"][0]["error"]
        await reloader.now()
        assert [one["id"] for one in await incidents(ground)] == [bad["id"]]
        edit(PIPELINE)
        await reloader.now()
    [good] = await incidents(ground)
    assert (good["id"], good["state"]) == (bad["id"], "resolved")
    assert ground.engine.refused == ""
    assert await ground.engine.drained(10) == 0
    assert [message.event for message in ground.bell.told if message.part == "root"] == ["opened", "resolved"]


async def test_what_only_a_restart_changes_is_said(reloader, edit):
    edit("STACKHUB_PORT=9999\nSTACKHUB_TIMEZONE=Europe/Berlin\n", "stackhub.env")
    with capture_logs() as logged:
        await reloader.now()
    [said] = [line for line in logged if line["log_level"] == "warning"]
    assert (said["event"], said["settings"]) == ("a restart is needed for what has changed", ["STACKHUB_PORT"])


async def test_a_new_token_is_asked_for_at_once(ground, reloader, edit):
    edit("STACKHUB_API_TOKEN=a-new-token\n", "stackhub.env")
    with capture_logs():
        await reloader.now()
    assert ground.engine.in_force.configuration.hub.api_token == SecretStr("a-new-token")
    async with ground.ask() as client:
        assert (await client.get("/api/v1/runs")).status_code == 401
        assert (await client.get("/api/v1/runs", headers={"authorization": "Bearer a-new-token"})).status_code == 200


async def test_a_signal_is_heeded_at_once_and_said_to_begin_and_to_end(ground, reloader, edit):
    edit(PIPELINE.replace("The shop's marts", "All of the shop"))
    turns, over = [], anyio.Event()

    def done():
        turns.append(("done", ground.engine.revision))
        over.set()

    with capture_logs(), anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(reloader.watch, lambda: turns.append(("starting", ground.engine.revision)), done)
            before = datetime.now(UTC)
            reloader.soon()
            await over.wait()
            assert (datetime.now(UTC) - before).total_seconds() < STILL
            group.cancel_scope.cancel()
    assert turns == [("starting", 1), ("done", 2)]
