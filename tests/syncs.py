"""What the contract suites want of a played vendor of syncs, whichever it is. A test file gives the fixtures ``vendor``,
``clock``, ``account`` (an open instance on it) and ``secrets``; its connections' syncs take a minute."""

import pytest

from stackhub.contract import Job
from stackhub.contract.sandbox import Feed, SyncVendor

A_SYNC = 61  # seconds, with the lag before it shows
FEEDS = range(5)


def filled(played, name, id_):
    """Let a played vendor have connections on several pages; ``{}`` in their names is a number."""
    played.page = 2
    for number in FEEDS:
        played.add(Feed(id=id_.format(number), name=name.format(number), seconds=60))
    return played


class Account:
    """What every suite wants."""

    @pytest.fixture
    def secrets(self, secrets):
        return secrets


class Lists(Account):
    """Goes before the suite of a list. ``named``: as the vendor was filled."""

    @pytest.fixture
    def catalog(self, account):
        return account

    @pytest.fixture
    def names(self):
        return {self.named.format(number) for number in FEEDS}

    @pytest.fixture
    def going(self, vendor, clock):
        name = self.named.format(3)
        vendor.begin(name)
        clock.advance(A_SYNC // 2)
        return name

    def test_what_is_played_is_a_vendor_of_syncs(self, vendor):
        assert isinstance(vendor, SyncVendor)


class Probes(Account):
    """Goes before the suite of a probe."""

    @pytest.fixture
    def probe(self, account):
        return account


class Hooks:
    """Goes before the suite of a webhook."""

    @pytest.fixture
    def webhook(self, account):
        return account


class Syncs(Account):
    """Goes before a suite of jobs. ``connector``, ``name`` of the operation, ``connection``: which job is meant."""

    @pytest.fixture
    def jobs(self, account):
        return account

    @pytest.fixture
    def operation(self):
        return self.connector.operations[self.name]

    @pytest.fixture
    def job(self, operation):
        return Job(operation=self.name, options=operation.options(connection=self.connection))

    @pytest.fixture
    def started(self, vendor):
        before = vendor.started(self.connection)
        return lambda: vendor.started(self.connection) - before

    @pytest.fixture
    def settle(self, clock, operation):
        async def settle():
            clock.advance(operation.settle)

        return settle

    @pytest.fixture
    def finish(self, clock):
        async def finish():
            clock.advance(A_SYNC)

        return finish


class Waits(Syncs):
    """Goes before the suite of a wait."""

    name = "wait"

    @pytest.fixture
    def finish(self, vendor, clock):
        async def finish():
            vendor.begin(self.connection)
            clock.advance(A_SYNC)

        return finish
