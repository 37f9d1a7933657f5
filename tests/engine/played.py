"""Connectors to the far ends of `far_end`, for an engine that knows nothing of that."""

from collections.abc import Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from engine.far_end import OK, Account, Sent
from engine.written import AlertRoute, BuildOptions, limits, operation, settings_of, subject

from stackhub.contract import (
    Absent,
    Finished,
    Found,
    Missing,
    Operation,
    Outcome,
    Part,
    Pending,
    Promise,
    Role,
    Speaks,
    StartIs,
)
from stackhub.launch import host_id

HASTY = timedelta(milliseconds=30)  # the patience of a call


@dataclass
class PlayedJobs:
    account: Account
    context: Any
    operations: Mapping[str, Operation]

    async def prepare(self, job):
        self.account.spy(job)
        return await self.account.call(
            "prepare", subject(job.options), lambda: {"last": len(self.account.jobs), **self._mark(job), **self._here()}
        )

    def _here(self):
        return {"host": host_id(self.context.state)} if self.account.hosted else {}

    def _mark(self, job):
        return {"mark": f"{self.account.world.tally:06}"} if job.operation == "wait" else {}

    async def start(self, job, baseline, key):
        if job.operation == "wait":  # there is nothing to start: no call is made
            return self._waits(job, baseline)
        return await self.account.call("start", subject(job.options), lambda: self._begin(job, key))

    def _waits(self, job, baseline):
        what = subject(job.options)
        return {"waits": what, "after": job.consumed.get(what) or baseline["mark"], "joined": True}

    def _begin(self, job, key):
        account, what = self.account, subject(job.options)
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
        if "waits" in handle:
            last = self.account.landed.get(handle["waits"])
            new = last is not None and last.mark > handle["after"]
            return Finished(outcome=Outcome.OK, landing=last) if new else Pending(note="waiting for the next load")
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
            job.end = Finished(outcome=Outcome.OK, landing=self.account.land(job.what))
        return job.end

    async def connections(self):
        return await self.account.call("connections", "", lambda: list(self.account.holds.values()))

    async def find(self, job, baseline, key):
        if job.operation == "wait":
            return Found(handle=self._waits(job, baseline))

        def look():
            match self.operations[job.operation].start_is:
                case StartIs.JOINABLE:
                    same = (
                        one
                        for one in self.account.of(subject(job.options))
                        if one.id > baseline["last"] or one.end is None
                    )
                case StartIs.BLIND:
                    same = iter(())
                case _:
                    same = (one for one in self.account.jobs if one.key == key)
            found = next(same, None)
            return Absent() if found is None else Found(handle={"job": found.id})

        return await self.account.call("find", subject(job.options), look)

    async def cancel(self, handle):
        assert "waits" not in handle, "there is nothing to cancel"
        job = next((one for one in self.account.jobs if one.id == handle.get("job")), None)

        def stop():
            job.cancelled += 1
            if job.end is None and not job.stubborn:
                job.end = Finished(outcome=Outcome.CANCELLED, note="stopped")

        return await self.account.call("cancel", job.what if job else "?", stop)


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


class Connector:
    """One connector for all: what its instances do is up to their accounts."""

    summary = "played"
    limits = staticmethod(limits)

    def __init__(self, world, name, operations=None, notifier=None):
        self.name = name
        self.settings = settings_of(name)
        self.operations = operations or {}
        self.route = AlertRoute if notifier else None
        self._world, self._notifier = world, notifier

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
    tap = {
        "sync": operation(StartIs.JOINABLE, extract, watch="wait"),
        "wait": operation(StartIs.JOINABLE, extract, settle=timedelta(), cancellable=False, watch="wait"),
        "anew": operation(StartIs.JOINABLE, extract, reloads=True, watch="wait"),
        "endless": operation(StartIs.JOINABLE, extract, cancellable=False),
        "marked": operation(StartIs.MARKED, other),
        "blind": operation(StartIs.BLIND, other),
        "hasty": operation(StartIs.KEYED, other, settle=timedelta(), call_timeout=HASTY),
    }
    mill = {"build": operation(StartIs.KEYED, Role.TRANSFORM, BuildOptions, settle=timedelta())}
    mill["sync"] = operation(StartIs.KEYED, other)
    made = (
        Connector(world, "tap", tap),
        Connector(world, "mill", mill),
        Connector(world, "bell", notifier=(Speaks.LIVE, Promise.ONCE)),
        Connector(world, "desk", notifier=(Speaks.LIVE, Promise.LOOKED_UP)),
        Connector(world, "horn", notifier=(Speaks.ALARM, Promise.ONCE)),
        Connector(world, "post", notifier=(Speaks.PLAIN, Promise.AT_LEAST_ONCE)),
    )
    return {one.name: one for one in made}
