"""The far ends: accounts whose jobs begin and end by the true clock, and which keep a record of all that reached them.

They know nothing of hubs. A request arrives after a moment, has its effect, and is answered after another: a hub may
die, or sleep, at any point between. What goes wrong with it is planned in the spec.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import dropwhile
from typing import Any

import anyio
from simulation.spec import Fault, Spec, Turn

from stackhub.contract import (
    ConfigError,
    Deferred,
    Finished,
    Landing,
    Missing,
    Outcome,
    Pending,
    Rejected,
    StartIs,
    Unavailable,
    Unknown,
    Unsure,
)

MOMENT = 0.2  # seconds on the way, each way
LATE = 4.0  # seconds after which a request that had no answer takes effect: within any call's own timeout
FOREVER = 10_000_000.0
WELL = Turn(seconds=60.0)
EFFECTIVE = {"", "after", "slow", "late", "bug", "unknown", "missing"}  # kinds of requests that do what they ask for


@dataclass
class VendorJob:
    """A job at its vendor."""

    id: int
    what: str
    key: str  # "" of somebody else
    operation: str
    began_at: datetime
    turn: Turn
    began: int  # in the world's order
    end: Finished | None = None
    ended: int = 0
    put_off: bool = False  # for good: it will not resume by itself
    cancelled: int = 0
    leave: tuple[str, ...] = ()  # of a build: sources below which nothing is to be built
    only: tuple[str, ...] = ()  # of a build: models that are; all where there is none

    @property
    def running(self) -> bool:
        return self.end is None and not self.put_off


@dataclass(frozen=True)
class Call:
    """A request, as it left the hub."""

    instance: str
    verb: str
    what: str
    at: datetime
    order: int
    waits: bool  # it waited for its turn at the gate
    key: str  # of what is started, or told
    life: int  # of a hub


@dataclass
class Told:
    """One message that was asked to be delivered."""

    instance: str
    key: str
    incident: str
    channel: str
    part: str
    event: str
    title: str
    severity: str
    doubt: bool
    at: datetime
    order: int
    life: int  # of a hub
    effect: bool = False  # people see it
    new: bool = False  # as a message of its own, not as an edit or a repetition
    answered: bool = False


@dataclass
class Account:
    """The far end of one instance."""

    town: "Town"
    name: str
    jobs: list[VendorJob] = field(default_factory=list)
    forgotten: int = 0  # jobs before these
    calls: list[Call] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    alone: tuple[datetime, int] | None = None  # until when, and which life heard that
    _nth: dict[str, int] = field(default_factory=dict)

    def begin(self, what: str, key: str, operation: str, turn: Turn | None = None) -> VendorJob:
        """Let a job begin; how it goes is written."""
        job = VendorJob(
            id=self.newest + 1,
            what=what,
            key=key,
            operation=operation,
            began_at=self.town.now(),
            turn=turn or self._turn(what),
            began=self.town.tick(),
        )
        self.jobs.append(job)
        off = job.turn.put_off
        if off is not None and off.again and operation not in {"sync", "endless"}:  # of what is joined alone
            off = off.model_copy(update={"again": False})
            job.turn = job.turn.model_copy(update={"put_off": off})
        extra = off.lasts if off and not off.again else 0.0
        if off and off.again and off.after < job.turn.seconds:
            self.town.after(off.after, lambda: self._put_off(job))
        elif job.turn.ends != "never":
            self.town.after(job.turn.seconds + extra, lambda: self.finish(job))
        return job

    def _turn(self, what: str) -> Turn:
        turns = self.town.spec.turns.get(f"{self.name}:{what}")
        if not turns or self.town.healed:
            return WELL
        nth = self._nth[what] = self._nth.get(what, -1) + 1
        return turns[nth % len(turns)]

    def _put_off(self, job: VendorJob) -> None:
        job.put_off = job.end is None

    def finish(self, job: VendorJob, ends: str = "") -> None:
        """End a job, as it is written."""
        if not job.running:
            return
        match ends or job.turn.ends:
            case "ok" | "never":
                job.ended = self.town.tick()
                landing = Landing(connection=job.what, mark=f"{job.ended:09}", ended_at=self.town.now())
                job.end = Finished(outcome=Outcome.OK, landing=landing)
            case "failed":
                job.end = Finished(outcome=Outcome.FAILED, note=f"{job.what} broke")
            case "fatal":
                job.end = Finished(outcome=Outcome.FAILED, note=f"{job.what} is broken", retryable=False)
            case _:
                job.end = Finished(outcome=Outcome.CANCELLED, note="somebody stopped it there")
        job.ended = job.ended or self.town.tick()

    @property
    def newest(self) -> int:
        """Return the id of the last job that began, 0 before the first."""
        return self.forgotten + len(self.jobs)

    def forget(self, since: datetime) -> None:
        """Forget the jobs that are over and began before then, and every request: what is long past is in no list."""
        self.calls.clear()
        self.told.clear()
        kept = list(dropwhile(lambda job: not job.running and job.began_at < since, self.jobs))
        self.forgotten, self.jobs = self.newest - len(kept), kept

    def find(self, job_id: Any) -> VendorJob | None:
        """Return a job by its id."""
        known = isinstance(job_id, int) and self.forgotten < job_id <= self.newest
        return self.jobs[job_id - self.forgotten - 1] if known else None

    def running(self, what: str) -> VendorJob | None:
        """Return the job of something that goes on now."""
        return next((job for job in reversed(self.jobs) if job.what == what and job.running), None)

    def landed(self, what: str) -> VendorJob | None:
        """Return the last load of something that went well."""
        done = [job for job in self.jobs if job.what == what and job.end is not None and job.end.ok]
        return max(done, key=lambda job: job.ended, default=None)

    # --- a request ---

    async def call(
        self,
        gate: Any,
        verb: str,
        what: str,
        effect: Callable[[], Any],
        key: str = "",
        on_sent: Callable[[], object] = lambda: None,
    ) -> Any:
        """Carry out one request as it is planned. What has left a hub arrives, whatever becomes of the hub."""
        town, harmless = self.town, verb in {"prepare", "poll", "find", "list"}
        await gate(wait=harmless)
        life = town.life
        self.calls.append(Call(self.name, verb, what, town.now(), town.tick(), harmless, key, life.number))
        on_sent()
        fault = town.strike(self.name, verb)
        kind = "before" if life.is_cut else fault.kind if fault else ""
        seconds = fault.seconds if fault else 0.0
        seen: list[Any] = []
        if kind in EFFECTIVE:
            town.after(MOMENT + (LATE if kind == "late" else 0.0), lambda: seen.append(effect()))
        await anyio.sleep(2 * MOMENT + {"slow": seconds, "hang": FOREVER, "late": FOREVER}.get(kind, 0.0))
        try:
            return self._answer("after" if life.is_cut else kind, seen, seconds, harmless=harmless)
        except Unavailable as err:
            if err.retry_after is not None:
                self.alone = town.now() + err.retry_after, life.number
            raise

    def _answer(self, kind: str, seen: list[Any], seconds: float, *, harmless: bool) -> Any:
        match kind:
            case "down":
                raise Unavailable(f"{self.name} is down")
            case "patience":
                raise Unavailable(f"{self.name} is asked too much", retry_after=timedelta(seconds=seconds))
            case "before" | "after":
                raise Unavailable("the connection was cut") if harmless else Unsure("the connection was cut")
            case "refused":
                raise ConfigError(f"{self.name} refuses the credentials")
            case "rejected":
                raise Rejected(f"{self.name} says no")
            case "bug":
                raise ValueError("a bug")
            case "unknown" | "missing" if isinstance(seen[0], list):
                return [_odd(kind, one) for one in seen[0]]
        return seen[0]

    def look(self, job: VendorJob | None) -> Any:
        """Say how a job stands."""
        if job is None:
            return Missing(note="never heard of it")
        if job.end is not None:
            return job.end
        off, age = job.turn.put_off, (self.town.now() - job.began_at).total_seconds()
        if off is not None and (job.put_off or off.after <= age < off.after + off.lasts):
            until = job.began_at + timedelta(seconds=off.after + off.lasts)
            return Deferred(until=until if off.named or off.again else None, must_start_again=off.again, note="put off")
        return Pending(note="going")


def _odd(kind: str, answer: Any) -> Any:
    if not isinstance(answer, Pending):
        return answer  # what has ended has ended; a vendor lies about what goes on
    return Unknown(raw="REHYDRATING") if kind == "unknown" else Missing(note="who?")


class Town:
    """All accounts, and what orders what happens to them."""

    def __init__(
        self,
        spec: Spec,
        now: Callable[[], datetime],
        at: Callable[[datetime, Callable[[], Any]], Any],
        caller: Callable[[], Any] = lambda: None,
    ) -> None:
        """``caller``: returns the life of a hub that asks for something now."""
        self.spec, self.now = spec, now
        self._at, self._caller = at, caller
        self.healed = False
        self.order = 0
        self.jumped = 0  # times that a hub's clock was set
        self.accounts: dict[str, Account] = {}
        self._left = [fault.times for fault in spec.faults]

    def __getitem__(self, name: str) -> Account:
        if name not in self.accounts:
            self.accounts[name] = Account(self, name)
        return self.accounts[name]

    @property
    def connections(self) -> list[str]:
        """Return what there is to load, by name."""
        whole = [*self.spec.pipelines, *(person.what["to"] for person in self.spec.people if "to" in person.what)]
        tasks = [task for one in whole for task in one["tasks"].values()]
        used = {task["with"]["connection"] for task in tasks if "connection" in task.get("with", {})}
        return sorted(used | {other.what for other in self.spec.others} | {"c0", "c1", "c2"})

    @property
    def life(self) -> Any:
        """The life of a hub that asks for something now."""
        return self._caller()

    def tick(self) -> int:
        """Return the next place in the order of all that happens."""
        self.order += 1
        return self.order

    def after(self, seconds: float, what: Callable[[], Any]) -> None:
        """Let something happen at a vendor later."""
        self._at(self.now() + timedelta(seconds=seconds), what)

    def strike(self, instance: str, verb: str) -> Fault | None:
        """Return what goes wrong with a request that leaves now."""
        if self.healed:
            return None
        since = (self.now() - self.spec.begins).total_seconds()
        for place, fault in enumerate(self.spec.faults):
            if fault.instance != instance or fault.verb not in {"", verb} or not fault.at <= since < fault.until:
                continue
            if self._left[place] > 0:
                self._left[place] -= 1
                return fault
        return None

    def heal(self) -> None:
        """Make all well: what hung goes on, and nothing new goes wrong."""
        self.healed = True
        for account in self.accounts.values():
            for job in account.jobs:
                if job.running and job.turn.ends == "never":
                    account.finish(job)


def starts_anew(start_is: StartIs, account: Account, what: str, key: str) -> VendorJob | None:
    """Return the job that a start meets at the far end, where it makes none of its own."""
    match start_is:
        case StartIs.JOINABLE:
            return account.running(what)
        case StartIs.KEYED:
            return next((job for job in account.jobs if job.key == key), None)
        case _:
            return None
