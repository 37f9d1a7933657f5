"""What becomes of one Airbyte job: which connection, starts that run into others, ends."""

import json

import pytest
from airbyte_jobs import SHOP, a_job, ask, begin, connector

from stackhub.contract import (
    Absent,
    Deferred,
    Found,
    Missing,
    Outcome,
    Pending,
    Rejected,
    Unavailable,
    Unclear,
    Unsure,
)
from stackhub.contract.sandbox import Breaks, Ends, Fault, Feed, Turn
from stackhub.testing import open_on
from stackhub_airbyte.sandbox import WORKSPACE


@pytest.mark.parametrize("wanted", ["shop", SHOP, SHOP.upper(), " shop "])
async def test_a_connection_is_named_by_name_or_id(airbyte, vendor, wanted):
    vendor.feeds[SHOP.upper()] = vendor.feeds[SHOP]
    assert (await airbyte.prepare(a_job(connection=wanted)))["connection"] == SHOP


async def test_an_id_that_is_no_uuid_is_found_in_the_list(airbyte):
    assert (await airbyte.prepare(a_job(connection="c-crm")))["connection"] == "c-crm"


async def test_an_ambiguous_name_lists_the_candidates(airbyte, vendor):
    vendor.add(Feed(id="other", name="shop"))
    with pytest.raises(Rejected, match=rf"2 connections are called 'shop'.*{SHOP}.*other"):
        await airbyte.prepare(a_job())


async def test_an_unknown_name_suggests_the_nearest(airbyte):
    with pytest.raises(Rejected, match="did you mean 'shop'"):
        await airbyte.prepare(a_job(connection="shopp"))


async def test_an_unknown_id_is_rejected(airbyte):
    with pytest.raises(Rejected, match="no connection has the id"):
        await airbyte.prepare(a_job(connection=SHOP.replace("f0", "f9")))


async def test_a_name_is_looked_up_once_and_then_checked(airbyte, vendor):
    await airbyte.prepare(a_job())
    vendor.requests.clear()
    await airbyte.prepare(a_job())
    assert ("GET", "/api/public/v1/connections") not in vendor.requests
    vendor.feeds[SHOP] = Feed(id=SHOP, name="was shop")
    vendor.add(Feed(id="new", name="shop"))
    assert (await airbyte.prepare(a_job()))["connection"] == "new"


@pytest.mark.parametrize("status", ["inactive", "locked", "deprecated"])
@pytest.mark.parametrize("operation", ["sync", "wait", "clear"])
async def test_what_is_switched_off_at_airbyte_is_rejected_before_anything_is_started(
    airbyte, vendor, status, operation
):
    vendor.states[SHOP] = {"status": status}
    with pytest.raises(Rejected, match=f"'shop' is {status}"):
        await airbyte.prepare(a_job(operation))


async def test_a_connection_of_another_workspace_is_not_seen(vendor, clock):
    async with open_on(connector, vendor, clock=clock, workspace_id="another") as elsewhere:
        with pytest.raises(Rejected, match="among the 0"):
            await elsewhere.prepare(a_job())


# --- starts ------------------------------------------------------------------------------------------------------


async def test_a_start_gives_a_handle_with_the_jobs_id_and_a_page_to_open(airbyte):
    handle = await begin(airbyte, a_job())
    assert (handle["job"], handle["joined"]) == (1, False)
    assert handle["url"] == f"http://vendor.test/workspaces/{WORKSPACE}/connections/{SHOP}"


async def test_a_sync_that_is_going_is_joined(airbyte, vendor):
    going = vendor.begin("shop")
    handle = await begin(airbyte, a_job())
    assert (handle["job"], handle["joined"]) == (going, True)
    assert vendor.started("shop") == 1


async def test_a_sync_does_not_join_a_clear_nor_a_clear_a_sync(airbyte, vendor, clock):
    vendor.begin("shop", "reset")
    with pytest.raises(Unavailable, match="a reset is running"):
        await begin(airbyte, a_job())
    clock.advance(61)
    vendor.begin("shop")
    with pytest.raises(Unavailable, match="a sync is running"):
        await begin(airbyte, a_job("clear"))


async def test_a_sync_waits_for_a_refresh_which_no_list_shows(airbyte, vendor):
    vendor.begin("shop", "refresh")
    with pytest.raises(Unavailable, match="lists none"):
        await begin(airbyte, a_job())


async def test_a_stuck_connection_is_not_joined_and_not_given_up(airbyte, vendor):
    baseline = await airbyte.prepare(a_job())
    body = json.dumps({"title": "try-again-later", "data": {"message": "A sync is already running for: x"}})
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=409, method="POST", path="/jobs$", body=body))
    with pytest.raises(Unavailable, match="lists none"):
        await airbyte.start(a_job(), baseline, "k")


@pytest.mark.parametrize("message", ["Cannot sync a deleted connection", "The connection is locked"])
async def test_any_other_conflict_is_a_refusal(airbyte, vendor, message):
    baseline = await airbyte.prepare(a_job())
    body = json.dumps({"title": "state-conflict", "data": {"message": message}})
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=409, method="POST", path="/jobs$", body=body))
    with pytest.raises(Rejected, match=message) as caught:
        await airbyte.start(a_job(), baseline, "k")
    assert caught.value.status == 409


async def test_a_connection_switched_off_between_is_a_refusal(airbyte, vendor):
    baseline = await airbyte.prepare(a_job())
    vendor.states[SHOP] = {"status": "inactive"}
    with pytest.raises(Rejected, match="Can only sync an active connection"):
        await airbyte.start(a_job(), baseline, "k")


async def test_a_refusal_is_in_airbytes_words_though_they_stand_at_the_end_of_a_long_body(airbyte, vendor):
    baseline = await airbyte.prepare(a_job())
    body = {"type": "https://reference.airbyte.com/" + "x" * 200, "title": "insufficient-credit-balance"}
    body = json.dumps({**body, "data": {"message": "Buy credits to go on"}})
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=422, method="POST", path="/jobs$", body=body))
    with pytest.raises(Rejected, match="422 insufficient-credit-balance: Buy credits to go on"):
        await airbyte.start(a_job(), baseline, "k")


async def test_a_start_answered_without_a_job_is_unsure(airbyte, vendor):
    baseline = await airbyte.prepare(a_job())
    vendor.faults.append(Fault(breaks=Breaks.GARBAGE, method="POST", path="/jobs$", body='{"id": "7"}'))
    with pytest.raises(Unsure):
        await airbyte.start(a_job(), baseline, "k")
    assert vendor.started("shop") == 1


async def test_a_start_may_take_its_time(airbyte, vendor, clock):
    vendor.slowness = 90
    handle = await begin(airbyte, a_job())
    assert clock.slept == [90]
    assert (await ask(airbyte, handle)).outcome is Outcome.OK


async def test_a_clear_counts_as_found_under_either_of_its_names(airbyte, vendor):
    job = a_job("clear")
    baseline = await airbyte.prepare(job)
    vendor.begin("shop", "clear")
    assert isinstance(await airbyte.find(job, baseline, "k"), Found)


async def test_a_server_that_lists_no_clears_has_none(airbyte, vendor):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=422, path="/jobs$", after=1, times=1))
    baseline = await airbyte.prepare(a_job("clear"))
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=422, path="/jobs$", after=1, times=1))
    assert isinstance(await airbyte.find(a_job("clear"), baseline, "k"), Absent)


async def test_a_refresh_without_the_config_api_says_what_to_set(vendor, clock):
    async with open_on(connector, vendor, clock=clock, config_api_url=None) as airbyte:
        with pytest.raises(Rejected, match="AIRBYTE_CONFIG_API_URL"):
            await airbyte.prepare(a_job("refresh"))
    assert vendor.requests == []


async def test_a_refresh_runs_by_the_config_api_and_lands(airbyte, vendor, clock):
    handle = await begin(airbyte, a_job("refresh", mode="truncate"))
    clock.advance(61)
    said = await ask(airbyte, handle)
    assert (said.outcome, said.landing.mark, said.landing.rows) == (Outcome.OK, "1", 42)


async def test_a_running_refresh_is_joined_by_another(airbyte, vendor):
    first = await begin(airbyte, a_job("refresh"))
    second = await begin(airbyte, a_job("refresh"))
    assert (second["job"], second["joined"]) == (first["job"], True)


async def test_the_lowest_of_several_new_jobs_is_ours(airbyte, vendor, clock):
    vendor.begin("shop")
    clock.advance(61)
    baseline = await airbyte.prepare(a_job())
    for _ in range(3):
        vendor.begin("shop")
        clock.advance(61)
    found = await airbyte.find(a_job(), baseline, "k")
    assert found.handle["job"] == 2
    assert not found.handle["joined"]


async def test_a_look_that_does_not_reach_the_baseline_says_so(airbyte, vendor, clock):
    baseline = await airbyte.prepare(a_job())
    vendor.page = 1
    for _ in range(25):
        vendor.begin("shop")
        clock.advance(61)
    assert isinstance(await airbyte.find(a_job(), baseline, "k"), Unclear)


# --- how it goes ---------------------------------------------------------------------------------------------------


async def test_a_sync_goes_through_its_states_and_lands(airbyte, vendor, clock):
    handle = await begin(airbyte, a_job())
    assert (await ask(airbyte, handle)).note == "created, not yet running"
    clock.advance(30)
    assert isinstance(await ask(airbyte, handle), Pending)
    clock.advance(30)
    said = await ask(airbyte, handle)
    assert (said.outcome, said.landing.mark, said.landing.connection, said.landing.rows) == (Outcome.OK, "1", SHOP, 42)
    assert said.landing.ended_at == clock.now()


async def test_an_attempt_that_failed_is_no_end(airbyte, vendor, clock):
    vendor.speak("shop", "pending", "running", "incomplete", "running", "succeeded")
    handle = await begin(airbyte, a_job())
    notes = []
    for _ in range(4):
        notes.append((await ask(airbyte, handle)).note)
        clock.advance(15)
    assert notes[2] == "an attempt failed, Airbyte retries"
    assert (await ask(airbyte, handle)).ok


async def test_a_queued_job_is_put_off_without_a_time(airbyte, vendor, clock):
    vendor.script("shop", Turn(ends=Ends.RESCHEDULED))
    handle = await begin(airbyte, a_job())
    clock.advance(10)
    said = await ask(airbyte, handle)
    assert isinstance(said, Deferred)
    assert (said.until, said.must_start_again) == (None, False)
    clock.advance(110)
    assert (await ask(airbyte, handle)).ok


async def test_a_failure_has_the_reason_of_the_last_attempt(airbyte, vendor, clock):
    vendor.script("shop", Turn(ends=Ends.BADLY, reason="The key has expired"))
    handle = await begin(airbyte, a_job())
    clock.advance(61)
    said = await ask(airbyte, handle)
    assert (said.outcome, said.note, said.retryable) == (Outcome.FAILED, "source: The key has expired", True)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(breaks=Breaks.STATUS, status=500, path="get_without_logs", times=9),
        Fault(breaks=Breaks.STATUS, status=403, path="get_without_logs", times=9),
        Fault(breaks=Breaks.STATUS, status=401, path="get_without_logs", times=9),
        Fault(breaks=Breaks.GARBAGE, path="get_without_logs", times=9, body="<html>"),
        Fault(breaks=Breaks.BEFORE, path="get_without_logs", times=9),
    ],
)
async def test_a_reason_that_cannot_be_had_hides_no_failure(airbyte, vendor, clock, fault):
    vendor.script("shop", Turn(ends=Ends.BADLY))
    handle = await begin(airbyte, a_job())
    clock.advance(61)
    vendor.faults.append(fault)
    said = await ask(airbyte, handle)
    assert said.outcome is Outcome.FAILED
    assert "job 1 failed" in said.note


async def test_without_the_config_api_a_failure_is_told_without_its_reason(vendor, clock):
    vendor.script("shop", Turn(ends=Ends.BADLY))
    async with open_on(connector, vendor, clock=clock, config_api_url=None) as airbyte:
        handle = await begin(airbyte, a_job())
        clock.advance(61)
        said = await ask(airbyte, handle)
    assert said.outcome is Outcome.FAILED
    assert "job 1 failed" in said.note


async def test_a_persons_cancel_is_terminal(airbyte, vendor, clock):
    vendor.script("shop", Turn(ends=Ends.CANCELLED))
    handle = await begin(airbyte, a_job())
    clock.advance(61)
    assert (await ask(airbyte, handle)).outcome is Outcome.CANCELLED


async def test_a_cancel_stops_the_job(airbyte, vendor):
    handle = await begin(airbyte, a_job())
    await airbyte.cancel(handle)
    assert (await ask(airbyte, handle)).outcome is Outcome.CANCELLED
    await airbyte.cancel(handle)


async def test_cancelling_what_airbyte_does_not_know_is_no_error(airbyte, vendor):
    handle = await begin(airbyte, a_job())
    vendor.jobs.clear()
    await airbyte.cancel(handle)


@pytest.mark.parametrize("status", [403, 404, 409])
async def test_whatever_a_server_answers_to_an_unknown_id_the_job_is_missing(airbyte, vendor, status):
    handle = await begin(airbyte, a_job())
    vendor.jobs.clear()
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=status, path=r"/jobs/1$"))
    assert isinstance(await ask(airbyte, handle), Missing)


async def test_one_job_that_is_answered_with_500_does_not_silence_the_others(airbyte, vendor, clock):
    lost, good = await begin(airbyte, a_job()), await begin(airbyte, a_job(connection="crm"))
    del vendor.jobs[lost["job"]]
    clock.advance(61)
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=500, path=r"/jobs/1$", times=9))
    first, second = await ask(airbyte, lost, good)
    assert isinstance(first, Pending)
    assert "500" in first.note
    assert second.ok
