"""A configuration applied while the hub works: nothing that runs is lost, nothing that is gone takes the hub down."""

from datetime import timedelta

import pytest
from engine.far_end import FAILED, Stuck

from stackhub.contract import ConfigError, Unavailable

STRIDE = timedelta(seconds=5)


def one(house, name="one", connection="orders", top=""):
    return house.pipeline(
        f"pipeline: {name}\n{top}\ntasks: {{load: {{uses: tap.sync, with: {{connection: {connection}}}}}}}\n"
    )


async def reload(hub):
    return await hub.engine.apply(hub.house.read())


# --- pipelines -------------------------------------------------------------------------------------------------------


async def test_a_reload_adds_changes_and_retires_pipelines(house):
    one(house.instances("tap"), "kept")
    one(house, "changed")
    one(house, "removed")
    async with house.hub() as hub:
        before = hub.engine.revision
        one(house, "changed", "other")
        one(house, "added")
        applied = await reload(house.remove("pipelines/removed.yaml") and hub)
        assert (applied.added, applied.changed, applied.retired) == (("added",), ("changed",), ("removed",))
        assert hub.engine.revision == before + 1
        await hub.ended(await hub.trigger("added"))
        await hub.ended(await hub.trigger("changed"))
        assert [job.what for job in house["tap"].jobs] == ["orders", "other"]


async def test_nothing_changed_is_no_revision(house):
    one(house.instances("tap"))
    async with house.hub() as hub:
        before = hub.engine.revision
        assert not (await reload(hub)).any
        assert hub.engine.revision == before


async def test_a_run_finishes_by_the_pipeline_as_it_was_when_it_began(line):
    line["tap"].hold = True
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.until(line["tap"].running)
        text = (line.root / "pipelines/line.yaml").read_text()
        line.pipeline(text.replace("mill.build", "mill.build, with: {select: new}"))
        await reload(hub)
        line["tap"].hold = False
        await hub.ended(run)
        await hub.ended(await hub.trigger("line"))
    assert [job.what for job in line["mill"].jobs] == ["all", "new"]


async def test_a_retry_follows_the_old_definition_unless_it_is_asked_for_the_latest(line):
    line["mill"].outcomes["all"].extend([FAILED, FAILED])
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.ended(run)
        text = (line.root / "pipelines/line.yaml").read_text()
        line.pipeline(text.replace("mill.build", "mill.build, with: {select: new}"))
        await reload(hub)
        again = (await hub.submit("retry", run=run))["run"]
        await hub.ended(again)
        latest = (await hub.submit("retry", run=again, latest=True))["run"]
        await hub.ended(latest)
    assert [job.what for job in line["mill"].jobs] == ["all", "all", "new"]


async def test_a_retired_pipelines_runs_finish_and_its_incident_resolves(house):
    one(house.instances("tap", "bell"))
    house["tap"].outcomes["orders"].append(FAILED)
    async with house.hub() as hub:
        await hub.ended(await hub.trigger("one"))
        await hub.told()
        house["tap"].hold = True
        run = await hub.trigger("one")
        await hub.until(house["tap"].running)
        await reload(house.remove("pipelines/one.yaml") and hub)
        (incident,) = await hub.incidents()
        assert incident.resolution == "no longer configured"
        house["tap"].hold = False
        assert (await hub.ended(run)).run.state == "succeeded"


# --- instances -------------------------------------------------------------------------------------------------------


async def test_a_removed_instance_drains_with_its_old_settings(house):
    one(house.write("tap.env", "TAP_TOKEN=old\n").instances("mill"))
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.until(house["tap"].running)
        house.remove("tap.env").remove("pipelines/one.yaml")
        await reload(hub)
        await hub.pass_time(timedelta(minutes=1), step=STRIDE)
        assert "tap" in hub.engine.lanes.open
        house["tap"].hold = False
        assert (await hub.ended(run)).run.state == "succeeded"
        await hub.until(lambda: "tap" not in hub.engine.lanes.open)
    assert house["tap"].opened == 1
    assert house["tap"].settings.token.get_secret_value() == "old"


async def test_an_instance_that_comes_back_while_it_drains_is_reopened_with_its_new_settings(house):
    one(house.write("tap.env", "TAP_TOKEN=old\n").instances("mill"))
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.until(house["tap"].running)
        house.remove("tap.env").remove("pipelines/one.yaml")
        await reload(hub)
        await reload(one(house.write("tap.env", "TAP_TOKEN=new\n")) and hub)
        assert hub.engine.in_force.drained == {}
        house["tap"].hold = False
        assert (await hub.ended(run)).run.state == "succeeded"
    assert house["tap"].settings.token.get_secret_value() == "new"
    assert len(house["tap"].jobs) == 1


async def test_a_changed_instance_is_reopened_and_loses_no_step(line):
    line["tap"].hold = True
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.at(run, "load", "running")
        await reload(line.write("tap.env", "TAP_TOKEN=new\n") and hub)
        assert line["tap"].opened == 2
        line["tap"].hold = False
        assert (await hub.ended(run)).run.state == "succeeded"
    assert len(line["tap"].jobs) == 1


async def test_an_unchanged_instance_stays_open(line):
    async with line.hub() as hub:
        await reload(line.pipeline((line.root / "pipelines/line.yaml").read_text() + "owner: finance\n") and hub)
    assert line["tap"].opened == 1


async def test_a_start_under_way_is_waited_for_before_its_instance_is_reopened(line):
    import anyio

    stuck = line["tap"].will("start", Stuck())
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.until(stuck.reached.is_set)
        async with anyio.create_task_group() as group:
            group.start_soon(reload, line.write("tap.env", "TAP_TOKEN=new\n") and hub)
            await hub.rest()
            assert line["tap"].opened == 1
            stuck.go.set()
        assert line["tap"].opened == 2
        assert (await hub.ended(run)).run.state == "succeeded"
    assert line["tap"].count("find") == 0


async def test_no_answer_of_another_account_is_lost_while_one_is_reopened(line):
    line["tap"].hold = True
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.at(run, "load", "running")
        line["tap"].end("orders")
        for token in range(5):  # the end of the load makes the build ready, whose lane is being reopened
            await reload(line.write("mill.env", f"MILL_TOKEN=t{token}\n") and hub)
            hub.ring()
        assert (await hub.ended(run)).run.state == "succeeded"
        assert not hub.engine.lanes.open["tap"].gate.lost


async def test_patience_asked_for_outlives_a_reload(line):
    line["tap"].will("prepare", Unavailable("429", retry_after=timedelta(minutes=2)))
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.until(lambda: (step := hub.step(run, "load")) and step.stalls)
        await reload(line.write("tap.env", "TAP_TOKEN=new\n") and hub)
        await hub.pass_time(timedelta(seconds=100), step=STRIDE)
        assert len(line["tap"].calls) == 1
        assert (await hub.ended(run)).run.state == "succeeded"


# --- what cannot be opened --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ConfigError("no such project directory"), KeyError("home")])
async def test_an_instance_that_cannot_be_opened_does_not_take_the_hub_down(line, error):
    line.instances("bell").pipeline("pipeline: other\ntasks: {b: {uses: mill.build, needs: []}}\n")
    line["tap"].will_not_open = error
    async with line.hub() as hub:
        run = await hub.trigger("line")
        assert (await hub.ended(await hub.trigger("other"))).run.state == "succeeded"
        await hub.until(lambda: "instance:tap" in hub.engine.incidents.open)
        await hub.told()
        assert "cannot be opened" in next(iter((await hub.incidents())[0].facets.values())).error
        line["tap"].will_not_open = None
        await reload(hub)
        assert not hub.engine.lanes.open["tap"].shut
        assert (await hub.ended(run)).run.state == "succeeded"
        assert hub.engine.incidents.open == {}


async def test_what_could_not_be_opened_is_tried_again_by_itself(line):
    line["tap"].will_not_open = ConfigError("the mount is not there yet")
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.until(lambda: "instance:tap" in hub.engine.incidents.open)
        line["tap"].will_not_open = None
        assert (await hub.ended(run, step=STRIDE)).run.state == "succeeded"


async def test_a_connector_that_cannot_say_its_limits_is_one_that_cannot_be_opened(line):
    good = line.connectors["mill"].limits
    line.connectors["mill"].limits = lambda settings: settings.nothing
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.at(run, "load", "succeeded")
        await hub.until(lambda: "instance:mill" in hub.engine.incidents.open)
        line.connectors["mill"].limits = good
        await reload(hub)
        assert (await hub.ended(run)).run.state == "succeeded"


async def test_a_notifier_that_cannot_be_opened_is_told_when_it_can(house):
    one(house.instances("tap", "post"))
    house["post"].will_not_open = ConfigError("no such file")
    house["tap"].outcomes["orders"].append(FAILED)
    async with house.hub() as hub:
        await hub.ended(await hub.trigger("one"))
        await hub.rest()
        house["post"].will_not_open = None
        await reload(hub)
        await hub.until(lambda: house["post"].order, step=STRIDE)
    assert house["post"].order[0][:2] == ("entry", "opened")


# --- what is gone ----------------------------------------------------------------------------------------------------


async def gone_while_down(house, **states):
    """A run is going, the hub goes, its instance's file goes."""
    one(house.instances("tap", "mill"))
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.at(run, "load", "running")
    house.remove("tap.env").remove("pipelines/one.yaml")
    return run


async def test_a_job_whose_instance_was_removed_while_the_hub_was_down_is_shown_and_goes_on_when_it_is_back(house):
    run = await gone_while_down(house)
    async with house.hub() as hub:
        await hub.until(lambda: "instance:tap" in hub.engine.incidents.open)
        await hub.pass_time(timedelta(minutes=3), step=STRIDE)
        assert hub.step(run, "load").state == "running"
        house["tap"].hold = False
        await reload(one(house.instances("tap")) and hub)
        assert (await hub.ended(run)).run.state == "succeeded"
        assert hub.engine.incidents.open == {}
    assert len(house["tap"].jobs) == 1


async def test_a_job_whose_instance_was_removed_can_be_cancelled(house):
    run = await gone_while_down(house)
    async with house.hub() as hub:
        await hub.rest()
        await hub.submit("cancel", run=run)
        assert (await hub.ended(run, step=STRIDE)).run.state == "cancelled"
        await hub.until(lambda: "tap" not in hub.engine.lanes.open)
        await hub.until(lambda: hub.engine.incidents.open == {})


async def test_a_step_that_was_to_start_on_a_removed_instance_fails_and_says_why(line):
    line["mill"].outcomes["all"].append(FAILED)
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.ended(run)
    line.remove("mill.env").remove("pipelines/line.yaml")
    async with line.hub() as hub:
        again = await hub.submit("retry", run=run)
        ended = await hub.ended(again["run"])
    assert ended.steps["marts"].state == "failed"
    assert "no instance 'mill' any more" in ended.steps["marts"].error


async def test_what_a_removed_notifier_should_have_been_told_is_undeliverable(house):
    one(house.instances("tap", "bell"))
    house["tap"].outcomes["orders"].append(FAILED)
    house["bell"].broken = Unavailable("503")
    async with house.hub() as hub:
        await hub.ended(await hub.trigger("one"))
        await hub.until(lambda: house["bell"].count("deliver"))
    house.remove("bell.env")
    async with house.hub() as hub:
        house.thorough = True
        await hub.told(step=STRIDE)
        (message,) = await hub.messages()
        assert message.state == "undeliverable"
        assert "no instance 'bell' any more" in message.error


async def test_a_notifier_removed_from_a_running_hub_still_hears_the_end_of_what_it_was_told(house):
    one(house.instances("tap", "bell"))
    house["tap"].outcomes["orders"].append(FAILED)
    async with house.hub() as hub:
        await hub.ended(await hub.trigger("one"))
        await hub.told()
        await reload(house.remove("bell.env") and hub)
        await hub.ended(await hub.trigger("one"))
        await hub.told()
        await hub.until(lambda: len(house["bell"].order) == 3, step=timedelta(seconds=20))
        await hub.until(lambda: "bell" not in hub.engine.lanes.open, step=timedelta(seconds=20))
    assert [event for _, event, _ in house["bell"].order] == ["opened", "resolved", "resolved"]


async def test_routes_follow_the_configuration_and_every_reopening(house):
    one(house.instances("tap", "bell"))
    async with house.hub() as hub:
        for token in range(3):
            house["tap"].outcomes["orders"].append(FAILED)
            await reload(house.write("bell.env", f"BELL_TOKEN=t{token}\n") and hub)
            await hub.ended(await hub.trigger("one"))
        await hub.told()
    assert len(house["bell"].order) >= 3


async def test_an_operation_that_its_connector_lost_costs_its_own_step(line):
    line["mill"].outcomes["all"].append(FAILED)
    async with line.hub() as hub:
        run = await hub.trigger("line")
        await hub.ended(run)
    operations = line.connectors["mill"].operations
    line.connectors["mill"].operations = {"sync": operations["sync"]}
    line.remove("pipelines/line.yaml")
    async with line.hub() as hub:
        again = await hub.submit("retry", run=run)
        ended = await hub.ended(again["run"])
    assert ended.steps["marts"].state == "failed"


async def test_a_job_of_an_instance_that_is_back_is_stopped_as_its_tool_promises(house):
    run = await gone_while_down(house)
    async with house.hub() as hub:
        await hub.rest()
        await reload(one(house.instances("tap")) and hub)
        await hub.submit("cancel", run=run)
        assert (await hub.ended(run)).run.state == "cancelled"
    assert house["tap"].job("orders").cancelled == 1


async def test_the_runs_of_a_retired_pipeline_tell_those_they_always_told(house):
    one(house.instances("tap", "bell", "horn"), top="alerts: [{to: bell}]")
    house["tap"].hold = True
    async with house.hub() as hub:
        run = await hub.trigger("one")
        await hub.until(house["tap"].running)
        await reload(house.remove("pipelines/one.yaml") and hub)
        house["tap"].end("orders", FAILED)
        await hub.ended(run)
        await hub.told()
    assert len(house["bell"].order) == 1
    assert house["horn"].order == []
