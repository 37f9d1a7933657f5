"""dbt keeps the house's rules: the contract suite and the life of a job, on a played dbt."""

import json
import os
import signal

import pytest
from dbt_stage import RECORDED, SECRET, answer_to, asking, begun, ended, pid_of
from launch.grounds import OnGrounds, over

from stackhub.contract import (
    DONE,
    Finished,
    NodeState,
    Outcome,
    Pending,
    Role,
    StartIs,
)
from stackhub.launch import Running
from stackhub.testing import JobsContract
from stackhub_dbt import connector
from stackhub_dbt.options import DbtSettings


class TestDbtJobs(OnGrounds, JobsContract):
    @pytest.fixture
    def jobs(self, dbt, stage):
        stage.plays(says=str(RECORDED / "v1_nothing.jsonl"), code=0)
        return dbt

    @pytest.fixture
    def job(self):
        return asking(select="orders")

    @pytest.fixture
    def operation(self):
        return connector.operations["build"]

    @pytest.fixture
    def finish(self, grounds, stage, jobs, job):
        async def finish():
            grounds.gate.say()
            for path in (grounds.state / "jobs").glob("*/"):
                await ended(stage, jobs, (await jobs.find(job, {}, path.name)).handle)

        return finish

    @pytest.fixture
    def secrets(self):
        return (SECRET,)


def test_every_command_is_a_transform_that_is_found_by_its_key():
    assert set(connector.operations) == {"build", "run", "test", "seed", "snapshot", "source_freshness", "docs"}
    for operation in connector.operations.values():
        assert (operation.role, operation.start_is, operation.cancellable) == (Role.TRANSFORM, StartIs.KEYED, True)
        assert not operation.settle


def test_one_job_at_a_time_unless_told_otherwise():
    assert DbtSettings().max_active == 1
    assert connector.limits(DbtSettings(max_active=3)).width == 3


async def test_each_poll_tells_what_has_changed_since_the_last(stage, dbt):
    handle = await begun(stage, dbt, asking())

    [first] = await dbt.poll([handle])
    [second] = await dbt.poll([handle])

    assert isinstance(first, Pending)
    assert (first.progress.done > 0, first.progress.total) == (True, 8)
    assert {node.id for node in first.nodes} >= {"model.shop.feed", "seed.shop.raw_orders"}
    assert isinstance(second, Pending)
    assert (second.progress, second.nodes) == (first.progress, ())


async def test_a_failed_build_is_told_with_every_node(stage, dbt):
    stage.plays(leaves=str(RECORDED / "v1_failing.results.json"))

    answer = await answer_to(stage, dbt, asking())

    assert (answer.outcome, answer.retryable) == (Outcome.FAILED, True)
    assert answer.note.startswith("2 of 8 nodes failed: model.shop.feed: ")
    assert len(answer.nodes) == 8


async def test_a_hub_that_was_restarted_reads_the_job_from_its_beginning(stage, dbt):
    handle = await begun(stage, dbt, asking())
    [before] = await dbt.poll([handle])

    async with stage.open() as restarted:
        [after] = await restarted.poll([json.loads(json.dumps(dict(handle)))])
        assert after == before
        stage.grounds.gate.say()
        there = await ended(stage, restarted, handle)
    [here] = await dbt.poll([handle])

    assert here == there
    assert len(here.nodes) == 8


async def test_a_cancel_is_sigint_first_and_is_told_as_ours(stage, dbt):
    handle = await begun(stage, dbt, asking())

    await dbt.cancel(handle)
    answer = await ended(stage, dbt, handle)

    assert answer.outcome is Outcome.CANCELLED
    assert "SIGINT" in answer.note
    assert answer.result["exit_code"] == 2


async def test_what_an_interrupted_dbt_leaves_is_not_believed(stage, dbt):
    stage.plays(says=str(RECORDED / "v2_cancelled.jsonl"), leaves=str(RECORDED / "v2_cancelled.results.json"), code=2)
    handle = await begun(stage, dbt, asking())
    [meanwhile] = await dbt.poll([handle])

    await dbt.cancel(handle)
    answer = await ended(stage, dbt, handle)

    assert {node.id for node in answer.nodes} == {node.id for node in meanwhile.nodes}
    assert not [node for node in answer.nodes if node.message == "Compilation Error"]


async def test_a_signal_that_is_not_ours_is_a_failure_that_goes_on_where_it_stopped(stage, dbt):
    handle = await begun(stage, dbt, asking())
    os.kill(pid_of(dbt, handle), signal.SIGKILL)

    answer = await ended(stage, dbt, handle)

    assert (answer.outcome, answer.retryable) == (Outcome.FAILED, True)
    assert "SIGKILL" in answer.note
    assert any(node.state in DONE for node in answer.nodes)


async def test_a_lost_dbt_leaves_its_nodes_as_they_were_seen(stage, dbt):
    handle = await begun(stage, dbt, asking())
    for whose in ("shim", "pid"):
        pid = pid_of(dbt, handle, whose)
        os.kill(pid, signal.SIGKILL)
        await over(pid)

    answer = await ended(stage, dbt, handle)

    assert (answer.outcome, answer.retryable) == (Outcome.FAILED, True)
    assert answer.note.startswith("dbt was lost: ")
    states = {node.state for node in answer.nodes}
    assert NodeState.SUCCEEDED in states
    assert NodeState.RUNNING not in states


async def test_a_job_on_another_host_is_not_judged(stage, dbt):
    handle = await begun(stage, dbt, asking())

    [answer] = await dbt.poll([{**handle, "host": "another"}])

    assert not isinstance(answer, Finished | Pending)
    assert isinstance(dbt._launcher.look(handle), Running)
