"""Fivetran's syncs from start to end, on the played Fivetran."""

import json
from datetime import timedelta

import pytest

import stackhub_fivetran
from stackhub.contract import (
    Absent,
    Deferred,
    Finished,
    Found,
    Health,
    Job,
    Missing,
    Outcome,
    Pending,
    Rejected,
    Relation,
    Unavailable,
    Unknown,
)
from stackhub.contract.sandbox import Breaks, Ends, Fault, Feed, Turn
from stackhub.testing import Clock, open_on
from stackhub_fivetran.relations import relations

connector = stackhub_fivetran.connector
LOST_START = Fault(breaks=Breaks.STATUS, status=200, body='{"code": "Success"}', path="/sync$")


def job(operation="sync", connection="shop", consumed=None, **options):
    made = connector.operations[operation].options(connection=connection, **options)
    return Job(operation=operation, options=made, consumed=consumed)


@pytest.fixture
def clock():
    return Clock()


class Heard:
    """The played Fivetran, with an ear at the wire."""

    def __init__(self, vendor):
        self.vendor, self.bodies, self.queries = vendor, [], []

    async def __call__(self, scope, receive, send):
        async def listen():
            message = await receive()
            if message.get("body"):
                self.bodies.append(json.loads(message["body"]))
            return message

        self.queries.append(scope["query_string"].decode())
        await self.vendor(scope, listen, send)

    def environment(self, url):
        return self.vendor.environment(url)


@pytest.fixture
def vendor(clock):
    played = connector.sandbox(clock.world())
    for name in ("crm", "shop", "web"):
        played.add(Feed(id=f"id_{name}", name=name, seconds=60))
    return played


@pytest.fixture
def heard(vendor):
    return Heard(vendor)


@pytest.fixture
async def fivetran(heard, clock):
    async with open_on(connector, heard, clock=clock) as opened:
        yield opened


@pytest.fixture
def begin(fivetran):
    async def begin(wanted=None, key="k1"):
        wanted = wanted or job()
        return await fivetran.start(wanted, await fivetran.prepare(wanted), key)

    return begin


@pytest.fixture
def look(fivetran, clock):
    async def look(handle, after=0):
        """Sweep every 15 s, as the hub does, until so much time has passed."""
        [answer] = await fivetran.poll([handle])
        for _ in range(int(after) // 15):
            clock.advance(15)
            [answer] = await fivetran.poll([handle])
        return answer

    return look


# --- from start to end ------------------------------------------------------------------------------------------------


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


async def test_a_start_that_fivetran_forgot_is_a_failure_worth_another_try_after_ten_minutes(begin, look, vendor):
    vendor.faults.append(LOST_START)
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
        clock.advance(601)
        [answer] = await reborn.poll([handle])
        assert isinstance(answer, Finished)
        assert not answer.ok


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
    shop, web = await begin(), await begin(job(connection="web"), key="k2")
    clock.advance(70)
    vendor.line("web").word = "defenestrated"

    first, second = await fivetran.poll([shop, web])

    assert first.ok
    assert second == Unknown(raw="sync_state 'defenestrated'")


async def test_a_deleted_connection_is_missing_and_the_others_are_not(begin, fivetran, vendor):
    shop, web = await begin(), await begin(job(connection="web"), key="k2")
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


# --- before a start ---------------------------------------------------------------------------------------------------


async def test_a_paused_connection_is_refused(fivetran, vendor):
    vendor.line("shop").paused = True
    for operation in connector.operations:
        with pytest.raises(Rejected, match="shop is paused"):
            await fivetran.prepare(job(operation))


async def test_a_broken_connection_is_refused_in_fivetrans_words(fivetran, vendor):
    vendor.line("shop").setup_state = "broken"
    vendor.line("shop").tasks = ["Reauthorize Google"]
    with pytest.raises(Rejected, match="shop is broken: Reauthorize Google"):
        await fivetran.prepare(job())


async def test_a_connection_is_named_by_its_schema_or_its_id(fivetran):
    by_name, by_id = await fivetran.prepare(job()), await fivetran.prepare(job(connection="id_shop"))

    assert by_name == by_id
    assert by_name["connection"] == "id_shop"


async def test_a_name_that_means_several_is_refused_with_the_candidates(fivetran, vendor):
    vendor.add(Feed(id="other_shop", name="shop"))
    with pytest.raises(Rejected, match=r"2 connections named shop.*id_shop .*other_shop "):
        await fivetran.prepare(job())

    assert (await fivetran.prepare(job(connection="other_shop")))["connection"] == "other_shop"


async def test_a_name_that_means_nothing_is_refused_with_the_nearest(fivetran):
    with pytest.raises(Rejected, match="no connection named shopp; did you mean shop"):
        await fivetran.prepare(job(connection="shopp"))


async def test_a_known_name_costs_one_small_request_and_is_not_believed_for_ever(fivetran, vendor, clock):
    await fivetran.prepare(job())
    await fivetran.prepare(job())
    assert vendor.requests == [("GET", "/v1/connections"), ("GET", "/v1/connections/id_shop")]

    clock.advance(timedelta(minutes=6))
    await fivetran.prepare(job())
    assert vendor.requests[-1] == ("GET", "/v1/connections")


async def test_a_name_that_moved_to_another_connection_is_followed(fivetran, vendor):
    await fivetran.prepare(job())
    vendor.remove("shop")
    vendor.add(Feed(id="new_shop", name="shop"))

    assert (await fivetran.prepare(job()))["connection"] == "new_shop"


# --- a start without an answer ----------------------------------------------------------------------------------------


async def test_a_sync_is_found_by_what_moved_since_the_baseline(fivetran, vendor, clock):
    baseline = await fivetran.prepare(job())
    assert isinstance(await fivetran.find(job(), baseline, "k"), Absent)

    vendor.begin("shop")
    clock.advance(2)
    assert isinstance(await fivetran.find(job(), baseline, "k"), Found)
    clock.advance(60)
    assert isinstance(await fivetran.find(job(), baseline, "k"), Found)
    assert isinstance(await fivetran.find(job(), await fivetran.prepare(job()), "k"), Absent)


async def test_a_sync_that_was_put_off_before_anyone_looked_is_found(fivetran, vendor, clock):
    baseline = await fivetran.prepare(job())
    vendor.script("shop", Turn(ends=Ends.RESCHEDULED))
    vendor.begin("shop")
    clock.advance(90)

    assert isinstance(await fivetran.find(job(), baseline, "k"), Found)
    assert isinstance(await fivetran.find(job(), await fivetran.prepare(job()), "k"), Absent)


async def test_of_a_deleted_connection_no_sync_is_found(fivetran, vendor):
    baseline = await fivetran.prepare(job())
    vendor.remove("shop")

    assert isinstance(await fivetran.find(job(), baseline, "k"), Absent)


# --- wait -------------------------------------------------------------------------------------------------------------


async def test_a_wait_starts_nothing_and_takes_the_next_landing_of_anyone(begin, look, vendor, clock):
    handle = await begin(job("wait"))
    assert isinstance(await look(handle, after=900), Pending)
    assert vendor.started("shop") == 0

    vendor.begin("shop")
    assert (await look(handle, after=75)).ok


async def test_a_wait_takes_a_landing_that_came_after_the_last_one_consumed(begin, look, vendor, clock):
    vendor.begin("shop")
    clock.advance(61)
    first = (await look(await begin(job("wait", consumed="2025-12-31T00:00:00Z")))).landing

    assert isinstance(await look(await begin(job("wait", consumed=first.mark))), Pending)
    assert isinstance(await look(await begin(job("wait"))), Pending)


async def test_a_mark_of_another_tool_is_no_mark(begin, look, vendor, clock):
    vendor.begin("shop")
    clock.advance(61)

    assert isinstance(await look(await begin(job("wait", consumed="job 4711"))), Pending)


async def test_a_wait_on_a_connection_that_gets_paused_ends_cancelled(begin, look, vendor):
    handle = await begin(job("wait"))
    vendor.line("shop").paused = True

    assert (await look(handle, after=315)).outcome is Outcome.CANCELLED


async def test_a_wait_starts_nothing_again_that_was_put_off(begin, look, vendor):
    vendor.line("shop").schedule_type = "manual"
    vendor.script("shop", Turn(ends=Ends.RESCHEDULED))
    vendor.begin("shop")
    answer = await look(await begin(job("wait")), after=75)

    assert isinstance(answer, Deferred)
    assert not answer.must_start_again


# --- resync -----------------------------------------------------------------------------------------------------------


async def test_a_resync_asks_for_everything_or_for_its_scope(begin, look, heard):
    assert (await look(await begin(job("resync")), after=75)).ok
    assert (await look(await begin(job("resync", scope={"public": ["orders"]}), key="k2"), after=75)).ok

    assert heard.bodies == [{}, {"scope": {"public": ["orders"]}}]


@pytest.mark.parametrize("scope", [{}, {"public": []}])
def test_a_scope_of_nothing_is_refused_before_it_is_asked_for(scope):
    with pytest.raises(ValueError, match="scope"):
        job("resync", scope=scope)


async def test_a_resync_waits_for_its_turn(begin, vendor, clock):
    vendor.begin("shop")
    clock.advance(5)

    refused = await begin(job("resync"))

    assert isinstance(refused, Finished)
    assert (refused.outcome, refused.retryable) == (Outcome.FAILED, True)
    assert vendor.started("shop") == 1


async def test_a_resync_that_fivetran_declines_is_worth_another_try(fivetran, vendor):
    baseline = await fivetran.prepare(job("resync"))
    vendor.begin("shop")

    declined = await fivetran.start(job("resync"), baseline, "k")

    assert (declined.outcome, declined.retryable) == (Outcome.FAILED, True)


# --- the account's list -----------------------------------------------------------------------------------------------


async def test_a_sweep_ends_as_soon_as_all_that_is_asked_for_was_seen(begin, fivetran, vendor):
    handle = await begin(job(connection="crm"))
    vendor.page = 1
    before = len(vendor.requests)

    await fivetran.poll([handle])

    assert len(vendor.requests) - before == 1


async def test_only_the_connections_of_the_chosen_group_are_asked_for(heard, clock):
    async with open_on(connector, heard, clock=clock, group_id="elsewhere") as opened:
        assert list(await opened.connections()) == []

    assert heard.queries == ["limit=1000&group_id=elsewhere"]


def paged(*pages):
    """Answer the listing with these pages, whatever is asked."""
    left = list(pages)

    async def app(scope, receive, send):
        body = json.dumps({"code": "Success", "data": left.pop(0) if len(left) > 1 else left[0]}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


class Paged:
    def __init__(self, vendor, *pages):
        self.vendor, self.app = vendor, paged(*pages)

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)

    def environment(self, url):
        return self.vendor.environment(url)


def item(name):
    return {"id": f"id_{name}", "schema": name, "status": {"sync_state": "scheduled", "setup_state": "connected"}}


@pytest.mark.parametrize("spelling", ["next_cursor", "nextCursor"])
async def test_the_next_page_is_found_in_both_spellings(vendor, spelling):
    pages = Paged(vendor, {"items": [item("crm")], spelling: "2"}, {"items": [item("shop")]})
    async with open_on(connector, pages) as opened:
        assert [connection.name for connection in await opened.connections()] == ["crm", "shop"]


async def test_pages_that_lead_in_a_circle_are_no_listing(vendor):
    async with open_on(connector, Paged(vendor, {"items": [item("crm")], "next_cursor": "2"})) as opened:
        with pytest.raises(Unavailable, match="already read"):
            await opened.connections()


@pytest.mark.parametrize("data", [{}, {"items": None}, {"items": [1]}, {"items": [{"schema": "crm"}]}])
async def test_a_list_that_is_not_as_documented_is_no_listing(vendor, data):
    async with open_on(connector, Paged(vendor, data)) as opened:
        with pytest.raises(Unavailable):
            await opened.connections()


async def test_a_connection_nobody_understands_is_listed_and_cannot_be_started(vendor):
    odd = {"id": "id_crm", "schema": "crm", "status": {}}
    async with open_on(connector, Paged(vendor, {"items": [odd]})) as opened:
        [listed] = await opened.connections()
        assert (listed.name, listed.health) == ("crm", Health.UNKNOWN)
        with pytest.raises(Unavailable, match="cannot be understood"):
            await opened.prepare(job(connection="crm"))


async def test_the_catalogue_tells_health_schedule_and_last_landing(fivetran, vendor, clock):
    vendor.begin("crm")
    clock.advance(61)
    vendor.line("shop").paused = True
    vendor.line("web").setup_state = "broken"
    vendor.line("web").tasks = ["Reauthorize Google"]
    vendor.line("web").schedule_type = "manual"

    crm, shop, web = await fivetran.connections()

    assert (crm.health, crm.schedule, crm.last.mark) == (Health.OK, "every 6 h", "2026-01-01T12:01:01.000000Z")
    assert (shop.health, shop.last) == (Health.PAUSED, None)
    assert (web.health, web.schedule, web.note) == (Health.BROKEN, "manual", "Reauthorize Google")
    assert crm.relations == (Relation("", "crm", ""),)
    assert "id_crm" in crm.url


@pytest.mark.parametrize(
    ("service", "name", "filled"),
    [
        ("salesforce", "salesforce", (Relation("", "salesforce", ""),)),
        ("google_sheets", "sheets.budget", (Relation("", "sheets", "budget"),)),
        ("google_sheets", "sheets.budget.2026", (Relation("", "sheets", "budget.2026"),)),
        ("s3", "files.invoices", (Relation("", "files", ""),)),
        ("postgres", "shop", ()),
    ],
)
def test_the_name_of_a_connection_tells_what_it_fills_where_its_service_lets_it(service, name, filled):
    assert relations(service, name) == filled


@pytest.mark.parametrize(
    ("changes", "schedule"),
    [
        ({"sync_frequency": 5}, "every 5 min"),
        ({"sync_frequency": 60}, "every 1 h"),
        ({"sync_frequency": 1440}, "every 24 h"),
        ({"sync_frequency": 1440, "daily_sync_time": "14:00"}, "daily at 14:00 UTC"),
        ({"sync_frequency": 60, "schedule_type": "manual"}, "manual"),
        ({}, ""),
    ],
)
async def test_a_schedule_is_told_in_words(vendor, changes, schedule):
    async with open_on(connector, Paged(vendor, {"items": [item("crm") | changes]})) as opened:
        [listed] = await opened.connections()

    assert listed.schedule == schedule
