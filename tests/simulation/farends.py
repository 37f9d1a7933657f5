"""What the far ends saw, checked after every event: each request as it left, each job that began, each message."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from simulation.oracle import Oracle, Violation
from simulation.vendors import Account, Call, Told, VendorJob

A_MOMENT = timedelta(milliseconds=1)
SAME = timedelta(seconds=1)  # rests that differ by less are one
FULL = 0.01  # of a token: what is rounded away


@dataclass
class Bucket:
    """What an account bears, reckoned from all its calls."""

    rate: float
    burst: float
    tokens: float
    at: datetime
    life: int = 0
    held: int = 0

    def take(self, at: datetime, life: int) -> float:
        """Count one call; return how many more could have been made.

        A hub that is killed takes with it what its cancels, which cannot wait, have borrowed. One that was stopped may
        have held a start's place, which it paid for before.
        """
        if life != self.life:
            self.life, self.tokens = life, max(self.tokens, 0.0)
        self.tokens = min(self.tokens + (at - self.at).total_seconds() * self.rate, self.burst) - 1
        self.at = at
        if self.held and self.tokens < 0:
            self.held, self.tokens = self.held - 1, self.tokens + 1
        return self.tokens


@dataclass
class Thread:
    """What was told of an incident on one route."""

    root: Told | None = None  # that was told first of all, or is to be
    first: int = 0  # the number of that
    lines: int = 0  # beneath it
    last: tuple[int, int, str] = (0, 0, "")


class FarEnds:
    """Watches the far ends of one world."""

    def __init__(self, oracle: Oracle, owner: Callable[[int], str] = lambda _: "") -> None:
        """``owner``: returns under which name the hub of a life owns lanes; "" where it is alone."""
        self._oracle, self._owner = oracle, owner
        self._order = -1
        self._buckets: dict[str, Bucket] = {}
        self._seen: dict[str, list[int]] = {}  # account -> calls, jobs, messages looked at
        self._threads: dict[tuple[str, str], Thread] = {}  # of an incident on a route

    def bears(self, instance: str, rate: float, burst: float) -> None:
        """Say what an account bears."""
        self._buckets[instance] = Bucket(rate, burst, burst, self._oracle.town.now())

    def stopped(self) -> None:
        """Hear that a hub's process has been stopped."""
        for bucket in self._buckets.values():
            bucket.held += 1

    def __call__(self) -> None:
        """Look at what has happened there since the last look."""
        town = self._oracle.town
        if town.order == self._order:
            return
        self._order = town.order
        for account in list(town.accounts.values()):
            calls, jobs, told = seen = self._seen.setdefault(account.name, [0, 0, 0])
            for call in account.calls[calls:]:
                self._call(account, call)
            for job in account.jobs[jobs:]:
                self._job(account, job)
            for nth, message in enumerate(account.told[told:], start=told):
                self._told(account, message, nth)
            seen[:] = len(account.calls), len(account.jobs), len(account.told)

    def _call(self, account: Account, call: Call) -> None:
        oracle, bucket = self._oracle, self._buckets.get(account.name)
        owner = self._owner(call.life)
        if owner and oracle.owners.get(account.name) != owner:
            found = oracle.owners.get(account.name)
            raise Violation(2, f"{account.name} was called ({call.verb}) by hub {owner}, and its lane is {found}'s")
        if bucket is not None:
            left = bucket.take(call.at, call.life)
            if call.waits and left < -FULL:
                raise Violation(6, f"{account.name} was called above its rate ({call.verb} {call.what}, {left:.2f})")
        rest, jumped = oracle.rests.get(account.name, (None, 0))
        if rest is not None and not jumped and not oracle.town.jumped and oracle.hub_now() < rest - A_MOMENT:
            raise Violation(6, f"{account.name} was called at {oracle.hub_now()}, before its {rest} ({call.verb})")
        if account.alone is not None:
            until, life = account.alone
            if life == call.life and call.at < until - SAME:
                raise Violation(6, f"{account.name} was called ({call.verb}) though it had asked to be left alone")
        if call.verb == "start":
            self._intent(call)

    def _intent(self, call: Call) -> None:
        """Check that a start was kept before it was made."""
        run_id, task, serial = call.key.split(".")
        run = self._oracle.runs[run_id]
        step = run.steps[task]
        if step.state != "starting" or step.data.get("serial", 1) != int(serial):
            raise Violation(2, f"{call.key} was started while the store says {step.state} {step.data['serial']}")

    def _job(self, account: Account, job: VendorJob) -> None:
        if not job.key:
            return
        mine, _, _ = job.key.rpartition(".")
        for other in account.jobs[: job.id - 1]:
            if other.put_off or not other.key:
                continue
            if other.key == job.key:
                raise Violation(2, f"{job.key} has two jobs at {account.name}: {other.id} and {job.id}")
            if other.key.rpartition(".")[0] == mine and other.running:
                raise Violation(2, f"{job.key} began at {account.name} while {other.key} went on")

    def _told(self, account: Account, told: Told, nth: int) -> None:
        oracle = self._oracle
        place = oracle.keys.get(told.key)
        if place is None:
            raise Violation(4, f"{account.name} was told {told.key}, which is in no outbox")
        state, doubt = oracle.outbox[place]
        if state != "pending" or not doubt:
            raise Violation(4, f"{account.name} was told {told.key} while it was {state}, doubt {doubt}")
        before = [other for other in account.told[:nth] if other.key == told.key]
        if any(other.effect for other in before) and not told.doubt:
            raise Violation(4, f"{account.name} was told {told.key} again, and without doubt")
        self._in_order(account.name, told, place)

    def _in_order(self, account: str, told: Told, place: tuple[str, str]) -> None:
        """Check that an incident's messages come one after another, and its thread after what it hangs on."""
        seq, _, part = place[1].partition(".")
        thread = self._threads.setdefault((account, place[0]), Thread())
        if part == "root" and not thread.lines and (thread.root is None or not thread.root.answered):
            thread.root, thread.first = told, int(seq)
        opening = part == "root" and int(seq) <= thread.first
        mine = int(not opening), int(seq), "" if part == "root" else part
        if mine < thread.last:
            raise Violation(4, f"{account} was told {told.key} after {thread.last} of the same incident and route")
        thread.last = mine
        if part != "root":
            thread.lines += 1
            there = thread.root is not None and thread.root.answered
            waits = [
                key
                for (where, key), (state, _) in self._oracle.outbox.items()
                if where == place[0] and state == "pending" and key.endswith(".root")
            ]
            if waits and not there and thread.lines == 1:
                raise Violation(4, f"{account} was told {told.key}, a line of a thread that is not there: {waits}")
