"""Airbyte keeps the house's rules: the contract suites, on the played Airbyte."""

import json

import pytest
from syncs import Hooks, Lists, Probes, Syncs, Waits, filled

import stackhub_airbyte
from stackhub.contract import Missing, Unavailable
from stackhub.contract.sandbox import Breaks, Fault
from stackhub.testing import (
    CatalogContract,
    Delivery,
    ProbeContract,
    VendorJobsContract,
    WaitContract,
    WebhookContract,
    open_on,
)
from stackhub_airbyte.sandbox import CLIENT_SECRET, HOOK, PASSWORD

connector = stackhub_airbyte.connector
NAME = "source {}"
ABOUT = "64d901a1-2520-4d91-93c8-9df438668ff3"


@pytest.fixture
def vendor(clock):
    played = filled(connector.sandbox(clock.world()), NAME, "64d901a1-2520-4d91-93c8-9df438668ff{}")
    for number in (0, 3, 3, 1):
        played.begin(f"source {number}")
        clock.advance(61)
    return played


@pytest.fixture
def secrets(vendor):
    return {"application": (HOOK, CLIENT_SECRET), "basic": (HOOK, PASSWORD), "none": (HOOK,)}[vendor.mode]


@pytest.fixture
async def account(vendor, clock):
    async with open_on(connector, vendor, clock=clock) as opened:
        yield opened


class OnAirbyte(Syncs, VendorJobsContract):
    connector, connection = connector, "source 3"
    starts = r"/v1/jobs$"
    lists = r"/v1/jobs$"

    @pytest.fixture
    def forget(self, vendor):
        return vendor.jobs.clear

    @pytest.fixture
    def garble(self, vendor):
        return vendor.garble

    async def test_absence_is_not_said_on_an_incomplete_listing(self, jobs, job, vendor, clock):
        """The page that reaches below the baseline completes the listing; until it is there nothing is said."""
        baseline = await jobs.prepare(job)
        kind = {"sync": "sync", "clear": "reset", "refresh": "refresh"}[job.operation]
        ids = []
        for _ in range(3):
            ids.append(vendor.begin("source 3", kind))
            clock.advance(61)
        broken = Fault(breaks=Breaks.STATUS, path=self.lists, after=1, times=3)
        vendor.faults.append(broken)

        with pytest.raises(Unavailable):
            await jobs.find(job, baseline, "k")

        assert broken.times == 0
        found = await jobs.find(job, baseline, "k")
        assert found.handle["job"] == ids[0]

    async def test_missing_is_not_said_on_an_incomplete_listing(self, jobs, job, vendor, forget):
        """No list makes a job missing: Airbyte is asked for it by its id."""
        handle = await jobs.start(job, await jobs.prepare(job), "k")
        forget()
        assert isinstance((await jobs.poll([handle]))[0], Missing)
        assert vendor.requests[-1] == ("GET", f"/api/public/v1/jobs/{handle['job']}")


class TestSync(OnAirbyte):
    name = "sync"


class TestSyncWithoutALogin(TestSync):
    @pytest.fixture
    def vendor(self, vendor):
        vendor.mode = "none"
        return vendor


class TestSyncWithAPassword(TestSync):
    @pytest.fixture
    def vendor(self, vendor):
        vendor.mode = "basic"
        return vendor


class TestClear(OnAirbyte):
    name = "clear"


class TestRefresh(OnAirbyte):
    name = "refresh"
    starts = r"/api/v1/connections/refresh$"


class TestWait(Waits, WaitContract):
    connector, connection = connector, "source 3"
    by_post = r"/applications/token$"


class TestCatalog(Lists, CatalogContract):
    lists, named = r"/v1/connections$", NAME


class TestProbe(Probes, ProbeContract):
    pass


class TestProbeWithAPassword(TestProbe):
    @pytest.fixture
    def vendor(self, vendor):
        vendor.mode = "basic"
        return vendor


class TestWebhook(Hooks, WebhookContract):
    @pytest.fixture
    async def closed(self, vendor):
        async with open_on(connector, vendor, webhook_token=None) as opened:
            yield opened

    @pytest.fixture
    def about(self):
        return ABOUT

    @pytest.fixture
    def signed_in(self):
        return ""

    @pytest.fixture
    def genuine(self, about):
        body = {"text": "Sync completed", "data": {"connection": {"id": about}, "jobId": 7, "success": True}}
        return Delivery(headers={"Content-Type": "application/json"}, body=json.dumps(body).encode(), path=HOOK)
