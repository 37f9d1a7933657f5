"""A hub that dies at every point of a story in turn, and the one after it, which must bring it to the same end.

The points are every callback of its loop, that is every await at which the engine gives up control, and inside the
callbacks before and after each COMMIT and each verb of a connector. All of them are tried, none is a sample.
`./run simulate --deaths [--leave] [--twice] [STORY...]` tells every story; the test suite the shortest.
"""

import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog
from simulation.ground import Ground, ground
from simulation.stories import STORIES, Story
from simulation.universe import Life

AFTER = (0.0, 3.0, 40.0)  # seconds until the next hub comes, in turn
REST = timedelta(seconds=1)
LOOKS = timedelta(seconds=5)  # in which a hub sees what was missed
MOST = timedelta(hours=1)  # of virtual time, for any story


@dataclass(frozen=True)
class Death:
    """Where a hub ends: before a callback, or at a point inside one. Counted from its start."""

    step: int | None = None
    point: int | None = None
    where: str = ""  # what the point is called
    in_peace: bool = False  # it is asked to leave there
    again: int | None = None  # the hub after it dies too: before this callback

    def __str__(self) -> str:
        how = "asked to leave" if self.in_peace else "killed"
        where = f"before callback {self.step}" if self.step else f"at point {self.point}, {self.where}"
        return f"{how} {where}" + (f", and the next one before callback {self.again}" if self.again else "")


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
        counts = f"{self.steps} callbacks, {self.points} points, {self.died} ends"
        return f"{self.story}: {counts}: {end} ({self.seconds:.1f} s)"


def tell(story: Story, *, only: str = "", leave: bool = False, twice: bool = False, most_wrong: int = 5) -> Told:
    """Tell a story undisturbed, and then once for each death in it; ``only`` at points of one name.

    ``leave``: the hub is asked to leave in place of being killed. ``twice``: so is killed, at random, the one after it.
    """
    began = time.process_time()
    rng = random.Random(story.name)
    with prepared(story) as on:
        points: list[str] = []
        life = _lived(on, story, Death(), points)
        told = Told(story.name, life.steps, len(points))
        deaths = [Death(step=nth, in_peace=leave) for nth in range(1, life.steps + 1)]
        if not leave:
            deaths += [Death(point=nth, where=where) for nth, where in enumerate(points, start=1)]
        for nth, death in enumerate(deaths):
            if only not in death.where:
                continue
            on.reset()
            then = replace(death, again=rng.randrange(1, life.steps)) if twice else death
            try:
                told.died += _lived(on, story, then, [], wait=AFTER[nth % len(AFTER)]).number > 1
            except AssertionError as err:
                told.wrong.append(f"{story.name}, {then}: {err}")
                if len(told.wrong) >= most_wrong:
                    break
    told.seconds = time.process_time() - began
    return told


@contextmanager
def prepared(story: Story) -> Iterator[Ground]:
    """Make the ground of a story: a hub has been there, and somebody has asked for something since."""
    with ground() as on:
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
    """Live through a story, with one death or two, and check what came of it; return the last life."""
    story.begin(on)

    def fate(where: str) -> bool:
        points.append(where)
        return len(points) == death.point

    end = on.universe.clock.now() + story.until if story.until else None
    life = on.hub(schedule=story.scheduled, fate=fate)
    if death.in_peace:
        life.leaves_at = death.step
    else:
        life.last_step = death.step
    _to_the_end(on, life, end)
    if life.over:
        on.universe.run_until(timedelta(seconds=wait))
        life = on.hub(schedule=story.scheduled)
        life.last_step = death.again
        _to_the_end(on, life, end)
    if life.dead and death.again:
        life = on.hub(schedule=story.scheduled)
        _to_the_end(on, life, end)
    assert not life.over
    story.check(on)
    on.check_nothing_is_forgotten()
    life.kill()
    return life


def _to_the_end(on: Ground, life: Life, end: datetime | None) -> None:
    """Let time pass until nothing is to be done, or it is over; where an end is given, until then at least."""
    universe = on.universe
    if end is not None:
        end = max(end, universe.clock.now() + LOOKS)
        universe.run_while(lambda: not life.over and universe.clock.now() < end, MOST)
        universe.run_until(timedelta())  # and all else that is due in the same instant
    most = universe.clock.now() + MOST
    while not life.over:
        universe.run_while(lambda: not life.over and (not life.up or life.engine.board.runs()), MOST)
        if life.over or on.is_quiet():
            return
        universe.run_until(REST)
        assert universe.clock.now() < most, "nothing comes to an end"


def main(arguments: Sequence[str]) -> int:
    """Tell every story, or those that are named; 1 when something went wrong."""
    structlog.configure(processors=[_drop])
    flags = {"leave": "--leave" in arguments, "twice": "--twice" in arguments}
    names = [word for word in arguments if word not in {"--leave", "--twice"}]
    chosen = [story for story in STORIES if not names or story.name in names]
    if len(chosen) < len(set(names)) or not chosen:
        print(f"simulate --deaths: there are: {', '.join(story.name for story in STORIES)}", file=sys.stderr)
        return 2
    wrong = 0
    for story in chosen:
        told = tell(story, **flags)
        wrong += len(told.wrong)
        print(told, *told.wrong, sep="\n  ", flush=True)
    return 1 if wrong else 0


def _drop(*_: object) -> dict[str, object]:
    raise structlog.DropEvent
