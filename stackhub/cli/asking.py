"""Wishes: obeyed by the daemon where there is one, else kept in the store's inbox for the one that comes."""

import asyncio
import getpass
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from stackhub import __version__
from stackhub.cli import socket
from stackhub.cli.where import Where
from stackhub.config.settings import HubSettings
from stackhub.engine.commands import Command, kept
from stackhub.model.ids import Ids
from stackhub.store import database
from stackhub.store.lock import holder
from stackhub.store.store import open_store
from stackhub.store.tables import micros
from stackhub.store.transaction import Transaction

WRITTEN_BY: Final = f"stackhub {__version__}"
LOCK: Final = "hub.lock"
PATIENCE: Final = 10.0  # seconds for a database that is away


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One command: what the inbox keeps, and what the API is asked."""

    kind: str
    args: Mapping[str, Any]
    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of a wish."""

    result: Mapping[str, Any]
    kept: bool = False  # nobody has obeyed it yet
    told: str = ""  # to people: who will

    @property
    def run(self) -> str:
        """The run it made, or will make: that has the command's id."""
        return str(self.result.get("run") or self.result.get("id", ""))


def trigger(
    pipeline: str, only: list[str], changes: Mapping[str, Mapping[str, Any]], params: Mapping[str, str] | None = None
) -> Wish:
    """Ask for a run."""
    args = {"pipeline": pipeline, "only": only, "with": changes, **({"params": params} if params else {})}
    return Wish(kind="trigger", args=args, path=f"pipelines/{quote(pipeline)}/trigger", body=_rest(args, "pipeline"))


def of_run(kind: str, run: str, **args: Any) -> Wish:
    """Ask something of a run: ``cancel`` or ``retry``."""
    return Wish(kind=kind, args={"run": run, **args}, path=f"runs/{run}/{kind}", body=args)


def skip(run: str, task: str, reason: str) -> Wish:
    """Ask to go on without a step."""
    path = f"runs/{run}/steps/{quote(task)}/skip"
    return Wish(kind="skip", args={"run": run, "task": task, "reason": reason}, path=path, body={"reason": reason})


def of_pipeline(kind: str, pipeline: str, **args: Any) -> Wish:
    """Ask something of a pipeline: ``pause`` or ``resume``."""
    return Wish(kind=kind, args={"pipeline": pipeline, **args}, path=f"pipelines/{quote(pipeline)}/{kind}", body=args)


def close(incident: str, reason: str) -> Wish:
    """Ask to close an incident."""
    args = {"incident": incident, "reason": reason}
    return Wish(kind="close", args=args, path=f"incidents/{quote(incident, safe='')}/close", body={"reason": reason})


def test_alerts(pipeline: str) -> Wish:
    """Ask for a test down each route."""
    return Wish(kind="test", args={"pipeline": pipeline}, path="alerts/test", body={"pipeline": pipeline or None})


def mute(target: str, until: datetime, reason: str) -> Wish:
    """Ask that nobody is told of something for a while."""
    args = {"target": target, "until": until.isoformat(), "reason": reason}
    return Wish(kind="mute", args=args, path="alerts/mute", body=args)


def unmute(target: str) -> Wish:
    """Ask that a mute ends."""
    return Wish(kind="unmute", args={"target": target}, path="alerts/unmute", body={"target": target})


async def ask(where: Where, wish: Wish, check: Callable[[], None] = lambda: None) -> Done:
    """Have a wish obeyed, or kept; ``check`` looks before it is kept whether it could be obeyed.

    Raises:
        Refused: it cannot be done; nothing has changed. Unavailable, Unsure: as `socket.post` says.
    """
    hub = where.hub()
    done = await obeyed(hub, wish)
    if done is None:
        check()
        done = await keep(hub, wish)
    return done


async def obeyed(hub: HubSettings, wish: Wish) -> Done | None:
    """Have a wish obeyed by the daemon; None where there is none. Raises as `ask` does."""
    try:
        return Done(result=await socket.post(hub, wish.path, wish.body, somebody()))
    except socket.NoDaemon:
        return None


async def keep(hub: HubSettings, wish: Wish) -> Done:
    """Put a wish into the inbox. Only a store that is yet to be made needs the lock.

    Raises:
        StoreUnavailable: the database is away; nothing was kept.
    """
    url = hub.database_url.get_secret_value()
    path = database.path_of(url)
    new = path is not None and not path.exists()
    now = datetime.now(UTC)
    command = Command(id=Ids().make(now), kind=wish.kind, args=wish.args, by=somebody())
    async with open_store(url, hub.state_dir, written_by=WRITTEN_BY, lock=new, migrate=False) as store:
        committed = store.writer.apply(Transaction().add(kept(command, micros(now))))
        await asyncio.wait((committed,), timeout=PATIENCE)
    await committed  # closing the store has settled it, one way or the other
    process = holder(hub.state_dir / LOCK)
    if process is not None:
        return Done(result={"id": command.id}, told=f"kept: process {process} has the store open, and obeys in seconds")
    told = "no daemon is running: kept, it will be obeyed when one starts"
    return Done(result={"id": command.id}, told=told, kept=True)


def somebody() -> str:
    """Name whoever asks."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "the command line"


def _rest(args: Mapping[str, Any], *without: str) -> dict[str, Any]:
    return {name: value for name, value in args.items() if name not in without}
