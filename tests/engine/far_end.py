"""Vendors in memory, which outlive the hub: every verb can be told what to do.

`Account` is the far end: it has jobs, messages and a record of every call that reached it. A test says beforehand how
it answers: ``account.will("start", Unsure("cut"))`` for the next start, `Lost` for an effect whose answer is lost,
`Stuck` for a call that hangs. What is not said is answered well.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from stackhub.contract import Connection, Finished, Health, Landing, Outcome, Unsure

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
        self.landed: dict[str, Landing] = {}  # the last of each connection, whoever began it
        self.holds: dict[str, Connection] = {}  # what it lists, by id; a job that lands is shown there
        self._script: dict[tuple[str, str], deque] = defaultdict(deque)

    def will(self, verb, *reactions, what=""):
        """Say how the next calls of a verb go (about ``what``, where given), before they go well again."""
        self._script[verb, what].extend(reactions)
        return reactions[0] if len(reactions) == 1 else reactions

    def count(self, verb, what=None):
        return sum(call.verb == verb and what in (None, call.what) for call in self.calls)

    def has(self, *ids, **facts) -> None:
        """Let it hold connections, or change what it says of those it holds."""
        for id_ in ids:
            before = self.holds.get(id_, Connection(id=id_, name=id_, health=Health.OK))
            self.holds[id_] = replace(before, **facts)

    def land(self, id_, rows=None) -> Landing:
        """Let a connection land, by its vendor's own schedule."""
        landing = Landing(connection=id_, mark=f"{self.world.tick():06}", ended_at=self.world.clock.now(), rows=rows)
        self.landed[id_] = landing
        if id_ in self.holds:
            self.has(id_, last=landing)
        return landing

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
