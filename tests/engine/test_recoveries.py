"""What ends an incident of a pipeline, in the moments when more than one thing happens."""

from datetime import timedelta

from engine.far_end import FAILED, OK

from stackhub.contract import Unknown
from stackhub.model.step import StepState

STRIDE = timedelta(seconds=2)


async def test_a_run_that_was_asked_to_end_and_succeeds_all_the_same_ends_the_incident(line):
    line.instances("bell")
    tap, mill = line["tap"], line["mill"]
    mill.outcomes["all"].append(FAILED)
    async with line.hub() as hub:
        await hub.ended(await hub.trigger("line"), step=STRIDE)
        mill.hold = True
        run = await hub.trigger("line")
        await hub.at(run, "marts", StepState.RUNNING, step=STRIDE)
        mill.job("all").stubborn = True
        await hub.submit("cancel", run=run)
        mill.end("all", OK)
        whole = await hub.ended(run, step=STRIDE)
        assert (whole.run.state, whole.run.cancel_at is not None) == ("succeeded", True)
        (incident,) = await hub.incidents()
        assert incident.resolved_at is not None
    assert tap.count("start") == 2


async def test_a_part_of_a_pipeline_that_is_seen_again_as_it_succeeds_is_stalled_no_more(line):
    line.instances("bell")
    tap = line["tap"]
    tap.hold = True
    async with line.hub() as hub:
        run = await hub.trigger("line", only=["load"])
        await hub.at(run, "load", StepState.RUNNING, step=STRIDE)
        tap.stumbles["orders"] = Unknown(raw="REHYDRATING")
        await hub.until(lambda: hub.step(run, "load").lost_sight, step=timedelta(seconds=20))
        await hub.until(hub.incidents)
        del tap.stumbles["orders"]
        tap.end("orders", OK)
        await hub.ended(run, step=STRIDE)
        (incident,) = await hub.incidents()
        assert incident.resolved_at is not None
