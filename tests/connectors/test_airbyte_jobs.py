"""What Airbyte's jobs do to the hub's: starts that run into others, ends, waits, sweeps of many."""

import json
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import stackhub_airbyte
from stackhub.contract import (
    Absent,
    ConfigError,
    Deferred,
    Finished,
    Found,
    Health,
    Hint,
    Job,
    Missing,
    Outcome,
    Pending,
    Rejected,
    Relation,
    Unavailable,
    Unclear,
    Unsure,
)
from stackhub.contract.sandbox import Breaks, Ends, Fault, Feed, Turn
from stackhub.testing import Clock, a_context, open_on
from stackhub.wire import connect
from stackhub_airbyte.client import Api
from stackhub_airbyte.sandbox import HOOK, WORKSPACE
from stackhub_airbyte.sweep import MOST_PAGES, STRAGGLERS

connector = stackhub_airbyte.connector
JOBS = ("GET", "/api/public/v1/jobs")
SHOP = "64d901a1-2520-4d91-93c8-9df438668ff0"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def vendor(clock):
    played = connector.sandbox(clock.world(land=lambda _vendor, _connection: 42))
    played.add(Feed(id=SHOP, name="shop", seconds=60, database="db", schema="raw", tables=("orders", "users")))
    played.add(Feed(id="c-crm", name="crm", seconds=60))
    return played


@pytest.fixture
async def airbyte(vendor, clock):
    async with open_on(connector, vendor, clock=clock) as opened:
        yield opened


def a_job(operation="sync", connection="shop", consumed=None, **options):
    made = connector.operations[operation].options(connection=connection, **options)
    return Job(operation=operation, options=made, consumed=consumed)


async def begin(airbyte, job):
    baseline = json.loads(json.dumps(await airbyte.prepare(job)))
    return json.loads(json.dumps(await airbyte.start(job, baseline, "k")))


async def ask(airbyte, *handles):
    answers = await airbyte.poll(handles)
    return answers[0] if len(answers) == 1 else answers


# --- which connection --------------------------------------------------------------------------------------------


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


# --- waits -----------------------------------------------------------------------------------------------------------


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
    handle = await begin(airbyte, a_job("wait", consumed="1"))
    assert (await ask(airbyte, handle)).landing.mark == "3", "the newest, so that a backlog is used up at once"
    handle = await begin(airbyte, a_job("wait", consumed="3"))
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


# --- the catalogue -------------------------------------------------------------------------------------------------


async def test_a_connection_is_listed_with_its_tables_its_schedule_and_its_last_landing(airbyte, vendor, clock):
    vendor.states[SHOP] = {"cron": "0 0 * * * ? UTC"}
    vendor.begin("shop")
    clock.advance(61)
    shop, crm = await airbyte.connections()
    assert (shop.name, shop.health, shop.schedule) == ("shop", Health.OK, "0 0 * * * ? UTC")
    assert shop.relations == (Relation("db", "raw", "orders"), Relation("db", "raw", "users"))
    assert (shop.last.mark, shop.last.rows) == ("1", 42)
    assert (crm.schedule, crm.last) == ("manual", None)


async def test_the_last_landing_is_the_newest_of_a_page(airbyte, vendor, clock):
    for _ in range(3):
        vendor.begin("shop")
        clock.advance(61)
    shop, _ = await airbyte.connections()
    assert shop.last.mark == "3"


async def test_a_last_landing_is_not_forgotten_when_it_sinks_below_the_newest(airbyte, vendor, clock):
    vendor.begin("shop")
    clock.advance(61)
    await airbyte.connections()
    vendor.begin("crm")
    clock.advance(61)
    vendor.page = 1
    shop, crm = await airbyte.connections()
    assert (shop.last.mark, crm.last.mark) == ("1", "2")


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("inactive", Health.PAUSED),
        ("locked", Health.BROKEN),
        ("deprecated", Health.BROKEN),
        ("hibernating", Health.UNKNOWN),
    ],
)
async def test_health_is_airbytes_word_and_what_to_do(airbyte, vendor, status, health):
    vendor.states[SHOP] = {"status": status}
    shop, _ = await airbyte.connections()
    assert shop.health is health
    assert shop.note


async def test_what_may_not_be_read_is_done_without(airbyte, vendor, clock):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=403, path="/destinations$", times=9))
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=403, path="/connections/list$", times=9))
    shop, _ = await airbyte.connections()
    assert shop.relations == (Relation("", "raw", "orders"), Relation("", "raw", "users"))


def short_pages(following):
    """Play a server that drops rows from its pages after it has cut them, and whose ``next`` is ``following``."""
    rows = [{"connectionId": f"c{number}", "name": f"n{number}"} for number in range(250)]
    asked = []

    async def serve(scope, receive, send):
        query = dict(parse_qsl(scope["query_string"].decode()))
        offset, limit = int(query["offset"]), int(query["limit"])
        asked.append(offset)
        page = rows[offset : offset + limit]
        body = {"data": page[::2], "next": following(offset, limit)}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    return serve, asked


async def listed_by(serve):
    async with connect(a_context(serve), url="http://vendor.test") as wire:
        return {body["connectionId"] for body in await Api(wire, None, None).connections()}


async def test_the_offset_of_the_next_page_is_taken_and_its_host_is_not():
    serve, asked = short_pages(lambda offset, limit: f"http://nowhere:9/x?limit={limit}&offset={offset + limit}")
    assert len(await listed_by(serve)) == 125
    assert asked == [0, 100, 200, 300]


@pytest.mark.parametrize("offset", ["1", "99999", "-1", "x", ""])
async def test_a_next_that_leads_nowhere_skips_nothing(offset):
    serve, _ = short_pages(lambda _offset, _limit: f"http://nowhere:9/x?offset={offset}")
    assert len(await listed_by(serve)) >= 125


async def test_a_list_without_end_is_no_list(airbyte, vendor):
    page = json.dumps({"data": [{"connectionId": "x", "name": "y"}], "next": "http://h?offset=1"})
    vendor.faults.append(Fault(breaks=Breaks.GARBAGE, path="v1/connections$", body=page, times=1000))
    with pytest.raises(Unavailable, match="has no end"):
        await airbyte.connections()


# --- notifications and probes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"text": "test"}', b'{"data": {"connection": 1, "jobId": "x"}}'])
async def test_a_notification_that_says_nothing_wakes_all_the_same(airbyte, body):
    assert await airbyte.receive({}, body, HOOK) == [Hint()]


async def test_a_probe_names_the_part_that_is_refused(airbyte, vendor):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=403, path="connections/list$", times=9))
    told = {permission.name: permission for permission in await airbyte.check()}
    assert [name for name, permission in told.items() if not permission.ok] == ["config API"]
    assert "AIRBYTE_CONFIG_API_URL" in told["config API"].remedy


async def test_a_probe_whose_token_is_refused_tries_nothing_more(vendor, clock):
    async with open_on(connector, vendor, clock=clock, client_secret="wrong") as airbyte:
        [permission] = await airbyte.check()
        assert (permission.name, permission.ok) == ("token", False)
        with pytest.raises(ConfigError):
            await airbyte.prepare(a_job())


async def test_the_answers_of_a_job_are_the_same_to_every_handle_of_it(airbyte, vendor, clock):
    first = await begin(airbyte, a_job())
    second = await begin(airbyte, a_job())
    clock.advance(timedelta(seconds=61))
    one, two = await ask(airbyte, first, second)
    assert isinstance(one, Finished)
    assert one == two
