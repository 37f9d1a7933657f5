"""What is played before the deadline: what feeds what, a good run, a part of one, and the rest when it lands.

Each scene says what must come of it. Nothing here is pretended: the scenes script what the vendors do and start runs,
and the daemon does the rest.
"""

from functools import partial
from typing import Final

from stackhub.cli import demo_picture, owed, picture, plan, words
from stackhub.cli.demo_house import PIPELINE
from stackhub.cli.demo_picture import Count
from stackhub.cli.demo_play import EXTRACTS, INBOXES, MARTS, PAYMENTS, TELLING, Play, models, waited
from stackhub.cli.tree import tree
from stackhub.contract.sandbox import Ends, Turn
from stackhub.model.run import OpenRun, RunState
from stackhub.model.step import StepState
from stackhub.store import queries

REASON: Final = "Checking source connection failed: the API key of this Stripe account has expired"


async def feeding(play: Play) -> None:
    """Show what was found out of the project and of the accounts before anything runs."""
    play.scene(
        "What feeds what", "Nobody wrote `needs:`. dbt lists what it reads, the accounts what they load: it is matched."
    )
    inference = play.house.engine.inference

    def found() -> bool:
        known = inference.known.get((PIPELINE, MARTS))
        return known is not None and bool(known.manifest) and not known.wide

    if not await play.until(found, "asking dbt and the accounts"):
        return
    await inference.look([PIPELINE])
    pipeline = inference.narrowed(play.house.engine.in_force.known[PIPELINE].pipeline)
    words.table(play.out, (), [row for one in tree(pipeline) for row in plan.drawn(one.task, one.prefix)])
    known = inference.known[PIPELINE, MARTS]
    well = play.must({edge.extract for edge in known.edges} == set(EXTRACTS), "not every extract feeds what dbt reads")
    text = f"All {words.counted(len(known.reads), 'source')} have a loader. dbt waits for these, and for no others."
    demo_picture.outcome(play.out, text, well=play.must(not known.unfed, "a source has no loader") and well)


async def good(play: Play) -> None:
    """Play a run in which all is well."""
    play.scene("A good run", "Three extracts at two vendors. dbt waits for the data, not for a clock.")
    play.script()
    async with play.screen() as screen:
        run = await play.watch(await play.begin(), screen)
    play.still(run)
    play.code = run.steps[MARTS].result.get("exit_code") or int(run.run.state is not RunState.SUCCEEDED)
    if play.must(run.run.state is RunState.SUCCEEDED, f"the first run {run.run.state}"):
        for name, step in run.steps.items():
            if step.began_at and step.ended_at:
                play.usual[name] = (step.ended_at - step.began_at).total_seconds()
        await play.house.engine.drained(TELLING)
        play.must(not any(play.house.shown(vendor) for vendor in INBOXES), "somebody was told of a good run")
        text = (
            f"{sum(play.house.landed.values()):,} rows landed. dbt started {waited(run)}: "
            f"{await play.built(run)}. Nobody is told."
        )
        demo_picture.outcome(play.out, text)
        return
    nodes = await play.house.engine.store.read(partial(queries.nodes, run_id=run.run.id))
    for name, lines in picture.failures(run, nodes):
        demo_picture.outcome(play.out, f"{name}: {lines[0] if lines else 'failed'}", well=False)
        for line in lines[1:]:
            play.out.print(f"   {line}", soft_wrap=True)
    await play.messages()


async def part(play: Play) -> None:
    """Play a run of which an extract fails, however often it is tried: what does not hang on it is built."""
    play.scene(
        "A part now", "Stripe's key has expired. Airbyte is tried twice; `partial: true` stands in the pipeline."
    )
    bad = Turn(ends=Ends.BADLY, seconds=1 / play.speed, reason=REASON)
    play.script(payments=(bad, bad))
    async with play.screen() as screen:
        run = await play.watch(await play.begin(), screen)
    play.still(run)
    await play.messages()
    debts = play.house.engine.owing.of(PIPELINE)
    play.out.print("$ stackhub owed", style="dim")
    catalogue = play.house.engine.catalogue
    owed.draw(
        play.out,
        debts,
        {(debt.instance, one): name for debt in debts for one, name in catalogue.names(debt.instance)},
    )
    left = models([debt.node for debt in debts])
    ran = await _ran(play, run)
    well = [
        play.must(run.run.state is RunState.PARTIAL, f"the run with a failing extract {run.run.state}"),
        play.must(run.steps[MARTS].state is StepState.PARTIAL, f"marts {run.steps[MARTS].state}"),
        play.must(bool(left) and not {*ran} & {*left}, "a model was built on what had not landed"),
        *(play.told(vendor, 1, "", REASON) for vendor in INBOXES),
    ]
    text = (
        f"{words.listed(ran)} are built, in one invocation of dbt. "
        f"Left, since they read payments: {words.listed(left)}. One message, one page, in Airbyte's own words."
    )
    demo_picture.outcome(play.out, text, well=all(well))


async def rest(play: Play) -> None:
    """Let somebody sync at the vendor what had failed: what is owed for it is built, and nothing else."""
    play.scene("The rest when it lands", "Somebody renews the key, and begins a sync at Airbyte. Nobody asks the hub.")
    left = models([debt.node for debt in play.house.engine.owing.of(PIPELINE)])
    play.script()
    play.house.begin(PAYMENTS)
    play.by_hand.append(PAYMENTS)
    run_id = await play.owed_run()
    if not run_id:
        return
    async with play.screen() as screen:
        run = await play.watch(run_id, screen)
    play.still(run)
    await play.messages()
    well = [
        play.must(run.run.state is RunState.SUCCEEDED, f"the run of what was owed {run.run.state}"),
        play.must(await _ran(play, run) == left, "not exactly what was owed was built"),
        play.must(not play.house.engine.owing.of(PIPELINE), "something is owed still"),
        play.told("slack", 1, "✅"),
        play.told("pagerduty", 1, "resolved"),
    ]
    text = f"Paid: {words.listed(left)} and nothing else. {(await play.built(run)).capitalize()}. Both have resolved."
    demo_picture.outcome(play.out, text, well=all(well))


async def reckoning(play: Play) -> None:
    """Hold what was asked for against what the vendors saw."""
    asked = dict.fromkeys(EXTRACTS, 0)
    for run in play.runs:
        for line in await play.house.engine.store.read(partial(queries.events, run_id=run)):
            if line.task in asked and line.kind == StepState.STARTING:
                asked[line.task] += 1
    began = play.house.started()
    counts = [
        Count(
            connection=connection,
            vendor=began[connection][0],
            asked=asked[task],
            others=play.by_hand.count(connection),
            began=began[connection][1],
        )
        for task, connection in EXTRACTS.items()
    ]
    for one in counts:
        said = f"{one.connection}: {one.asked} syncs were asked for, {one.others} begun there, and {one.began} began"
        play.must(one.asked + one.others == one.began, said)
    demo_picture.numbers(play.out, counts, play.house.shown("slack"), play.house.shown("pagerduty"))


async def _ran(play: Play, run: OpenRun) -> list[str]:
    """Return the models that a run has built."""
    nodes = await play.house.engine.store.read(partial(queries.nodes, run_id=run.run.id))
    return models([node.id for found in nodes.values() for node in found])
