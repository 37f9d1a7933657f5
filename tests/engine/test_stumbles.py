"""Connectors that stumble, and accounts that ask for patience meanwhile: each costs its own."""

from datetime import datetime, timedelta

import pytest
from engine.far_end import Lost, Say, Stuck

from stackhub.contract import (
    Finished,
    Found,
    Landing,
    Outcome,
    Rejected,
    Unavailable,
)

BUG = KeyError("syncState")


@pytest.fixture
def pair(house):
    return house.instances("tap").pipeline(
        """
        pipeline: many
        defaults: {timeout: 10m}
        tasks:
          good: {uses: tap.sync, with: {connection: good}}
          bad: {uses: tap.sync, with: {connection: bad}}
        """
    )


@pytest.mark.parametrize("answer", [BUG, Say(None), Say({"at": object()})])
async def test_a_bug_in_prepare_costs_its_own_step_only(pair, answer):
    pair["tap"].will("prepare", answer, what="bad")
    async with pair.hub() as hub:
        ended = await hub.ended(await hub.trigger("many"))
    assert ended.steps["good"].state == "succeeded"
    assert ended.steps["bad"].state == "failed"
    assert "bug in the connector of tap" in ended.steps["bad"].error


@pytest.mark.parametrize("answer", [BUG, Say(None), Say({"at": object()})])
async def test_a_bug_in_start_is_a_start_without_an_answer(pair, answer):
    pair["tap"].will("start", answer, what="bad")
    async with pair.hub() as hub:
        ended = await hub.ended(await hub.trigger("many"))
    assert {step.state for step in ended.steps.values()} == {"succeeded"}
    assert pair["tap"].count("find", "bad") >= 1


async def test_a_bug_in_find_is_looked_for_again(pair):
    pair["tap"].will("start", Lost(), what="bad")
    pair["tap"].will("find", BUG, Say("yes"), Say(Found(handle=None)), what="bad")
    async with pair.hub() as hub:
        ended = await hub.ended(await hub.trigger("many"))
    assert {step.state for step in ended.steps.values()} == {"succeeded"}
    assert len(pair["tap"].of("bad")) == 1


NAIVE = Finished(
    outcome=Outcome.OK,
    landing=Landing(
        connection="bad",
        mark="1",
        ended_at=datetime(2026, 1, 1),  # noqa: DTZ001 - that is the bug
    ),
)


@pytest.mark.parametrize("answer", [BUG, "done", NAIVE])
async def test_a_job_that_polls_stumble_over_hides_no_other(pair, answer):
    pair["tap"].stumbles["bad"] = answer
    async with pair.hub() as hub:
        run = await hub.trigger("many")
        await hub.at(run, "good", "succeeded")
        await hub.until(lambda: hub.step(run, "bad").lost_sight, step=timedelta(seconds=5))
        assert not hub.engine.lanes.open["tap"].health.circuit.open
        ended = await hub.ended(run, step=timedelta(seconds=20))
    assert ended.steps["good"].state == "succeeded"
    assert ended.steps["bad"].state == "failed"
    assert "given up" in ended.steps["bad"].error


async def test_too_few_answers_are_taken_for_none(pair):
    pair["tap"].will("poll", Say([]))
    async with pair.hub() as hub:
        ended = await hub.ended(await hub.trigger("many"))
    assert {step.state for step in ended.steps.values()} == {"succeeded"}


async def test_a_sweep_that_is_refused_again_and_again_is_told_to_the_steps(pair):
    pair["tap"].hold = True
    async with pair.hub() as hub:
        run = await hub.trigger("many")
        await hub.until(lambda: len(hub["tap"].running()) == 2)
        pair["tap"].will("poll", *[Rejected("403")] * 10_000)
        await hub.until(lambda: hub.step(run, "good").lost_sight, step=timedelta(seconds=5))
        await hub.rest()
        assert list(hub.engine.incidents.open) == ["pipeline:many"]


async def test_an_option_that_cannot_be_filled_in_costs_its_own_step(house):
    house.instances("tap").pipeline("pipeline: one\ntasks: {load: {uses: tap.sync, with: {connection: '${WHERE}'}}}\n")
    house.environ["WHERE"] = "orders"
    async with house.hub() as hub:
        del house.environ["WHERE"]
        ended = await hub.ended(await hub.trigger("one"))
    assert ended.steps["load"].state == "failed"
    assert "WHERE" in ended.steps["load"].error
    assert house["tap"].calls == []


async def test_patience_asked_for_in_the_middle_of_a_search_for_a_bug_is_kept(pair):
    pair["tap"].hold = True
    async with pair.hub() as hub:
        run = await hub.trigger("many")
        await hub.at(run, "good", "running")
        await hub.at(run, "bad", "running")
        pair["tap"].will("poll", BUG, Unavailable("429", retry_after=timedelta(minutes=1)))
        polls = pair["tap"].count("poll")
        await hub.until(lambda: pair["tap"].count("poll") == polls + 2)
        await hub.rest()
        await hub.pass_time(timedelta(seconds=50))
        assert pair["tap"].count("poll") == polls + 2


async def test_a_step_on_its_way_when_patience_is_asked_for_does_not_start(pair):
    stuck = pair["tap"].will("prepare", Stuck(), what="bad")
    first = pair["tap"].will("prepare", Stuck(), what="good")
    pair["tap"].will("start", Unavailable("429", retry_after=timedelta(minutes=1)), what="good")
    async with pair.hub() as hub:
        await hub.trigger("many")
        await hub.until(stuck.reached.is_set)
        first.go.set()
        await hub.until(lambda: pair["tap"].count("start"))
        await hub.rest()
        stuck.go.set()
        await hub.pass_time(timedelta(seconds=50))
        assert pair["tap"].count("start") == 1
