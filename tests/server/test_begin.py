"""Signed requests that begin a run: one each, whoever sends them how often, and nobody else's."""

import json
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from server.ground import PIPELINE, grounds

from stackhub.decide.signed import sign

SECRET = "correct-horse-battery-staple-of-a-hook"
HOOKED = PIPELINE.replace("tasks:", 'triggers: [{webhook: {secret: "${SHOP_HOOK}"}}]\ntasks:').replace(
    "{table: orders}", '{table: orders, note: "{{ trigger.order.id:-none }}"}'
)


@pytest.fixture
async def ground(tmp_path):
    async with grounds(tmp_path, pipeline=HOOKED, environ={"SHOP_HOOK": SECRET}) as ground:
        yield ground


@pytest.fixture
async def client(ground):
    async with ground.ask(host="hub.example.com", origin="https://sender.example.com") as client:
        yield client


def headers(body, id_="msg_1", secret=SECRET, ago=timedelta()):
    at = datetime.now(UTC) - ago
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": sign(secret, id_, at, body),
    }


async def send(client, body=b"{}", **how):
    return await client.post("/hooks/pipelines/shop", content=body, headers=headers(body, **how))


async def test_a_signed_request_begins_a_run_with_what_it_says(ground, client):
    answer = await send(client, json.dumps({"order": {"id": "$(rm -rf /) {{ run.id }} ${HOME}"}}).encode())
    assert answer.status_code == 202
    run = answer.json()["run"]
    found = next(one for one in ground.engine.board.runs() if one.run.id == run)
    assert (found.run.trigger, found.run.reason) == ("webhook", "asked for by webhook msg_1")
    with anyio.fail_after(10):
        while not ground.toy.started:
            await ground.engine.board.crier.wait(0.1)
    assert ground.toy.started[0].options.note == "$(rm -rf /) {{ run.id }} ${HOME}"


async def test_a_run_that_was_handed_nothing_takes_the_default(ground, client):
    await ground.engine.commands.submit("trigger", {"pipeline": "shop"}, "ada")
    with anyio.fail_after(10):
        while not ground.toy.started:
            await ground.engine.board.crier.wait(0.1)
    assert ground.toy.started[0].options.note == "none"


async def test_a_request_that_is_delivered_again_begins_nothing_more(ground, client):
    first = await send(client)
    again = await send(client, ago=timedelta(seconds=30))
    assert again.json() == {"run": first.json()["run"], "already": True}
    other = await send(client, id_="msg_2")
    assert other.json()["run"] != first.json()["run"]


async def test_requests_delivered_at_the_same_moment_begin_one_run(ground, client):
    runs = []

    async def one():
        answer = await send(client)
        runs.append(answer.json()["run"])

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(one)
    assert len(set(runs)) == 1


@pytest.mark.parametrize(
    "how", [{"secret": "another-secret-altogether"}, {"ago": timedelta(minutes=6)}, {"ago": -timedelta(minutes=6)}]
)
async def test_what_is_not_signed_well_begins_nothing(ground, client, how):
    answer = await send(client, **how)
    assert answer.status_code == 401
    assert ground.engine.board.runs() == []


async def test_nobody_learns_which_pipelines_have_a_hook(tmp_path):
    async with grounds(tmp_path) as ground, ground.ask() as client:
        without = await client.post("/hooks/pipelines/shop", content=b"{}", headers=headers(b"{}"))
        unknown = await client.post("/hooks/pipelines/nobody", content=b"{}", headers=headers(b"{}"))
    assert without.status_code == unknown.status_code == 404
    assert without.text == unknown.text


async def test_a_paused_pipeline_is_not_begun_and_the_sender_is_told(ground, client):
    await ground.engine.commands.submit("pause", {"pipeline": "shop"}, "ada")
    assert (await send(client)).status_code == 409
    await ground.engine.commands.submit("resume", {"pipeline": "shop"}, "ada")
    assert (await send(client)).status_code == 202


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"[]", 400), (b"{", 400), (b'"x"', 400), (b"\xff", 400), (b"", 202), (b'{"a":' * 2000 + b"1" + b"}" * 2000, 400)],
)
async def test_a_body_is_a_json_object_or_nothing(ground, client, body, status):
    assert (await send(client, body)).status_code == status


async def test_a_body_that_is_too_long_or_says_too_much_begins_nothing(ground, client):
    assert (await send(client, json.dumps({"a": "x" * 70_000}).encode())).status_code == 413
    assert (await send(client, json.dumps({f"n{n}": n for n in range(300)}).encode())).status_code == 422
    assert ground.engine.board.runs() == []


async def test_the_api_hands_values_on_as_well(ground, client):
    async with ground.ask() as inside:
        answer = await inside.post("/api/v1/pipelines/shop/trigger", json={"params": {"order": {"id": 7}}})
        assert answer.status_code == 202
        refused = await inside.post("/api/v1/pipelines/shop/trigger", json={"params": {"a-b": 1, "a_b": 2}})
        assert (refused.status_code, refused.json()) == (409, {"error": "two values are named a_b"})
    with anyio.fail_after(10):
        while not ground.toy.started:
            await ground.engine.board.crier.wait(0.1)
    assert ground.toy.started[0].options.note == "7"


async def test_the_secret_is_hidden(ground):
    assert SECRET in ground.engine.in_force.configuration.secrets
