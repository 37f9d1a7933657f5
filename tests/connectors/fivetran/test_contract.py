"""Fivetran keeps the house's rules: the contract suites, on the played Fivetran."""

import base64
import json

import pytest
from syncs import Hooks, Lists, Probes, Syncs, Waits, filled

import stackhub_fivetran
from stackhub.testing import (
    CatalogContract,
    Delivery,
    ProbeContract,
    VendorJobsContract,
    WaitContract,
    WebhookContract,
    open_on,
)
from stackhub_fivetran.hooks import sign
from stackhub_fivetran.sandbox import FakeFivetran

connector = stackhub_fivetran.connector
NAME = "source_{}"


@pytest.fixture
def vendor(clock):
    return filled(connector.sandbox(clock.world()), NAME, "id_{}")


@pytest.fixture
def secrets(vendor):
    basic = base64.b64encode(f"{vendor.key}:{vendor.secret}".encode()).decode()
    return (vendor.key, vendor.secret, "hook-secret-of-ours", basic)


@pytest.fixture
async def account(vendor, clock, secrets):
    async with open_on(connector, vendor, clock=clock, webhook_secret=secrets[2]) as opened:
        yield opened


class OnFivetran(Syncs, VendorJobsContract):
    connector, connection = connector, "source_3"
    starts = r"/(sync|resync)$"
    lists = r"/v1/connections$"

    @pytest.fixture
    def forget(self, vendor):
        return lambda: vendor.remove("source_3")

    @pytest.fixture
    def garble(self, vendor):
        def garble(word):
            vendor.line("source_3").word = word

        return garble


class TestSync(OnFivetran):
    name = "sync"


class TestSyncAtAnAccountThatRefusesASecondStart(TestSync):
    @pytest.fixture
    def vendor(self, vendor):
        vendor.conflicts = True
        return vendor


class TestResync(OnFivetran):
    name = "resync"

    async def test_starting_twice_with_one_key_makes_one_job(self, jobs, job, started):
        """A second start is declined by Fivetran, and said to be: the first goes on."""
        baseline = await jobs.prepare(job)
        first = await jobs.start(job, baseline, "k")
        second = await jobs.start(job, baseline, "k")
        assert (second.ok, second.retryable) == (False, True)
        assert started() == 1
        assert len(await jobs.poll([first])) == 1


class TestWait(Waits, WaitContract):
    connector, connection = connector, "source_3"


class TestCatalog(Lists, CatalogContract):
    lists, named = r"/v1/connections$", NAME


class TestProbe(Probes, ProbeContract):
    pass


class TestWebhook(Hooks, WebhookContract):
    @pytest.fixture
    async def closed(self, vendor):
        async with open_on(connector, vendor) as opened:
            yield opened

    @pytest.fixture
    def about(self):
        return "id_3"

    @pytest.fixture
    def signed_in(self):
        return "X-Fivetran-Signature-256"

    @pytest.fixture
    def genuine(self, secrets, about, signed_in):
        body = json.dumps({"event": "sync_end", "connector_id": about, "data": {"status": "SUCCESSFUL"}}).encode()
        return Delivery(headers={signed_in: sign(secrets[2], body)}, body=body)


def test_what_is_played_is_a_fivetran(vendor):
    assert isinstance(vendor, FakeFivetran)
