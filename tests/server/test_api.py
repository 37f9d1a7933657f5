"""The API, on a real engine."""

from datetime import UTC, datetime

import anyio
from server.ground import TOKEN, Toy, asked_for, grounds
from structlog.testing import capture_logs

from stackhub.contract import ConfigError, Outcome
from stackhub.model.ids import LENGTH
from stackhub.store import queries

# --- runs ------------------------------------------------------------------------------------------------------------


async def test_a_run_that_is_asked_for_is_kept_before_the_answer(ground, client):
    run = await asked_for(client)
    kept = await ground.engine.store.read(lambda connection: queries.run(connection, run))
    assert (kept.run.trigger, kept.run.reason) == ("api", "asked for by api")


async def test_a_run_is_shown_with_its_steps_and_its_history(ground, client):
    run = await asked_for(client)
    ground.toy.end("orders")
    ground.toy.end("marts")
    shown = await ground.until(run)
    assert shown["state"] == "succeeded"
    assert [(step["task"], step["state"], step["needs"]) for step in shown["steps"]] == [
        ("orders", "succeeded", []),
        ("marts", "succeeded", ["orders"]),
    ]
    assert shown["steps"][0]["url"] == "https://toy.test/orders"
    assert [event["kind"] for event in shown["events"] if not event["task"]] == ["created", "running", "succeeded"]
    assert datetime.fromisoformat(shown["started_at"]) <= datetime.now(UTC)
    assert shown["ended_at"].endswith("Z")
    assert shown["duration"] > 0


async def test_one_part_with_other_options_once(ground, client):
    run = await asked_for(client, only=["marts"], **{"with": {"marts": {"table": "other"}}})
    ground.toy.end("other")
    shown = await ground.until(run)
    assert [step["task"] for step in shown["steps"]] == ["marts"]
    assert [job.options.table for job in ground.toy.started] == ["other"]


async def test_runs_are_listed_newest_first_and_page_by_page(ground, client):
    first = await asked_for(client)
    ground.toy.end("orders")
    ground.toy.end("marts")
    await ground.until(first)
    second = await asked_for(client)
    newest = (await client.get("/api/v1/runs?limit=1")).json()
    assert [run["id"] for run in newest] == [second]
    older = (await client.get("/api/v1/runs", params={"before": second, "pipeline": "shop"})).json()
    assert [run["id"] for run in older] == [first]
    assert (await client.get("/api/v1/runs?pipeline=other")).json() == []
    await ground.until(second)
    assert (await client.get("/api/v1/runs?state=failed")).json() == []


async def test_a_part_of_an_id_that_names_one_run_only_will_do(client):
    run = await asked_for(client)
    for part in (run[-6:], run[:10].lower()):
        assert (await client.get(f"/api/v1/runs/{part}")).json()["id"] == run


async def test_a_part_that_names_several_is_answered_with_them(ground, client):
    first, second = await asked_for(client), await asked_for(client)
    common = next(first[:n] for n in range(LENGTH, 0, -1) if second.startswith(first[:n]))
    answer = await client.get(f"/api/v1/runs/{common}")
    assert answer.status_code == 409
    assert first in answer.json()["error"]
    assert second in answer.json()["error"]


async def test_events_go_on_after_the_last_one_seen(ground, client):
    run = await asked_for(client)
    seen = (await client.get(f"/api/v1/runs/{run}/events")).json()
    last = seen[-1]["id"]
    ground.toy.end("orders")
    ground.toy.end("marts")
    await ground.until(run)
    more = (await client.get(f"/api/v1/runs/{run}/events?after={last}")).json()
    assert more
    assert all(event["id"] > last for event in more)


async def test_events_can_be_waited_for(ground, client):
    run = await asked_for(client)
    await ground.until(run, "running")
    got = []

    async def wait():
        last = (await client.get(f"/api/v1/runs/{run}/events")).json()[-1]["id"]
        while True:
            more = (await client.get(f"/api/v1/runs/{run}/events?after={last}&wait=20")).json()
            got.extend(event["kind"] for event in more)
            if not more or "succeeded" in got:
                return
            last = more[-1]["id"]

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            ground.toy.end("orders")
    assert "succeeded" in got


async def test_a_run_is_cancelled_with_its_reason(ground, client):
    run = await asked_for(client)
    answer = await client.post(f"/api/v1/runs/{run}/cancel", json={"reason": "the wrong month"})
    assert answer.status_code == 202
    shown = await ground.until(run)
    assert (shown["state"], shown["cancel_reason"]) == ("cancelled", "the wrong month")
    again = await client.post(f"/api/v1/runs/{run}/cancel")
    assert again.status_code == 409
    assert "already" in again.json()["error"]


async def test_a_retry_carries_over_what_succeeded(ground, client):
    run = await asked_for(client)
    ground.toy.end("orders")
    ground.toy.end("marts", Outcome.FAILED, "no such column")
    assert (await ground.until(run))["state"] == "failed"
    ground.toy.end("marts")
    answer = await client.post(f"/api/v1/runs/{run}/retry")
    assert answer.status_code == 202
    shown = await ground.until(answer.json()["run"])
    assert (shown["state"], shown["retry_of"]) == ("succeeded", run)
    assert [step["carried_from"] for step in shown["steps"]] == [run, None]
    assert [job.options.table for job in ground.toy.started] == ["orders", "marts", "marts"]


async def test_a_skip_needs_a_reason_and_lets_the_run_go_on(ground, client):
    run = await asked_for(client)
    for body in ({}, {"reason": ""}, None):
        assert (await client.post(f"/api/v1/runs/{run}/steps/orders/skip", json=body)).status_code == 422
    answer = await client.post(f"/api/v1/runs/{run}/steps/orders/skip", json={"reason": "it is broken"})
    assert answer.status_code == 202
    ground.toy.end("marts")
    shown = await ground.until(run)
    assert [step["state"] for step in shown["steps"]] == ["skipped", "succeeded"]
    assert "it is broken (api)" in shown["steps"][0]["note"]


async def test_the_same_key_makes_one_run(client):
    headers = {"idempotency-key": "a-key"}
    first = await client.post("/api/v1/pipelines/shop/trigger", headers=headers)
    second = await client.post("/api/v1/pipelines/shop/trigger", headers=headers)
    assert first.json()["run"] == second.json()["run"]
    other = await client.post("/api/v1/pipelines/shop/trigger", headers=headers, json={"only": ["orders"]})
    assert other.status_code == 422
    fresh = await client.post("/api/v1/pipelines/shop/trigger", headers={"idempotency-key": "a-ke"})
    assert fresh.json()["run"] != first.json()["run"]


async def test_a_key_that_comes_twice_at_once_makes_one_run(ground):
    made = []

    async def ask():
        async with ground.ask(idempotency_key="k") as client:
            made.append(await asked_for(client))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
    assert len(made) == 5
    assert len(set(made)) == 1


# --- why, logs -------------------------------------------------------------------------------------------------------


async def test_why_names_what_a_step_waits_for(ground, client):
    run = await asked_for(client)
    await ground.until(run, "running")
    why = (await client.get(f"/api/v1/runs/{run}/why?task=marts")).json()
    assert (why["task"], why["state"]) == ("marts", "waiting")
    assert why["because"][0].startswith("it waits for orders (")


async def test_a_log_is_read_from_the_tool_and_without_secrets(ground, client):
    run = await asked_for(client)
    ground.toy.end("orders")
    ground.toy.end("marts")
    await ground.until(run)
    url = f"/api/v1/runs/{run}/steps/orders/log"
    whole = (await client.get(url)).json()
    assert (whole["source"], whole["text"], whole["ended"]) == ("job", "loading with ***\nloaded\n", True)
    assert TOKEN not in str(whole)
    rest = (await client.get(url, params={"offset": whole["next"]})).json()
    assert (rest["text"], rest["next"]) == ("", whole["next"])


async def test_a_connector_that_cannot_read_its_log_leaves_the_history(ground, client):
    run = await asked_for(client)
    ground.toy.end("orders")
    await ground.until(run, "running")
    ground.toy.end("marts")
    await ground.until(run)
    for error in (FileNotFoundError("gone"), ZeroDivisionError()):
        ground.toy.log_error = error
        with capture_logs():
            answer = await client.get(f"/api/v1/runs/{run}/steps/orders/log")
        assert (answer.status_code, answer.json()["source"]) == (200, "history")


async def test_a_step_without_a_job_shows_its_history_page_by_page(ground, client):
    run = await asked_for(client)
    await client.post(f"/api/v1/runs/{run}/steps/marts/skip", json={"reason": "not today"})
    url = f"/api/v1/runs/{run}/steps/marts/log"
    whole = (await client.get(url)).json()
    assert whole["source"] == "history"
    assert "skipped (try 1): skipped: not today (api)\n" in whole["text"]
    pages, offset = "", 0
    while page := (await client.get(url, params={"offset": offset, "most": 30})).json()["text"]:
        pages, offset = pages + page, offset + len(page.encode())
    assert pages == whole["text"]


async def test_the_log_of_a_step_that_was_carried_over_is_where_it_ran(ground, client):
    run = await asked_for(client)
    ground.toy.end("orders")
    ground.toy.end("marts", Outcome.FAILED)
    await ground.until(run)
    again = (await client.post(f"/api/v1/runs/{run}/retry")).json()["run"]
    await ground.until(again)
    log = (await client.get(f"/api/v1/runs/{again}/steps/orders/log")).json()
    assert (log["run"], log["source"]) == (run, "job")


# --- pipelines, incidents, the hub -----------------------------------------------------------------------------------


async def test_a_paused_pipeline_says_so_until_it_is_resumed(client):
    await client.post("/api/v1/pipelines/shop/pause", json={"reason": "the warehouse moves"})
    shown = (await client.get("/api/v1/pipelines/shop")).json()
    assert (shown["paused"], shown["paused_reason"], shown["next_at"]) == (True, "the warehouse moves", None)
    assert (await client.get("/api/v1/next")).json()[0]["paused"] is True
    await client.post("/api/v1/pipelines/shop/resume")
    shown = (await client.get("/api/v1/pipelines/shop")).json()
    assert (shown["paused"], shown["next_at"][10:]) == (False, "T06:00:00Z")


async def test_an_incident_is_shown_with_its_messages_and_closed_once(ground, client):
    run = await asked_for(client)
    ground.toy.end("orders", Outcome.FAILED, "quota exceeded")
    await ground.until(run)
    [incident] = (await client.get("/api/v1/incidents?open=true")).json()
    assert (incident["key"], incident["state"]) == ("pipeline:shop", "open")
    assert incident["facets"][0]["error"] == "quota exceeded"
    whole = (await client.get(f"/api/v1/incidents/{incident['id']}")).json()
    assert whole["messages"][0]["instance"] == "bell"
    by_key = (await client.get("/api/v1/incidents/pipeline:shop")).json()
    assert by_key["id"] == incident["id"]
    closed = await client.post(f"/api/v1/incidents/{incident['id']}/close", json={"reason": "known"})
    assert closed.json() == {"incident": incident["id"], "state": "resolved"}
    assert (await client.post(f"/api/v1/incidents/{incident['id']}/close")).status_code == 404
    assert (await client.get("/api/v1/incidents?open=true")).json() == []
    [kept] = (await client.get("/api/v1/incidents")).json()
    assert (kept["state"], kept["resolution"]) == ("resolved", "closed by api: known")


async def test_a_test_goes_down_each_route(ground, client):
    answer = await client.post("/api/v1/alerts/test")
    assert (answer.status_code, answer.json()["routes"]) == (202, ["bell"])
    assert await ground.engine.drained(10) == 0
    assert [message.event for message in ground.bell.told] == ["test"]
    [message] = (await client.get("/api/v1/outbox?state=sent")).json()
    assert (message["instance"], message["state"], message["event"]) == ("bell", "sent", "test")


async def test_instances_say_how_their_accounts_are(client):
    bell, toy = (await client.get("/api/v1/instances")).json()
    assert (bell["instance"], bell["notifies"], bell["undelivered"]) == ("bell", True, 0)
    assert (toy["operations"], toy["state"], toy["notifies"]) == (["toy.load"], "ok", False)


async def test_an_instance_that_cannot_be_opened_says_why(tmp_path):
    with capture_logs():
        async with (
            grounds(tmp_path, toy=Toy(open_error=ConfigError("no such project"))) as ground,
            ground.ask() as client,
        ):
            _, toy = (await client.get("/api/v1/instances")).json()
    assert toy["state"] == "shut"
    assert "no such project" in toy["error"]


async def test_a_reload_that_is_refused_says_why(ground, client):
    assert (await client.post("/api/v1/reload")).json() == {"revision": 1}
    refused = await client.post("/api/v1/reload")
    assert (refused.status_code, refused.json()) == (409, {"error": "pipelines/shop.yaml:2:1: is bad"})
