"""Airbyte's own syncs waited for, and many jobs asked for at once."""

from datetime import timedelta

from airbyte_jobs import SHOP, a_job, ask, begin, connector
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackhub.contract import (
    Finished,
    Pending,
)
from stackhub.contract.sandbox import Ends, Feed, Turn
from stackhub.testing import Clock, open_on
from stackhub_airbyte.sweep import MOST_PAGES, STRAGGLERS

JOBS = ("GET", "/api/public/v1/jobs")


async def test_a_wait_ends_on_the_next_success_and_not_on_a_failure(airbyte, vendor, clock):
    vendor.begin("shop")
    clock.advance(61)
    handle = await begin(airbyte, a_job("wait"))
    assert handle["joined"]
    assert "own schedule" in (await ask(airbyte, handle)).note
    vendor.script("shop", Turn(ends=Ends.BADLY), Turn())
    vendor.begin("shop")
    assert "is going" in (await ask(airbyte, handle)).note
    clock.advance(61)
    assert "'failed'" in (await ask(airbyte, handle)).note
    vendor.begin("shop")
    clock.advance(61)
    assert (await ask(airbyte, handle)).landing.mark == "3"


async def test_a_wait_is_content_with_a_landing_nobody_has_used_yet(airbyte, vendor, clock):
    for _ in range(3):
        vendor.begin("shop")
        clock.advance(61)
    handle = await begin(airbyte, a_job("wait", consumed={SHOP: "1"}))
    assert (await ask(airbyte, handle)).landing.mark == "3", "the newest, so that a backlog is used up at once"
    handle = await begin(airbyte, a_job("wait", consumed={SHOP: "3"}))
    assert isinstance(await ask(airbyte, handle), Pending)


async def test_what_was_consumed_of_another_connection_says_nothing_of_this_one(airbyte, vendor, clock):
    vendor.begin("shop")
    clock.advance(61)
    handle = await begin(airbyte, a_job("wait", consumed={"c-crm": "0"}))
    assert isinstance(await ask(airbyte, handle), Pending)


async def test_a_sync_going_when_a_wait_begins_counts_when_it_lands(airbyte, vendor, clock):
    vendor.begin("shop")
    handle = await begin(airbyte, a_job("wait"))
    assert isinstance(await ask(airbyte, handle), Pending)
    clock.advance(61)
    assert (await ask(airbyte, handle)).landing.mark == "1"


async def test_a_wait_starts_nothing_and_stops_nothing(airbyte, vendor):
    vendor.begin("shop")
    handle = await begin(airbyte, a_job("wait"))
    await airbyte.cancel(handle)
    assert vendor.started("shop") == 1
    assert not [
        request for request in vendor.requests if request[0] in {"POST", "DELETE"} and "token" not in request[1]
    ]


async def test_no_clear_and_no_refresh_is_what_a_wait_waits_for(airbyte, vendor, clock):
    handle = await begin(airbyte, a_job("wait"))
    for kind in ("reset", "refresh"):
        vendor.begin("shop", kind)
        clock.advance(61)
    assert isinstance(await ask(airbyte, handle), Pending)


async def test_a_landing_that_has_sunk_below_the_newest_pages_is_found_all_the_same(airbyte, vendor, clock):
    handle = await begin(airbyte, a_job("wait"))
    crm = await begin(airbyte, a_job("sync", "crm"))
    vendor.begin("shop")
    clock.advance(61)
    for _ in range(30):
        vendor.begin("crm")
        clock.advance(61)
    vendor.page = 2
    assert (await ask(airbyte, handle, crm))[0].landing.mark == "2"


# --- many at once ------------------------------------------------------------------------------------------------


async def busy(vendor, clock, airbyte, count):
    """Start so many syncs that go on for a day."""
    vendor.life = timedelta(days=1)
    handles = []
    for number in range(count):
        vendor.add(Feed(id=f"id-{number}", name=f"source {number}", seconds=86400))
        handles.append(await begin(airbyte, a_job(connection=f"id-{number}")))
    return handles


async def test_many_jobs_are_asked_for_in_one_page(airbyte, vendor, clock):
    handles = await busy(vendor, clock, airbyte, 60)
    vendor.requests.clear()
    answers = await airbyte.poll(handles)
    assert all(isinstance(answer, Pending) for answer in answers)
    assert vendor.requests == [JOBS]


async def test_a_sweep_is_bounded_and_every_straggler_gets_its_turn(airbyte, vendor, clock):
    handles = await busy(vendor, clock, airbyte, 12)
    for _ in range(40):
        vendor.begin("shop")
        clock.advance(61)
    vendor.page = 2
    asked = set()
    for _ in range(3):
        vendor.requests.clear()
        await airbyte.poll(handles)
        assert vendor.requests.count(JOBS) == MOST_PAGES
        assert len(vendor.requests) == MOST_PAGES + STRAGGLERS
        asked |= {path for _, path in vendor.requests if path != JOBS[1]}
    assert len(asked) == len(handles)


async def test_a_single_job_is_asked_for_among_those_of_its_connection(airbyte, vendor, clock):
    [handle] = await busy(vendor, clock, airbyte, 1)
    for _ in range(30):
        vendor.begin("shop")
        clock.advance(61)
    vendor.page = 2
    vendor.requests.clear()
    assert isinstance(await ask(airbyte, handle), Pending)
    assert vendor.requests == [JOBS]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["sync", "reset", "refresh"]), st.integers(0, 90)), max_size=25
    ),
    st.integers(1, 7),
)
async def test_a_sweep_says_of_each_job_what_airbyte_says_of_it_singly(history, page):
    clock = Clock()
    vendor = connector.sandbox(clock.world())
    vendor.page = page
    handles = []
    for number in range(5):
        vendor.add(Feed(id=f"id-{number}", name=f"source {number}", seconds=60))
    for number, kind, pause in history:
        if not any(job.feed.id == f"id-{number}" and job.ends_at() > clock.now() for job in vendor.jobs.values()):
            job = vendor.begin(f"id-{number}", kind)
            name = {"reset": "clear"}.get(kind, kind)
            handles.append({"connection": f"id-{number}", "kind": name, "job": job, "waits": False})
        clock.advance(pause)
    async with open_on(connector, vendor, clock=clock) as airbyte:
        together = await airbyte.poll(handles)
        for handle, said in zip(handles, together, strict=True):
            [alone] = await airbyte.poll([handle])
            asked_in_turn = isinstance(said, Pending) and "asked in turn" in said.note
            assert said == alone or asked_in_turn


async def test_the_answers_of_a_job_are_the_same_to_every_handle_of_it(airbyte, vendor, clock):
    first = await begin(airbyte, a_job())
    second = await begin(airbyte, a_job())
    clock.advance(timedelta(seconds=61))
    one, two = await ask(airbyte, first, second)
    assert isinstance(one, Finished)
    assert one == two
