"""Fivetran keeps the house's rules: the contract suites, on the played Fivetran."""

import base64
import json

import pytest
from syncs import Account, Syncs, Waits

import stackhub_fivetran
from stackhub.contract.sandbox import Feed, SyncVendor
from stackhub.testing import (
    CatalogContract,
    Clock,
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


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def vendor(clock):
    played = connector.sandbox(clock.world())
    played.page = 2
    for number in range(5):
        played.add(Feed(id=f"id_{number}", name=f"source_{number}", seconds=60))
    return played


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


class TestCatalog(CatalogContract):
    lists = r"/v1/connections$"

    @pytest.fixture
    def catalog(self, account):
        return account

    @pytest.fixture
    def names(self):
        return {f"source_{number}" for number in range(5)}


class TestProbe(Account, ProbeContract):
    @pytest.fixture
    def probe(self, account):
        return account


class TestWebhook(WebhookContract):
    @pytest.fixture
    def webhook(self, account):
        return account

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


def test_the_played_fivetran_is_a_vendor_of_syncs(vendor):
    assert isinstance(vendor, SyncVendor)
    assert isinstance(vendor, FakeFivetran)
