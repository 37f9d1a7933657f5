"""The list of a Fivetran account: its pages, and what it tells of each connection."""

import json
from collections import Counter
from dataclasses import replace

import pytest

import stackhub_fivetran
from stackhub.contract import Health, Job, Relation, Unavailable
from stackhub.contract.sandbox import Breaks, Fault, Feed
from stackhub.testing import open_on
from stackhub_fivetran.catalog import MOST
from stackhub_fivetran.relations import database, listed, named

connector = stackhub_fivetran.connector


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
    crm = connector.operations["sync"].options(connection="crm")
    odd = {"id": "id_crm", "schema": "crm", "status": {}}
    async with open_on(connector, Paged(vendor, {"items": [odd]})) as opened:
        [listed] = await opened.connections()
        assert (listed.name, listed.health) == ("crm", Health.UNKNOWN)
        with pytest.raises(Unavailable, match="cannot be understood"):
            await opened.prepare(Job(operation="sync", options=crm))


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
    assert crm.relations == (Relation("shop", "crm", ""),)
    assert "id_crm" in crm.url


@pytest.mark.parametrize(
    ("paused", "setup", "schema", "health"),
    [
        (False, "connected", "ready", Health.OK),
        (False, "connected", "blocked_on_capture", Health.BLOCKED),
        (False, "broken", "blocked_on_capture", Health.BROKEN),
        (True, "connected", "blocked_on_capture", Health.PAUSED),
        (False, "hibernating", "ready", Health.UNKNOWN),
    ],
)
async def test_health_is_the_first_thing_a_person_has_to_do(fivetran, vendor, paused, setup, schema, health):
    line = vendor.line("crm")
    line.paused, line.setup_state, line.schema_status = paused, setup, schema
    assert (await fivetran.connections())[0].health is health


@pytest.mark.parametrize(
    ("service", "name", "filled"),
    [
        ("salesforce", "salesforce", (("salesforce", ""),)),
        ("google_sheets", "sheets.budget", (("sheets", "budget"),)),
        ("google_sheets", "sheets.budget.2026", (("sheets", "budget.2026"),)),
        ("s3", "files.invoices", (("files", ""),)),
        ("postgres", "shop", ()),
    ],
)
def test_the_name_of_a_connection_tells_what_it_fills_where_its_service_lets_it(service, name, filled):
    assert named(service, name) == filled


def asked(vendor, what):
    return [path for _, path in vendor.requests if path.endswith(what)]


@pytest.fixture
def databases(vendor, clock):
    """Three connections of which only a schema config says what they fill; one of them has never synced."""
    for name in ("crm", "shop"):
        line = vendor.line(name)
        line.service = "postgres"
        line.feed = replace(line.feed, schema=f"{name}_public", tables=("orders", "users"))
        vendor.begin(name)
    vendor.line("web").service = "mysql"
    clock.advance(61)
    return vendor


async def test_where_the_name_does_not_tell_the_schema_config_does(fivetran, databases):
    crm, _, web = await fivetran.connections()

    assert crm.relations == (Relation("shop", "crm_public", "orders"), Relation("shop", "crm_public", "users"))
    assert web.relations == ()


async def test_single_connections_are_asked_again_only_after_a_landing(fivetran, databases, clock):
    first, second = await fivetran.connections(), await fivetran.connections()
    assert first == second
    assert len(asked(databases, "/schemas")) == 3
    assert len(asked(databases, "/destinations/played_group")) == 1

    databases.begin("shop")
    clock.advance(61)
    await fivetran.connections()
    assert asked(databases, "/schemas")[3:] == ["/v1/connections/id_shop/schemas"]


async def test_only_so_many_single_connections_are_asked_in_one_listing(fivetran, databases):
    for number in range(MOST):
        databases.add(Feed(id=f"id_more_{number}", name=f"more_{number}"))
        databases.line(f"more_{number}").service = "postgres"
    await fivetran.connections()
    assert len(asked(databases, "/schemas")) == MOST
    await fivetran.connections()
    assert len(asked(databases, "/schemas")) == MOST + 3


async def test_each_connection_gets_its_turn_however_often_the_others_land(fivetran, databases, clock):
    for number in range(2 * MOST):
        databases.add(Feed(id=f"id_more_{number}", name=f"more_{number}", seconds=1))
        databases.line(f"more_{number}").service = "postgres"
    for _ in range(6):
        for line in list(databases.lines.values()):
            databases.begin(line.feed.id)
        clock.advance(61)
        await fivetran.connections()
    times = Counter(asked(databases, "/schemas"))
    assert len(times) == 2 * MOST + 3
    assert set(times.values()) == {2, 3}


@pytest.mark.parametrize("status", [403, 500])
async def test_what_may_not_be_asked_or_fails_costs_the_tables_only(fivetran, databases, status):
    databases.faults.append(Fault(breaks=Breaks.STATUS, status=status, path="/(schemas|destinations/.*)$", times=1000))
    crm, *_ = await fivetran.connections()
    assert (crm.health, crm.relations) == (Health.OK, ())

    databases.faults.clear()
    assert status == 403 or (await fivetran.connections())[0].relations[0].schema == "crm_public"


@pytest.mark.parametrize("config", [{}, {"schemas": None}, {"schemas": {"a": 1}}, {"schemas": {"a": {"tables": [1]}}}])
def test_half_a_schema_config_tells_nothing_and_harms_nothing(config):
    assert listed(config) == ()


def test_a_schema_config_tells_what_is_loaded_by_its_name_at_the_destination():
    tables = {"Orders": {"name_in_destination": "orders", "enabled": True}, "b": {"enabled": False}, "c": {}}
    loaded = {"name_in_destination": "pg_public", "enabled": True, "tables": tables}
    config = {"schemas": {"public": loaded, "private": {"enabled": False, "tables": tables}}}
    assert listed(config) == (("pg_public", "c"), ("pg_public", "orders"))


@pytest.mark.parametrize(
    ("destination", "found"),
    [
        ({"service": "snowflake", "config": {"database": "ANALYTICS"}}, "ANALYTICS"),
        ({"service": "big_query", "config": {"project_id": "acme", "data_set_location": "EU"}}, "acme"),
        ({"service": "databricks", "config": {"catalog": "main"}}, "main"),
        ({"service": "mysql_rds_warehouse", "config": {"database": "shop"}}, ""),
        ({"service": "materialize", "config": {}}, ""),
        ({"service": "odd", "config": {"database": 7}}, ""),
        ({}, ""),
    ],
)
def test_the_database_is_where_its_destination_has_it(destination, found):
    assert database(destination) == found


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
