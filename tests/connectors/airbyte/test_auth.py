"""How Airbyte lets us in, and what is said when it does not."""

import base64
import json
from datetime import UTC, datetime, timedelta

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

import stackhub_airbyte
from stackhub.contract import ConfigError, Job, LostLane, Pending, Rejected, Unavailable
from stackhub.contract.sandbox import Breaks, Fault, Feed
from stackhub.testing import a_context, settings_from
from stackhub.wire import connect
from stackhub_airbyte.auth import EARLY, UNTOLD, Application, lifetime
from stackhub_airbyte.opening import server_of
from stackhub_airbyte.sandbox import CLIENT_ID, CLIENT_SECRET, PASSWORD

connector = stackhub_airbyte.connector
URL = "http://vendor.test"
TOKEN = ("POST", "/api/public/v1/applications/token")
OLDER = ("POST", "/api/v1/applications/token")
START = ("POST", "/api/public/v1/jobs")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def vendor(clock):
    played = connector.sandbox(clock.world())
    played.add(Feed(id="c1", name="shop", seconds=600))
    return played


@pytest.fixture
def passed():
    return []


@pytest.fixture
def context(vendor, clock, passed):
    async def gate(*, wait):
        passed.append(wait)

    return a_context(vendor, clock=clock, instance="airbyte", gate=gate)


@pytest.fixture
def opened(vendor, context):
    def opened(**changes):
        return connector.open(settings_from(connector, vendor.environment(URL), **changes), context)

    return opened


@pytest.fixture
async def airbyte(opened):
    async with opened() as account:
        yield account


def sync():
    return Job(operation="sync", options=connector.operations["sync"].options(connection="shop"))


def count(vendor, request):
    return vendor.requests.count(request)


async def test_a_token_is_fetched_once_and_kept(airbyte, vendor):
    for _ in range(3):
        await airbyte.connections()
    assert count(vendor, TOKEN) == 1


async def test_a_token_is_renewed_half_a_minute_before_its_end(airbyte, vendor, clock):
    await airbyte.prepare(sync())
    clock.advance(vendor.life - EARLY - timedelta(seconds=1))
    await airbyte.prepare(sync())
    assert count(vendor, TOKEN) == 1
    clock.advance(1)
    await airbyte.prepare(sync())
    assert count(vendor, TOKEN) == 2
    assert vendor.requests.count(("GET", "/api/public/v1/jobs")) == 3, "no request was refused in between"


async def test_many_at_once_share_one_token_request(airbyte, vendor):
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(airbyte.prepare, sync())
    assert count(vendor, TOKEN) == 1


async def test_many_that_are_refused_at_once_share_one_new_token(airbyte, vendor):
    await airbyte.prepare(sync())
    vendor.expire_tokens()
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(airbyte.prepare, sync())
    assert count(vendor, TOKEN) == 2


async def test_a_start_that_is_refused_with_401_is_sent_again_with_a_new_token(airbyte, vendor):
    baseline = await airbyte.prepare(sync())
    vendor.expire_tokens()
    handle = await airbyte.start(sync(), baseline, "k")
    assert vendor.started("shop") == 1
    assert (count(vendor, START), count(vendor, TOKEN)) == (2, 2)
    assert isinstance((await airbyte.poll([handle]))[0], Pending)


async def test_a_start_whose_new_token_cannot_be_had_was_not_started(airbyte, vendor):
    baseline = await airbyte.prepare(sync())
    vendor.expire_tokens()
    vendor.faults.append(Fault(breaks=Breaks.BEFORE, path="token$", times=3))
    with pytest.raises(Unavailable):
        await airbyte.start(sync(), baseline, "k")
    assert vendor.started("shop") == 0


async def test_a_token_that_is_refused_twice_is_a_persons_to_mend(airbyte, vendor):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=401, path="/connections$", times=2))
    with pytest.raises(ConfigError):
        await airbyte.connections()
    assert count(vendor, TOKEN) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_every_refusal_of_the_token_endpoint_is_a_persons_to_mend(airbyte, vendor, status):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=status, path="token$", times=9, body=CLIENT_SECRET))
    with pytest.raises(ConfigError) as caught:
        await airbyte.connections()
    assert "AIRBYTE_" in str(caught.value)
    assert CLIENT_SECRET not in str(caught.value)


async def test_a_500_of_the_token_endpoint_is_an_outage_until_it_repeats(airbyte, vendor):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=500, path="token$", times=9))
    for _ in range(2):
        with pytest.raises(Unavailable):
            await airbyte.connections()
    with pytest.raises(ConfigError, match="3 times in a row"):
        await airbyte.connections()
    assert count(vendor, TOKEN) == 3
    vendor.faults.clear()
    await airbyte.connections()
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=500, path="token$"))
    vendor.expire_tokens()
    with pytest.raises(Unavailable):
        await airbyte.connections()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_gateways_word_says_nothing_about_the_credentials(airbyte, vendor, status):
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=status, path="token$", times=99))
    for _ in range(5):
        with pytest.raises(Unavailable):
            await airbyte.connections()
    assert count(vendor, TOKEN) <= 15, "a failed token was multiplied by the tries of the read that wanted it"


async def test_half_a_token_is_never_shown(airbyte, vendor):
    vendor.faults.append(Fault(breaks=Breaks.TRUNCATED, path="token$", times=9))
    with pytest.raises(Unavailable) as caught:
        await airbyte.connections()
    assert "eyJ" not in f"{caught.value} {caught.value.__cause__}"


async def test_an_older_server_is_asked_where_it_gives_tokens_and_from_then_on_only_there(airbyte, vendor):
    vendor.old = True
    vendor.tells_life = False
    await airbyte.connections()
    vendor.expire_tokens()
    await airbyte.connections()
    assert (count(vendor, TOKEN), count(vendor, OLDER)) == (1, 2)


async def test_a_token_url_that_is_given_is_the_only_one(opened, vendor):
    vendor.old = True
    async with opened(token_url=f"{URL}/api/public/v1/applications/token") as account:
        with pytest.raises(ConfigError, match="AIRBYTE_TOKEN_URL"):
            await account.connections()
    assert count(vendor, OLDER) == 0


async def test_every_request_passes_the_gate_the_token_and_the_repeat_too(airbyte, vendor, passed):
    await airbyte.connections()
    assert len(passed) >= len(vendor.requests)
    baseline = await airbyte.prepare(sync())
    vendor.expire_tokens()
    passed.clear()
    vendor.requests.clear()
    await airbyte.start(sync(), baseline, "k")
    assert [request[0] for request in vendor.requests] == ["POST", "POST", "POST"]
    assert len(passed) == 3


async def test_a_lane_lost_while_a_token_was_fetched_starts_nothing(vendor, clock):
    sends = []

    async def gate(*, wait):
        if not wait:
            sends.append(wait)
        if len(sends) == 2:
            raise LostLane("ours no more")

    settings = settings_from(connector, vendor.environment(URL))
    async with connector.open(settings, a_context(vendor, clock=clock, gate=gate)) as account:
        baseline = await account.prepare(sync())
        vendor.expire_tokens()
        sends.clear()
        with pytest.raises(LostLane):
            await account.start(sync(), baseline, "k")
    assert vendor.started("shop") == 0


# --- how long a token lives ----------------------------------------------------------------------------------------


def jwt(**claims):
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"head.{payload}.tail"


@pytest.mark.parametrize(
    ("body", "life"),
    [
        ({"access_token": "opaque", "expires_in": 900}, 900),
        ({"access_token": jwt(exp=NOON.timestamp() + 180), "expires_in": 900}, 180),
        ({"access_token": jwt(exp=NOON.timestamp() + 900), "expires_in": 180}, 180),
        ({"access_token": jwt(exp=NOON.timestamp() + 180)}, 180),
        ({"access_token": jwt(exp=5180, iat=5000)}, 180),
        ({"access_token": jwt(exp=NOON.timestamp() - 5), "expires_in": 900}, 900),
        ({"access_token": "opaque"}, UNTOLD.total_seconds()),
        ({"access_token": "a.b.c", "expires_in": "soon"}, UNTOLD.total_seconds()),
        ({"access_token": jwt(exp="x"), "expires_in": True}, UNTOLD.total_seconds()),
        ({"access_token": "opaque", "expires_in": -1}, UNTOLD.total_seconds()),
    ],
)
def test_a_token_lives_as_long_as_the_shorter_of_what_is_said(body, life):
    assert lifetime(body, NOON).total_seconds() == pytest.approx(life)


@given(st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.text())
def test_whatever_is_said_of_it_a_token_lives_for_a_while(token, expires):
    life = lifetime({"access_token": token, "expires_in": expires}, NOON)
    assert timedelta() < life <= timedelta(days=1)


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"client_id": "x"}, "AIRBYTE_CLIENT_SECRET is missing"),
        ({"client_secret": "x"}, "AIRBYTE_CLIENT_ID is missing"),
        ({"client_id": "x", "client_secret": ""}, "AIRBYTE_CLIENT_SECRET is missing"),
        ({"username": "x"}, "AIRBYTE_PASSWORD is missing"),
        ({"password": "x"}, "AIRBYTE_USERNAME is missing"),
        ({"username": "x", "password": "y", "client_id": "a", "client_secret": "b"}, "give one of them"),
        ({"api_url": "localhost:8000"}, "http://"),
        ({"api_url": "http://airbyte:secretword@host"}, "AIRBYTE_PASSWORD"),
    ],
)
def test_half_of_a_credential_names_the_other_half(given, missing):
    with pytest.raises(ValidationError, match=missing) as caught:
        connector.settings(**given)
    assert "secretword" not in str(caught.value)


def test_no_credentials_and_empty_ones_are_a_server_without_a_login():
    assert connector.settings().client_id is None
    assert connector.settings(client_id="", client_secret="", api_url="").api_url == stackhub_airbyte.CLOUD


def test_a_secret_is_not_in_the_settings_text():
    text = repr(connector.settings(client_id=CLIENT_ID, client_secret=SecretStr(CLIENT_SECRET), webhook_token="hush"))
    assert CLIENT_SECRET not in text
    assert "hush" not in text


def test_cloud_is_asked_more_slowly_than_a_server_of_ones_own():
    cloud = connector.limits(connector.settings())
    own = connector.limits(connector.settings(api_url="http://host:8000/api/public/v1"))
    assert cloud.rate == 1.0 < own.rate


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://host:8000/api/public/v1", "http://host:8000"),
        ("https://host/airbyte/api/public/v1", "https://host/airbyte"),
        ("https://api.airbyte.com/v1", "https://api.airbyte.com"),
        ("http://host", "http://host"),
    ],
)
def test_the_server_is_where_the_public_api_is(url, server):
    assert server_of(url) == server


async def test_the_password_is_sent_as_basic_authentication(opened, vendor):
    vendor.mode = "basic"
    async with opened() as account:
        assert len(await account.connections()) == 1
    assert count(vendor, TOKEN) == 0


async def test_a_password_is_hidden_in_the_form_it_travels_in(opened, vendor):
    vendor.mode = "basic"
    travels = base64.b64encode(f"airbyte:{PASSWORD}".encode()).decode()
    vendor.faults.append(Fault(breaks=Breaks.STATUS, status=400, path="/connections$", body=f"you sent {travels}"))
    async with opened() as account:
        with pytest.raises(Rejected, match="you sent") as caught:
            await account.connections()
    assert travels not in f"{caught.value} {caught.value.body}"


async def test_a_request_is_repeated_once_and_no_more(vendor, context):
    async with connect(context, url=f"{URL}/api/public/v1") as wire:
        auth = Application(
            wire,
            context,
            url="applications/token",
            older=None,
            client_id=CLIENT_ID,
            secret=SecretStr(CLIENT_SECRET),
        )
        request = httpx.Request("POST", URL)
        flow = auth.async_auth_flow(request)
        first = (await anext(flow)).headers["Authorization"]
        second = (await flow.asend(httpx.Response(401, request=request))).headers["Authorization"]
        assert first != second
        with pytest.raises(StopAsyncIteration):
            await flow.asend(httpx.Response(401, request=request))
