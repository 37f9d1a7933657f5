"""What an Airbyte holds, what it tells us, and what may be asked of it."""

import json
from urllib.parse import parse_qsl

import pytest
from airbyte_jobs import SHOP, connector

from stackhub.contract import (
    ConfigError,
    Health,
    Hint,
    Relation,
    Unavailable,
)
from stackhub.contract.sandbox import Breaks, Fault
from stackhub.testing import a_context, open_on
from stackhub.wire import connect
from stackhub_airbyte.client import Api
from stackhub_airbyte.sandbox import HOOK


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
            await airbyte.connections()
