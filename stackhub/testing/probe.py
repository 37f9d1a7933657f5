"""What `check --live` relies on in everything that tries its credentials."""

from collections.abc import Sequence

import pytest

from stackhub.contract import Probe, Unavailable
from stackhub.contract.sandbox import Breaks, FakeVendor, Fault

ALWAYS = 1000  # exchanges that go wrong: more than any verb makes


class ProbeContract:
    """Rules for any probe.

    Fixtures that a subclass gives:

    - ``probe``: an open instance on ``vendor``
    - ``vendor``: the `FakeVendor` behind it
    - ``secrets``: strings that must never be shown
    """

    async def test_it_has_the_verb(self, probe: Probe) -> None:
        assert isinstance(probe, Probe)

    async def test_good_credentials_pass(self, probe: Probe) -> None:
        permissions = await probe.check()

        assert permissions
        assert all(permission.ok and permission.name for permission in permissions)

    @pytest.mark.parametrize("status", [401, 403])
    async def test_every_refusal_comes_with_its_remedy_and_is_no_exception(
        self, probe: Probe, vendor: FakeVendor, secrets: Sequence[str], status: int
    ) -> None:
        body = " ".join(secrets)
        vendor.faults.append(Fault(breaks=Breaks.STATUS, status=status, body=body, times=ALWAYS))

        permissions = await probe.check()

        refused = [permission for permission in permissions if not permission.ok]
        assert refused
        assert all(permission.remedy for permission in refused)
        assert not [secret for secret in secrets if secret in repr(permissions)]

    async def test_a_vendor_that_is_away_says_nothing_about_the_credentials(
        self, probe: Probe, vendor: FakeVendor
    ) -> None:
        vendor.faults.append(Fault(breaks=Breaks.STATUS, status=503, times=ALWAYS))

        with pytest.raises(Unavailable):
            await probe.check()
