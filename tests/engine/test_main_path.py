"""A run from its trigger to its end, and what people hear of it."""

import itertools

from engine.far_end import BROKEN, FAILED


def states(open_run):
    return {name: step.state.value for name, step in open_run.steps.items()}


async def test_a_transform_starts_only_after_every_extract_has_succeeded(shop):
    shop["tap"].hold = True
    async with shop.hub() as hub:
        run = await hub.trigger("shop")
        await hub.until(lambda: len(hub["tap"].running()) == 2)
        hub["tap"].end("orders")
        await hub.at(run, "orders", "succeeded")
        await hub.rest()
        assert hub["mill"].calls == []
        hub["tap"].end("stripe")
        ended = await hub.ended(run)
    assert ended.run.state == "succeeded"
    assert [call.verb for call in shop["mill"].calls][:2] == ["prepare", "start"]


async def test_extracts_run_side_by_side(shop):
    shop["tap"].hold = True
    async with shop.hub() as hub:
        await hub.trigger("shop")
        await hub.until(lambda: len(hub["tap"].running()) == 2)


async def test_what_is_running_is_asked_after_in_one_question(shop):
    shop["tap"].hold = True
    async with shop.hub() as hub:
        await hub.trigger("shop")
        await hub.until(lambda: hub["tap"].count("poll", "2"))


async def test_a_failure_blocks_what_needs_it_and_ends_the_run(shop):
    shop["tap"].outcomes["orders"].append(FAILED)
    async with shop.hub() as hub:
        ended = await hub.ended(await hub.trigger("shop"))
    assert states(ended) == {"orders": "failed", "stripe": "succeeded", "marts": "upstream_failed"}
    assert ended.run.state == "failed"
    assert shop["mill"].calls == []


async def test_a_failure_is_one_incident_with_its_root_cause_first(shop):
    shop["tap"].outcomes["orders"].append(FAILED)
    shop["tap"].outcomes["stripe"].append(FAILED)
    async with shop.hub() as hub:
        await hub.ended(await hub.trigger("shop"))
        await hub.told()
        (incident,) = await hub.incidents()
    (facet,) = incident.facets.values()
    assert incident.key == "pipeline:shop"
    assert facet.title == "shop failed: orders and 1 more"
    assert facet.error == "it broke"
    assert dict(facet.facts)["Blocked"] == "marts: not run"


async def test_a_failure_is_one_live_message_and_one_alarm(shop):
    shop["tap"].outcomes["orders"].append(FAILED)
    async with shop.hub() as hub:
        await hub.ended(await hub.trigger("shop"))
        await hub.told()
    assert [(part, event) for part, event, _ in shop["bell"].order] == [("root", "opened")]
    assert [(part, event) for part, event, _ in shop["horn"].order] == [("root", "opened")]


async def test_the_next_success_resolves_it_on_every_route(shop):
    shop["tap"].outcomes["orders"].append(FAILED)
    async with shop.hub() as hub:
        await hub.ended(await hub.trigger("shop"))
        await hub.told()
        await hub.ended(await hub.trigger("shop"))
        await hub.told()
        (incident,) = await hub.incidents()
        assert incident.resolved_at is not None
        live = [(part, event) for part, event, _ in shop["bell"].order]
        assert live == [("root", "opened"), ("root", "resolved"), ("entry", "resolved")]
        await hub.until(lambda: len(shop["horn"].order) == 3)  # taken back once more: a late alarm may overtake
    assert [event for _, event, _ in shop["horn"].order] == ["opened", "resolved", "resolved"]
    assert len({sent.message.dedup for sent in shop["horn"].sent.values()}) == 1


async def test_a_failure_that_could_go_well_is_tried_again_as_another_job(house):
    house.instances("tap").pipeline(
        """
        pipeline: one
        tasks:
          load:
            uses: tap.sync
            with: {connection: orders}
            retries: {attempts: 3, wait: 30s}
        """
    )
    house["tap"].outcomes["orders"].extend([BROKEN, BROKEN])
    async with house.hub() as hub:
        ended = await hub.ended(await hub.trigger("one"))
    step = ended.steps["load"]
    assert (step.state, step.attempt) == ("succeeded", 3)
    assert len({job.key for job in house["tap"].jobs}) == 3
    starts = [call.at for call in house["tap"].calls if call.verb == "start"]
    waits = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(starts)]
    assert 30 <= waits[0] < 40
    assert 60 <= waits[1] < 80


async def test_a_retry_is_a_new_run_that_does_again_what_was_not_done(shop):
    shop["tap"].outcomes["orders"].append(FAILED)
    async with shop.hub() as hub:
        failed = await hub.trigger("shop")
        await hub.ended(failed)
        again = await hub.submit("retry", run=failed)
        ended = await hub.ended(again["run"])
        old = await hub.run(failed)
    assert ended.run.retry_of == failed != ended.run.id
    assert ended.run.interval == old.run.interval
    assert ended.run.state == "succeeded"
    assert ended.steps["stripe"].carried == failed
    assert len(shop["tap"].of("stripe")) == 1
    assert len(shop["tap"].of("orders")) == 2
    assert old.run.state == "failed"


async def test_a_retry_from_the_start_carries_nothing(shop):
    shop["tap"].outcomes["orders"].append(FAILED)
    async with shop.hub() as hub:
        failed = await hub.trigger("shop")
        await hub.ended(failed)
        again = await hub.submit("retry", run=failed, from_start=True)
        await hub.ended(again["run"])
    assert len(shop["tap"].of("stripe")) == 2


async def test_asking_for_a_retry_twice_returns_the_same_run(shop):
    shop["tap"].outcomes["orders"].append(FAILED)
    async with shop.hub() as hub:
        failed = await hub.trigger("shop")
        await hub.ended(failed)
        shop["tap"].hold = True
        first = await hub.submit("retry", run=failed)
        second = await hub.submit("retry", run=failed)
        assert second["run"] == first["run"]
        assert len(await hub.runs()) == 2


async def test_a_retry_that_succeeds_resolves_the_incident(shop):
    shop["tap"].outcomes["orders"].append(FAILED)
    async with shop.hub() as hub:
        failed = await hub.trigger("shop")
        await hub.ended(failed)
        again = await hub.submit("retry", run=failed)
        await hub.ended(again["run"])
        assert hub.engine.incidents.open == {}


async def test_a_run_goes_on_without_a_task_that_is_skipped(shop):
    shop["tap"].hold = True
    async with shop.hub() as hub:
        run = await hub.trigger("shop")
        await hub.until(lambda: len(hub["tap"].running()) == 2)
        hub["tap"].end("stripe")
        await hub.submit("skip", run=run, task="orders", reason="its source is gone")
        ended = await hub.ended(run)
    assert states(ended) == {"orders": "skipped", "stripe": "succeeded", "marts": "succeeded"}
    assert ended.steps["orders"].note == "skipped: its source is gone (ada)"
    assert shop["tap"].job("orders").cancelled == 1


async def test_a_skip_in_a_run_that_has_failed_makes_a_retry_without_the_task(shop):
    shop["tap"].outcomes["orders"].append(FAILED)
    async with shop.hub() as hub:
        failed = await hub.trigger("shop")
        await hub.ended(failed)
        made = await hub.submit("skip", run=failed, task="orders", reason="not today")
        ended = await hub.ended(made["run"])
    assert states(ended) == {"orders": "skipped", "stripe": "succeeded", "marts": "succeeded"}
    assert len(shop["tap"].of("orders")) == 1


async def test_a_cancelled_run_asks_its_jobs_to_stop_and_starts_nothing_more(shop):
    shop["tap"].hold = True
    async with shop.hub() as hub:
        run = await hub.trigger("shop")
        await hub.until(lambda: len(hub["tap"].running()) == 2)
        await hub.submit("cancel", run=run)
        ended = await hub.ended(run)
        await hub.told()
    assert states(ended) == {"orders": "cancelled", "stripe": "cancelled", "marts": "cancelled"}
    assert ended.run.state == "cancelled"
    assert [job.cancelled for job in shop["tap"].jobs] == [1, 1]
    assert shop["bell"].sent == {}


async def test_a_job_that_does_not_stop_is_asked_again_with_growing_pauses(shop):
    shop["tap"].hold = True
    async with shop.hub() as hub:
        run = await hub.trigger("shop")
        await hub.until(lambda: len(hub["tap"].running()) == 2)
        for job in hub["tap"].jobs:
            job.stubborn = True
        await hub.submit("cancel", run=run)
        await hub.until(lambda: hub["tap"].job("orders").cancelled == 3)
        hub["tap"].end("orders", FAILED)
        hub["tap"].end("stripe", FAILED)
        ended = await hub.ended(run)
    asked = [call.at for call in shop["tap"].calls if call.verb == "cancel" and call.what == "orders"]
    waits = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(asked)]
    assert waits[0] >= 10
    assert waits[1] >= 20
    assert ended.run.state == "cancelled"


async def test_a_queued_run_is_cancelled_without_a_word_to_anybody(shop):
    shop["tap"].hold = True
    async with shop.hub() as hub:
        first = await hub.trigger("shop")
        second = await hub.trigger("shop")
        assert (await hub.run(second)).run.state == "queued"
        done = await hub.submit("cancel", run=second)
        assert done["state"] == "cancelled"
        assert (await hub.run(first)).run.state == "running"
        assert hub["tap"].count("cancel") == 0


async def test_a_job_that_somebody_else_started_is_let_go(line):
    line["tap"].hold = True
    line["tap"].begin("orders", key="somebody else's")
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.at(run, "load", "running")
        await hub.submit("cancel", run=run)
        ended = await hub.ended(run)
    assert ended.run.state == "cancelled"
    assert "somebody else started the job" in ended.steps["load"].note
    assert line["tap"].count("cancel") == 0


async def test_a_tool_without_cancel_is_let_go_and_it_is_said(house):
    house.instances("tap").pipeline("pipeline: one\ntasks: {load: {uses: tap.endless, with: {connection: orders}}}\n")
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.until(hub["tap"].running)
        await hub.submit("cancel", run=run)
        ended = await hub.ended(run)
    assert ended.run.state == "cancelled"
    assert "its tool has no cancel; it goes on" in ended.steps["load"].note
    assert house["tap"].count("cancel") == 0


TWO = "pipeline: {name}\ntasks: {{load: {{uses: tap.sync, with: {{connection: orders}}}}}}\n"


async def test_a_job_that_another_run_joined_is_let_go_by_both(house):
    house.instances("tap").pipeline(TWO.format(name="one")).pipeline(TWO.format(name="two"))
    house["tap"].hold = True
    async with house.hub() as hub:
        first = await hub.trigger("one")
        await hub.until(lambda: hub.step(first, "load").state == "running")
        second = await hub.trigger("two")
        joined = await hub.at(second, "load", "running")
        assert joined.joined
        await hub.submit("cancel", run=first)
        gone = await hub.ended(first)
        await hub.submit("cancel", run=second)
        left = await hub.ended(second)
    assert len(house["tap"].jobs) == 1
    assert house["tap"].count("cancel") == 0
    assert "another step holds the job" in gone.steps["load"].note
    assert "somebody else started the job" in left.steps["load"].note


async def test_a_job_cancelled_at_the_vendor_is_cancelled_here_and_not_tried_again(shop):
    from stackhub.contract import Finished, Outcome

    shop["tap"].outcomes["orders"].append(Finished(outcome=Outcome.CANCELLED, note="stopped by bob"))
    async with shop.hub() as hub:
        ended = await hub.ended(await hub.trigger("shop"))
    assert states(ended) == {"orders": "cancelled", "stripe": "succeeded", "marts": "cancelled"}
    assert ended.run.state == "cancelled"
    assert len(shop["tap"].of("orders")) == 1


async def test_runs_of_one_pipeline_that_are_asked_for_together_go_one_after_another(shop):
    import anyio

    shop["tap"].hold = True
    async with shop.hub() as hub:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(hub.trigger, "shop")
        found = [run.state.value for run in await hub.runs()]
        assert sorted(found) == ["queued"] * 4 + ["running"]
        shop["tap"].hold = False
        await hub.until(lambda: not hub.engine.board.runs())
        assert {run.state for run in await hub.runs()} == {"succeeded"}


async def test_only_a_part_runs_and_says_nothing_of_the_whole(shop):
    shop["tap"].outcomes["orders"].append(FAILED)
    async with shop.hub() as hub:
        await hub.ended(await hub.trigger("shop"))
        part = await hub.ended(await hub.trigger("shop", only=["stripe"]))
        assert states(part) == {"stripe": "succeeded"}
        assert list(hub.engine.incidents.open) == ["pipeline:shop"]


async def test_options_are_replaced_once(line):
    async with line.hub() as hub:
        await hub.ended(await hub.trigger("line", **{"with": {"marts": {"select": "orders+"}}}))
        await hub.ended(await hub.trigger("line"))
    assert [job.what for job in line["mill"].jobs] == ["orders+", "all"]


FOLLOWS = """
pipeline: reports
triggers: [{pipeline: line}]
tasks: {build: {uses: mill.build, with: {select: reports}, needs: []}}
"""


async def test_a_pipeline_starts_on_the_success_of_another_in_the_same_transaction(line):
    line.pipeline(FOLLOWS)
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.ended(run)
        (after,) = await hub.runs("reports")
        ended = await hub.ended(after.id)
        before = await hub.run(run)
    assert ended.run.trigger == "pipeline"
    assert ended.run.origin["upstream"] == run
    assert ended.run.interval == before.run.interval
    assert ended.run.state == "succeeded"


async def test_a_pipeline_does_not_start_on_the_failure_of_another_nor_on_a_part(line):
    line.pipeline(FOLLOWS)
    line["tap"].outcomes["orders"].append(FAILED)
    async with line.hub() as hub:
        await hub.ended(await hub.trigger("line"))
        await hub.ended(await hub.trigger("line", only=["load"]))
        assert await hub.runs("reports") == []


async def test_a_paused_pipeline_does_not_follow(line):
    line.pipeline(FOLLOWS)
    async with line.hub() as hub:
        await hub.submit("pause", pipeline="reports")
        await hub.ended(await hub.trigger("line"))
        assert await hub.runs("reports") == []
