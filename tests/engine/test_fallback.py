"""Who is told when somebody cannot be: the hub's fallback, once, and of how it goes on."""

from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa
from engine.telling import STRIDE, fail, states, told_by

from stackhub.contract import ConfigError, Part, Rejected, Unavailable
from stackhub.decide.incident import Post
from stackhub.model.codec import dump
from stackhub.store import tables as t


def by_bell_alone(house, *notifiers):
    return told_by(house, "bell", *notifiers, alerts="alerts: [{to: bell}]", hub="STACKHUB_FALLBACK=horn\n")


async def test_a_message_refused_for_good_is_undeliverable_and_its_fallback_hears_it(house):
    by_bell_alone(house, "horn")
    house["bell"].broken = Rejected("channel_not_found")
    async with house.hub() as hub:
        await fail(hub)
        await hub.until(lambda: house["horn"].order)
        await hub.told(step=STRIDE)
        assert await states(hub, "bell") == ["undeliverable"]
        assert await states(hub, "horn") == ["sent", "sent"]
    sent, dead = house["horn"].sent.values()
    assert "could not be told to bell: channel_not_found" in sent.message.summary
    assert dead.message.title == "stackhub cannot tell bell"


async def test_the_fallback_hears_how_it_goes_on(house):
    by_bell_alone(house, "horn")
    house["bell"].broken = Rejected("channel_not_found")
    async with house.hub() as hub:
        await fail(hub)
        await hub.told(step=STRIDE)
        await fail(hub)
        await hub.told(step=STRIDE)
    told = [(part, event) for part, event, title in house["horn"].order if title.startswith("shop")]
    assert told[:2] == [("root", "opened"), ("root", "resolved")]
    assert len({one.message.dedup for one in house["horn"].sent.values() if one.message.pipeline}) == 1


async def test_the_fallback_hears_what_could_not_be_told_for_five_minutes(house):
    by_bell_alone(house, "horn")
    house["bell"].broken = Unavailable("503")
    async with house.hub() as hub:
        await fail(hub)
        began = house.clock.now()
        await hub.pass_time(timedelta(minutes=4), step=STRIDE)
        assert house["horn"].order == []
        await hub.until(lambda: house["horn"].order, step=STRIDE)
        assert house.clock.now() - began < timedelta(minutes=12)
        house["bell"].broken = None
        await hub.until(lambda: house["bell"].order, step=STRIDE)


async def test_a_fallback_that_hears_of_it_anyway_is_not_told_twice(house):
    told_by(house, "bell", "horn", hub="STACKHUB_FALLBACK=horn\n")
    house["bell"].broken = Rejected("channel_not_found")
    async with house.hub() as hub:
        await fail(hub)
        await hub.told(step=STRIDE)
    assert [title.partition(" ")[0] for _, _, title in house["horn"].order] == ["shop", "stackhub"]


async def test_a_fallback_that_heard_of_the_end_by_itself_is_not_told_it_for_another(house):
    told_by(house, "bell", "horn", hub="STACKHUB_FALLBACK=bell\n")
    async with house.hub() as hub:
        await fail(hub)
        await hub.told(step=STRIDE)
        house["horn"].will("deliver", ConfigError("401"))
        await hub.ended(await hub.trigger("shop"), step=STRIDE)
        await hub.pass_time(timedelta(minutes=5), step=STRIDE)
        assert "resolved" in {event for _, event, _ in house["horn"].order}
        assert {one.route for one in await hub.messages()} == {"bell", "horn"}
    assert [event for part, event, _ in house["bell"].order if part == "root"] == ["opened", "resolved"]


async def test_a_fallback_stands_in_once_for_two_that_fail_in_one_moment(house):
    alerts = "alerts: [{to: horn}, {to: post}]"
    told_by(house, "bell", "horn", "post", alerts=alerts, hub="STACKHUB_FALLBACK=bell\n")
    house["horn"].broken = house["post"].broken = ConfigError("401")
    async with house.hub() as hub:
        await fail(hub)
        await hub.until(lambda: house["bell"].order)
        await hub.rest()
        assert [one.route for one in await hub.messages() if one.instance == "bell"] == ["fallback:bell"]


async def test_a_fallback_joins_an_incident_though_it_had_moved_in_the_store(house):
    by_bell_alone(house, "horn")
    async with house.hub() as hub:
        await fail(hub)
        await hub.told()
        (incident,) = await hub.incidents()
        moved = replace(incident, version=incident.version + 5)
        values = {"version": moved.version, "data": dump(moved)}
        await hub.store.call(lambda connection: connection.execute(sa.update(t.incident).values(values)) and None)
        route, (told,) = hub.engine.in_force.fallback("bell"), await hub.messages()
        post = Post(route=route, seq=1, part=Part.ROOT, message=told.message, due=house.clock.now())
        known = hub.engine.incidents
        await known.keep([incident.key], lambda rows: [known.introduce(incident.id, post, rows)], hub.store)
        (now,) = await hub.incidents()
    assert now.version == moved.version + 1
    assert set(now.routes) == {"bell", "fallback:horn"}


async def test_a_fallback_has_no_fallback(house):
    by_bell_alone(house, "horn")
    house["bell"].broken = house["horn"].broken = Rejected("no")
    async with house.hub() as hub:
        await fail(hub)
        await hub.told(step=STRIDE)
        titles = [one.message.title for one in await hub.messages()]
        assert set(await states(hub)) == {"undeliverable"}
        assert sum(title.startswith("shop failed") for title in titles) == 2
        assert len(titles) == 5, "and that a route is dead is told once to each of the others"
