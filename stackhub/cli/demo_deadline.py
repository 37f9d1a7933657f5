"""What is played at the deadline: at risk before it, late at it, recovery after it, in one run and one message."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import anyio

from stackhub.cli import demo_picture, words
from stackhub.cli.demo_house import PIPELINE
from stackhub.cli.demo_play import INBOXES, MARTS, TELLING, Play
from stackhub.contract.sandbox import Turn
from stackhub.decide.history import task_key
from stackhub.decide.lasted import Lasted
from stackhub.model.pipeline import Told
from stackhub.model.run import OpenRun, RunState
from stackhub.store.transaction import Transaction

LIKE: Final = (0.93, 1.06, 0.97, 1.09, 0.95, 1.02, 0.91, 1.0)  # of a good run: how long each of the runs played in took
SPARE: Final = 5.0  # seconds that the deadline leaves beyond what dbt usually takes
LEAST: Final = 4  # seconds from a run's start to its deadline, whatever the speed: it is to be foreseen
AHEAD: Final = 2.0  # seconds that are left when orders has taken longer than ever, in which that is told
OVER: Final = 1.0  # seconds after the deadline in which the slow extract lands


async def before_it_is_late(play: Play) -> None:
    """Play a run whose extract is slower than ever: that is told before the deadline, at it, and when it is over."""
    marts = play.usual[MARTS]
    slowest = play.usual["orders"] * max(LIKE)
    allowed = max(math.ceil(marts + SPARE / play.speed), math.ceil(slowest + marts + AHEAD), LEAST)
    await _remember(play)
    story = (
        f"orders is slower than ever. dbt usually takes {words.length(marts)}, and the SLA was edited to {allowed}s. "
        f"What is usual: the good run, and {len(LIKE)} like it that were written into the store just now."
    )
    play.scene("Before it is late", story)
    play.script(orders=(Turn(seconds=allowed + OVER),))
    before = await play.house.allow(f"{allowed}s")
    try:
        async with play.screen() as screen:
            run = await play.begin()
            seen = await play.watch(run, screen, lambda _: play.facet(Told.AT_RISK) or play.facet(Told.LATE))
            play.still(seen)
            await play.messages()
            well = [
                play.must(not play.facet(Told.LATE), "the run was late, and nobody was told before"),
                play.told("slack", 2, "", "at risk"),
                play.told("pagerduty", 1),
            ]
            text = f"Told {_left(seen, allowed)} before the deadline. Nobody is paged: it may still be in time."
            demo_picture.outcome(play.out, text, well=all(well))
            play.scene("Late, and recovery", "The deadline passes. Then the extract lands after all.")
            await play.watch(run, screen, lambda _: play.facet(Told.LATE))
            await play.messages()
            well = [
                play.must(play.facet(Told.LATE), "the run was late, and nobody was told"),
                *(play.told(vendor, 2) for vendor in INBOXES),
            ]
            demo_picture.outcome(play.out, "Told while it runs, in the same message; now it is a page.", well=all(well))
            ended = await play.watch(run, screen)
    finally:
        with anyio.move_on_after(TELLING, shield=True):  # the directory may be kept
            await play.house.allow(before)
    play.still(ended)
    await play.messages()
    well = [
        play.must(ended.run.state is RunState.SUCCEEDED, f"the late run {ended.run.state}"),
        play.must(not play.house.engine.incidents.open, "the incident is still open"),
        play.told("slack", 2, "✅"),
        play.told("pagerduty", 2, "resolved"),
    ]
    text = f"{(await play.built(ended)).capitalize()}. Both have resolved themselves: nobody had to close anything."
    demo_picture.outcome(play.out, text, well=all(well))


def played(pipeline: str, instances: Mapping[str, str], usual: Mapping[str, float]) -> list[Sequence[Lasted]]:
    """Return what runs like the good one would have taught, a run at a time; ``instances`` are by task."""
    return [
        [
            Lasted(instance=instances[task], key=task_key(pipeline, task), seconds=seconds * part)
            for task, seconds in usual.items()
        ]
        for part in LIKE
    ]


async def _remember(play: Play) -> None:
    """Write history into the store, by the door through which the hub does: a forecast needs more than one run."""
    engine = play.house.engine
    tasks = engine.in_force.known[PIPELINE].pipeline.tasks
    for ends in played(PIPELINE, {task.name: task.instance for task in tasks}, play.usual):
        await engine.store.apply(Transaction().add(*engine.durations.rows(ends, datetime.now(UTC))))
        engine.durations.learn(ends)


def _left(run: OpenRun, allowed: int) -> str:
    """Say how long it is until the deadline."""
    gone = datetime.now(UTC) - run.run.created_at
    return words.length(max(allowed - gone.total_seconds(), 0.0))
