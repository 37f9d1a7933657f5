"""What the contract suites want of a played vendor of syncs, whichever it is. A test file gives the fixtures ``vendor``,
``clock``, ``account`` (an open instance on it) and ``secrets``; its connections' syncs take a minute."""

import pytest

from stackhub.contract import Job

A_SYNC = 61  # seconds, with the lag before it shows


class Account:
    """What every suite wants."""

    @pytest.fixture
    def secrets(self, secrets):
        return secrets


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
