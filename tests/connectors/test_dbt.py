"""dbt keeps the house's rules: the contract suite and the life of a job, on a played dbt."""

import json
import os
import signal
import sys
from pathlib import Path

import anyio.lowlevel
import pytest
from launch.grounds import PATIENCE, Grounds, grounds_in, over

from stackhub.contract import (
    DONE,
    Finished,
    Job,
    Logs,
    Node,
    NodeState,
    Outcome,
    Pending,
    Probe,
    Rejected,
    Role,
    StartIs,
)
from stackhub.launch import Running
from stackhub.testing import JobsContract
from stackhub_dbt import connector
from stackhub_dbt.options import OPTIONS, DbtSettings

HERE = Path(__file__).parent
RECORDED = HERE / "dbt_events"
PLAYED = HERE / "played_dbt.py"
SECRET = "correct-horse-battery-staple"


class Stage:
    """A project with a played dbt, and what it is to play."""

    def __init__(self, grounds: Grounds) -> None:
        self.grounds = grounds
        self.path = grounds.root / "play"
        self.play = {
            "says": str(RECORDED / "v1_failing.jsonl"),
            "leaves": "",
            "code": 1,
            "holds": [],
            "list_code": 0,
            "bell": str(grounds.bell),
            "gate": str(grounds.gate),
        }
        self.plays()
        self.executable = grounds.root / "dbt"
        self.executable.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{PLAYED}" "$@"\n')
        self.executable.chmod(0o755)
        (grounds.root / "dbt_project.yml").write_text("name: shop\nprofile: shop\n")

    def plays(self, **changes):
        self.play |= changes
        self.path.write_text(json.dumps(self.play))

    def half(self):
        lines = Path(self.play["says"]).read_bytes().splitlines(keepends=True)
        return len(b"".join(lines[: len(lines) // 2]))

    def settings(self, **changes):
        further = {"PLAYED": str(self.path), "PASSWORD": SECRET}
        return DbtSettings(**{"executable": "./dbt", "further": further} | changes)

    def open(self, **changes):
        return connector.open(self.settings(**changes), self.grounds.context())

    def asked(self):
        path = self.grounds.root / "asked"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def grounds(tmp_path):
    with grounds_in(tmp_path) as lent:
        yield lent


@pytest.fixture
def stage(grounds):
    return Stage(grounds)


@pytest.fixture
async def dbt(stage):
    async with stage.open() as opened:
        yield opened


def asking(operation="build", nodes=(), **options):
    made = OPTIONS[operation](**options)
    return Job(operation=operation, options=made, pipeline="p", run="01RUN", task="t", nodes=tuple(nodes))


async def begun(stage, dbt, job, key="key"):
    """Start a job and wait until the first half of what it says can be read."""
    handle = await dbt.start(job, await dbt.prepare(job), key)
    await stage.grounds.bell.heard()
    output = dbt._launcher.directory(handle) / "output"
    with anyio.fail_after(PATIENCE):  # it is on its way from the pipe to the file, and nobody tells when it is there
        while output.stat().st_size < stage.half():
            await anyio.lowlevel.checkpoint()
    return handle


async def ended(stage, dbt, handle):
    """Wait for an end, and return what is told of it."""
    await stage.grounds.end(dbt._launcher, handle)
    [answer] = await dbt.poll([handle])
    assert isinstance(answer, Finished)
    return answer


async def answer_to(stage, dbt, job, key="key"):
    handle = await begun(stage, dbt, job, key)
    stage.grounds.gate.say()
    return await ended(stage, dbt, handle)


class TestDbtJobs(JobsContract):
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
    def started(self, grounds):
        """Count the directories of jobs: a process is begun in each, once (tests/launch)."""
        return lambda: len([path for path in (grounds.state / "jobs").glob("*") if path.is_dir()])

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


def pid_of(dbt, handle, whose="pid"):
    return json.loads((dbt._launcher.directory(handle) / "began").read_text())[whose]


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


def built(*ids, state=NodeState.SUCCEEDED):
    return tuple(Node(id=unique, name=unique, kind="model", state=state) for unique in ids)


HOLDS = ["source.shop.shop.raw_orders", "model.shop.orders", "model.shop.feed", "test.shop.unique_orders_id.1360ecc70e"]


async def test_a_retry_runs_what_the_selection_holds_less_what_was_built(stage, dbt):
    stage.plays(holds=HOLDS)
    earlier = (*built("model.shop.orders"), *built("model.shop.feed", state=NodeState.FAILED))

    await answer_to(stage, dbt, asking(select="+tag:revenue", exclude="slow", nodes=earlier))

    listed, ran = (asked["argv"] for asked in stage.asked())
    assert listed[listed.index("--select") + 1] == "+tag:revenue"
    assert listed[listed.index("--exclude") + 1] == "slow"
    assert ran[ran.index("--select") + 1] == "result:error"
    assert ran[ran.index("--indirect-selection") + 1] == "empty"
    assert "--exclude" not in ran
    left = json.loads(Path(ran[ran.index("--state") + 1], "run_results.json").read_text())["results"]
    assert [node["unique_id"] for node in left] == ["model.shop.feed", "test.shop.unique_orders_id.1360ecc70e"]
    assert {node["status"] for node in left} == {"error"}


@pytest.mark.parametrize(
    ("why", "nodes", "play"),
    [
        ("nothing was built", built("model.shop.orders", state=NodeState.FAILED), {"holds": HOLDS}),
        ("everything was built", built(*HOLDS), {"holds": HOLDS}),
        ("the listing failed", built("model.shop.orders"), {"holds": HOLDS, "list_code": 2}),
    ],
)
async def test_a_retry_runs_everything_selected_when(stage, dbt, why, nodes, play):
    stage.plays(**play)

    await answer_to(stage, dbt, asking(select="orders", nodes=nodes))

    ran = stage.asked()[-1]["argv"]
    assert ran[ran.index("--select") + 1] == "orders", why


async def test_a_check_of_sources_is_made_again_whole(stage, dbt):
    await answer_to(stage, dbt, asking("source_freshness", nodes=built("source.shop.shop.raw_orders")))

    assert [asked["argv"][:2] for asked in stage.asked()] == [["source", "freshness"]]


async def test_a_start_repeated_does_not_ask_dbt_again(stage, dbt):
    stage.plays(holds=HOLDS)
    job = asking(nodes=built("model.shop.orders"))
    first = await begun(stage, dbt, job)

    assert await dbt.start(job, {}, "key") == first
    assert len(stage.asked()) == 2


async def test_what_v1_parsed_is_read_by_the_next_job(stage, dbt):
    await answer_to(stage, dbt, asking(select="orders"), "first")
    await answer_to(stage, dbt, asking(), "second")

    first, second = (asked["env"].get("DBT_PARTIAL_PARSE_FILE_PATH") for asked in stage.asked())
    assert first is None, "dbt would not start if the file were absent"
    assert "orders" not in Path(second).read_text(), "each leaves what it parsed to the next"
    assert not list((stage.grounds.state / "jobs").glob("*/target/partial_parse.msgpack")), "and it is kept once"


async def test_dbt_gets_the_files_variables_and_none_of_the_hubs(stage, dbt, monkeypatch):
    monkeypatch.setenv("STACKHUB_API_TOKEN", "the-hubs-own")

    await answer_to(stage, dbt, asking())

    env = stage.asked()[0]["env"]
    assert env["PASSWORD"] == SECRET
    assert env["DBT_SEND_ANONYMOUS_USAGE_STATS"] == "0"
    assert env["STACKHUB_RUN"] == "01RUN"
    assert "STACKHUB_API_TOKEN" not in env


async def test_a_variable_of_the_file_wins_over_ours(stage):
    async with stage.open(further={"PLAYED": str(stage.path), "DBT_SEND_ANONYMOUS_USAGE_STATS": "1"}) as dbt:
        await answer_to(stage, dbt, asking())

    assert stage.asked()[0]["env"]["DBT_SEND_ANONYMOUS_USAGE_STATS"] == "1"


async def test_a_secret_that_dbt_repeats_is_not_shown(stage, dbt):
    words = json.dumps({"info": {"name": "MainEncounteredError", "msg": SECRET}, "data": {"exc": f"no {SECRET}!"}})
    says = stage.grounds.root / "says"
    says.write_text(f"{words}\nand {SECRET}\n")
    stage.plays(says=str(says), code=2)

    answer = await answer_to(stage, dbt, asking())

    assert answer.note.endswith("no ***!")
    shown, _ = dbt.read_log(dbt._launcher.find("key"), 0, 10_000)
    assert SECRET not in shown
    assert "and ***" in shown


async def test_the_log_is_read_as_it_grows(stage, dbt):
    assert isinstance(dbt, Logs)
    handle = await begun(stage, dbt, asking())

    first, offset = dbt.read_log(handle, 0, 1_000_000)
    assert dbt.read_log(handle, offset, 1_000_000) == ("", offset)
    stage.grounds.gate.say()
    await ended(stage, dbt, handle)
    second, end = dbt.read_log(handle, offset, 1_000_000)

    assert "Concurrency: 2 threads" in first
    assert "Done. PASS=4 WARN=1 ERROR=2" in second
    assert dbt.read_log(handle, end, 1_000_000) == ("", end)


async def test_the_log_is_read_to_its_end_in_pieces_smaller_than_a_line(stage, dbt):
    handle = await begun(stage, dbt, asking())
    stage.grounds.gate.say()
    await ended(stage, dbt, handle)

    offset, pieces = 0, 0
    while (step := dbt.read_log(handle, offset, 100)[1]) != offset:
        offset, pieces = step, pieces + 1

    assert offset == (RECORDED / "v1_failing.jsonl").stat().st_size
    assert pieces > 100


async def test_without_a_project_nothing_is_started_and_the_way_out_is_named(stage):
    async with stage.open(project_dir="elsewhere") as dbt:
        with pytest.raises(Rejected, match=r"no dbt_project.yml in .*/elsewhere: set DBT_PROJECT_DIR"):
            await dbt.prepare(asking())


async def test_without_dbt_nothing_is_started_and_the_way_out_is_named(stage):
    async with stage.open(executable="./no-dbt-here") as dbt:
        with pytest.raises(Rejected, match=r"DBT_EXECUTABLE: nothing that can be run at \./no-dbt-here"):
            await dbt.prepare(asking())


async def test_a_check_passes_where_everything_is_there(stage, dbt):
    assert isinstance(dbt, Probe)
    (stage.grounds.root / "profiles.yml").write_text("shop: {target: dev, outputs: {dev: {type: duckdb}}}\n")

    permissions = await dbt.check()

    assert [permission for permission in permissions if not permission.ok] == []
    assert permissions[0].detail == f"1.11.16 at {stage.executable}"


@pytest.mark.parametrize(
    ("profiles", "settings", "remedy"),
    [
        (None, {}, "DBT_PROFILES_DIR"),
        ("shop: {target: [}", {}, "mend the file"),
        ("other: {outputs: {dev: {}}}", {}, "DBT_PROFILE"),
        ("shop: {outputs: {dev: {password: hunter22}}}", {"target": "prod"}, "DBT_TARGET"),
        ("shop: {outputs: {dev: {}}}", {"project_dir": "elsewhere"}, "DBT_PROJECT_DIR"),
        ("shop: {outputs: {dev: {}}}", {"executable": "no-dbt-here"}, "DBT_EXECUTABLE"),
    ],
)
async def test_a_check_names_the_remedy_for_what_is_not_there(stage, profiles, settings, remedy):
    if profiles is not None:
        (stage.grounds.root / "profiles.yml").write_text(profiles)
    home = {"HOME": str(stage.grounds.root / "home"), "PLAYED": str(stage.path)}

    async with stage.open(further=home, **settings) as dbt:
        refused = [permission for permission in await dbt.check() if not permission.ok]

    assert len(refused) == 1
    assert remedy in refused[0].remedy
    assert "hunter22" not in repr(refused)


async def test_profiles_are_looked_for_where_dbt_does(stage):
    home = stage.grounds.root / "home"
    (home / ".dbt").mkdir(parents=True)
    (home / ".dbt" / "profiles.yml").write_text("shop: {outputs: {dev: {}}}")

    async with stage.open(further={"HOME": str(home), "PLAYED": str(stage.path)}) as dbt:
        assert all(permission.ok for permission in await dbt.check())
    async with stage.open(profiles_dir="home/.dbt") as dbt:
        assert all(permission.ok for permission in await dbt.check())


async def test_opening_runs_nothing(stage):
    stage.executable.write_text("#!/bin/sh\nexit 3\n")

    async with stage.open() as dbt:
        assert dbt._launcher.find("key") is None
        with pytest.raises(Rejected, match="is not dbt"):
            await dbt.prepare(asking())


async def test_a_job_on_another_host_is_not_judged(stage, dbt):
    handle = await begun(stage, dbt, asking())

    [answer] = await dbt.poll([{**handle, "host": "another"}])

    assert not isinstance(answer, Finished | Pending)
    assert isinstance(dbt._launcher.look(handle), Running)
