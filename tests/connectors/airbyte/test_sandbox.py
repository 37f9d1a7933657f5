"""The played Airbyte is as awkward as the real one, and lives by the clock it is given."""

import json

import anyio
import httpx
import pytest

import stackhub_airbyte
from stackhub.contract.sandbox import Ends, Feed, Turn
from stackhub.testing import vendor_transport

V1 = "/api/public/v1"


@pytest.fixture
def vendor(world):
    played = stackhub_airbyte.connector.sandbox(world)
    played.mode = "none"
    played.add(Feed(id="c1", name="shop", seconds=60))
    return played


@pytest.fixture
async def http(vendor):
    async with httpx.AsyncClient(transport=vendor_transport(vendor), base_url="http://vendor.test") as client:
        yield client


async def started(http, kind="sync"):
    return await http.post(f"{V1}/jobs", json={"connectionId": "c1", "jobType": kind})


async def test_a_list_is_oldest_first_unless_asked_otherwise(http, vendor, clock):
    for _ in range(2):
        vendor.begin("shop")
        clock.advance(61)
    rows = (await http.get(f"{V1}/jobs")).json()["data"]
    assert [row["jobId"] for row in rows] == [1, 2]
    rows = (await http.get(f"{V1}/jobs", params={"orderBy": "createdAt|DESC"})).json()["data"]
    assert [row["jobId"] for row in rows] == [2, 1]


async def test_the_last_page_has_a_next_and_the_one_after_it_is_empty(http, vendor):
    vendor.begin("shop")
    first = (await http.get(f"{V1}/jobs")).json()
    assert first["next"].startswith("http://incorrect-url:9999/")
    after = (await http.get(f"{V1}/jobs", params={"offset": 20})).json()
    assert (after["data"], after["next"]) == ([], "")


async def test_refreshes_are_hidden_from_a_list_that_names_no_type(http, vendor):
    vendor.begin("shop", "refresh")
    assert (await http.get(f"{V1}/jobs")).json()["data"] == []
    assert len((await http.get(f"{V1}/jobs", params={"jobType": "refresh"})).json()["data"]) == 1


async def test_a_second_job_of_a_connection_is_refused_in_each_apis_shape(http):
    await started(http)
    public = await started(http)
    assert (public.status_code, public.json()["title"]) == (409, "try-again-later")
    config = await http.post("/api/v1/connections/refresh", json={"connectionId": "c1"})
    assert config.status_code == 409
    assert config.json()["message"] == "A sync is already running for: c1"


async def test_a_job_that_hangs_ends_only_once_it_is_released(http, vendor, clock):
    vendor.script("c1", Turn(ends=Ends.NEVER))
    await started(http)
    clock.advance(10**6)
    assert (await http.get(f"{V1}/jobs/1")).json()["status"] == "running"
    vendor.release("c1")
    assert (await http.get(f"{V1}/jobs/1")).json()["status"] == "succeeded"
    clock.advance(10)
    assert (await started(http)).status_code == 200


async def test_the_public_api_refuses_refreshes(http):
    assert (await started(http, "refresh")).status_code == 422


async def test_only_a_job_that_has_ended_tells_when(http, clock):
    begun = (await started(http)).json()
    assert (begun["lastUpdatedAt"], begun["duration"]) == (None, None)
    clock.advance(93)
    ended = (await http.get(f"{V1}/jobs/1")).json()
    assert (ended["lastUpdatedAt"], ended["duration"]) == ("2026-01-01T12:01Z", "PT1M")


async def test_seconds_that_are_zero_are_left_out(http):
    assert (await started(http)).json()["startTime"] == "2026-01-01T12:00Z"


async def test_a_clock_that_goes_on_while_a_request_is_answered_does_no_harm(clock):
    def ticking():
        clock.advance(0.001)
        return clock.now()

    played = stackhub_airbyte.connector.sandbox(clock.world(now=ticking))
    played.mode = "none"
    played.add(Feed(id="c1", name="shop", seconds=60))
    async with httpx.AsyncClient(transport=vendor_transport(played), base_url="http://vendor.test") as http:
        assert (await started(http)).json()["status"] == "pending"
        assert (await http.post("/api/v1/connections/refresh", json={"connectionId": "c1"})).status_code == 409
        clock.advance(61)
        refreshed = await http.post("/api/v1/connections/refresh", json={"connectionId": "c1"})
        assert refreshed.json()["job"]["status"] == "pending"


async def test_cancelling_what_has_ended_is_a_conflict(http, clock):
    job = (await started(http)).json()["jobId"]
    clock.advance(61)
    assert (await http.delete(f"{V1}/jobs/{job}")).status_code == 409


async def test_a_landing_happens_once_and_only_for_a_success(http, vendor, clock, landed):
    vendor.script("shop", Turn(ends=Ends.BADLY), Turn(), Turn(ends=Ends.CANCELLED))
    for _ in range(3):
        await started(http)
        clock.advance(61)
    for _ in range(3):
        await http.get(f"{V1}/jobs")
    assert landed == [("airbyte", "shop")]


async def test_a_token_runs_out(http, vendor, clock):
    vendor.mode = "application"
    given = vendor.environment("")
    keys = {"client_id": given["AIRBYTE_CLIENT_ID"], "client_secret": given["AIRBYTE_CLIENT_SECRET"]}
    token = (await http.post(f"{V1}/applications/token", json=keys)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert (await http.get(f"{V1}/connections", headers=headers)).status_code == 200
    clock.advance(vendor.life)
    assert (await http.get(f"{V1}/connections", headers=headers)).status_code == 401


async def test_it_may_be_mounted_below_another_path(vendor, clock):
    async def mounted(scope, receive, send):
        await vendor({**scope, "root_path": "/airbyte"}, receive, send)

    async with httpx.AsyncClient(transport=vendor_transport(mounted)) as http:
        assert (await http.get(f"http://x/airbyte{V1}/connections")).status_code == 200


async def test_by_itself_it_lands_and_tells_without_a_request(vendor, clock, landed, called):
    vendor.hook = "http://hub.test/hooks/airbyte/token"
    vendor.script("shop", Turn(), Turn(ends=Ends.BADLY, reason="Disk full"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(vendor.run)
        for _ in range(2):
            vendor.begin("shop")
            with anyio.fail_after(5):
                while vendor.jobs[max(vendor.jobs)].ends_at() > clock.now() or len(called) < len(vendor.jobs):
                    await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert landed == [("airbyte", "shop")]
    told = [(url, json.loads(body)) for url, _, body in called]
    assert [(url, body["data"]["success"], body["data"]["errorMessage"]) for url, body in told] == [
        (vendor.hook, True, None),
        (vendor.hook, False, "Disk full"),
    ]
    assert told[0][1]["data"]["connection"]["id"] == "c1"
    assert len(clock.slept) < 200, "it looks about once a second, and not at all when nothing is going"


async def test_a_notification_that_nobody_takes_is_lost_and_nothing_else(http, vendor, clock, called):
    vendor.hook = "http://hub.test/nobody"
    vendor.begin("shop")
    clock.advance(61)
    assert (await http.get(f"{V1}/jobs")).status_code == 200
    assert (await http.get(f"{V1}/jobs")).status_code == 200
    assert len(called) == 1


async def test_neither_cancelled_jobs_nor_refreshes_are_told(http, vendor, clock, called):
    vendor.hook = "http://hub.test/hooks/airbyte/token"
    vendor.begin("shop", "refresh")
    clock.advance(61)
    vendor.script("shop", Turn(ends=Ends.CANCELLED))
    vendor.begin("shop")
    clock.advance(61)
    await http.get(f"{V1}/jobs")
    assert called == []
