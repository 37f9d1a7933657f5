"""How much goes at once: width, places, rates, and jobs that cannot stand each other."""

import itertools
from datetime import timedelta

import pytest
from engine.far_end import Stuck


def many(house, count, *, env="", top="", uses="tap.sync"):
    rows = "\n".join(f"  t{n}: {{uses: {uses}, with: {{connection: c{n}}}}}" for n in range(count))
    return house.pipeline(f"pipeline: many\n{top}\ntasks:\n{rows}\n").write("tap.env", env)


async def test_no_more_starts_are_under_way_than_the_account_bears(house):
    many(house, 5, env="TAP_WIDTH=2\n")
    stuck = house["tap"].will("start", Stuck(), Stuck(), Stuck())
    async with house.hub() as hub:
        run = await hub.trigger("many")
        await hub.until(lambda: house["tap"].count("start") == 2)
        await hub.pass_time(timedelta(seconds=1))
        assert house["tap"].count("start") == 2
        for one in stuck:
            one.go.set()
        assert (await hub.ended(run)).run.state == "succeeded"


async def test_no_more_steps_of_an_instance_are_at_work_than_it_may(house):
    many(house, 5, env="TAP_MAX_ACTIVE=2\n")
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("many")
        await hub.until(lambda: len(house["tap"].running()) == 2)
        await hub.pass_time(timedelta(minutes=1))
        assert len(house["tap"].jobs) == 2
        house["tap"].hold = False
        assert (await hub.ended(run)).run.state == "succeeded"


PLACES = """
pipeline: places
max_active: 2
tasks:
  a: {uses: tap.sync, with: {connection: a}}
  b: {uses: tap.sync, with: {connection: b}}
  c: {uses: mill.build, needs: [], with: {select: c}}
  d: {uses: mill.build, needs: [], with: {select: d}}
"""


async def test_no_more_steps_of_a_pipeline_are_at_work_than_it_may_over_all_its_lanes(house):
    house.instances("tap", "mill").pipeline(PLACES)
    house["tap"].hold = house["mill"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("places")
        going = lambda: len(house["tap"].running()) + len(house["mill"].running())  # noqa: E731
        await hub.until(lambda: going() == 2)
        await hub.pass_time(timedelta(minutes=1))
        assert going() == 2
        assert len(house["tap"].jobs) + len(house["mill"].jobs) == 2
        house["tap"].hold = house["mill"].hold = False
        assert (await hub.ended(run)).run.state == "succeeded"


async def test_a_place_that_becomes_free_is_taken_at_once_whoever_waits(house):
    house.instances("tap", "mill").pipeline(PLACES.replace("max_active: 2", "max_active: 1"))
    async with house.hub() as hub:
        began = house.clock.now()
        await hub.ended(await hub.trigger("places"), step=timedelta(milliseconds=100))
        assert house.clock.now() - began < timedelta(seconds=6)


async def test_two_jobs_that_work_on_the_same_thing_go_one_after_another(house):
    house.write("tap.env", "TAP_ALONE=connection\n").pipeline(
        """
        pipeline: alone
        tasks:
          a: {uses: tap.marked, with: {connection: same}}
          b: {uses: tap.marked, with: {connection: same}}
          c: {uses: tap.marked, with: {connection: other}}
        """
    )
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("alone")
        await hub.until(lambda: len(house["tap"].running()) == 2)
        await hub.pass_time(timedelta(minutes=1))
        assert sorted(job.what for job in house["tap"].running()) == ["other", "same"]
        house["tap"].hold = False
        assert (await hub.ended(run)).run.state == "succeeded"
    assert len(house["tap"].of("same")) == 2


# --- the rate --------------------------------------------------------------------------------------------------------


def gate(hub):
    return hub.engine.lanes.open["tap"].gate


async def test_a_new_account_begins_with_all_its_tokens(house):
    many(house, 1, env="TAP_RATE=1\nTAP_BURST=10\n")
    async with house.hub() as hub:
        assert gate(hub).tokens == 10


async def test_after_a_crash_the_bucket_is_empty(house):
    many(house, 1, env="TAP_RATE=1\nTAP_BURST=10\n")
    async with house.killed():
        pass
    async with house.hub() as hub:
        assert gate(hub).tokens == 0
        house.clock.pass_time(timedelta(seconds=4))
        assert gate(hub).tokens == pytest.approx(4)


async def test_a_stop_in_peace_keeps_what_is_left_of_the_bucket(house):
    many(house, 1, env="TAP_RATE=1\nTAP_BURST=10\n")
    async with house.store() as store:
        async with house.hub(store=store) as hub:
            for _ in range(3):
                await gate(hub)(wait=False)
        async with house.hub(store=store) as hub:
            assert gate(hub).tokens == pytest.approx(7)


async def test_a_reload_keeps_what_is_left_of_the_bucket(house):
    many(house, 1, env="TAP_RATE=1\nTAP_BURST=10\n")
    async with house.hub() as hub:
        await gate(hub)(wait=False)
        await hub.engine.apply(house.write("tap.env", "TAP_RATE=1\nTAP_BURST=10\nTAP_TOKEN=other\n").read())
        assert gate(hub).tokens == pytest.approx(9)


async def test_calls_go_one_after_another_at_the_rate_and_intents_wait_for_their_turn(house):
    many(house, 3, env="TAP_RATE=20\nTAP_BURST=1\nTAP_LOOK=1000\nTAP_FIRST_LOOK=1000\n")
    house["tap"].gated = True
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("many")
        await hub.until(lambda: len(house["tap"].jobs) == 1, step=timedelta(milliseconds=20))
        states = [step.state.value for step in (await hub.run(run)).steps.values()]
        assert states.count("starting") <= 1
        await hub.until(lambda: len(house["tap"].jobs) == 3, step=timedelta(milliseconds=20))
    at = [call.at for call in house["tap"].calls if call.verb in {"prepare", "start"}]
    for (first, earlier), (second, later) in itertools.combinations(enumerate(at), 2):
        least = (second - first - 1) * timedelta(milliseconds=50)  # one may be under way while the next has its turn
        assert later - earlier >= least, "twenty a second, whatever wants to go"


async def test_a_turn_that_is_not_used_is_given_back(house):
    many(house, 1, env="TAP_RATE=1\nTAP_BURST=2\n")
    async with house.hub() as hub:
        async with gate(hub).turn():
            assert gate(hub).tokens == 1
        assert gate(hub).tokens == 2
        async with gate(hub).turn():
            await gate(hub)(wait=False)
        assert gate(hub).tokens == 1
