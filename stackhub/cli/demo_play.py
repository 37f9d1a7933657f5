"""A performance of the demo: what vendors are told to do, the runs that are watched, and what did not go as told."""

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
from stackhub.cli.follow import Local
from stackhub.cli.progress import Screen
from stackhub.contract.sandbox import Shown, Turn
from stackhub.errors import Unavailable
from stackhub.model.node import DONE as BUILT
from stackhub.model.pipeline import Told
from stackhub.model.run import OpenRun, Trigger
from stackhub.store import queries

CUSTOMERS, ORDERS, PAYMENTS = "shop_crm", "shop_orders", "Stripe to warehouse"
EXTRACTS: Final = {"customers": CUSTOMERS, "orders": ORDERS, "payments": PAYMENTS}
LASTS: Final = {CUSTOMERS: 1.0, ORDERS: 2.0, PAYMENTS: 3.0}  # seconds of each sync
MARTS: Final = "marts"
LONGEST: Final = 180.0  # seconds that a scene may take before something is wrong with it
TELLING: Final = 10.0  # seconds for messages to arrive
AGAIN: Final = 0.2  # seconds between two looks at what is no run
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
    scenes: int = 0
    runs: list[str] = field(default_factory=list)
    usual: dict[str, float] = field(default_factory=dict)  # seconds that each task took in the good run
    by_hand: list[str] = field(default_factory=list)  # connections of which somebody at the vendor began a sync
    seen: dict[str, tuple[int, Shown]] = field(default_factory=dict)  # by vendor: messages so far, the last as drawn

    def scene(self, title: str, story: str) -> None:
        """Begin a scene."""
        self.scenes += 1
        demo_picture.scene(self.out, self.scenes, title, story)

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

    async def until(self, holds: Callable[[], object], waiting: str) -> bool:
        """Wait until something is so, and say what is waited for; return whether it came to be."""
        with anyio.move_on_after(LONGEST):
            with self.out.status(waiting):
                while not holds():
                    await self.house.engine.board.crier.wait(AGAIN)
            return True
        return self.must(False, f"nothing came of {waiting!r}")

    async def owed_run(self) -> str:
        """Wait for the run that is made of what is owed; return its id, "" when none comes."""

        def found() -> list[str]:
            board = self.house.engine.board
            return [one.run.id for one in board.runs(PIPELINE) if one.run.trigger is Trigger.OWED]

        if not await self.until(found, "waiting for the landing"):
            return ""
        self.runs += found()
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
        """Show what people have been told since the last time; an inbox in which nothing is new is left out."""
        self.must(await self.house.engine.drained(TELLING) == 0, "a message could not be delivered")
        for vendor in INBOXES:
            shown = self.house.shown(vendor)
            if not shown or self.seen.get(vendor) == (len(shown), shown[-1]):
                continue
            many, before = self.seen.get(vendor, (0, None))
            demo_picture.message(self.out, vendor, shown[-1], before if many == len(shown) else None)
            self.seen[vendor] = len(shown), shown[-1]

    def told(self, vendor: str, many: int, begins: str = "", holds: str = "") -> bool:
        """Say whether a vendor's user has so many messages, the last of which begins so and holds that."""
        shown = self.house.shown(vendor)
        last = shown[-1].lines if shown else ("",)
        right = len(shown) == many and last[0].startswith(begins) and any(holds in line for line in last)
        return self.must(right, f"{vendor} does not show what it should: {words.counted(many, 'message')}, {begins!r}")

    def facet(self, told: Told) -> bool:
        """Say whether the pipeline's incident, if there is one, has this side."""
        found = self.house.engine.incidents.open.get(f"pipeline:{PIPELINE}")
        return found is not None and told in found.facets

    async def built(self, run: OpenRun) -> str:
        """Say what dbt has built in a run, and how many tests passed."""
        nodes = await self.house.engine.store.read(partial(queries.nodes, run_id=run.run.id))
        done = [node.kind for found in nodes.values() for node in found if node.state in BUILT]
        tests = sum("test" in kind for kind in done)
        return f"{words.counted(done.count('model'), 'model')} built, {words.counted(tests, 'test')} passed"


def waited(run: OpenRun) -> str:
    """Say how soon dbt was started after the last extract had landed."""
    landed = max(at for name in EXTRACTS if (at := run.steps[name].ended_at))
    began = run.steps[MARTS].began_at or landed
    return f"{words.length(began - landed)} after the last of them" if began - landed > SOON else "at once"


def models(nodes: list[str]) -> list[str]:
    """Return the names of the models among unique ids."""
    return sorted(name.rpartition(".")[2] for name in nodes if name.startswith("model."))
