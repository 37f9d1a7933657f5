"""A connector that plays history again: its jobs take as long and end as they did, and nothing leaves this process."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio
import httpx

from stackhub.config.instances import Instance
from stackhub.contract import (
    Connection,
    Connector,
    Context,
    Job,
    Landing,
    Limits,
    Operation,
    Options,
    Outcome,
    Reading,
    Rejected,
    Role,
    Settings,
)
from stackhub.contract.sandbox import World
from stackhub.decide.deeds import Twins
from stackhub.decide.history import job_key
from stackhub.decide.past import NEVER, How, Memory, Shore
from stackhub.model.run import OpenRun
from stackhub.sandbox.understudy import SHARE, USUAL, Act, PlayedJobs, Teller

SELDOM: Final = timedelta(hours=1)  # between looks that would bring nothing
WAIT: Final = "wait"  # the operation of extracts that begin nothing


@dataclass(slots=True, kw_only=True)
class Scene:
    """What all players share: what is remembered, and what has come of it so far."""

    memory: Memory
    shore: Shore
    twins: Twins
    accounts: Mapping[str, Mapping[str, Connection]]
    projects: Mapping[str, str]
    now: Callable[[], datetime]
    run: Callable[[str], OpenRun | None] = lambda _run: None  # that is open
    calls: Counter[str] = field(default_factory=Counter)  # requests, by account
    pages: dict[str, int] = field(default_factory=dict)  # requests that one listing takes, of accounts that take any
    listings: dict[str, float] = field(default_factory=dict)  # requests for looks that are counted and not played
    hows: Counter[How] = field(default_factory=Counter)  # how sure each job was

    def requests(self) -> dict[str, int]:
        """Return how many requests each account would have had."""
        names = sorted(self.calls.keys() | self.listings.keys())
        return {name: self.calls[name] + round(self.listings.get(name, 0.0)) for name in names}

    def act(self, instance: str, job: Job, role: Role) -> Act:
        """Say how a job goes."""
        connection = self._connection(instance, job)
        if job.operation == WAIT and connection:
            newest = self.shore.newest(instance, connection, self.now())
            after = job.consumed.get(connection) or (newest.mark if newest is not None else "")
            return Act(seconds=NEVER, connection=connection, after=after)
        open_run = self.run(job.run)
        if open_run is None:
            raise Rejected(f"run {job.run} is not open")
        timeout = open_run.pipeline.task(job.task).timeout
        found = self.memory.recall(
            run=self.twins.find(open_run.run),
            pipeline=job.pipeline,
            task=job.task,
            instance=instance,
            job=job_key(open_run.pipeline.task(job.task)),
            number=job.attempt,
            now=self.now(),
            assumed=min(USUAL[role], timeout.total_seconds() / SHARE),
        )
        self.hows[found.how] += 1
        brings = (connection or job.task) if role is Role.EXTRACT else ""
        if brings and found.outcome is Outcome.OK and not found.joined and found.seconds < NEVER:
            self._lands(instance, brings, found.seconds, found.rows)
        return Act(
            seconds=found.seconds,
            outcome=found.outcome,
            note=found.note,
            retryable=found.again,
            connection=brings,
            rows=found.rows,
            joined=found.joined,
        )

    def listed(self, instance: str) -> list[Connection]:
        """List the connections of an account, each with what has landed there by now."""
        now = self.now()
        return [
            replace(one, last=self.shore.newest(instance, one.id, now))
            for one in self.accounts.get(instance, {}).values()
        ]

    def _lands(self, instance: str, connection: str, seconds: float, rows: int | None) -> None:
        at = self.now() + timedelta(seconds=seconds)
        self.shore.add(instance, Landing(connection=connection, mark=marked(at), ended_at=at, rows=rows))

    def _connection(self, instance: str, job: Job) -> str:
        name = str(getattr(job.options, "connection", ""))
        held = self.accounts.get(instance, {})
        if name in held:
            return name
        return next((one.id for one in held.values() if one.name == name), "")


def marked(at: datetime) -> str:
    """Name a load by its time, so that names grow as the times do."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


class Player:
    """A connector with the name, the operations and the options of another."""

    def __init__(self, given: Instance, scene: Scene) -> None:
        connector = given.connector
        self.name: str = connector.name
        self.summary: str = connector.summary
        self.settings: type[Settings] = connector.settings
        self.operations: Mapping[str, Operation] = connector.operations
        self.route: type[Options] | None = connector.route
        self._given = given
        self._connector: Connector = connector
        self._scene = scene
        self._far = connector.sandbox(_nowhere(scene)) is not None  # what has a fake vendor speaks to an account

    def limits(self, settings: Any) -> Limits:
        """Return the other's; jobs whose ends wake the lane by themselves are not looked at meanwhile."""
        found = self._connector.limits(settings)
        return found if found.longest is not None else replace(found, look=SELDOM, first_look=SELDOM)

    def sandbox(self, world: World) -> None:
        """Have no fake vendor."""
        del world

    @asynccontextmanager
    async def open(self, settings: Any, context: Context) -> AsyncIterator[object]:
        """Open nothing that lasts; a notifier is asked how it tells people, which takes no request."""
        instance = context.instance

        async def knock(requests: int) -> None:
            if self._far:
                for _ in range(requests):
                    await context.gate(wait=True)
                self._scene.calls[instance] += requests

        if self.route is not None:
            async with self._connector.open(settings, replace(context, transport=_Shut())) as opened:
                yield Teller(opened.speaks, opened.promise, knock)  # type: ignore[attr-defined]  # a route's connector is a `Notifier`
            return
        limits = self.limits(settings)
        held = self._scene.accounts.get(instance, {})

        def on_begun(seconds: float) -> None:
            if limits.longest is None and seconds < NEVER:  # its end wakes the lane by itself
                asyncio.get_running_loop().call_later(seconds, context.wake)

        pages = max(math.ceil(len(held) / limits.page), 1)
        if self._far:
            self._scene.pages[instance] = pages
        project = self._scene.projects.get(instance, "")
        kind = _Account if held else _Project if project else PlayedJobs
        jobs = kind(
            self.operations,
            lambda job, role: self._scene.act(instance, job, role),
            context.now,
            knock=knock,
            pages=pages,
            landed=lambda connection, after: self._scene.shore.after(instance, connection, after, context.now()),
            on_begun=on_begun,
        )
        if isinstance(jobs, _Account):
            jobs.listed = lambda: self._scene.listed(instance)
        if isinstance(jobs, _Project):
            jobs.project = project
        yield jobs


class _Account(PlayedJobs):
    """With a `Catalog`: the connections as they were last seen, each with what has landed there by now."""

    listed: Callable[[], Sequence[Connection]] = list

    async def connections(self) -> Sequence[Connection]:
        """List what is held by now; `Listings` counts what it takes."""
        return self.listed()


class _Project(PlayedJobs):
    """With `Reads`: the project's files are what they were when it was found out what feeds what."""

    project: str = ""

    async def fingerprint(self) -> str:
        """Name the files as they were."""
        return self.project

    async def reading(self, job: Job) -> Reading:
        """Refuse: there is no project here to read."""
        raise Rejected(
            f"{job.task}: its project is not read here, and what feeds it was not found out as it is written"
        )


class _Shut(httpx.AsyncBaseTransport):
    """No way out."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"a request would leave this process: {request.method} {request.url.host}")


async def _call(url: str, headers: Mapping[str, str], body: bytes) -> None:
    del url, headers, body


def _nowhere(scene: Scene) -> World:
    """Return a world in which nothing is played: only to see who has a fake vendor."""
    rng = random.Random(0)  # noqa: S311 - nothing is drawn from it
    return World(now=scene.now, sleep=anyio.sleep, rng=rng, call=_call, land=lambda _vendor, _connection: 0)
