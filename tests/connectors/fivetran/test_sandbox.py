"""The played Fivetran is as awkward as the real one."""

import json

import anyio
import httpx
import pytest

import stackhub_fivetran
from stackhub.contract.sandbox import Ends, Feed, Turn
from stackhub.testing import vendor_transport
from stackhub_fivetran.hooks import SIGNED_IN, sign

connector = stackhub_fivetran.connector
VERSION = {"Accept": "application/json;version=2"}


@pytest.fixture
def vendor(world):
    played = connector.sandbox(world)
    for number in range(5):
        played.add(Feed(id=f"id_{number}", name=f"source_{number}", seconds=60, schema="raw", tables=("orders",)))
    return played


@pytest.fixture
async def http(vendor):
    auth = (vendor.key, vendor.secret)
    transport = vendor_transport(vendor)
    async with httpx.AsyncClient(transport=transport, base_url="http://v", auth=auth, headers=VERSION) as client:
        yield client


async def state(http, connection="id_0"):
    return (await http.get(f"/v1/connections/{connection}")).json()["data"]["status"]["sync_state"]


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"method": "GET", "url": "/v1/connections", "auth": ("a", "b")}, 401, "AuthFailed"),
        ({"method": "GET", "url": "/v1/connections", "headers": {"Accept": "application/json"}}, 406, "Unsupported"),
        ({"method": "POST", "url": "/v1/connections/id_0/sync", "content": b"{}"}, 415, "UnsupportedContentType"),
        ({"method": "GET", "url": "/v1/connections/nobody"}, 404, "NotFound_Connection"),
        ({"method": "POST", "url": "/v1/connections/nobody/sync", "json": {}}, 404, "NotFound_Connection"),
        ({"method": "GET", "url": "/v1/connections?limit=1001"}, 400, "InvalidInput"),
        ({"method": "GET", "url": "/v1/connections?limit=many"}, 400, "InvalidInput"),
        ({"method": "GET", "url": "/v1/connections?cursor=nobody"}, 400, "InvalidInput"),
        ({"method": "POST", "url": "/v1/connections/id_0/resync", "json": {"scope": {}}}, 400, "InvalidInput"),
        ({"method": "DELETE", "url": "/v1/connections/id_0"}, 405, "MethodNotAllowed"),
        ({"method": "GET", "url": "/v1/connections/id_0/schemas"}, 404, "NotFound_SchemaConfig"),
        ({"method": "GET", "url": "/v3/else"}, 404, "NotFound"),
    ],
)
async def test_what_is_wrong_is_refused_in_fivetrans_way(http, request_, status, code):
    reply = await http.request(**request_)

    assert reply.status_code == status
    assert reply.json()["code"].startswith(code)


async def test_more_than_it_bears_is_429_until_a_minute_has_passed(http, vendor, clock):
    vendor.most = 2
    assert [(await http.get("/v1/connections")).status_code for _ in range(3)] == [200, 200, 429]
    assert (await http.get("/v1/connections")).headers["retry-after"] == "7"

    clock.advance(60)
    assert (await http.get("/v1/connections")).status_code == 200


@pytest.mark.parametrize(("page", "limit", "pages"), [(2, 1000, 3), (1000, 2, 3), (5, 5, 1), (1000, 1000, 1)])
async def test_a_list_comes_in_pages_and_the_last_names_no_next(http, vendor, page, limit, pages):
    vendor.page = page
    seen, params, asked = [], {"limit": limit}, 0
    while True:
        data = (await http.get("/v1/connections", params=params)).json()["data"]
        seen += [item["id"] for item in data["items"]]
        asked += 1
        if "next_cursor" not in data:
            break
        params["cursor"] = data["next_cursor"]

    assert (seen, asked) == ([f"id_{number}" for number in range(5)], pages)


async def test_syncing_shows_only_after_a_lag_and_is_over_in_time(http, vendor, clock, landed):
    await http.post("/v1/connections/id_0/sync", json={"force": False})
    assert await state(http) == "scheduled"
    clock.advance(1)
    assert await state(http) == "syncing"
    assert landed == []
    clock.advance(60)
    assert await state(http) == "scheduled"
    assert await state(http) == "scheduled"
    assert landed == [("fivetran", "source_0")]


async def test_a_sync_while_syncing_makes_no_second_one(http, vendor):
    for conflicts, status in ((False, 200), (True, 409)):
        vendor.conflicts = conflicts
        await http.post("/v1/connections/id_0/sync", json={"force": False})
        assert (await http.post("/v1/connections/id_0/sync", json={"force": False})).status_code == status

    assert vendor.started("id_0") == vendor.started("source_0") == 1


async def test_scripted_ends_leave_the_traces_they_leave_at_fivetran(http, vendor, clock):
    vendor.script("source_0", *(Turn(ends=end, seconds=10, reason="why") for end in (Ends.BADLY, Ends.CANCELLED)))
    rows = []
    for _ in range(3):
        vendor.begin("id_0")
        clock.advance(70)
        rows.append((await http.get("/v1/connections/id_0")).json()["data"])

    failed, cancelled, well = rows
    assert (failed["succeeded_at"], failed["failed_at"]) == (None, "2026-01-01T12:00:11.000000Z")
    assert failed["status"]["tasks"][0]["message"] == "why"
    assert cancelled == failed
    assert (well["succeeded_at"], well["failed_at"]) == ("2026-01-01T12:03:21.000000Z", failed["failed_at"])


async def test_a_sync_that_hangs_ends_only_once_it_is_released(http, vendor, clock):
    vendor.script("id_0", Turn(ends=Ends.NEVER))
    vendor.begin("id_0")
    clock.advance(10**6)

    assert await state(http) == "syncing"
    vendor.release("id_0")
    assert await state(http) == "scheduled"
    assert (await http.get("/v1/connections/id_0")).json()["data"]["succeeded_at"] is not None


async def test_what_was_put_off_resumes_by_itself_unless_the_schedule_is_manual(http, vendor, clock):
    await http.patch("/v1/connections/id_1", json={"schedule_type": "manual"})
    for connection in ("id_0", "id_1"):
        vendor.script(connection, Turn(ends=Ends.RESCHEDULED, seconds=10))
        vendor.begin(connection)
    clock.advance(20)
    assert [await state(http, "id_0"), await state(http, "id_1")] == ["rescheduled", "rescheduled"]

    clock.advance(1000)
    assert [await state(http, "id_0"), await state(http, "id_1")] == ["scheduled", "rescheduled"]
    assert [vendor.started("id_0"), vendor.started("id_1")] == [2, 1]


async def test_a_paused_connection_finishes_its_sync_and_takes_no_other(http, vendor, clock):
    vendor.begin("id_0")
    clock.advance(2)
    await http.patch("/v1/connections/id_0", json={"paused": True})
    assert await state(http) == "syncing"
    clock.advance(60)
    assert await state(http) == "paused"
    assert (await http.post("/v1/connections/id_0/sync", json={"force": False})).status_code == 400


async def test_the_tables_are_told_once_there_are_any(http, vendor, clock):
    vendor.begin("id_0")
    clock.advance(61)
    data = (await http.get("/v1/connections/id_0/schemas")).json()["data"]

    [schema] = data["schemas"].values()
    assert schema["name_in_destination"] == "raw"
    assert [name for name, table in schema["tables"].items() if table["enabled"]] == ["orders"]


async def test_the_account_its_group_and_its_destination_are_told(http):
    group = (await http.get("/v1/groups")).json()["data"]["items"][0]["id"]

    assert (await http.get(f"/v1/destinations/{group}")).json()["data"]["group_id"] == group
    assert len((await http.get(f"/v1/groups/{group}/connections")).json()["data"]["items"]) == 5
    assert (await http.get("/v1/account/info")).json()["data"]["account_name"]


async def test_webhooks_are_signed_and_tell_of_begin_and_end(http, vendor, clock, called):
    vendor.hook, vendor.hook_secret = "http://hub/hooks/fivetran", "hook-secret"
    vendor.script("id_0", Turn(ends=Ends.BADLY, reason="why"))
    vendor.begin("id_0")
    clock.advance(61)
    await http.get("/v1/connections")

    events = [json.loads(body) for _, _, body in called]
    assert [event["event"] for event in events] == ["sync_start", "sync_end"]
    assert events[0]["sync_id"] == events[1]["sync_id"]
    assert events[1]["data"] == {"status": "FAILURE_WITH_TASK", "reason": "why"}
    assert all(headers[SIGNED_IN].lower() == sign("hook-secret", body) for _, headers, body in called)
    assert {url for url, _, _ in called} == {"http://hub/hooks/fivetran"}
    assert vendor.environment("http://v")["FIVETRAN_WEBHOOK_SECRET"] == "hook-secret"


async def test_nobody_at_home_stops_nothing(clock, vendor, http):
    async def refuse(url, headers, body):
        raise httpx.ConnectError("refused")

    played = connector.sandbox(clock.world(call=refuse))
    played.add(Feed(id="id_0", name="source_0"))
    played.hook = "http://hub"
    played.begin("id_0")
    clock.advance(60)
    await played.tick()

    assert played.line("id_0").succeeded is not None


async def test_landings_happen_without_a_request_while_it_runs(vendor, clock, landed):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(vendor.run)
        await anyio.wait_all_tasks_blocked()
        assert landed == []
        vendor.begin("id_0")  # its clock goes on by itself: a sleep takes no time here
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert landed == [("fivetran", "source_0")]
    assert vendor.requests == []
