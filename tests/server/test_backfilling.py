"""Backfills and previews over HTTP, on a real engine."""

import anyio
import pytest

WEEK = {"from": "2026-03-02", "to": "2026-03-05", "every": "1d"}


async def ended(client, backfill):
    with anyio.fail_after(20):
        while True:
            shown = (await client.get(f"/api/v1/backfills/{backfill}")).json()
            if shown["ended_at"]:
                return shown
            await anyio.sleep(0.01)


async def test_a_backfill_is_asked_for_shown_and_gone_on_with(ground, client):
    asked = await client.post("/api/v1/pipelines/shop/backfill", json={**WEEK, "only": ["marts"]})
    assert asked.status_code == 202
    made = asked.json()["backfill"]
    await until_running(ground, 1)
    cancelled = await client.post(f"/api/v1/backfills/{made[-6:]}/cancel", json={"reason": "wrong month"})
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelling")
    shown = await ended(client, made)
    assert (shown["state"], shown["reason"], shown["intervals"], shown["done"]) == (
        "cancelled",
        "cancelled: wrong month",
        3,
        0,
    )
    assert [part["state"] for part in shown["parts"]] == ["cancelled", "waiting", "waiting"]
    assert shown["parts"][0]["interval"] == {"start": "2026-03-02T00:00:00Z", "end": "2026-03-03T00:00:00Z"}
    listed = (await client.get("/api/v1/backfills?pipeline=shop")).json()
    assert [(one["id"], one["from"], one["to"]) for one in listed] == [
        (made, "2026-03-02T00:00:00Z", "2026-03-05T00:00:00Z")
    ]
    assert (await client.get("/api/v1/backfills?pipeline=other")).json() == []
    again = (await client.post("/api/v1/pipelines/shop/backfill", json={**WEEK, "only": ["marts"]})).json()
    assert (again["backfill"], again["by_state"]) == (made, {"waiting": 3})
    run = (await client.get(f"/api/v1/backfills/{made}")).json()["parts"][0]["run"]
    assert (await client.get(f"/api/v1/runs/{run}")).json()["trigger"] == "backfill"


async def until_running(ground, many):
    with anyio.fail_after(20):
        while len(ground.toy.started) < many:
            await anyio.sleep(0.01)


async def test_a_dry_run_keeps_nothing(client):
    plan = (
        await client.post("/api/v1/pipelines/shop/backfill", json={**WEEK, "dry_run": True, "extracts": True})
    ).json()
    assert (plan["how"], len(plan["parts"])) == ("every 1d", 3)
    assert (await client.get("/api/v1/backfills")).json() == []


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({**WEEK, "to": "2026-03-01"}, 409, "is not before --to"),
        ({**WEEK, "every": "soon"}, 422, "should be a duration"),
        ({**WEEK, "evry": "1d"}, 422, "evry"),
        ({**WEEK, "only": ["mart"]}, 409, "no task 'mart'"),
        ({"from": "2026-03-02"}, 422, "to"),
        ({**WEEK, "dry_run": True, "from": "x"}, 422, "from"),
        ({**WEEK, "dry_run": True, "to": "2026-02-30"}, 409, "is no time"),
    ],
)
async def test_what_makes_no_sense_is_refused(client, body, status, text):
    answer = await client.post("/api/v1/pipelines/shop/backfill", json=body)
    assert (answer.status_code, text in answer.json()["error"]) == (status, True), answer.text


async def test_what_is_not_there_is_404(client):
    assert (await client.post("/api/v1/pipelines/nowhere/backfill", json=WEEK)).status_code == 404
    assert (await client.get("/api/v1/backfills/01ARZ3ND")).status_code == 404
    assert (await client.post("/api/v1/backfills/01ARZ3ND/cancel")).status_code == 404
    assert (await client.get("/api/v1/pipelines/nowhere/preview")).status_code == 404


async def test_a_pause_shows_what_its_end_would_do(client):
    shown = (await client.get("/api/v1/pipelines/shop/preview")).json()
    assert (shown["paused"], shown["ticks"]) == (False, [])
    await client.post("/api/v1/pipelines/shop/pause")
    shown = (await client.get("/api/v1/pipelines/shop/preview")).json()
    assert (shown["paused"], shown["catchup"]) == (True, "last")
