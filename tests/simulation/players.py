"""The connectors of a world: their verbs are requests to the far ends of `vendors`.

``tap`` loads, ``mill`` builds; ``bell`` is live and looks before it sends again, ``horn`` is an alarm that its vendor
keeps by key, ``post`` is plain and keeps nothing.
"""

from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from engine import written
from engine.written import AlertRoute, BuildOptions, PressOptions, limits, operation, settings_of, subject
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from simulation.vendors import Account, Told, Town, starts_anew

from stackhub.contract import (
    Absent,
    Connection,
    Found,
    Health,
    Operation,
    Part,
    Pending,
    Promise,
    Relation,
    Role,
    Speaks,
    StartIs,
)
from stackhub.contract import Finished as Ended
from stackhub.contract import Outcome as How


class Played(written.Played):
    rate: float = 50.0
    burst: int = 100
    width: int = 10
    look: float = 60.0
    first_look: float = 10.0

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **_: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what is read from the files alone: looking into all other places took longer than the rest of it."""
        return (init_settings,)


OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "tap": {
        "sync": operation(StartIs.JOINABLE, Role.EXTRACT),
        "endless": operation(StartIs.JOINABLE, Role.EXTRACT, cancellable=False),
        "wait": operation(StartIs.KEYED, Role.EXTRACT),
    },
    "press": {"build": operation(StartIs.KEYED, Role.TRANSFORM, PressOptions)},
    "mill": {
        "build": operation(StartIs.KEYED, Role.TRANSFORM, BuildOptions),
        "marked": operation(StartIs.MARKED, Role.TRANSFORM, BuildOptions),
        "blind": operation(StartIs.BLIND, Role.OTHER, BuildOptions),
    },
}
NOTIFIERS: Mapping[str, tuple[Speaks, Promise]] = {
    "bell": (Speaks.LIVE, Promise.LOOKED_UP),
    "horn": (Speaks.ALARM, Promise.ONCE),
    "post": (Speaks.PLAIN, Promise.AT_LEAST_ONCE),
}

NAMES = (*OPERATIONS, *NOTIFIERS)


@dataclass
class PlayedJobs:
    account: Account
    context: Any

    async def _call(self, verb: str, what: str, effect: Any, key: str = "") -> Any:
        return await self.account.call(self.context.gate, verb, what, effect, key)

    def _start_is(self, operation: str) -> StartIs:
        return OPERATIONS[self.account.name.partition(".")[0]][operation].start_is

    async def prepare(self, job: Any) -> Mapping[str, Any]:
        def look() -> dict[str, Any]:
            landed = self.account.landed(subject(job.options))
            return {"last": self.account.newest, "mark": landed.ended if landed else 0}

        return await self._call("prepare", subject(job.options), look)

    async def start(self, job: Any, baseline: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        what = subject(job.options)
        if job.operation == "wait":
            consumed = int(job.consumed.get(what, baseline["mark"]))
            return await self._call("start", what, lambda: {"wait": what, "after": consumed, "joined": True}, key)

        def begin() -> dict[str, Any]:
            same = starts_anew(self._start_is(job.operation), self.account, what, key)
            made = same or self.account.begin(what, key, job.operation)
            return {"job": made.id, "joined": made.key != key}

        return await self._call("start", what, begin, key)

    async def poll(self, handles: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        return await self._call("poll", str(len(handles)), lambda: [self._look(handle) for handle in handles])

    def _look(self, handle: Mapping[str, Any]) -> Any:
        if "wait" in handle:
            landed = self.account.landed(handle["wait"])
            if landed is not None and landed.ended > handle["after"]:
                return landed.end
            return Pending(note="waiting for a load")
        return self.account.look(self.account.find(handle.get("job")))

    async def find(self, job: Any, baseline: Mapping[str, Any], key: str) -> Any:
        what, account = subject(job.options), self.account

        def look() -> Any:
            if job.operation == "wait":
                return Absent()
            match self._start_is(job.operation):
                case StartIs.JOINABLE:
                    mine = [j for j in account.jobs if j.what == what and (j.id > baseline["last"] or j.running)]
                    mine = [j for j in mine if not j.put_off]
                case StartIs.BLIND:
                    mine = []
                case _:
                    mine = [j for j in account.jobs if j.key == key]
            seen = [j for j in mine if (account.town.now() - j.began_at).total_seconds() >= j.turn.unseen]
            return Found(handle={"job": seen[0].id, "joined": seen[0].key != key}) if seen else Absent()

        return await self._call("find", what, look)

    async def cancel(self, handle: Mapping[str, Any]) -> None:
        job = self.account.find(handle.get("job"))

        def stop() -> None:
            if job is not None:
                job.cancelled += 1
                if job.running and not job.turn.stubborn:
                    job.end = Ended(outcome=How.CANCELLED, note="stopped")
                    job.ended = self.account.town.tick()

        await self._call("cancel", job.what if job else "?", stop)


@dataclass
class PlayedCatalog(PlayedJobs):
    """An account that shows what it holds, and when each of it last landed."""

    async def connections(self) -> Sequence[Connection]:
        return await self._call("list", "", lambda: [self._held(name) for name in self.account.town.connections])

    def _held(self, name: str) -> Connection:
        landed = self.account.landed(name)
        return Connection(
            id=name,
            name=name,
            health=Health.OK,
            last=landed.end.landing if landed else None,
            relations=(Relation("raw", "crm", name),),
        )


@dataclass
class PlayedNotifier:
    account: Account
    context: Any
    speaks: Speaks
    promise: Promise

    async def deliver(self, message: Any, receipt: Any, key: str, *, doubt: bool) -> Mapping[str, Any]:
        town = self.account.town
        told = Told(
            instance=self.account.name,
            key=key,
            incident=message.incident,
            channel=message.route.channel if message.route else "",
            part=message.part.value,
            event=message.event.value,
            title=message.title,
            severity=message.severity.value,
            doubt=doubt,
            at=town.now(),
            order=town.tick(),
            life=town.life.number,
        )

        def show() -> dict[str, Any]:
            seen = any(other.key == key and other.effect for other in self.account.told)
            dedups = self.promise is Promise.ONCE or (self.promise is Promise.LOOKED_UP and doubt)
            edits = message.part is Part.ROOT and bool(receipt and receipt.get("message"))
            told.effect = True
            told.new = not (seen and dedups) and not edits
            if message.part is Part.ENTRY:
                return dict(receipt or {})
            return {"message": (receipt or {}).get("message", key)}

        def sent() -> None:
            told.order = town.tick()
            self.account.told.append(told)

        answer = await self.account.call(self.context.gate, "deliver", message.part.value, show, key, sent)
        told.answered = True
        return answer


class PlayedConnector:
    """One connector for all: what its instances do is up to their accounts."""

    summary = "played"
    limits = staticmethod(limits)

    def __init__(self, town: Town, name: Literal["tap", "press", "mill", "bell", "horn", "post"]):
        self.name = name
        self.settings = settings_of(name, Played)
        self.operations = OPERATIONS.get(name, {})
        self.route = AlertRoute if name in NOTIFIERS else None
        self._town = town

    @asynccontextmanager
    async def open(self, settings: Any, context: Any) -> Any:
        account = self._town[context.instance]
        if self.name in NOTIFIERS:
            yield PlayedNotifier(account, context, *NOTIFIERS[self.name])
        elif self.name == "press":
            from simulation.press import PlayedBuilds

            yield PlayedBuilds(account, context)
        elif self.name == "tap" and self._town.spec.lists:
            yield PlayedCatalog(account, context)
        else:
            yield PlayedJobs(account, context)

    def sandbox(self, world: Any) -> None:
        return None


def connectors(town: Town) -> dict[str, PlayedConnector]:
    """Return them by name."""
    return {name: PlayedConnector(town, name) for name in NAMES}
