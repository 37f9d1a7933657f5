"""Fivetran's syncs from start to end, on the played Fivetran."""

from datetime import timedelta

import pytest
from fivetran_jobs import a_job, connector

from stackhub.contract import Deferred, Finished, Missing, Outcome, Pending, Unknown
from stackhub.contract.sandbox import Breaks, Ends, Fault, Turn
from stackhub.testing import open_on


def lost_start():
    return Fault(breaks=Breaks.STATUS, status=200, body='{"code": "Success"}', path="/sync$")


async def test_a_sync_is_seen_to_wait_to_run_and_to_land(begin, look, clock):
    handle = await begin()

    assert (await look(handle)).note == "asked for; not syncing yet"
    assert (await look(handle, after=15)).note == "syncing"
    clock.advance(60)
    done = await look(handle)
    assert done.ok
    assert done.landing.mark == "2026-01-01T12:01:01.000000Z"
    assert done.landing.connection == "id_shop"


async def test_force_is_never_sent_true(begin, heard):
    await begin()
    await begin(key="k2")

    assert heard.bodies == [{"force": False}, {"force": False}]


async def test_a_failure_is_told_in_fivetrans_words_and_the_next_success_is_not_spoilt_by_it(begin, look, vendor):
    vendor.script("shop", Turn(ends=Ends.BADLY, reason="Table orders is locked"))

    failed = await look(await begin(), after=90)
    assert (failed.outcome, failed.note, failed.retryable) == (Outcome.FAILED, "Table orders is locked", True)

    assert (await look(await begin(key="k2"), after=90)).ok
    assert vendor.line("shop").failed is not None


@pytest.mark.parametrize("conflicts", [True, False])
async def test_a_sync_under_way_is_joined_and_its_end_is_ours(begin, look, vendor, clock, conflicts):
    vendor.conflicts = conflicts
    vendor.begin("shop")
    clock.advance(30)

    handle = await begin()

    assert handle["joined"]
    assert vendor.started("shop") == 1
    assert (await look(handle, after=45)).ok


async def test_a_sync_of_ours_is_not_joined(begin):
    assert not (await begin())["joined"]


async def test_a_sync_that_somebody_cancelled_is_cancelled_after_five_minutes(begin, look, vendor):
    vendor.script("shop", Turn(ends=Ends.CANCELLED))
    handle = await begin()

    assert isinstance(await look(handle, after=60 + 300), Pending)
    assert (await look(handle, after=30)).outcome is Outcome.CANCELLED
    assert (await look(handle)).outcome is Outcome.CANCELLED


async def test_of_thousands_in_flight_none_is_forgotten_between_two_looks(begin, fivetran, vendor, clock):
    vendor.faults.append(lost_start())
    lost = await begin()
    handles = [{**lost, "key": f"k{nth}"} for nth in range(2500)]

    for _ in range(12):
        answers = await fivetran.poll(handles)
        clock.advance(60)

    assert {answer.note for answer in answers} == {"no sync was seen within 10 minutes of asking for one"}


async def test_a_start_that_fivetran_forgot_is_a_failure_worth_another_try_after_ten_minutes(begin, look, vendor):
    vendor.faults.append(lost_start())
    handle = await begin()

    assert isinstance(await look(handle, after=600), Pending)
    lost = await look(handle, after=15)
    assert (lost.outcome, lost.retryable) == (Outcome.FAILED, True)
    assert vendor.started("shop") == 0


async def test_a_new_attempt_is_not_judged_by_what_was_seen_of_the_last_one(begin, look, vendor):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=200, body='{"code": "Success"}', path="/sync$", times=2))
    await look(await begin(), after=615)

    assert isinstance(await look(await begin(key="k2"), after=600), Pending)


async def test_a_job_started_again_under_its_key_has_its_time_anew(begin, look, vendor):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=200, body='{"code": "Success"}', path="/sync$", times=2))
    await look(await begin(key="k1"), after=615)

    assert isinstance(await look(await begin(key="k1"), after=600), Pending)


async def test_a_failure_from_before_the_start_is_not_ours(begin, look, vendor, clock):
    vendor.script("shop", Turn(ends=Ends.BADLY))
    vendor.begin("shop")
    clock.advance(90)

    assert isinstance(await look(await begin()), Pending)


async def test_a_restart_of_the_hub_delays_the_end_of_what_left_no_trace_and_loses_nothing(
    begin, look, vendor, heard, clock
):
    vendor.script("shop", Turn(ends=Ends.CANCELLED))
    handle = await begin()
    await look(handle, after=300)

    async with open_on(connector, heard, clock=clock) as reborn:
        [answer] = await reborn.poll([handle])
        assert isinstance(answer, Pending)
        for _ in range(41):
            clock.advance(15)
            [answer] = await reborn.poll([handle])
        assert isinstance(answer, Finished)
        assert not answer.ok


async def test_a_clock_that_is_set_forward_ends_no_sync(begin, look, vendor, clock):
    vendor.script("shop", Turn(ends=Ends.CANCELLED))
    handle = await begin()
    await look(handle, after=75)
    clock.advance(timedelta(days=1))

    assert isinstance(await look(handle), Pending)
    assert (await look(handle, after=315)).outcome is Outcome.CANCELLED


async def test_a_sync_goes_on_while_its_connection_is_paused(begin, look, vendor, clock):
    handle = await begin()
    clock.advance(10)
    vendor.line("shop").paused = True

    assert (await look(handle)).note == "paused at Fivetran; the sync under way goes on"
    assert (await look(handle, after=60)).ok


async def test_a_connection_paused_before_the_sync_began_is_cancelled_after_five_minutes(begin, look, vendor):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=200, body='{"code": "Success"}', path="/sync$"))
    handle = await begin()
    vendor.line("shop").paused = True

    assert isinstance(await look(handle, after=300), Pending)
    assert (await look(handle, after=15)).outcome is Outcome.CANCELLED


async def test_what_fivetran_puts_off_is_deferred_and_resumes_by_itself(begin, look, vendor, clock):
    vendor.script("shop", Turn(ends=Ends.RESCHEDULED, reason="API quota"))
    handle = await begin()

    deferred = await look(handle, after=90)

    assert isinstance(deferred, Deferred)
    assert (deferred.until, deferred.must_start_again) == (vendor.line("shop").rescheduled, False)
    clock.advance(deferred.until - clock.now() + timedelta(seconds=61))
    assert (await look(handle)).ok
    assert vendor.started("shop") == 2


async def test_under_a_manual_schedule_what_was_put_off_is_ours_to_start_again(begin, look, vendor, clock):
    vendor.line("shop").schedule_type = "manual"
    vendor.script("shop", Turn(ends=Ends.RESCHEDULED))
    handle = await begin()

    deferred = await look(handle, after=90)
    assert deferred.must_start_again
    clock.advance(timedelta(hours=1))
    assert (await look(handle)).must_start_again
    assert vendor.started("shop") == 1

    again = await begin(key="k1")
    assert (await look(again, after=90)).ok


async def test_one_row_nobody_understands_does_not_blind_us_to_the_others(begin, look, fivetran, vendor, clock):
    vendor.script("web", Turn(ends=Ends.NEVER))
    shop, web = await begin(), await begin(a_job(connection="web"), key="k2")
    clock.advance(70)
    vendor.line("web").word = "defenestrated"

    first, second = await fivetran.poll([shop, web])

    assert first.ok
    assert second == Unknown(raw="sync_state 'defenestrated'")


async def test_a_deleted_connection_is_missing_and_the_others_are_not(begin, fivetran, vendor):
    shop, web = await begin(), await begin(a_job(connection="web"), key="k2")
    vendor.remove("shop")

    first, second = await fivetran.poll([shop, web])

    assert isinstance(first, Missing)
    assert isinstance(second, Pending)


async def test_cancel_lets_go_and_asks_nothing_of_fivetran(begin, fivetran, vendor):
    handle = await begin()
    before = list(vendor.requests)

    await fivetran.cancel(handle)

    assert vendor.requests == before
    assert not any(operation.cancellable for operation in connector.operations.values())


async def test_a_sweep_ends_as_soon_as_all_that_is_asked_for_was_seen(begin, fivetran, vendor):
    handle = await begin(a_job(connection="crm"))
    vendor.page = 1
    before = len(vendor.requests)

    await fivetran.poll([handle])

    assert len(vendor.requests) - before == 1
