"""Vendors in memory, which outlive the hub; connectors to them whose every verb can be told what to do.

`Account` is the far end: it has jobs, messages and a record of every call that reached it. A test says beforehand how
it answers: ``account.will("start", Unsure("cut"))`` for the next start, `Lost` for an effect whose answer is lost,
`Stuck` for a call that hangs. What is not said is answered well.
"""

from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any, ClassVar

import anyio
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from stackhub.contract import (
    Absent,
    Finished,
    Found,
    Landing,
    Limits,
    Missing,
    Operation,
    Options,
    Outcome,
    Part,
    Pending,
    Promise,
    Role,
    Settings,
    Speaks,
    StartIs,
    Unsure,
)
from stackhub.launch import host_id

OK = Finished(outcome=Outcome.OK)
FAILED = Finished(outcome=Outcome.FAILED, note="it broke", retryable=False)
BROKEN = Finished(outcome=Outcome.FAILED, note="it broke")  # trying again could help


@dataclass
class Lost:
    """The call has its effect; its answer does not come back."""

    error: BaseException = field(default_factory=lambda: Unsure("the answer was lost"))


@dataclass
class Stuck:
    """The call hangs until ``go`` is set; then it has its effect."""

    go: anyio.Event = field(default_factory=anyio.Event)
    reached: anyio.Event = field(default_factory=anyio.Event)


@dataclass
class Say:
    """The call answers this, whatever it is, and has no effect."""

    answer: Any


@dataclass(frozen=True)
class Call:
    """One call that reached the far end."""

    verb: str
    what: str  # the connection, the key; of a poll the number of handles
    at: Any  # by the hub's clock


@dataclass
class VendorJob:
    id: int
    what: str  # the connection, or the option `select`
    key: str
    began: int  # the account's tally at that time
    end: Finished | None = None
    answers: deque = field(default_factory=deque)  # of the next polls, before it ends
    cancelled: int = 0  # times it was asked to stop
    stubborn: bool = False  # does not stop when asked


@dataclass
class Sent:
    """What a notifier's far end shows for one key."""

    key: str
    message: Any
    times: int = 1


class Account:
    """The far end of one instance."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.jobs: list[VendorJob] = []
        self.calls: list[Call] = []
        self.sent: dict[str, Sent] = {}
        self.order: list[tuple[str, str, str]] = []  # (part, event, title) as they arrived
        self.hold = False  # jobs go on until they are told to end
        self.outcomes: dict[str, deque] = defaultdict(deque)  # what -> how its next jobs end
        self.pending: dict[str, deque] = defaultdict(deque)  # what -> what its next job's polls say before that
        self.broken: BaseException | None = None  # every call fails with this
        self.stumbles: dict[str, Any] = {}  # what polls say of jobs of something: an error is raised by the whole poll
        self.hears = lambda message, receipt, doubt: None
        self.hanging: dict[str, Stuck] = {}  # channels of a notifier that does not answer there
        self.spy = lambda job: None  # sees the jobs that `prepare` is handed
        self.hosted = False  # its jobs are processes: each runs on the host of the hub that started it
        self.gated = False  # calls pass the hub's gate, as those of a connector that uses `wire` do
        self.opened = 0
        self.will_not_open: BaseException | None = None
        self._script: dict[tuple[str, str], deque] = defaultdict(deque)

    def will(self, verb, *reactions, what=""):
        """Say how the next calls of a verb go (about ``what``, where given), before they go well again."""
        self._script[verb, what].extend(reactions)
        return reactions[0] if len(reactions) == 1 else reactions

    def count(self, verb, what=None):
        return sum(call.verb == verb and what in (None, call.what) for call in self.calls)

    def job(self, what) -> VendorJob:
        """Return the newest job of something."""
        return [job for job in self.jobs if job.what == what][-1]

    def of(self, what) -> list[VendorJob]:
        return [job for job in self.jobs if job.what == what]

    def begin(self, what, key) -> VendorJob:
        """Let a job of something begin."""
        made = VendorJob(
            id=len(self.jobs) + 1, what=what, key=key, began=self.world.tick(), answers=self.pending.pop(what, deque())
        )
        self.jobs.append(made)
        return made

    def running(self) -> list[VendorJob]:
        return [job for job in self.jobs if job.end is None]

    def end(self, what, outcome=OK) -> None:
        self.job(what).end = outcome

    async def call(self, verb, what, effect):
        """Carry out one call as the script says; the world may end before or after it."""
        if self.gated:
            await self.context.gate(wait=verb not in {"start", "cancel"})
        self.world.point(f"{self.name} {verb} {what}: before")
        self.calls.append(Call(verb, str(what), self.world.clock.now()))
        script = self._script[verb, what] or self._script[verb, ""]
        reaction = script.popleft() if script else None
        if self.broken is not None and reaction is None:
            raise self.broken
        answer = await self._react(reaction, effect)
        self.world.point(f"{self.name} {verb} {what}: after")
        return answer

    async def _react(self, reaction, effect):
        match reaction:
            case BaseException():
                raise reaction
            case Lost(error=error):
                effect()
                raise error
            case Stuck():
                await self.hang(reaction)
            case Say(answer=answer):
                return answer
        return effect()

    async def hang(self, stuck):
        """Hang until it is let go."""
        stuck.reached.set()
        self.world.stuck += 1
        try:
            await stuck.go.wait()
        finally:
            self.world.stuck -= 1


class World:
    """Everything that outlives the hub. `point` is where it may die; see `lives`."""

    def __init__(self, clock):
        self.clock = clock
        self.accounts: dict[str, Account] = {}
        self.stuck = 0  # calls that hang
        self.tally = 0  # orders what happens, over all accounts
        self.point = lambda where: None

    def __getitem__(self, name) -> Account:
        return self.accounts.setdefault(name, Account(self, name))

    def tick(self) -> int:
        self.tally += 1
        return self.tally


# --- connectors ------------------------------------------------------------------------------------------------------


class SyncOptions(Options):
    connection: str


class BuildOptions(Options):
    select: str = "all"
    token: SecretStr | None = None


class AlertRoute(Options):
    channel: str = ""


class _Played(Settings):
    token: SecretStr = SecretStr("token")
    rate: float = 1e6
    burst: int = 1_000_000
    width: int = 100
    max_active: int | None = None
    look: float = 1.0  # seconds
    first_look: float = 0.5
    alone: str = ""


@cache
def _settings(name) -> type[Settings]:
    config = SettingsConfigDict(env_prefix=f"{name.upper()}_")
    return type(f"{name.title()}Settings", (_Played,), {"model_config": config, "__module__": __name__})


@dataclass
class PlayedJobs:
    account: Account
    context: Any
    operations: Mapping[str, Operation]

    async def prepare(self, job):
        self.account.spy(job)
        return await self.account.call("prepare", _what(job), lambda: {"last": len(self.account.jobs), **self._here()})

    def _here(self):
        return {"host": host_id(self.context.state)} if self.account.hosted else {}

    async def start(self, job, baseline, key):
        return await self.account.call("start", _what(job), lambda: self._begin(job, key))

    def _begin(self, job, key):
        account, what = self.account, _what(job)
        match self.operations[job.operation].start_is:
            case StartIs.JOINABLE:
                same = next((one for one in account.running() if one.what == what), None)
            case StartIs.KEYED:
                same = next((one for one in account.jobs if one.key == key), None)
            case _:
                same = None
        if same is not None:
            return {"job": same.id, "joined": same.key != key, "url": f"https://vendor/{same.id}"}
        made = account.begin(what, key)
        return {"job": made.id, "url": f"https://vendor/{made.id}", **self._here()}

    async def poll(self, handles):
        return await self.account.call("poll", len(handles), lambda: [self._look(handle) for handle in handles])

    def _look(self, handle):
        job = next((one for one in self.account.jobs if one.id == handle.get("job")), None)
        assert self.account.hosted is False or handle["host"] == host_id(self.context.state), "another host's job"
        if job is None:
            return Missing(note="never heard of it")
        stumble = self.account.stumbles.get(job.what)
        if isinstance(stumble, BaseException):
            raise stumble
        if stumble is not None:
            return stumble
        if job.answers:
            return job.answers.popleft()
        if job.end is None and self.account.outcomes[job.what]:
            job.end = self.account.outcomes[job.what].popleft()
        if job.end is None and self.account.hold:
            return Pending()
        if job.end is None:
            job.end = OK
        if job.end.ok and job.end.landing is None and self.operations["sync"].role is Role.EXTRACT:
            at = self.account.world.clock.now()
            landing = Landing(connection=job.what, mark=f"{self.account.world.tick():06}", ended_at=at)
            job.end = Finished(outcome=Outcome.OK, landing=landing)
        return job.end

    async def find(self, job, baseline, key):
        def look():
            match self.operations[job.operation].start_is:
                case StartIs.JOINABLE:
                    same = (one for one in self.account.of(_what(job)) if one.id > baseline["last"] or one.end is None)
                case StartIs.BLIND:
                    same = iter(())
                case _:
                    same = (one for one in self.account.jobs if one.key == key)
            found = next(same, None)
            return Absent() if found is None else Found(handle={"job": found.id})

        return await self.account.call("find", _what(job), look)

    async def cancel(self, handle):
        job = next((one for one in self.account.jobs if one.id == handle.get("job")), None)

        def stop():
            job.cancelled += 1
            if job.end is None and not job.stubborn:
                job.end = Finished(outcome=Outcome.CANCELLED, note="stopped")

        return await self.account.call("cancel", job.what if job else "?", stop)


def _what(job) -> str:
    return getattr(job.options, "connection", None) or job.options.select


@dataclass
class PlayedNotifier:
    account: Account
    speaks: Speaks
    promise: Promise

    async def deliver(self, message, receipt, key, *, doubt):
        self.account.hears(message, receipt, doubt)
        if (hanging := self.account.hanging.get(getattr(message.route, "channel", ""))) is not None:
            await self.account.hang(hanging)

        def send():
            seen = self.account.sent.get(key)
            again = self.promise is Promise.AT_LEAST_ONCE or (self.promise is Promise.LOOKED_UP and not doubt)
            if seen is None or again:
                self.account.order.append((message.part.value, message.event.value, message.title))
            if seen is None:
                self.account.sent[key] = Sent(key, message)
            else:
                seen.times += 1
            if message.part is Part.ENTRY:
                return dict(receipt or {})
            return {"message": (receipt or {}).get("message", key)}

        return await self.account.call("deliver", f"{message.part}:{message.event}", send)


def _operation(start_is, role, *, options=SyncOptions, cancellable=True, settle=10.0):
    return Operation(
        options=options,
        summary="-",
        start_is=start_is,
        settle=timedelta(seconds=settle),
        call_timeout=timedelta(seconds=5),
        role=role,
        cancellable=cancellable,
    )


class Connector:
    """One connector for all: what its instances do is up to their accounts."""

    summary = "played"
    hasty: ClassVar = timedelta(milliseconds=30)

    def __init__(self, world, name, operations=None, notifier=None):
        self.name = name
        self.settings = _settings(name)
        self.operations = operations or {}
        self.route = AlertRoute if notifier else None
        self._world, self._notifier = world, notifier

    def limits(self, settings):
        return Limits(
            rate=settings.rate,
            burst=settings.burst,
            width=settings.width,
            look=timedelta(seconds=settings.look),
            first_look=timedelta(seconds=settings.first_look),
            alone=frozenset(settings.alone.split(",")) - {""},
        )

    @asynccontextmanager
    async def open(self, settings, context):
        account = self._world[context.instance]
        if account.will_not_open is not None:
            raise account.will_not_open
        account.opened += 1
        account.context, account.settings = context, settings
        if self._notifier:
            yield PlayedNotifier(account, *self._notifier)
        else:
            yield PlayedJobs(account, context, self.operations)

    def sandbox(self, world):
        return None


def connectors(world) -> dict[str, Connector]:
    """``tap`` loads, ``mill`` builds; ``bell`` and ``desk`` are live, ``horn`` an alarm, ``post`` plain."""
    extract, other = Role.EXTRACT, Role.OTHER
    hasty = _operation(StartIs.KEYED, other)
    tap = {
        "sync": _operation(StartIs.JOINABLE, extract),
        "endless": _operation(StartIs.JOINABLE, extract, cancellable=False),
        "marked": _operation(StartIs.MARKED, other),
        "blind": _operation(StartIs.BLIND, other),
        "hasty": Operation(
            options=SyncOptions,
            summary="-",
            start_is=StartIs.KEYED,
            settle=timedelta(),
            call_timeout=Connector.hasty,
            role=hasty.role,
        ),
    }
    mill = {"build": _operation(StartIs.KEYED, Role.TRANSFORM, options=BuildOptions, settle=0.0)}
    mill["sync"] = _operation(StartIs.KEYED, other)
    made = (
        Connector(world, "tap", tap),
        Connector(world, "mill", mill),
        Connector(world, "bell", notifier=(Speaks.LIVE, Promise.ONCE)),
        Connector(world, "desk", notifier=(Speaks.LIVE, Promise.LOOKED_UP)),
        Connector(world, "horn", notifier=(Speaks.ALARM, Promise.ONCE)),
        Connector(world, "post", notifier=(Speaks.PLAIN, Promise.AT_LEAST_ONCE)),
    )
    return {one.name: one for one in made}
