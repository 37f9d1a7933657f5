"""Vendors' webhooks."""

from datetime import timedelta

import anyio
import pytest
from server.ground import TOKEN, Toy, grounds
from structlog.testing import capture_logs

GOOD = {"x-signature": "good"}


async def test_the_connector_sees_the_raw_bytes_and_what_follows_its_name(ground, client):
    answer = await client.post("/hooks/toy/a/b", content=b'{ "raw":1}\n', headers=GOOD)
    assert (answer.status_code, answer.json()) == (200, {"heard": 1})
    headers, body, path = ground.toy.heard[0]
    assert (headers["x-signature"], body, path) == ("good", b'{ "raw":1}\n', "a/b")


async def test_a_genuine_hook_wakes_its_lane_and_no_other_does(tmp_path):
    async with grounds(tmp_path, toy=Toy(look=timedelta(hours=1))) as ground, ground.ask() as client:
        run = (await client.post("/api/v1/pipelines/shop/trigger")).json()["run"]
        with anyio.fail_after(10):
            while (await client.get(f"/api/v1/runs/{run}")).json()["steps"][0]["state"] != "running":
                await ground.engine.board.crier.wait(0.2)
        await client.post("/hooks/toy", content=b"{}")
        await anyio.wait_all_tasks_blocked()
        assert not ground.toy.polled.is_set()
        await client.post("/hooks/toy", content=b"{}", headers=GOOD)
        with anyio.fail_after(10):
            await ground.toy.polled.wait()


async def test_a_wrong_signature_wakes_nobody_and_learns_nothing(ground, client):
    answer = await client.post("/hooks/toy", content=b"{}")
    assert answer.status_code == 401
    assert TOKEN not in answer.text


async def test_nobody_learns_which_instances_there_are(ground, client):
    closed = await client.post("/hooks/toy/closed", content=b"{}", headers=GOOD)
    deaf = await client.post("/hooks/bell", content=b"{}", headers=GOOD)
    unknown = await client.post("/hooks/nobody", content=b"{}", headers=GOOD)
    assert closed.status_code == deaf.status_code == unknown.status_code == 404
    assert closed.text == deaf.text == unknown.text
    assert dict(closed.headers) == dict(deaf.headers) == dict(unknown.headers)


async def test_a_bug_in_a_connector_costs_its_hook_only(ground, client):
    ground.toy.bug = True
    with capture_logs() as logged:
        answer = await client.post("/hooks/toy", content=b"\xff", headers=GOOD)
    assert [line["event"] for line in logged] == ["bug in a connector"]
    assert answer.status_code == 400
    assert (await client.get("/livez")).status_code == 200


async def test_hooks_need_no_token(ground):
    async with ground.ask(host="hub.example.com", origin="https://vendor.example.com") as outside:
        answer = await outside.post("/hooks/toy", content=b"{}", headers=GOOD)
    assert answer.status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_hooks_are_posted(shared, method):
    assert (await shared.request(method, "/hooks/toy")).status_code == 405
