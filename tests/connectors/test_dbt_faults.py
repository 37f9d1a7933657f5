"""The real dbt on DuckDB, with a fault that passes and a mistake that stays: which nodes are tried again."""

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from launch.grounds import grounds_in

from stackhub.contract import Finished, Job, NodeState, Outcome
from stackhub_dbt import connector
from stackhub_dbt.options import OPTIONS, DbtSettings

PROJECT = Path(__file__).parent / "dbt_faults"
DBT = Path(sys.executable).with_name("dbt")
PATIENCE = 180  # seconds, on however busy a machine
HOLDER = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DBT.exists(), reason="needs the extra: pip install stackhub[dbt]"),
]


@contextmanager
def held(database):
    """Let another process hold a DuckDB file, which no second one can then open."""
    argv = [sys.executable, "-c", HOLDER, str(database)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.stdin.close()


@pytest.fixture(scope="module")
async def tries(tmp_path_factory):
    """Build while another process holds the archive; then, with that gone, try again."""
    root = tmp_path_factory.mktemp("faults")
    further = {
        "HOME": str(root),
        "SHOP_DATABASE": str(root / "shop.duckdb"),
        "SHOP_ARCHIVE": str(root / "archive.duckdb"),
    }
    woken = [anyio.Event()]

    def wake():
        woken[0].set()

    async def ended(dbt, key, **more):
        job = Job(operation="build", options=OPTIONS["build"](), **more)
        handle = await dbt.start(job, await dbt.prepare(job), key)
        while True:
            woken[0] = anyio.Event()
            [answer] = await dbt.poll([handle])
            if isinstance(answer, Finished):
                return answer
            await woken[0].wait()

    with anyio.fail_after(PATIENCE), grounds_in(root) as grounds:
        context = grounds.context(wake=wake)
        async with connector.open(DbtSettings(project_dir=PROJECT, further=further), context) as dbt:
            with held(root / "archive.duckdb"):
                first = await ended(dbt, "first")
            second = await ended(dbt, "second", attempt=2, nodes=first.nodes)
    return first, second


def named(end):
    return {node.name.partition(".")[0]: node for node in end.nodes}


async def test_a_lock_may_pass_and_a_missing_column_stays(tries):
    first, _ = tries
    nodes = named(first)
    assert (first.outcome, first.retryable) == (Outcome.FAILED, True)
    assert {name: node.passing for name, node in nodes.items() if node.state is NodeState.FAILED} == {
        "lost": True,
        "wrong": False,
    }
    assert "Could not set lock on file" in nodes["lost"].message
    assert {name for name, node in nodes.items() if node.state is NodeState.SKIPPED} >= {"after", "below", "both"}
    assert first.note.startswith("2 of 8 nodes failed: model.faults.wrong: ")
    assert first.note.endswith("(and model.faults.lost, which may pass)")


async def test_the_next_try_builds_what_the_fault_had_stopped_and_nothing_on_the_mistake(tries):
    _, second = tries
    assert {name: node.state.value for name, node in named(second).items()} == {
        "lost": "succeeded",
        "after": "succeeded",
        "unique_after_id": "succeeded",
    }


async def test_in_the_end_it_has_failed_for_the_mistake_alone_and_is_not_tried_again(tries):
    _, second = tries
    assert (second.outcome, second.retryable) == (Outcome.FAILED, False)
    assert second.note.startswith("1 of 4 nodes failed (1 in an earlier try): model.faults.wrong: ")
    assert "amout" in second.note


async def test_a_node_is_whose_its_meta_says(tries):
    nodes = named(tries[0])
    assert (nodes["fine"].owner, nodes["lost"].owner, nodes["wrong"].owner) == ("ada", "warehouse team", "")
