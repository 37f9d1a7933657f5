"""A pipeline in shadow: it goes by what really lands, starts nothing, and tells nobody."""

import pytest
from engine.conftest import PAIR

READS = {"prepare", "poll", "find", "connections"}
SHADOW = "mode: shadow\n"


@pytest.fixture
def shadowed(shop):
    """The shop in shadow; it looks for loads, and there is one of each connection from before."""
    for name in ("orders", "stripe"):
        shop["tap"].land(name)
    return shop.pipeline(PAIR.strip() + "\n" + SHADOW)


def effects(house, *accounts):
    """Return the calls that are more than a look: a start is one where it makes a job."""
    return [job for name in accounts for job in house[name].jobs] + [
        call for name in accounts for call in house[name].calls if call.verb not in {*READS, "start"}
    ]


async def test_it_ends_with_what_really_lands_and_starts_nothing(shadowed):
    async with shadowed.hub() as hub:
        run = await hub.trigger("shop")
        await hub.at(run, "orders", "running")
        await hub.at(run, "stripe", "running")
        shadowed["tap"].land("orders")
        await hub.at(run, "orders", "succeeded")
        assert hub.step(run, "marts").state == "waiting"
        shadowed["tap"].land("stripe")
        ended = await hub.ended(run)
    assert ended.run.state == "succeeded"
    assert ended.run.mode == "shadow"
    assert ended.steps["marts"].note == "shadow: would have started mill.build"
    assert ended.steps["orders"].note.startswith("shadow: would have started tap.sync; it has landed by itself")
    assert effects(shadowed, "tap", "mill") == []
    assert shadowed["mill"].calls == []
