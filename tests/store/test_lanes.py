"""Whose a lane is, and until when."""

import math
from datetime import datetime, timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from decide.worlds import T0
from store.ground import line, texts

from stackhub.errors import LostLane
from stackhub.store import lanes
from stackhub.store import tables as t
from stackhub.store.lanes import Taken
from stackhub.store.transaction import Transaction

SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=15)


async def take(store, *names, owner="me", lease=LEASE, now=T0):
    return await store.call(partial(lanes.take, names=names, owner=owner, now=now, lease=lease))


async def give_back(store, epochs, **tokens):
    await store.call(partial(lanes.give_back, epochs=epochs, tokens=tokens))


async def renew(store, now=T0, **epochs):
    return await store.call(partial(lanes.renew, epochs=epochs, now=now, lease=LEASE))


async def let_lapse(store, name):
    """Put the end of a lease into the past, by whichever clock it is compared with."""
    await store.call(lambda c: c.execute(t.lane.update().where(t.lane.c.instance == name).values(lease_until=1)))


async def test_a_lane_that_nobody_had_is_taken_with_all_its_rate(store):
    fresh = Taken(epoch=1, not_before=None, tokens=math.inf, circuit="")
    assert await take(store, "fivetran", "dbt") == {"fivetran": fresh, "dbt": fresh}


async def test_a_hub_that_is_alone_takes_what_it_wants_and_ends_the_epoch_of_whoever_had_it(store):
    await take(store, "fivetran", lease=None)
    assert (await take(store, "fivetran", owner="you", lease=None))["fivetran"].epoch == 2
    with pytest.raises(LostLane):
        await store.apply(Transaction(ops=line("late").ops, lanes={"fivetran": 1}))
    await store.apply(Transaction(ops=line("mine").ops, lanes={"fivetran": 2}))
    assert await texts(store) == ["mine"]


async def test_what_another_hub_holds_is_not_taken(store):
    await take(store, "fivetran")
    assert await take(store, "fivetran", "dbt", owner="you") == {
        "dbt": Taken(epoch=1, not_before=None, tokens=math.inf, circuit="")
    }


async def test_a_lease_that_has_lapsed_is_anybodys(store):
    await take(store, "fivetran")
    await let_lapse(store, "fivetran")
    assert (await take(store, "fivetran", owner="you"))["fivetran"].epoch == 2


async def test_a_hub_that_is_back_takes_its_own_at_once(store):
    await take(store, "fivetran")
    assert (await take(store, "fivetran"))["fivetran"].epoch == 2


async def test_renewing_says_what_is_ours_still(store):
    await take(store, "fivetran", "dbt")
    await let_lapse(store, "dbt")
    await take(store, "dbt", owner="you")
    assert await renew(store, fivetran=1, dbt=1) == {"fivetran"}
    assert await take(store, "fivetran", owner="you") == {}


async def test_a_lease_that_lapsed_unseen_is_renewed(store):
    await take(store, "fivetran")
    await let_lapse(store, "fivetran")
    assert await renew(store, fivetran=1) == {"fivetran"}
    assert await take(store, "fivetran", owner="you") == {}


async def test_a_lease_is_as_long_as_it_says(store):
    await take(store, "fivetran", now=T0)
    until = await store.read(lambda c: c.scalar(sa.select(t.lane.c.lease_until)))
    if store.engine.dialect.name == "sqlite":
        assert until == t.micros(T0 + LEASE)
        assert await take(store, "fivetran", owner="you", now=T0 + LEASE - SECOND) == {}
        assert await take(store, "fivetran", owner="you", now=T0 + LEASE) != {}
    else:  # by the clock of the database, whatever a hub thinks that the time is
        now = await store.read(lambda c: c.scalar(sa.select(sa.func.now())))
        assert isinstance(now, datetime)
        assert timedelta() < t.instant(until) - now <= LEASE
        assert await take(store, "fivetran", owner="you", now=T0 + timedelta(days=9999)) == {}


async def test_what_is_left_of_a_rate_is_handed_on_only_by_who_left_in_peace(store):
    await take(store, "fivetran")
    await give_back(store, {"fivetran": 1}, fivetran=4.5)
    assert (await take(store, "fivetran", owner="you"))["fivetran"].tokens == 4.5
    await let_lapse(store, "fivetran")
    assert (await take(store, "fivetran"))["fivetran"].tokens == 0.0, "who died may have spent it all"
    await give_back(store, {"fivetran": 3}, fivetran=-2.0)
    assert (await take(store, "fivetran"))["fivetran"].tokens == 0.0


async def test_only_its_owner_gives_a_lane_back(store):
    await take(store, "fivetran")
    await let_lapse(store, "fivetran")
    await take(store, "fivetran", owner="you")
    await give_back(store, {"fivetran": 1}, fivetran=4.5)
    assert await take(store, "fivetran") == {}, "yours"


async def test_what_was_copied_from_a_file_is_nobodys(store):
    await take(store, "fivetran", lease=None)
    assert (await take(store, "fivetran", owner="you"))["fivetran"].epoch == 2


async def test_what_a_vendor_asked_for_outlives_the_hub(store):
    await take(store, "fivetran")
    rest = {"not_before": t.micros(T0 + SECOND), "circuit": "{}"}
    await store.call(lambda c: c.execute(t.lane.update().values(**rest)))
    taken = await take(store, "fivetran")
    assert taken["fivetran"] == Taken(epoch=2, not_before=T0 + SECOND, tokens=0.0, circuit="{}")


async def test_a_host_is_silent_once_its_lease_has_lapsed_or_it_has_left(store):
    await take(store, "@host:a", "@host:b", "@host:c", "fivetran")
    await let_lapse(store, "@host:a")
    await let_lapse(store, "fivetran")
    await give_back(store, {"@host:b": 1})
    assert (await store.read(partial(lanes.silent, now=T0))).keys() == {"a", "b"}
