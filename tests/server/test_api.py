"""The API, on a real engine."""

import re
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from server.ground import TOKEN, Toy, grounds
from structlog.testing import capture_logs

from stackhub.contract import ConfigError, Outcome
from stackhub.model.ids import LENGTH
from stackhub.store import queries

DOCS = Path(__file__).parents[2] / "docs" / "http.md"
NOBODY = "0" * LENGTH


async def asked_for(client, **body) -> str:
    answer = await client.post("/api/v1/pipelines/shop/trigger", **({"json": body} if body else {}))
    assert answer.status_code == 202, answer.text
    return answer.json()["run"]


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


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/pipelines/nobody"),
        ("POST", "/api/v1/pipelines/nobody/trigger"),
        ("POST", "/api/v1/pipelines/nobody/pause"),
        ("POST", "/api/v1/pipelines/nobody/resume"),
        ("GET", f"/api/v1/runs/{NOBODY}"),
        ("GET", f"/api/v1/runs/{NOBODY}/events"),
        ("GET", f"/api/v1/runs/{NOBODY}/why"),
        ("GET", f"/api/v1/runs/{NOBODY}/steps/orders/log"),
        ("POST", f"/api/v1/runs/{NOBODY}/cancel"),
        ("POST", f"/api/v1/runs/{NOBODY}/retry"),
        ("GET", "/api/v1/incidents/nobody"),
        ("POST", "/api/v1/incidents/nobody/close"),
        ("GET", "/api/v1/nothing"),
        ("GET", "/nothing"),
        ("GET", "/api/v1/runs/"),
    ],
)
async def test_what_is_not_there_is_404_with_a_reason(shared, method, path):
    answer = await shared.request(method, path)
    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]


async def test_a_task_that_is_not_there_is_404(client):
    run = await asked_for(client)
    for answer in (
        await client.get(f"/api/v1/runs/{run}/steps/nothing/log"),
        await client.get(f"/api/v1/runs/{run}/why?task=nothing"),
        await client.post(f"/api/v1/runs/{run}/steps/nothing/skip", json={"reason": "x"}),
    ):
        assert answer.status_code == 404
        assert "there are: orders, marts" in answer.json()["error"]


@pytest.mark.parametrize("body", ["{", "", "nonsense", '{"only": ["x"', "\x00", "[" * 100_000, "9" * 9000])
async def test_what_is_no_json_is_400_or_nothing_at_all(shared, body):
    answer = await shared.post(
        "/api/v1/pipelines/shop/trigger", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == (400 if body else 202)


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "1",
        '{"onyl": ["orders"]}',
        '{"only": "orders"}',
        '{"only": [""]}',
        '{"with": {"orders": 1}}',
        '{"with": {"orders": {"table": 1e999}, "o": 3}}',
        '{"with": {"orders": {"table": Infinity}}}',
        '{"with": {"orders": {"table": "\\ud800"}}}',
        '{"only": ["\\u0000"]}',
    ],
)
async def test_what_is_not_of_the_form_is_422(shared, body):
    answer = await shared.post(
        "/api/v1/pipelines/shop/trigger", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "state=going", "before=%00", "pipeline=%00", "pipeline=" + "x" * 201]
)
async def test_a_query_that_is_not_of_the_form_is_422(shared, query):
    assert (await shared.get(f"/api/v1/runs?{query}")).status_code == 422


async def test_a_refused_command_is_409_and_changes_nothing(ground, client):
    answer = await client.post("/api/v1/pipelines/shop/trigger", json={"only": ["nothing"]})
    assert answer.status_code == 409
    assert "there are: orders, marts" in answer.json()["error"]
    assert (await client.get("/api/v1/runs")).json() == []


async def test_what_nobody_foresaw_is_500_without_a_word_of_it(ground, client):
    ground.engine.incidents.open, kept = None, ground.engine.incidents.open
    with capture_logs() as logged:
        answer = await client.get("/api/v1/incidents/x")
    ground.engine.incidents.open = kept
    assert [(line["event"], line["path"]) for line in logged] == [("a request failed", "/api/v1/incidents/x")]
    assert (answer.status_code, answer.json()) == (500, {"error": "this failed; the log says why"})


# --- who asks --------------------------------------------------------------------------------------------------------


async def test_through_the_socket_a_person_asks(ground):
    async with ground.ask(door="inside", x_stackhub_by="ada\x7f") as client:
        run = await asked_for(client)
        shown = (await client.get(f"/api/v1/runs/{run}")).json()
    assert (shown["trigger"], shown["reason"]) == ("manual", "asked for by ada")


async def test_on_the_port_nobody_is_believed_to_be_a_person(ground):
    async with ground.ask(x_stackhub_by="ada") as client:
        run = await asked_for(client)
        shown = (await client.get(f"/api/v1/runs/{run}")).json()
    assert (shown["trigger"], shown["reason"]) == ("api", "asked for by api")


async def test_the_token_opens_the_port_and_the_socket_needs_none(tmp_path):
    async with grounds(tmp_path, hub=f"STACKHUB_API_TOKEN={TOKEN}\n") as ground:
        async with ground.ask() as client:
            refused = await client.get("/api/v1/runs")
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        async with ground.ask(authorization=f"Bearer {TOKEN}", host="hub.example.com") as client:
            assert (await client.get("/api/v1/runs")).status_code == 200
        async with ground.ask(door="inside") as client:
            assert (await client.get("/api/v1/runs")).status_code == 200


async def test_the_root_says_where_the_api_is(shared):
    answer = await shared.get("/")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "/api/v1" in answer.text


async def test_every_route_is_documented_and_every_documented_one_is_there(shared):
    described = (await shared.get("/api/openapi.json")).json()["paths"]
    routes = {(method.upper(), path) for path, methods in described.items() for method in methods}
    documented = re.findall(r"^\| `(GET|POST)` \| `(/api/\S+)` \|", DOCS.read_text(), re.MULTILINE)
    assert set(documented) == routes
