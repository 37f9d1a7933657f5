"""What the API refuses, and whom: each in the words of the one form that refusals have."""

import re
from pathlib import Path

import pytest
from server.ground import TOKEN, asked_for, grounds
from structlog.testing import capture_logs

from stackhub.model.ids import LENGTH

DOCS = Path(__file__).parents[2] / "docs" / "http.md"
NOBODY = "0" * LENGTH


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
