"""A hub that dies at every point of a story in turn, and the one after it, which must bring it to the same end.

The points are every callback of its loop, that is every await at which the engine gives up control, and inside the
callbacks before and after each COMMIT and each verb of a connector. All of them are tried, none is a sample.
`./run simulate --deaths` tells every story; the test suite those that are short.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from simulation.ground import Ground, ground
from simulation.stories import STORIES, Story
from simulation.universe import Life, thrifty

AFTER = (0.0, 3.0, 40.0)  # seconds until the next hub comes, in turn
MOST = timedelta(hours=1)  # of virtual time, for any story


@dataclass
class Death:
    """Where a hub dies: before a callback, or at a point inside one. Counted from its start."""

    step: int | None = None
    point: int | None = None
    where: str = ""  # what the point is called

    def __str__(self) -> str:
        return f"before callback {self.step}" if self.step else f"at point {self.point}, {self.where}"


@dataclass
class Told:
    """One story, told with every death."""

    story: str
    steps: int
    points: int
    died: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        end = "all well" if not self.wrong else f"{len(self.wrong)} WRONG"
        return f"{self.story}: {self.steps} callbacks, {self.points} points, {self.died} deaths: {end} ({self.seconds:.1f} s)"


def tell(story: Story, *, only: str = "", most_wrong: int = 5) -> Told:
    """Tell a story undisturbed, and then once for each death in it; ``only`` at points of one name."""
    began = time.process_time()
    with prepared(story) as on:
        points: list[str] = []
        life = _lived(on, story, Death(), points)
        told = Told(story.name, life.steps, len(points))
        deaths = [Death(step=nth) for nth in range(1, life.steps + 1)]
        deaths += [Death(point=nth, where=where) for nth, where in enumerate(points, start=1)]
        for nth, death in enumerate(deaths):
            if only not in death.where:
                continue
            on.reset()
            try:
                told.died += _lived(on, story, death, [], wait=AFTER[nth % len(AFTER)]).number > 1
            except AssertionError as err:
                told.wrong.append(f"{story.name}, death {death}: {err}")
                if len(told.wrong) >= most_wrong:
                    break
    told.seconds = time.process_time() - began
    return told


@contextmanager
def prepared(story: Story) -> Iterator[Ground]:
    """Make the ground of a story: a hub has been there, and somebody has asked for something since."""
    with ground() as on, thrifty():
        story.furnish(on)
        life = on.hub()
        on.universe.run_while(lambda: not life.up)
        life.stop()
        on.universe.run_while(lambda: not life.over)
        for nth in range(story.runs):
            on.keep("trigger", {"pipeline": story.pipeline}, nth)
        on.save()
        on.reset()
        yield on


def _lived(on: Ground, story: Story, death: Death, points: list[str], wait: float = 0.0) -> Life:
    """Live through a story, with one death, and check what came of it; return the last life."""
    story.begin(on)

    def fate(where: str) -> bool:
        points.append(where)
        return len(points) == death.point

    life = on.hub(schedule=False, fate=fate)
    life.last_step = death.step
    _to_the_end(on, life, story)
    if life.dead:
        on.universe.run_until(timedelta(seconds=wait))
        life = on.hub(schedule=False)
        _to_the_end(on, life, story)
    assert not life.dead
    story.check(on)
    on.check_nothing_is_forgotten()
    life.kill()
    return life


def _to_the_end(on: Ground, life: Life, story: Story) -> None:
    """Let time pass until nothing is to be done, and some more."""
    end = on.universe.clock.now() + MOST
    rest = timedelta(seconds=1)
    while not life.over:
        on.universe.run_while(lambda: not life.over and (not life.up or life.engine.board.runs()), MOST)
        if life.over or on.is_quiet():
            return
        on.universe.run_until(rest)
        assert on.universe.clock.now() < end, f"{story.name}: nothing comes to an end"


def main(arguments: Sequence[str]) -> int:
    """Tell every story, or those that are named; 1 when something went wrong."""
    structlog.configure(processors=[_drop])
    chosen = [story for story in STORIES if not arguments or story.name in arguments]
    if not chosen or len(chosen) < len(set(arguments)):
        print(f"simulate --deaths: there are: {', '.join(story.name for story in STORIES)}", file=sys.stderr)
        return 2
    wrong = 0
    for story in chosen:
        told = tell(story)
        wrong += len(told.wrong)
        print(told, *told.wrong, sep="\n  ")
    return 1 if wrong else 0


def _drop(*_: object) -> dict[str, object]:
    raise structlog.DropEvent
