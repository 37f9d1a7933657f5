"""The open runs of a hub, when somebody else has moved them in the store."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from stackhub.model.codec import dump
from stackhub.model.run import RunState
from stackhub.model.step import StepState
from stackhub.store import tables as t


async def under_way(hub) -> str:
    run = await hub.trigger("line")
    await hub.at(run, "load", "running")
    return run


async def ended_elsewhere(hub, run_id) -> None:
    """End a run in the store alone."""
    found = await hub.run(run_id)
    now = hub.house.clock.now()
    run = replace(found.run, state=RunState.CANCELLED, ended_at=now, version=found.run.version + 1)
    steps = [replace(step, state=StepState.CANCELLED, ended_at=now) for step in found.steps.values()]

    def end(connection):
        values = {"state": run.state.value, "version": run.version, "ended_at": t.micros(now), "data": dump(run)}
        connection.execute(sa.update(t.run).where(t.run.c.id == run_id).values(values))
        for step in steps:
            mine = (t.step.c.run == run_id, t.step.c.task == step.task)
            connection.execute(sa.update(t.step).where(*mine).values(state=step.state.value, data=dump(step)))

    await hub.store.call(end)


async def test_a_run_that_has_ended_in_the_store_is_attended_no_more(line):
    line["tap"].hold = True
    async with line.hub() as hub:
        run = await under_way(hub)
        await ended_elsewhere(hub, run)
        line["tap"].end("orders")
        await hub.until(lambda: hub.engine.board.get(run) is None)
        polls = line["tap"].count("poll")
        await hub.pass_time(timedelta(minutes=1))
        assert line["tap"].count("poll") == polls, "nobody asks after its jobs any more"
        assert hub.engine.board.steps("tap") == []
        assert (await hub.run(run)).run.state is RunState.CANCELLED


async def test_a_run_that_is_gone_from_the_store_is_attended_no_more(line):
    line["tap"].hold = True
    async with line.hub() as hub:
        run = await under_way(hub)
        await hub.store.call(lambda connection: connection.execute(sa.delete(t.run).where(t.run.c.id == run)) and None)
        line["tap"].end("orders")
        await hub.until(lambda: hub.engine.board.get(run) is None)
        assert hub.engine.board.steps("tap") == []


@pytest.mark.parametrize("handle", [{"job": object()}, {"job": {1: {2: float}}}, "job 7", None])
async def test_a_handle_that_cannot_be_kept_is_a_start_without_an_answer(line, handle):
    """What the store cannot hold would be lost with the hub: the job is looked for, and found as it is."""
    from engine.far_end import Say

    line["tap"].will("start", Say(handle), what="orders")
    async with line.hub() as hub:
        run = await hub.trigger("line")
        done = await hub.ended(run)
        assert done.run.state is RunState.SUCCEEDED
    assert line["tap"].count("find", "orders") >= 1
    assert len(line["tap"].of("orders")) == 1
