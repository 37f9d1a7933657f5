"""What the hub relies on in everything that lists connections."""

from typing import ClassVar

import pytest

from stackhub.contract import Catalog, ConfigError, Connection, Unavailable
from stackhub.contract.sandbox import Breaks, FakeVendor, Fault

ALWAYS = 1000  # exchanges that go wrong: more than any verb makes


class CatalogContract:
    """Rules for any list of connections.

    Fixtures that a subclass gives:

    - ``catalog``: an open instance on ``vendor``
    - ``vendor``: the `FakeVendor` behind it; its page size is such that the listing needs two pages or more
    - ``names``: the names of all its connections
    - ``going``: the name of one of them, of which a sync is going on at the vendor

    and the class attribute ``lists``: a regular expression for the path of the listing.
    """

    lists: ClassVar[str]

    async def test_it_has_the_verb(self, catalog: Catalog) -> None:
        assert isinstance(catalog, Catalog)

    async def test_every_connection_of_every_page_is_listed_once(self, catalog: Catalog, names: set[str]) -> None:
        found = await catalog.connections()

        assert sorted(connection.name for connection in found) == sorted(names)
        assert len({connection.id for connection in found}) == len(found)

    async def test_a_sync_that_is_going_on_is_said(self, catalog: Catalog, going: str) -> None:
        """Or not said of any, where the vendor does not tell."""
        found = {connection.name: connection.syncing for connection in await catalog.connections()}

        assert found[going] is True or set(found.values()) == {None}
        assert not any(syncing for name, syncing in found.items() if name != going)

    async def test_times_are_aware(self, catalog: Catalog) -> None:
        found = await catalog.connections()

        assert all(isinstance(connection, Connection) for connection in found)
        assert all(connection.last.ended_at.tzinfo for connection in found if connection.last)

    async def test_a_listing_that_breaks_off_is_no_listing(self, catalog: Catalog, vendor: FakeVendor) -> None:
        vendor.faults.append(Fault(breaks=Breaks.STATUS, path=self.lists, after=1, times=ALWAYS))

        with pytest.raises(Unavailable):
            await catalog.connections()

    async def test_refused_credentials_are_a_persons_to_mend(self, catalog: Catalog, vendor: FakeVendor) -> None:
        vendor.faults.append(Fault(breaks=Breaks.STATUS, status=401, times=ALWAYS))

        with pytest.raises(ConfigError):
            await catalog.connections()
