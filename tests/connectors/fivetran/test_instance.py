"""A Fivetran instance: its settings, its webhooks."""

import json

import pytest
from pydantic import ValidationError

import stackhub_fivetran
from stackhub.contract import Rejected
from stackhub.contract.sandbox import World
from stackhub.testing import open_on, settings_from
from stackhub_fivetran.hooks import sign

connector = stackhub_fivetran.connector
GIVEN = {"FIVETRAN_API_KEY": "our-key", "FIVETRAN_API_SECRET": "our-secret"}


def test_a_key_and_its_secret_are_enough():
    settings = settings_from(connector, GIVEN)

    assert settings.api_url == "https://api.fivetran.com"
    assert settings.max_active is None
    assert "our-" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"FIVETRAN_API_KEY": ""}, "api_key"),
        ({"FIVETRAN_API_URL": "api.fivetran.com"}, "api_url"),
        ({"FIVETRAN_API_URL": "ftp://api.fivetran.com"}, "api_url"),
        ({"FIVETRAN_MAX_ACTIVE": "0"}, "max_active"),
        ({"FIVETRAN_APIKEY": "x"}, "apikey"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name_and_without_their_values(changes, named):
    with pytest.raises(ValidationError, match=named) as caught:
        settings_from(connector, GIVEN | changes)

    assert "our-" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://localhost:1/", "http://localhost:1/v1", "http://localhost:1/v1/"]
)
def test_the_address_may_be_written_with_or_without_its_version(url):
    assert settings_from(connector, GIVEN | {"FIVETRAN_API_URL": url}).api_url == "http://localhost:1"


def test_a_day_of_sweeps_and_starts_stays_below_what_an_account_bears():
    assert connector.limits(settings_from(connector, GIVEN)).rate * 3600 <= 20_000


@pytest.fixture
def vendor():
    return connector.sandbox(World())


@pytest.fixture
async def fivetran(vendor):
    async with open_on(connector, vendor, webhook_secret="hook-secret") as opened:
        yield opened


@pytest.mark.parametrize(
    ("data", "connection"),
    [
        ({"event": "test_event", "created": "2026-01-01T12:00:00Z", "connector_id": "_connector_1"}, "_connector_1"),
        ({"event": "sync_start", "connector_id": "c1", "sync_id": "s1"}, "c1"),
        ({"event": "connection_successful"}, ""),
        ([], ""),
    ],
)
@pytest.mark.parametrize("case", [str.upper, str.lower])
async def test_whatever_is_signed_is_a_hint(fivetran, data, connection, case):
    body = json.dumps(data).encode()

    [hint] = await fivetran.receive({"X-Fivetran-Signature-256": case(sign("hook-secret", body))}, body, "")

    assert hint.connection == connection


async def test_a_signed_body_nobody_can_read_is_a_hint_too(fivetran):
    [hint] = await fivetran.receive({"X-Fivetran-Signature-256": sign("hook-secret", b"\xff")}, b"\xff", "")

    assert hint.connection == ""


async def test_there_is_one_hook_and_nothing_below_it(fivetran):
    with pytest.raises(Rejected) as caught:
        await fivetran.receive({"X-Fivetran-Signature-256": sign("hook-secret", b"{}")}, b"{}", "below")

    assert caught.value.status == 404


def test_the_signature_is_hmac_sha256_in_hexadecimal():
    # RFC 4231, test case 2
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert sign("Jefe", b"what do ya want for nothing?") == expected
