"""What stands before a sync: its connection, and a start that had no answer."""

from datetime import timedelta

import pytest
from fivetran_jobs import a_job, connector

from stackhub.contract import Absent, Found, Rejected
from stackhub.contract.sandbox import Ends, Feed, Turn

# --- before a start ---------------------------------------------------------------------------------------------------


async def test_a_paused_connection_is_refused(fivetran, vendor):
    vendor.line("shop").paused = True
    for operation in connector.operations:
        with pytest.raises(Rejected, match="shop is paused"):
            await fivetran.prepare(a_job(operation))


async def test_a_broken_connection_is_refused_in_fivetrans_words(fivetran, vendor):
    vendor.line("shop").setup_state = "broken"
    vendor.line("shop").tasks = ["Reauthorize Google"]
    with pytest.raises(Rejected, match="shop is broken: Reauthorize Google"):
        await fivetran.prepare(a_job())


async def test_a_connection_is_named_by_its_schema_or_its_id(fivetran):
    by_name, by_id = await fivetran.prepare(a_job()), await fivetran.prepare(a_job(connection="id_shop"))

    assert by_name == by_id
    assert by_name["connection"] == "id_shop"


async def test_a_name_that_means_several_is_refused_with_the_candidates(fivetran, vendor):
    vendor.add(Feed(id="other_shop", name="shop"))
    with pytest.raises(Rejected, match=r"2 connections named shop.*id_shop .*other_shop "):
        await fivetran.prepare(a_job())

    assert (await fivetran.prepare(a_job(connection="other_shop")))["connection"] == "other_shop"


async def test_a_name_that_means_nothing_is_refused_with_the_nearest(fivetran):
    with pytest.raises(Rejected, match="no connection named shopp; did you mean shop"):
        await fivetran.prepare(a_job(connection="shopp"))


async def test_a_known_name_costs_one_small_request_and_is_not_believed_for_ever(fivetran, vendor, clock):
    await fivetran.prepare(a_job())
    await fivetran.prepare(a_job())
    assert vendor.requests == [("GET", "/v1/connections"), ("GET", "/v1/connections/id_shop")]

    clock.advance(timedelta(minutes=6))
    await fivetran.prepare(a_job())
    assert vendor.requests[-1] == ("GET", "/v1/connections")


async def test_a_name_that_moved_to_another_connection_is_followed(fivetran, vendor):
    await fivetran.prepare(a_job())
    vendor.remove("shop")
    vendor.add(Feed(id="new_shop", name="shop"))

    assert (await fivetran.prepare(a_job()))["connection"] == "new_shop"


# --- a start without an answer ----------------------------------------------------------------------------------------


async def test_a_sync_is_found_by_what_moved_since_the_baseline(fivetran, vendor, clock):
    baseline = await fivetran.prepare(a_job())
    assert isinstance(await fivetran.find(a_job(), baseline, "k"), Absent)

    vendor.begin("shop")
    clock.advance(2)
    assert isinstance(await fivetran.find(a_job(), baseline, "k"), Found)
    clock.advance(60)
    assert isinstance(await fivetran.find(a_job(), baseline, "k"), Found)
    assert isinstance(await fivetran.find(a_job(), await fivetran.prepare(a_job()), "k"), Absent)


async def test_a_sync_that_was_put_off_before_anyone_looked_is_found(fivetran, vendor, clock):
    baseline = await fivetran.prepare(a_job())
    vendor.script("shop", Turn(ends=Ends.RESCHEDULED))
    vendor.begin("shop")
    clock.advance(90)

    assert isinstance(await fivetran.find(a_job(), baseline, "k"), Found)
    assert isinstance(await fivetran.find(a_job(), await fivetran.prepare(a_job()), "k"), Absent)


async def test_of_a_deleted_connection_no_sync_is_found(fivetran, vendor):
    baseline = await fivetran.prepare(a_job())
    vendor.remove("shop")

    assert isinstance(await fivetran.find(a_job(), baseline, "k"), Absent)
