"""Airbyte keeps the house's rules: the contract suites, on the played Airbyte."""

import json

import pytest

import stackhub_airbyte
from stackhub.contract import Found, Job, Missing, Unavailable
from stackhub.contract.sandbox import Breaks, Fault, Feed, SyncVendor
from stackhub.testing import (
    CatalogContract,
    Clock,
    Delivery,
    JobsContract,
    ProbeContract,
    VendorJobsContract,
    WebhookContract,
    open_on,
)
from stackhub_airbyte.sandbox import CLIENT_SECRET, HOOK, PASSWORD

connector = stackhub_airbyte.connector
ABOUT = "64d901a1-2520-4d91-93c8-9df438668ff3"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def vendor(clock):
    played = connector.sandbox(clock.world())
    played.page = 2
    for number in range(5):
        played.add(Feed(id=f"64d901a1-2520-4d91-93c8-9df438668ff{number}", name=f"source {number}", seconds=60))
    for number in (0, 3, 3, 1):
        played.begin(f"source {number}")
        clock.advance(61)
    played.before = played.started("source 3")
    return played


@pytest.fixture
def secrets(vendor):
    return {"application": (HOOK, CLIENT_SECRET), "basic": (HOOK, PASSWORD), "none": (HOOK,)}[vendor.mode]


@pytest.fixture
async def airbyte(vendor, clock):
    async with open_on(connector, vendor, clock=clock) as opened:
        yield opened


class OnAirbyte(VendorJobsContract):
    starts = r"/v1/jobs$"
    lists = r"/v1/jobs$"

    @pytest.fixture
    def jobs(self, airbyte):
        return airbyte

    @pytest.fixture
    def secrets(self, secrets):
        return secrets

    @pytest.fixture
    def started(self, vendor):
        return lambda: vendor.started("source 3") - vendor.before

    @pytest.fixture
    def finish(self, clock):
        async def finish():
            clock.advance(61)

        return finish

    @pytest.fixture
    def settle(self, clock, operation):
        async def settle():
            clock.advance(operation.settle)

        return settle

    @pytest.fixture
    def forget(self, vendor):
        return vendor.jobs.clear

    @pytest.fixture
    def garble(self, vendor):
        return vendor.garble

    @pytest.fixture
    def job(self, operation):
        return Job(operation=self.name, options=operation.options(connection="source 3"))

    @pytest.fixture
    def operation(self):
        return connector.operations[self.name]

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


class TestWait(JobsContract):
    @pytest.fixture
    def jobs(self, airbyte):
        return airbyte

    @pytest.fixture
    def secrets(self, secrets):
        return secrets

    @pytest.fixture
    def operation(self):
        return connector.operations["wait"]

    @pytest.fixture
    def job(self, operation):
        return Job(operation="wait", options=operation.options(connection="source 3"))

    @pytest.fixture
    def settle(self, clock, operation):
        async def settle():
            clock.advance(operation.settle)

        return settle

    @pytest.fixture
    def started(self, vendor):
        return lambda: vendor.started("source 3") - vendor.before

    @pytest.fixture
    def finish(self, vendor, clock):
        async def finish():
            vendor.begin("source 3")
            clock.advance(61)

        return finish

    async def test_what_was_never_started_is_not_found(self, jobs, job, started):
        """A wait is there as soon as it is thought of: there is nothing to start."""
        found = await jobs.find(job, await jobs.prepare(job), "k")
        assert isinstance(found, Found)
        assert found.handle["joined"]
        assert started() == 0

    async def test_a_start_that_had_its_effect_is_found_once_it_has_settled(self, jobs, job, started):
        baseline = await jobs.prepare(job)
        handle = await jobs.start(job, baseline, "k")
        assert (await jobs.find(job, baseline, "k")).handle == handle
        assert started() == 0

    async def test_starting_twice_with_one_key_makes_one_job(self, jobs, job, started):
        baseline = await jobs.prepare(job)
        assert await jobs.start(job, baseline, "k") == await jobs.start(job, baseline, "k")
        assert started() == 0


class TestCatalog(CatalogContract):
    lists = r"/v1/connections$"

    @pytest.fixture
    def catalog(self, airbyte):
        return airbyte

    @pytest.fixture
    def names(self):
        return {f"source {number}" for number in range(5)}


class TestProbe(ProbeContract):
    @pytest.fixture
    def probe(self, airbyte):
        return airbyte

    @pytest.fixture
    def secrets(self, secrets):
        return secrets


class TestProbeWithAPassword(TestProbe):
    @pytest.fixture
    def vendor(self, vendor):
        vendor.mode = "basic"
        return vendor


class TestWebhook(WebhookContract):
    @pytest.fixture
    def webhook(self, airbyte):
        return airbyte

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


def test_the_played_airbyte_is_a_vendor_of_syncs(vendor):
    assert isinstance(vendor, SyncVendor)
