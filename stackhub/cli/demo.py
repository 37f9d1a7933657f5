"""The whole product on one machine, as a play in six scenes.

`demo_house` is what it is played in, `demo_play` the performance, `demo_scenes` and `demo_deadline` what is played,
`demo_picture` how it looks.
"""

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

import anyio
from anyio.abc import TaskStatus

from stackhub.cli import exits, words
from stackhub.errors import ConfigError, Problem
from stackhub.sandbox import demo_directory

if TYPE_CHECKING:  # heavy: a first line is printed before they are imported
    from rich.console import Console

    from stackhub.cli.demo_house import House
    from stackhub.cli.demo_play import Play

TITLE: Final = "stackhub demo: two vendors load a shop, dbt builds its marts, Slack and PagerDuty hear of trouble"
HEAD_START: Final = 0.3  # seconds in which it is known that there is no dbt; asking one for its version takes longer
COMPLAINTS: Final = 15  # lines of the daemon's log that are shown when something went wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for on the command line."""

    once: bool
    port: int
    keep: Path | None
    speed: float


def demo(*, once: bool = False, port: int = 0, keep: Path | None = None, speed: float = 1.0) -> int:
    """Play all of it, or with ``once`` the first run alone; return the exit code.

    That is dbt's with ``once``; else 0 when everything went as told and 1 when not; 130 when interrupted. ``port`` is
    the vendors', 0 any free one; ``keep`` a new directory that stays; ``speed`` divides how long syncs take.

    Raises:
        ConfigError: the port is taken, the directory is not new, or there is no dbt.
    """
    out = words.console()
    out.print(TITLE, style="bold", soft_wrap=not out.is_terminal)
    from stackhub.cli.demo_house import off_proxies, working_directory

    try:
        with working_directory(keep) as directory, off_proxies():
            return anyio.run(_heeding, directory, out, Wanted(once=once, port=port, keep=keep, speed=speed))
    except BaseExceptionGroup as several:
        raise exits.unwrapped(several) from None


@dataclass(slots=True)
class _Curtain:
    """Ends the play at a signal; what is then to be tidied up has its own limit of time."""

    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    async def heed(self, *, task_status: TaskStatus[None]) -> None:
        """Listen until cancelled."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            task_status.started()
            async for _ in signals:
                self.scope.cancel()


async def _heeding(directory: Path, out: "Console", wanted: Wanted) -> int:
    """Play until the end or a signal; the house stays open meanwhile, since ending its jobs takes a daemon."""
    from stackhub.cli import demo_picture
    from stackhub.cli.demo_house import open_house

    began, curtain, play = monotonic(), _Curtain(), None
    async with anyio.create_task_group() as group:
        await group.start(curtain.heed)
        async with open_house(directory, os.environ, port=wanted.port) as house:
            with curtain.scope:
                play = await _played(house, out, wanted)
            complaints = _complaints(house.log) if play and play.wrong else ()
        group.cancel_scope.cancel()
    if play is None:
        exits.say("interrupted: nothing is left running")
        return exits.INTERRUPTED
    for line in complaints:
        exits.say(line)
    took = timedelta(seconds=monotonic() - began)
    demo_picture.ending(out, took, play.wrong, str(wanted.keep or ""), _ways(wanted.keep))
    return play.code if wanted.once else exits.FAILED if play.wrong else exits.OK


async def _played(house: "House", out: "Console", wanted: Wanted) -> "Play":
    from stackhub.cli import demo_deadline, demo_picture, demo_scenes
    from stackhub.cli.demo_play import Play

    play = Play(house=house, out=out, speed=wanted.speed)
    async with anyio.create_task_group() as group:
        known = anyio.Event()
        group.start_soon(_need_dbt, house, known)
        with anyio.move_on_after(HEAD_START):
            await known.wait()
        demo_picture.opening(out, house.vendors_url, house.hub_url, str(wanted.keep or ""))
        if not wanted.once:
            await demo_scenes.feeding(play)
        await demo_scenes.good(play)
        if not play.wrong and not wanted.once:
            await demo_scenes.part(play)
            await demo_scenes.rest(play)
            await demo_deadline.before_it_is_late(play)
            await demo_scenes.reckoning(play)
        group.cancel_scope.cancel()
    return play


async def _need_dbt(house: "House", known: anyio.Event) -> None:
    """Ask, while the extracts run, whether there is a dbt: its version takes two seconds, its absence none.

    Raises:
        ConfigError: with the way to get one.
    """
    from stackhub.contract import Probe

    dbt = house.engine.lanes.open["dbt"].connector
    missing = [one for one in await dbt.check() if not one.ok] if isinstance(dbt, Probe) else []
    if missing:
        raise ConfigError(*(Problem("demo", one.detail or one.remedy) for one in missing))
    known.set()


def _complaints(log: Path) -> Sequence[str]:
    """Return the last warnings and errors of the daemon's log."""
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if " warning " in line or " error " in line][-COMPLAINTS:]
    return ()


def _ways(keep: Path | None) -> list[tuple[str, str]]:
    """Return what to try next."""
    called = Path(sys.argv[0])
    known = shutil.which("stackhub")
    name = "stackhub" if known and Path(known).resolve() == called.resolve() else _near(called)
    command = f"{name} --config {_near(keep or demo_directory())}"
    return [
        (f"{command} check", "the configuration, checked as a compiler would"),
        (f"{command} plan", "what its pipeline does, and why in this order"),
        (f"{command} sandbox", "the vendors, in a terminal of their own"),
        (f"{command} serve", "the daemon, beside them"),
    ]


def _near(path: Path) -> str:
    """Write a path as seen from here where it is below here."""
    path, here = path.absolute(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
