"""Probes and metrics."""

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from server.ground import TOKEN, grounds

from stackhub.contract import Outcome
from stackhub.server.doors import Late
from stackhub.server.health import Probes


@dataclass
class Away:
    """A writer whose disk has gone."""

    ailing: str = "disk I/O error"
    commits: int = 3


DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
BEARER = {"authorization": f"Bearer {TOKEN}"}


def numbers(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
async def guarded(tmp_path):
    async with grounds(tmp_path, hub=f"STACKHUB_API_TOKEN={TOKEN}\n") as stood:
        yield stood


async def failed_run(ground) -> None:
    async with ground.ask(door="inside") as client:
        run = (await client.post("/api/v1/pipelines/shop/trigger")).json()["run"]
        ground.toy.end("orders", Outcome.FAILED, "quota")
        while not (await client.get(f"/api/v1/runs/{run}")).json()["ended_at"]:
            await ground.engine.board.crier.wait(0.2)


async def test_a_hub_that_answers_lives(client):
    assert (await client.get("/livez")).status_code == 200


async def test_a_stale_loop_is_not_ready_and_only_who_may_know_hears_why(guarded):
    guarded.engine.beat = guarded.engine.clock.now() - timedelta(minutes=5)
    async with guarded.ask() as client:
        told = await client.get("/readyz")
        named = await client.get("/readyz", headers=BEARER)
        alive = await client.get("/livez")
    assert (told.status_code, named.status_code, alive.status_code) == (503, 503, 200)
    assert "loop" not in told.text
    assert named.json() == {"error": "the loop is stale"}


async def test_an_outbox_that_stands_still_is_not_ready(guarded):
    guarded.engine.beat = guarded.engine.clock.now()
    guarded.engine.lanes.open["bell"].outbox.beat = guarded.engine.clock.now() - timedelta(hours=1)
    async with guarded.ask(door="inside") as client:
        assert (await client.get("/readyz")).json() == {"error": "the outbox of bell is stale"}


async def test_what_moves_is_counted(guarded):
    await failed_run(guarded)
    async with guarded.ask() as client:
        found = numbers((await client.get("/metrics", headers=BEARER)).text)
    assert found["stackhub_runs_created_total", (("pipeline", "shop"), ("trigger", "manual"))] == 1
    assert found["stackhub_runs_ended_total", (("pipeline", "shop"), ("state", "failed"))] == 1
    assert found["stackhub_run_duration_seconds_count", (("pipeline", "shop"),)] == 1
    assert found["stackhub_step_starts_total", (("instance", "toy"),)] == 1
    assert found["stackhub_steps_ended_total", (("instance", "toy"), ("state", "failed"))] == 1
    assert found["stackhub_steps_ended_total", (("instance", "toy"), ("state", "upstream_failed"))] == 1
    assert found["stackhub_calls_total", (("instance", "toy"), ("result", "ok"))] >= 3
    assert found["stackhub_incidents", ()] == 1
    assert found["stackhub_ready", ()] == 1
    assert found["stackhub_store_commits_total", ()] > 5


async def test_without_the_token_the_same_numbers_name_nothing(guarded):
    await failed_run(guarded)
    async with guarded.ask() as client:
        text = (await client.get("/metrics")).text
    found = numbers(text)
    for name in ("shop", "toy", "bell", "orders", "marts"):
        assert name not in text
    assert found["stackhub_runs_ended_total", (("state", "failed"),)] == 1
    assert found["stackhub_step_starts_total", ()] == 1
    assert found["stackhub_steps_ended_total", (("state", "upstream_failed"),)] == 1
    assert found["stackhub_runs", (("state", "running"),)] == 0
    assert found["stackhub_circuit_open", ()] == 0


async def test_where_no_token_is_set_nobody_is_told_names(ground, client):
    assert "bell" not in (await client.get("/metrics")).text


async def test_a_run_that_is_going_is_shown_by_state(guarded):
    async with guarded.ask(door="inside") as client:
        await client.post("/api/v1/pipelines/shop/trigger")
        await client.post("/api/v1/pipelines/shop/trigger")
        found = numbers((await client.get("/metrics")).text)
    assert found["stackhub_runs", (("pipeline", "shop"), ("state", "running"))] == 1
    assert found["stackhub_runs", (("pipeline", "shop"), ("state", "queued"))] == 1


async def test_a_refused_configuration_is_a_number(ground, client):
    ground.engine.refused = "pipelines/shop.yaml:2:1: is bad"
    found = numbers((await client.get("/metrics")).text)
    assert found["stackhub_config_refused", ()] == 1


async def test_while_the_store_is_away_the_other_numbers_are_there(ground, client):
    ground.engine.store = replace(ground.engine.store, writer=Away())
    found = numbers((await client.get("/metrics")).text)
    assert found["stackhub_store_available", ()] == 0
    assert found["stackhub_ready", ()] == 0
    assert ("stackhub_outbox_oldest_seconds", ()) not in found


async def test_the_list_of_names_is_the_documented_one(guarded):
    await failed_run(guarded)
    documented = set(re.findall(r"^\| `(stackhub_\w+)`", DOCS.read_text(), re.MULTILINE))
    async with guarded.ask() as client:
        text = (await client.get("/metrics", headers=BEARER)).text
    given = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE stackhub_")}
    assert given == documented


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_probe_is_answered_while_the_api_is_still_being_made(ground, path):
    async def app(scope, receive, send):
        raise AssertionError(scope["path"])

    transport = httpx.ASGITransport(Probes(app, ground.engine, str))
    ground.engine.beat = ground.engine.clock.now()
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get(path)).status_code == 200
        assert (await client.head(path)).status_code == 200
        wrong = await client.post(path)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")


async def test_the_api_is_made_once_however_many_ask_for_it():
    made = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    late = Late(lambda: made.append(1) or app)
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(late), base_url="http://localhost") as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(5):
            group.start_soon(client.get, "/")
    assert made == [1]
