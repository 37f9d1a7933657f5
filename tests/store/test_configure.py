"""A configuration comes into force whole; lanes are taken and given back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from decide.worlds import T0, pipeline, task

from stackhub.model.pipeline import Pipeline, Schedule
from stackhub.store import configure, queries
from stackhub.store.configure import Applied

HOUR = timedelta(hours=1)
HOURLY, DAILY = Schedule(cron="0 * * * *"), Schedule(cron="30 5 * * *", timezone="Europe/Berlin")
SHOP = pipeline(task("orders"), schedules=(HOURLY,))
USERS = Pipeline(name="users", tasks=(task("users"),))


async def put_in_force(store, *pipelines, now=T0):
    named = {one.name: one for one in pipelines}
    return await store.call(lambda connection: configure.apply(connection, named, now))


async def schedules(store):
    return {(one.pipeline, one.schedule): (one.anchor, one.next_at) for one in await store.read(configure.schedules)}


async def retired(store):
    return {name: known.retired for name, known in (await store.read(queries.pipelines)).items()}


async def test_what_is_new_changed_and_gone_is_named(store):
    assert await put_in_force(store, SHOP, USERS) == Applied(
        revision=1, added=("shop", "users"), changed=(), retired=()
    )
    changed = replace(SHOP, owner="ada")
    assert await put_in_force(store, changed) == Applied(revision=2, added=(), changed=("shop",), retired=("users",))
    assert await retired(store) == {"shop": False, "users": True}
    known = await store.read(queries.pipelines)
    assert known["shop"].pipeline == changed


async def test_the_same_again_is_no_revision(store):
    await put_in_force(store, SHOP, USERS)
    again = await put_in_force(store, USERS, SHOP, now=T0 + HOUR)
    assert again == Applied(revision=1, added=(), changed=(), retired=())
    assert not again.any


async def test_nothing_at_all_is_a_configuration_too(store):
    assert (await put_in_force(store)).revision == 1
    assert (await put_in_force(store)).revision == 1


async def test_a_new_schedule_ticks_from_now_never_for_the_past(store):
    await put_in_force(store, SHOP, now=T0 + HOUR / 2)
    assert await schedules(store) == {("shop", HOURLY): (T0 + HOUR / 2, T0 + HOUR)}


async def test_a_schedule_that_stays_keeps_its_time_and_a_new_one_beside_it_begins_now(store):
    await put_in_force(store, SHOP)
    await put_in_force(store, replace(SHOP, owner="ada", schedules=(HOURLY, DAILY)), now=T0 + 9 * HOUR)
    found = await schedules(store)
    assert found["shop", HOURLY] == (T0, T0 + HOUR), "what it missed meanwhile is the scheduler's to say"
    next_day = datetime(2026, 11, 3, 4, 30, tzinfo=UTC)
    assert found["shop", DAILY] == (T0 + 9 * HOUR, next_day)
    await put_in_force(store, replace(SHOP, schedules=(DAILY,)), now=T0 + 10 * HOUR)
    assert set(await schedules(store)) == {("shop", DAILY)}


async def test_a_pipeline_that_is_gone_ticks_no_more_and_one_that_is_back_begins_anew(store):
    await put_in_force(store, SHOP)
    await put_in_force(store, now=T0 + HOUR)
    assert await schedules(store) == {}
    back = await put_in_force(store, SHOP, now=T0 + 5 * HOUR)
    assert back.changed == ("shop",)
    assert await schedules(store) == {("shop", HOURLY): (T0 + 5 * HOUR, T0 + 6 * HOUR)}
    assert await retired(store) == {"shop": False}


async def test_each_revision_is_a_line_of_history(store):
    await put_in_force(store, SHOP, USERS)
    await put_in_force(store, USERS)
    lines = await store.read(partial(queries.events, run_id=""))
    assert [(one.kind, one.text) for one in lines] == [
        ("configuration", "revision 1: added: shop, users"),
        ("configuration", "revision 2: retired: shop"),
    ]


async def test_a_pause_is_kept_through_a_change(store):
    await put_in_force(store, SHOP)
    await store.call(lambda c: configure.pause(c, "shop", "freeze", T0))
    await put_in_force(store, replace(SHOP, owner="ada"))
    known = (await store.read(queries.pipelines))["shop"]
    assert (known.paused_at, known.paused_reason) == (T0, "freeze")
    await store.call(lambda c: configure.pause(c, "shop", "over", None))
    known = (await store.read(queries.pipelines))["shop"]
    assert (known.paused_at, known.paused_reason) == (None, "")


async def test_an_installation_is_named_once(store):
    assert await store.call(lambda c: configure.name_installation(c, "first")) == "first"
    assert await store.call(lambda c: configure.name_installation(c, "second")) == "first"
    assert await store.read(queries.installation) == "first"
