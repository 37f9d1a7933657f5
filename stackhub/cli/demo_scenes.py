"""What is played: a good run, a failing extract, one that is late, recovery. Each scene says what must come of it.

Nothing here is pretended: the scenes script what the vendors do and start runs, and the daemon does the rest.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import anyio
from rich.console import Console

from stackhub.cli import demo_picture, picture, progress, words
from stackhub.cli.demo_house import PIPELINE, House
from stackhub.cli.demo_picture import Count
from stackhub.cli.follow import Local
from stackhub.cli.progress import Screen
from stackhub.contract.sandbox import Ends, Shown, Turn
from stackhub.errors import Unavailable
from stackhub.model.node import DONE as BUILT
from stackhub.model.pipeline import Told
from stackhub.model.run import OpenRun, RunState
from stackhub.model.step import StepState
from stackhub.store import queries

CUSTOMERS, ORDERS, PAYMENTS = "shop_crm", "shop_orders", "Stripe to warehouse"
EXTRACTS: Final = {"customers": CUSTOMERS, "orders": ORDERS, "payments": PAYMENTS}
LASTS: Final = {CUSTOMERS: 1.0, ORDERS: 2.0, PAYMENTS: 3.0}  # seconds of each sync
MARTS: Final = "marts"
REASON: Final = 'Incorrect credentials: password authentication failed for user "fivetran_reader"'
ALLOWED: Final = 5.0  # seconds from a run's start to its end, in the scene that is late; at least one
OVER: Final = (
    3.0  # seconds by which the extract alone is late there, whatever the speed: somebody is to be told meanwhile
)
LONGEST: Final = 180.0  # seconds that a scene may take before something is wrong with it
TELLING: Final = 10.0  # seconds for messages to arrive
SOON: Final = timedelta(seconds=0.1)
INBOXES: Final = ("slack", "pagerduty")


@dataclass(slots=True, kw_only=True)
class Play:
    """A performance: the house, the screen, and what did not go as told."""

    house: House
    out: Console
    speed: float = 1.0
    code: int = 1  # dbt's exit code in the first run; 1 where it was not run, or did not live to give one
    wrong: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    seen: dict[str, Shown] = field(default_factory=dict)  # the messages as last drawn, by vendor

    def must(self, holds: bool, otherwise: str) -> bool:
        """Note what does not go as told."""
        if not holds:
            self.wrong.append(otherwise)
        return holds

    def script(self, **others: tuple[Turn, ...]) -> None:
        """Let each sync last its time, and those of the tasks named go as said."""
        for task, connection in EXTRACTS.items():
            self.house.script(connection, *others.get(task, (Turn(seconds=LASTS[connection] / self.speed),)))

    async def begin(self) -> str:
        """Start a run, as anybody may; return its id."""
        made = await self.house.engine.commands.submit("trigger", {"pipeline": PIPELINE}, "the demo")
        self.runs.append(made["run"])
        return self.runs[-1]

    @asynccontextmanager
    async def screen(self) -> AsyncIterator[Screen]:
        """Open the live picture of a run."""
        usual = await self.house.engine.store.read(partial(queries.usual, pipeline=PIPELINE))
        with progress.screen(self.out, "UTC", usual) as screen:
            yield screen

    async def watch(self, run: str, screen: Screen, until: Callable[[OpenRun], bool] = lambda _: False) -> OpenRun:
        """Show a run until it has ended, or until something is true of it.

        Raises:
            Unavailable: that takes too long to be right.
        """
        source = Local(self.house.engine, run, PIPELINE)
        with anyio.move_on_after(LONGEST):
            while True:
                found = await source.look()
                if found is not None:
                    screen.show(found)
                    if found.run.ended_at is not None or until(found):
                        return found
                await source.wait()
        raise Unavailable(f"run {run} has not ended after {words.length(LONGEST)}")

    def still(self, run: OpenRun) -> None:
        """Leave a picture of a run behind: the live one is gone once it is over."""
        if self.out.is_terminal:
            now = datetime.now(UTC)
            self.out.print(progress.heading(run, now))
            self.out.print(picture.steps(run, {}, now, self.out))

    async def messages(self) -> None:
        """Show what people have been told since the last time."""
        self.must(await self.house.engine.drained(TELLING) == 0, "a message could not be delivered")
        for vendor in INBOXES:
            for shown in self.house.shown(vendor)[-1:]:
                demo_picture.message(self.out, vendor, shown, self.seen.get(vendor))
                self.seen[vendor] = shown


# --- the scenes ------------------------------------------------------------------------------------------------------


async def good(play: Play) -> None:
    """Play a run in which all is well."""
    story = "Three extracts at two vendors. dbt waits for the data, not for a clock."
    demo_picture.scene(play.out, 1, "A good run", story)
    play.script()
    async with play.screen() as screen:
        run = await play.watch(await play.begin(), screen)
    play.still(run)
    play.code = run.steps[MARTS].result.get("exit_code") or int(run.run.state is not RunState.SUCCEEDED)
    if play.must(run.run.state is RunState.SUCCEEDED, f"the first run {run.run.state}"):
        await play.house.engine.drained(TELLING)
        play.must(not any(play.house.shown(vendor) for vendor in INBOXES), "somebody was told of a good run")
        text = (
            f"{sum(play.house.landed.values()):,} rows landed. dbt started {waited(run)}: "
            f"{await _built(play, run)}. Nobody is told."
        )
        demo_picture.outcome(play.out, text)
        return
    nodes = await play.house.engine.store.read(partial(queries.nodes, run_id=run.run.id))
    for name, lines in picture.failures(run, nodes):
        demo_picture.outcome(play.out, f"{name}: {lines[0] if lines else 'failed'}", well=False)
        for line in lines[1:]:
            play.out.print(f"   {line}", soft_wrap=True)
    await play.messages()


async def failing(play: Play) -> None:
    """Play a run of which an extract fails, however often it is tried."""
    story = "Fivetran cannot log in to the orders' database. It is tried twice."
    demo_picture.scene(play.out, 2, "A failing extract", story)
    bad = Turn(ends=Ends.BADLY, seconds=1 / play.speed, reason=REASON)
    play.script(orders=(bad, bad))
    async with play.screen() as screen:
        run = await play.watch(await play.begin(), screen)
    play.still(run)
    await play.messages()
    marts = run.steps[MARTS]
    well = [
        play.must(run.run.state is RunState.FAILED, f"the run with a failing extract {run.run.state}"),
        play.must(marts.state is StepState.UPSTREAM_FAILED and marts.began_at is None, "dbt was started all the same"),
        *(_told(play, vendor, "", words.first_line(REASON)) for vendor in INBOXES),
    ]
    text = "dbt was not started on orders that are not in. One message, one page, in Fivetran's own words."
    demo_picture.outcome(play.out, text, well=all(well))


async def late(play: Play) -> None:
    """Play a run that misses its deadline because an extract is slow; then it lands, and all is well again."""
    allowed = max(round(ALLOWED / play.speed), 1)
    story = f"The password is mended, but orders is slow, and the SLA was edited to {allowed}s."
    demo_picture.scene(play.out, 3, "A late one", story)
    play.script(orders=(Turn(seconds=allowed + OVER),))
    before = await play.house.allow(f"{allowed}s")
    try:
        async with play.screen() as screen:
            run = await play.begin()
            play.still(await play.watch(run, screen, lambda _: _is_late(play)))
            await play.messages()
            well = [
                play.must(_is_late(play), "the run was late, and nobody was told"),
                *(_told(play, vendor, "", "") for vendor in INBOXES),
                play.must(any(shown.edits for shown in play.house.shown("slack")), "the message was not edited"),
            ]
            text = "Told while it runs, in the same message; nobody is paged twice for one problem."
            demo_picture.outcome(play.out, text, well=all(well))
            story = "The extract lands after all, and the run goes on by itself."
            demo_picture.scene(play.out, 4, "Recovery", story)
            ended = await play.watch(run, screen)
    finally:
        with anyio.move_on_after(TELLING, shield=True):  # the directory may be kept
            await play.house.allow(before)
    play.still(ended)
    await play.messages()
    well = [
        play.must(ended.run.state is RunState.SUCCEEDED, f"the late run {ended.run.state}"),
        play.must(not play.house.engine.incidents.open, "the incident is still open"),
        _told(play, "slack", "✅", ""),
        _told(play, "pagerduty", "resolved", ""),
    ]
    text = f"{(await _built(play, ended)).capitalize()}. Both have resolved themselves: nobody had to close anything."
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
        Count(connection=connection, vendor=began[connection][0], asked=asked[task], began=began[connection][1])
        for task, connection in EXTRACTS.items()
    ]
    for one in counts:
        said = f"{one.connection}: {one.asked} syncs were asked for, and {one.began} began"
        play.must(one.asked == one.began, said)
    demo_picture.numbers(play.out, counts, play.house.shown("slack"), play.house.shown("pagerduty"))


# --- looking ---------------------------------------------------------------------------------------------------------


def waited(run: OpenRun) -> str:
    """Say how soon dbt was started after the last extract had landed."""
    landed = max(at for name in EXTRACTS if (at := run.steps[name].ended_at))
    began = run.steps[MARTS].began_at or landed
    return f"{words.length(began - landed)} after the last of them" if began - landed > SOON else "at once"


def _is_late(play: Play) -> bool:
    found = play.house.engine.incidents.open.get(f"pipeline:{PIPELINE}")
    return found is not None and Told.LATE in found.facets


def _told(play: Play, vendor: str, begins: str, holds: str) -> bool:
    """Say whether a vendor's user sees one message, which begins so and holds that."""
    shown = play.house.shown(vendor)
    only = len(shown) == 1 and shown[0].lines[0].startswith(begins) and any(holds in line for line in shown[0].lines)
    return play.must(only, f"{vendor} does not show the one message that it should")


async def _built(play: Play, run: OpenRun) -> str:
    nodes = await play.house.engine.store.read(partial(queries.nodes, run_id=run.run.id))
    done = [node.kind for found in nodes.values() for node in found if node.state in BUILT]
    tests = sum("test" in kind for kind in done)
    return f"{words.counted(done.count('model'), 'model')} built, {words.counted(tests, 'test')} passed"
