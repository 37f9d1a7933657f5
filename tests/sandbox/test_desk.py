"""Scripting the fake vendors with nothing but HTTP."""

import shlex
from contextlib import asynccontextmanager

import httpx
import pytest
from sandbox.players import Inbox, Plugin, Syncs

from stackhub.contract.sandbox import Breaks, Ends, Fault, Feed, Turn
from stackhub.sandbox.mount import open_stage

CRM = Feed(id="calm_harbour", name="shop_crm", tables=("customers",))


@asynccontextmanager
async def a_desk():
    async with (
        open_stage([Plugin("tiny", Syncs), Plugin("chat", Inbox)], feeds={"tiny": (CRM,)}) as stage,
        httpx.AsyncClient(transport=httpx.ASGITransport(stage), base_url="http://127.0.0.1:8788") as client,
    ):
        yield stage.vendors, client


@pytest.mark.parametrize("name", ["shop_crm", "calm_harbour"])
async def test_a_connection_is_scripted_by_name_or_id(name):
    turns = [{"ends": "badly", "seconds": 2, "reason": "quota"}, {"ends": "never"}]
    async with a_desk() as (vendors, client):
        answer = await client.post("/_sandbox/tiny", json={"connection": name, "turns": turns})
    assert answer.status_code == 200
    assert vendors["tiny"].scripts == {
        "calm_harbour": (Turn(ends=Ends.BADLY, seconds=2, reason="quota"), Turn(ends=Ends.NEVER))
    }


async def test_no_turns_clear_a_script():
    async with a_desk() as (vendors, client):
        await client.post("/_sandbox/tiny", json={"connection": "shop_crm", "turns": [{"ends": "badly"}]})
        await client.post("/_sandbox/tiny", json={"connection": "shop_crm"})
    assert vendors["tiny"].scripts == {"calm_harbour": ()}


async def test_a_sync_of_the_vendors_own_schedule_is_begun_and_no_script_is_lost():
    async with a_desk() as (vendors, client):
        await client.post("/_sandbox/tiny", json={"connection": "shop_crm", "begin": True})
    assert vendors["tiny"].begun == ["calm_harbour"]
    assert vendors["tiny"].scripts == {}


async def test_a_webhook_is_registered_and_taken_back():
    async with a_desk() as (vendors, client):
        for hook in ("http://127.0.0.1:8787/hooks/tiny", ""):
            await client.post("/_sandbox/tiny", json={"hook": hook})
            assert vendors["tiny"].hook == hook


async def test_a_planned_fault_strikes():
    fault = {"breaks": "status", "status": 503, "path": "/v1/", "headers": {"retry-after": "7"}, "body": "later"}
    async with a_desk() as (_, client):
        await client.post("/_sandbox/chat", json={"fault": fault})
        struck, spared = await client.get("/chat/v1/x"), await client.get("/chat/v1/x")
    assert (struck.status_code, struck.text, struck.headers["retry-after"]) == (503, "later", "7")
    assert spared.status_code == 200


async def test_faults_are_shown_until_they_are_spent_and_can_be_forgotten():
    async with a_desk() as (vendors, client):
        vendors["chat"].faults += [
            Fault(breaks=Breaks.HANG, times=2),
            Fault(breaks=Breaks.BEFORE, times=0),
        ]
        shown = (await client.get("/_sandbox/chat")).json()["faults"]
        left = (await client.delete("/_sandbox/chat")).json()["faults"]
    assert [(fault["breaks"], fault["times"]) for fault in shown] == [("hang", 2)]
    assert left == vendors["chat"].faults == []


async def test_a_connection_can_be_added_and_scripted_at_once():
    feed = {"id": "calm_river", "name": "erp", "schema": "erp", "tables": ["invoices"]}
    async with a_desk() as (vendors, client):
        answer = await client.post("/_sandbox/tiny", json={"feed": feed, "connection": "erp", "turns": [{}]})
    assert vendors["tiny"].added[-1] == Feed(id="calm_river", name="erp", schema="erp", tables=("invoices",))
    assert vendors["tiny"].scripts == {"calm_river": (Turn(),)}
    assert [one["name"] for one in answer.json()["connections"]] == ["shop_crm", "erp"]


async def test_what_a_vendor_has_seen_and_shown_can_be_read():
    async with a_desk() as (_, client):
        await client.post("/chat/v1/messages")
        chat = (await client.get("/_sandbox/chat")).json()
        tiny = (await client.get("/_sandbox/tiny")).json()
    assert chat["requests"] == ["POST /v1/messages"]
    assert chat["messages"] == [{"where": "#data", "lines": ["dbt failed"], "replies": [["retried"]], "edits": 0}]
    assert [(one["id"], one["name"], one["started"]) for one in tiny["connections"]] == [
        ("calm_harbour", "shop_crm", 3)
    ]


@pytest.mark.parametrize(
    ("vendor", "body", "status", "words"),
    [
        ("tiny", {"connection": "nope", "turns": [{}]}, 404, "tiny has no connection 'nope': shop_crm"),
        ("tiny", {"connection": "shop_crm", "turns": [{"ends": "sadly"}]}, 400, "turns.0.ends"),
        ("tiny", {"connection": "shop_crm", "turns": [{"end": "badly"}]}, 400, "turns.0.end"),
        ("tiny", {"conection": "shop_crm"}, 400, "conection"),
        ("tiny", {}, 400, "says nothing"),
        ("tiny", {"fault": {"breaks": "status", "path": "("}}, 400, "fault.path: no regular expression"),
        ("chat", {"connection": "shop_crm", "turns": [{}]}, 400, "chat runs no syncs"),
        ("chat", {"hook": ""}, 400, "chat runs no syncs"),
        ("mail", {"fault": {"breaks": "before"}}, 404, "no vendor 'mail' here: chat, tiny"),
    ],
)
async def test_an_order_that_cannot_be_followed_is_told_why_and_changes_nothing(vendor, body, status, words):
    async with a_desk() as (vendors, client):
        answer = await client.post(f"/_sandbox/{vendor}", json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert vendors["tiny"].scripts == {}
    assert vendors["tiny"].added == [CRM]
    assert vendors["tiny"].faults == vendors["chat"].faults == []


async def test_a_body_that_is_no_json_is_refused():
    async with a_desk() as (_, client):
        answer = await client.post("/_sandbox/tiny", content=b"ends=badly")
    assert answer.status_code == 400
    assert "Invalid JSON" in answer.json()["error"]


async def test_the_front_page_says_what_to_put_into_which_file_and_how_to_script_it():
    async with a_desk() as (_, client):
        bill = (await client.get("/")).text
    assert "tiny.env:\n  TINY_API_URL=http://127.0.0.1:8788/tiny\n  TINY_KEY=sandbox\n" in bill
    assert "shop_crm  (calm_harbour)" in bill
    assert "http://127.0.0.1:8788/_sandbox/tiny" in bill


async def test_the_orders_on_the_front_page_are_followed():
    async with a_desk() as (vendors, client):
        bill = (await client.get("/")).text
        orders = [shlex.split(line) for line in bill.splitlines() if line.strip().startswith("curl -d")]
        for _curl, _d, body, url in orders:
            assert (await client.post(url, content=body)).status_code == 200, body
    assert vendors["tiny"].scripts["calm_harbour"][0].ends is Ends.BADLY
    assert vendors["chat"].faults
