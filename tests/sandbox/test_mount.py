"""Every fake vendor on one port."""

import socket

import anyio
import httpx
import pytest
from sandbox.players import Inbox, Player, Plugin, Syncs

from stackhub.contract import ConfigError
from stackhub.contract.sandbox import Breaks, Dropped, Fault, Feed, heard
from stackhub.sandbox.mount import open_stage, serve

CRM = Feed(id="calm_harbour", name="shop_crm")


def client_of(stage):
    return httpx.AsyncClient(transport=httpx.ASGITransport(stage), base_url="http://stage.test")


async def test_a_vendor_sees_its_own_paths_and_knows_where_it_hangs():
    async with open_stage([Plugin("tiny", Player)]) as stage, client_of(stage) as client:
        seen = (await client.get("/tiny/v1/a%2Fb?limit=1")).json()
    assert seen == {"name": "tiny", "root": "/tiny", "path": "/v1/a/b", "raw": "/v1/a%2Fb"}
    assert stage.vendors["tiny"].requests == [("GET", "/v1/a/b")]


async def test_the_bare_prefix_is_a_vendors_root():
    async with open_stage([Plugin("tiny", Player)]) as stage, client_of(stage) as client:
        seen = (await client.get("/tiny")).json()
    assert (seen["path"], seen["raw"]) == ("/", "/")


async def test_a_name_that_begins_like_a_vendors_is_another():
    async with open_stage([Plugin("tiny", Player)]) as stage, client_of(stage) as client:
        assert (await client.get("/tinyer/v1")).status_code == 404
    assert stage.vendors["tiny"].requests == []


async def test_connectors_that_run_anywhere_have_no_place_on_the_stage():
    async with open_stage([Plugin("tiny", Player), Plugin("dbt")]) as stage:
        assert set(stage.vendors) == {"tiny"}


async def test_every_vendor_is_told_its_own_address():
    async with open_stage([Plugin("one", Player), Plugin("two", Player)]) as stage:
        variables = stage.environment("http://127.0.0.1:8788/")
    assert variables["one"]["ONE_API_URL"] == "http://127.0.0.1:8788/one"
    assert variables["two"]["TWO_API_URL"] == "http://127.0.0.1:8788/two"


async def test_feeds_are_given_out_by_vendor_and_those_of_absent_vendors_are_passed_over():
    feeds = {"tiny": (CRM,), "absent": (CRM,)}
    async with open_stage([Plugin("tiny", Syncs)], feeds=feeds) as stage:
        assert stage.vendors["tiny"].added == [CRM]
        assert stage.feeds("tiny") == (CRM,)


async def test_a_feed_for_a_vendor_without_syncs_is_refused_by_name():
    async with open_stage([Plugin("chat", Inbox), Plugin("tiny", Syncs)]) as stage:
        with pytest.raises(ConfigError, match="'chat' is no vendor of syncs here: these are tiny"):
            stage.add("chat", CRM)


async def test_vendors_tick_while_the_stage_is_open_and_no_longer():
    with anyio.fail_after(5):
        async with open_stage([Plugin("tiny", Syncs)]) as stage:
            await stage.vendors["tiny"].ticking.wait()
        assert stage.vendors["tiny"].stopped


async def test_all_vendors_live_in_one_world():
    landed = []

    def land(vendor, connection):
        landed.append((vendor, connection))
        return 7

    async with open_stage([Plugin("one", Player), Plugin("two", Player)], land=land, seed=3) as stage:
        worlds = [vendor.world for vendor in stage.vendors.values()]
        assert worlds[0] is worlds[1]
        assert worlds[0].land("one", "shop_crm") == 7
    assert landed == [("one", "shop_crm")]


async def test_no_vendor_waits_for_whoever_hears_its_webhooks():
    heard, answered = [], anyio.Event()
    release = anyio.Event()

    async def slow(request):
        await release.wait()
        heard.append((request.url.path, request.headers["x-signed"], await request.aread()))
        answered.set()
        return httpx.Response(200)

    with anyio.fail_after(5):
        async with open_stage([Plugin("tiny", Player)], transport=httpx.MockTransport(slow)) as stage:
            await stage.vendors["tiny"].world.call("http://hub.test/hooks/tiny", {"x-signed": "yes"}, b"{}")
            assert heard == []
            release.set()
            await answered.wait()
    assert heard == [("/hooks/tiny", "yes", b"{}")]


async def test_a_webhook_that_nobody_hears_ends_nothing():
    tried = anyio.Event()

    async def nobody(request):
        tried.set()
        raise httpx.ConnectError("refused", request=request)

    with anyio.fail_after(5):
        async with open_stage([Plugin("tiny", Player)], transport=httpx.MockTransport(nobody)) as stage:
            await stage.vendors["tiny"].world.call("http://hub.test/hooks/tiny", {}, b"{}")
            await tried.wait()
            async with client_of(stage) as client:
                assert (await client.get("/tiny/still")).is_success


async def test_a_stage_is_reached_over_the_network():
    async with (
        open_stage([Plugin("tiny", Player)]) as stage,
        serve(stage, 0) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        seen = (await client.post("/tiny/v1/sync", json={})).json()
        bill = (await client.get("/")).text
    assert seen["path"] == "/v1/sync"
    assert f"TINY_API_URL={url}/tiny" in bill


async def test_a_lost_answer_is_a_cut_connection_on_the_network_and_dropped_in_process():
    async with open_stage([Plugin("tiny", Player)]) as stage:
        tiny = stage.vendors["tiny"]
        async with serve(stage, 0) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
            tiny.faults.append(Fault(breaks=Breaks.AFTER))
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/tiny/v1")
            assert (await client.get("/tiny/v1")).is_success
        tiny.faults.append(Fault(breaks=Breaks.AFTER))
        async with client_of(stage) as client:
            with pytest.raises(Dropped):
                await client.get("/tiny/v1")


async def test_a_cut_that_was_planned_is_no_crash_in_the_log(caplog):
    async with open_stage([Plugin("tiny", Player)]) as stage, serve(stage, 0) as url:
        stage.vendors["tiny"].faults.append(Fault(breaks=Breaks.BEFORE))
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/tiny/v1")
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_request_that_is_never_said_to_its_end_comes_to_nothing():
    async def receive():
        return parts.pop(0)

    parts = [
        {"type": "http.request", "body": b'{"force"', "more_body": True},
        {"type": "http.disconnect"},
    ]
    with pytest.raises(Dropped):
        await heard(receive)


async def test_closing_waits_for_no_answer_that_hangs():
    hanging, ended = anyio.Event(), []

    async def hang(seconds):
        hanging.set()
        await anyio.sleep_forever()

    async def ask(url):
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
            ended.append((await client.get("/tiny/v1")).status_code)

    with anyio.fail_after(10):
        async with open_stage([Plugin("tiny", Player)], sleep=hang) as stage, anyio.create_task_group() as group:
            stage.vendors["tiny"].faults.append(Fault(breaks=Breaks.HANG))
            async with serve(stage, 0) as url:
                group.start_soon(ask, url)
                await hanging.wait()
    assert ended == [500]


async def test_a_port_that_is_taken_is_told_with_its_number():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} on 127.0.0.1 cannot be used"):
            async with serve(Player("tiny", None), port):
                pass


async def test_a_server_that_is_closed_gives_its_port_back():
    async with open_stage([Plugin("tiny", Player)]) as stage:
        async with serve(stage, 0) as url:
            port = httpx.URL(url).port
        async with serve(stage, port) as again:
            assert again == url


async def test_an_error_in_the_body_comes_out_as_it_is():
    with pytest.raises(ConfigError, match="as it is"):
        async with open_stage([Plugin("tiny", Syncs)]) as stage, serve(stage, 0):
            raise ConfigError("as it is")


async def test_a_vendor_that_breaks_while_ticking_ends_the_stage():
    class Broken(Player):
        async def run(self):
            raise ZeroDivisionError

    with anyio.fail_after(5), pytest.raises(ZeroDivisionError):
        async with open_stage([Plugin("tiny", Broken)]):
            await anyio.sleep_forever()
