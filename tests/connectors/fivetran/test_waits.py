"""Waiting for the next landing, and loading all data anew."""

import pytest
from fivetran_jobs import a_job

from stackhub.contract import Deferred, Finished, Outcome, Pending
from stackhub.contract.sandbox import Ends, Turn

# --- wait -------------------------------------------------------------------------------------------------------------


async def test_a_wait_starts_nothing_and_takes_the_next_landing_of_anyone(begin, look, vendor, clock):
    handle = await begin(a_job("wait"))
    assert isinstance(await look(handle, after=900), Pending)
    assert vendor.started("shop") == 0

    vendor.begin("shop")
    assert (await look(handle, after=75)).ok


async def test_a_wait_takes_a_landing_that_came_after_the_last_one_consumed(begin, look, vendor, clock):
    vendor.begin("shop")
    clock.advance(61)
    first = (await look(await begin(a_job("wait", consumed={"id_shop": "2025-12-31T00:00:00Z"})))).landing

    assert isinstance(await look(await begin(a_job("wait", consumed={"id_shop": first.mark}))), Pending)
    assert isinstance(await look(await begin(a_job("wait"))), Pending)


async def test_what_was_consumed_of_another_connection_says_nothing_of_this_one(begin, look, vendor, clock):
    vendor.begin("shop")
    clock.advance(61)

    assert isinstance(await look(await begin(a_job("wait", consumed={"id_crm": "2025-12-31T00:00:00Z"}))), Pending)


async def test_a_wait_on_a_connection_that_gets_paused_ends_cancelled(begin, look, vendor):
    handle = await begin(a_job("wait"))
    vendor.line("shop").paused = True

    assert (await look(handle, after=315)).outcome is Outcome.CANCELLED


async def test_a_wait_starts_nothing_again_that_was_put_off(begin, look, vendor):
    vendor.line("shop").schedule_type = "manual"
    vendor.script("shop", Turn(ends=Ends.RESCHEDULED))
    vendor.begin("shop")
    answer = await look(await begin(a_job("wait")), after=75)

    assert isinstance(answer, Deferred)
    assert not answer.must_start_again


# --- resync -----------------------------------------------------------------------------------------------------------


async def test_a_resync_asks_for_everything_or_for_its_scope(begin, look, heard):
    assert (await look(await begin(a_job("resync")), after=75)).ok
    assert (await look(await begin(a_job("resync", scope={"public": ["orders"]}), key="k2"), after=75)).ok

    assert heard.bodies == [{}, {"scope": {"public": ["orders"]}}]


@pytest.mark.parametrize("scope", [{}, {"public": []}])
def test_a_scope_of_nothing_is_refused_before_it_is_asked_for(scope):
    with pytest.raises(ValueError, match="scope"):
        a_job("resync", scope=scope)


async def test_a_resync_waits_for_its_turn(begin, vendor, clock):
    vendor.begin("shop")
    clock.advance(5)

    refused = await begin(a_job("resync"))

    assert isinstance(refused, Finished)
    assert (refused.outcome, refused.retryable) == (Outcome.FAILED, True)
    assert vendor.started("shop") == 1


async def test_a_resync_that_fivetran_declines_is_worth_another_try(fivetran, vendor):
    baseline = await fivetran.prepare(a_job("resync"))
    vendor.begin("shop")

    declined = await fivetran.start(a_job("resync"), baseline, "k")

    assert (declined.outcome, declined.retryable) == (Outcome.FAILED, True)
