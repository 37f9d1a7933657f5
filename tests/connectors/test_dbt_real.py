"""The real dbt, on DuckDB: seven starts of it for all the tests here, since each takes seconds."""

import os
import shutil
import sys
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from launch.grounds import grounds_in

from stackhub.contract import DONE, Finished, Job, NodeState, Outcome, Pending
from stackhub_dbt import connector
from stackhub_dbt.options import OPTIONS, DbtSettings

PROJECT = Path(__file__).parent / "dbt_project"
DBT = Path(sys.executable).with_name("dbt")
PATIENCE = 180  # seconds until the scenarios are given up, on however busy a machine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DBT.exists(), reason="needs the extra: pip install stackhub[dbt]"),
]


class Shop:
    """The project with a warehouse of its own."""

    def __init__(self, root):
        self.root = root
        self.feed = root / "feed.csv"
        self.gate = root / "feed_of_slow"
        self.woken = anyio.Event()

    def open(self, grounds):
        further = {
            "HOME": str(self.root),
            "SHOP_DATABASE": str(self.root / "shop.duckdb"),
            "SHOP_FEED": str(self.feed),
            "SHOP_GATE": str(self.gate),
        }
        context = grounds.context(wake=self.wake)
        return connector.open(DbtSettings(project_dir=PROJECT, further=further), context)

    def wake(self):
        self.woken.set()

    async def ended(self, dbt, handle):
        """Wait for a job's end, as long as the whole scenario may take, and return what is told of it."""
        while True:
            self.woken = anyio.Event()
            [answer] = await dbt.poll([handle])
            if isinstance(answer, Finished):
                return answer
            await self.woken.wait()


async def begun(dbt, key, operation="build", nodes=(), **options):
    job = Job(operation=operation, options=OPTIONS[operation](**options), nodes=tuple(nodes))
    return await dbt.start(job, await dbt.prepare(job), key)


async def failed_then_retried(root):
    """Build with a feed missing and a test that fails; then, by another hub, retry with the feed there."""
    shop, found = Shop(root), {}
    with grounds_in(root) as grounds:
        async with shop.open(grounds) as dbt:
            handle = await begun(dbt, "first", vars={"strict": True})
            [found["meanwhile"]] = await dbt.poll([handle])
            found["failed"] = await shop.ended(dbt, handle)
            found["log"] = dbt.read_log(handle, 0, 1_000_000)[0]
        shop.feed.write_text("day,n\n2026-01-01,2\n")
        async with shop.open(grounds) as restarted:
            [found["seen again"]] = await restarted.poll([handle])
            nodes = found["failed"].nodes
            found["retried"] = await shop.ended(restarted, await begun(restarted, "second", nodes=nodes))
    return found


async def refused(root):
    """Ask for what is not there."""
    shop, found = Shop(root), {}
    with grounds_in(root) as grounds:
        async with shop.open(grounds) as dbt:
            for name, options in (("nothing", {"select": "nothing_here"}), ("no target", {"target": "nope"})):
                found[name] = await shop.ended(dbt, await begun(dbt, name.replace(" ", "_"), **options))
    return found


async def cancelled(root):
    """Interrupt a query that would take hours, while it waits for its first row."""
    shop = Shop(root)
    os.mkfifo(shop.gate)
    with grounds_in(root) as grounds:
        async with shop.open(grounds) as dbt:
            handle = await begun(dbt, "slow", select="slow", vars={"slow": True})
            row = await anyio.to_thread.run_sync(os.open, shop.gate, os.O_WRONLY, abandon_on_cancel=True)
            [meanwhile] = await dbt.poll([handle])
            await dbt.cancel(handle)
            os.write(row, b"3\n")
            os.close(row)
            return {"at work": meanwhile, "cancelled": await shop.ended(dbt, handle)}


@pytest.fixture(scope="module")
async def found(tmp_path_factory):
    """Play the scenarios beside each other, each in its own warehouse, and return every answer by its name."""
    answers = {}

    async def play(scenario):
        answers.update(await scenario(tmp_path_factory.mktemp(scenario.__name__)))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            for scenario in (failed_then_retried, refused, cancelled):
                group.start_soon(play, scenario)
    return answers


def states(answer):
    return {node.id: node.state for node in answer.nodes}


async def test_a_build_goes_on_beside_the_hub(found):
    assert isinstance(found["meanwhile"], Pending)


async def test_a_build_with_failures_leaves_every_node_with_its_state_and_words(found):
    failed = found["failed"]

    assert (failed.outcome, failed.retryable) == (Outcome.FAILED, True)
    assert states(failed) == {
        "seed.shop.raw_orders": NodeState.SUCCEEDED,
        "model.shop.orders": NodeState.SUCCEEDED,
        "model.shop.feed": NodeState.FAILED,
        "model.shop.feed_by_day": NodeState.SKIPPED,
        "test.shop.no_order_is_free": NodeState.FAILED,
        "test.shop.no_order_is_large": NodeState.WARNED,
        "test.shop.not_null_orders_id.84ef11d8fe": NodeState.SUCCEEDED,
        "test.shop.unique_orders_id.1360ecc70e": NodeState.SUCCEEDED,
    }
    assert failed.note.startswith("2 of 8 nodes failed: model.shop.feed: ")
    assert "IO Error: No files found" in failed.note
    assert {node.id: node.rows for node in failed.nodes}["seed.shop.raw_orders"] == 3


async def test_the_log_is_dbts_own_words_without_the_secrets(found):
    assert "Concurrency: 2 threads" in found["log"]
    assert "feed.csv" not in found["log"], "a further variable is a secret"


async def test_another_hub_sees_the_same_end(found):
    assert found["seen again"] == found["failed"]


async def test_a_retry_runs_the_rest_and_nothing_that_was_built(found):
    retried = found["retried"]

    assert retried.outcome is Outcome.OK
    assert states(retried) == {"model.shop.feed": NodeState.SUCCEEDED, "model.shop.feed_by_day": NodeState.SUCCEEDED}


async def test_a_build_of_nothing_says_so(found):
    assert found["nothing"].outcome is Outcome.OK
    assert "nothing was selected" in found["nothing"].warning


async def test_a_refused_configuration_is_told_and_not_tried_again(found):
    refusal = found["no target"]

    assert (refusal.outcome, refusal.retryable) == (Outcome.FAILED, False)
    assert "does not have a target named 'nope'" in refusal.note


async def test_a_cancel_interrupts_the_query_and_is_told_as_ours(found):
    assert {node.id for node in found["at work"].nodes} == {"model.shop.slow"}
    assert found["cancelled"].outcome is Outcome.CANCELLED
    assert not [node for node in found["cancelled"].nodes if node.state in DONE]
    assert found["cancelled"].result["exit_code"] == 2, "dbt itself has cancelled its query: it was not killed"


def test_nothing_is_written_into_the_project():
    assert not [name for name in ("target", "logs", "dbt_packages") if (PROJECT / name).exists()]
    assert shutil.which("dbt", path=str(DBT.parent))
