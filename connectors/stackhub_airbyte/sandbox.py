"""A fake Airbyte, as awkward as the real one: the public API, the piece of the Config API that we use, tokens.

It hands out tokens that run out, lists jobs oldest first and hides refreshes from a list that names no type, gives
every page a ``next`` on a host that does not exist, refuses a second job of a connection with 409, leaves out seconds
that are zero, asks for patience without saying how long (plan a `Fault`), and sends unsigned notifications.

Shapes: the public API's specification and the server's code, airbyte-platform (read 2026-11).
"""

import base64
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import parse_qs

import anyio
import httpx

from stackhub.contract.sandbox import Fault, Feed, Receive, Scope, Send, Turn, World, faulty, heard, reply
from stackhub_airbyte.answers import ENDED
from stackhub_airbyte.played import (
    PlayedJob,
    Script,
    connection_body,
    destination_bodies,
    full_connection_body,
    notification,
)

WORKSPACE: Final = "b510e39b-e9e2-4833-9a3a-963e51d35fb4"
CLIENT_ID: Final = "0c31738c-0b2d-4887-b506-e2cd1c39cc35"
CLIENT_SECRET: Final = "sandbox-client-secret"  # noqa: S105 - opens nothing
PASSWORD: Final = "sandbox-password"  # noqa: S105 - opens nothing
HOOK: Final = "sandbox-hook-token"
PUBLIC: Final = "/api/public/v1"
CONFIG: Final = "/api/v1"
TICK: Final = 1.0  # seconds between looks while a job is going

Body = dict[str, Any]


class Problem(Exception):
    """A refusal, in the shape of the API it comes from."""

    def __init__(self, status: int, title: str, message: str, *, public: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.body: Body = {
            "status": status,
            "type": f"https://reference.airbyte.com/reference/errors#{title}",
            "title": title,
            "detail": title.replace("-", " ").capitalize(),
            "documentationUrl": None,
            "data": {"message": message},
        }
        if not public:
            self.body = {"message": message, "exceptionClassName": "io.airbyte.commons.server.errors.KnownException"}


class AirbyteSandbox:
    """One workspace of a fake Airbyte. The public attributes may be set at any time."""

    name = "airbyte"

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.mode: Literal["application", "basic", "none"] = "application"
        self.life = timedelta(minutes=15)  # of a token
        self.tells_life = True  # whether the answer to a token request has `expires_in`
        self.old = False  # give tokens only where older servers do
        self.page = 100  # rows of a page, at most
        self.slowness = 0.0  # seconds that a start takes to answer
        self.hook = ""  # the URL that notifications go to; "" for none
        self.jobs: dict[int, PlayedJob] = {}
        self.feeds: dict[str, Feed] = {}
        self.states: dict[str, dict[str, str]] = {}  # by connection id: `status`, `cron`
        self._script = Script()
        self._tokens: dict[str, datetime] = {}
        self._given = 0
        self._counts: dict[str, int] = {}
        self._number = 0
        self._to_tell: list[PlayedJob] = []
        self._busy = anyio.Event()
        self._app = faulty(self._answer, self.faults, self.requests, self.world)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    def environment(self, url: str) -> Mapping[str, str]:
        """Return the variables that point an instance at this Airbyte."""
        ways_in = {
            "application": {"AIRBYTE_CLIENT_ID": CLIENT_ID, "AIRBYTE_CLIENT_SECRET": CLIENT_SECRET},
            "basic": {"AIRBYTE_USERNAME": "airbyte", "AIRBYTE_PASSWORD": PASSWORD},
            "none": {},
        }
        return {
            "AIRBYTE_API_URL": f"{url}{PUBLIC}",
            "AIRBYTE_CONFIG_API_URL": f"{url}{CONFIG}",
            "AIRBYTE_WORKSPACE_ID": WORKSPACE,
            "AIRBYTE_WEBHOOK_TOKEN": HOOK,
            **ways_in[self.mode],
        }

    # --- the script ---------------------------------------------------------------------------------------------

    def add(self, feed: Feed) -> None:
        """Add a connection."""
        self.feeds[feed.id] = feed

    def script(self, connection: str, *turns: Turn) -> None:
        """Say what the next jobs of a connection do."""
        self._script.turns[self._feed(connection).id] = list(turns)

    def release(self, connection: str) -> None:
        """Let a job of a connection that hangs end well now."""
        now = self.world.now()
        for job in self.jobs.values():
            if job.feed.id == self._feed(connection).id and job.ends_at() is None:
                job.phases = (*job.phases, ((now - job.began).total_seconds(), "succeeded"))
                self._busy.set()

    def speak(self, connection: str, *statuses: str) -> None:
        """Let the next job of a connection pass through these statuses, each for the same time."""
        self._script.words[self._feed(connection).id] = statuses

    def garble(self, status: str) -> None:
        """Let every job that has not ended show this status."""
        now = self.world.now()
        for job in self.jobs.values():
            if job.status(now) not in ENDED:
                job.said = status

    def started(self, connection: str) -> int:
        """Return how many jobs of this connection have begun, by whomever."""
        return self._counts.get(self._feed(connection).id, 0)

    def begin(self, connection: str, kind: str = "sync") -> int:
        """Start a job as Airbyte's own schedule, or a person there, would; returns its id."""
        return self._begin(self._feed(connection), kind).id

    def expire_tokens(self) -> None:
        """End the life of every token given out."""
        self._tokens.clear()

    async def run(self) -> None:
        """Let landings and notifications happen by themselves, until cancelled."""
        while True:
            await self._tick()
            now = self.world.now()
            ends = [end for job in self.jobs.values() if not job.settled and (end := job.ends_at()) is not None]
            if ends:
                await self.world.sleep(min(max((min(ends) - now).total_seconds(), 0.01), TICK))
            else:
                self._busy = anyio.Event()
                await self._busy.wait()

    # --- jobs ---------------------------------------------------------------------------------------------------

    def _feed(self, connection: str) -> Feed:
        return next(feed for feed in self.feeds.values() if connection in {feed.id, feed.name})

    def _begin(self, feed: Feed, kind: str) -> PlayedJob:
        now = self.world.now()
        self._settle(now)
        if any(job.feed.id == feed.id and job.status(now) not in ENDED for job in self.jobs.values()):
            raise Problem(409, "try-again-later", f"A sync is already running for: {feed.id}")
        phases, reason = self._script.phases(feed)
        self._number += 1
        began = now.replace(microsecond=0)
        job = PlayedJob(
            id=self._number, feed=feed, kind=kind, created_at=began, began=now, phases=phases, reason=reason
        )
        self.jobs[job.id] = job
        self._counts[feed.id] = self._counts.get(feed.id, 0) + 1
        self._busy.set()
        return job

    def _settle(self, now: datetime) -> None:
        """Bring in what has landed, once each, and note whose end is to be told."""
        for job in self.jobs.values():
            if job.settled or (status := job.status(now)) not in ENDED:
                continue
            job.settled = True
            if status == "succeeded" and job.kind in {"sync", "refresh"}:
                job.rows = self.world.land(self.name, job.feed.name)
            if job.kind == "sync" and status != "cancelled":  # neither refreshes nor cancelled ones are told
                self._to_tell.append(job)

    async def _tick(self) -> None:
        now = self.world.now()
        self._settle(now)
        while self._to_tell:
            job = self._to_tell.pop(0)
            if self.hook:
                body = json.dumps(notification(job, WORKSPACE, now)).encode()
                with suppress(OSError, httpx.HTTPError):  # told once, and nobody hears that it was lost
                    await self.world.call(self.hook, {"content-type": "application/json"}, body)

    # --- HTTP ---------------------------------------------------------------------------------------------------

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        query = {name: values[-1] for name, values in parse_qs(scope.get("query_string", b"").decode()).items()}
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        raw = await heard(receive)
        await self._tick()
        try:
            body = json.loads(raw or b"{}")
            status, answer = 200, self._route(scope["method"], path, query, body, headers)
        except Problem as problem:
            status, answer = problem.status, problem.body
        except ValueError:
            status, answer = 400, {"status": 400, "title": "bad-request"}
        if self.slowness and (scope["method"], path) == ("POST", f"{PUBLIC}/jobs"):
            await self.world.sleep(self.slowness)
        await reply(send, status, {}, json.dumps(answer).encode())

    def _route(self, method: str, path: str, query: Body, body: Body, headers: Mapping[str, str]) -> Body:
        if path == (f"{CONFIG}/applications/token" if self.old else f"{PUBLIC}/applications/token"):
            return self._token(body)
        if path.endswith("/applications/token"):
            raise Problem(404, "resource-not-found", f"No such resource: {path}")
        self._admit(headers.get("authorization", ""))
        if path.startswith(PUBLIC):
            return self._public(method, path.removeprefix(PUBLIC), query, body)
        return self._config(path.removeprefix(CONFIG), body)

    def _public(self, method: str, path: str, query: Body, body: Body) -> Body:
        now = self.world.now()
        job = re.fullmatch(r"/jobs/(\d+)", path)
        connection = re.fullmatch(r"/connections/([^/]+)", path)
        match method, path:
            case "GET", "/connections":
                return self._list(path, query, [self._connection(feed) for feed in self.feeds.values()])
            case "GET", "/destinations":
                return self._list(path, query, destination_bodies(list(self.feeds.values()), WORKSPACE))
            case "GET", "/workspaces":
                return self._list(path, query, [{"workspaceId": WORKSPACE, "name": "Sandbox"}])
            case "GET", "/jobs":
                return self._list(path, query, self._jobs(query, now))
            case "POST", "/jobs":
                return self._start(body).body(self.world.now())
            case "GET", _ if connection and connection[1] in self.feeds:
                return self._connection(self.feeds[connection[1]])
            case "GET", _ if job and int(job[1]) in self.jobs:
                return self.jobs[int(job[1])].body(now)
            case "DELETE", _ if job and int(job[1]) in self.jobs:
                return self._stop(self.jobs[int(job[1])], now).body(now)
            case _:
                raise Problem(404, "resource-not-found", f"No such resource: {path}")

    def _connection(self, feed: Feed) -> Body:
        return connection_body(feed, WORKSPACE, self.states.get(feed.id, {}))

    def _start(self, body: Body) -> PlayedJob:
        feed = self.feeds.get(str(body.get("connectionId")))
        match body.get("jobType"):
            case _ if feed is None:
                raise Problem(404, "resource-not-found", f"No such connection: {body.get('connectionId')}")
            case "sync" if self.states.get(feed.id, {}).get("status", "active") != "active":
                raise Problem(409, "state-conflict", "Can only sync an active connection")
            case "sync":
                return self._begin(feed, "sync")
            case "clear" | "reset":
                return self._begin(feed, "reset")
            case _:
                raise Problem(422, "unprocessable-entity", "Refreshes are not supported in the public API")

    def _stop(self, job: PlayedJob, now: datetime) -> PlayedJob:
        if job.status(now) in ENDED:
            raise Problem(409, "state-conflict", "Job is not currently running")
        job.cancelled_at = now
        return job

    def _jobs(self, query: Body, now: datetime) -> list[Body]:
        """List jobs: oldest first unless asked otherwise, and only syncs and resets unless a type is named."""
        kinds = {query["jobType"]} if query.get("jobType") else {"sync", "reset"}
        rows = [
            job.body(now)
            for job in self.jobs.values()
            if job.kind in kinds
            and query.get("connectionId", job.feed.id) == job.feed.id
            and query.get("status", job.status(now)) == job.status(now)
        ]
        return rows[::-1] if query.get("orderBy", "").endswith("|DESC") else rows

    def _list(self, path: str, query: Body, rows: list[Body]) -> Body:
        if query.get("workspaceIds", WORKSPACE) != WORKSPACE:
            rows = []
        limit, offset = min(int(query.get("limit", 20)), self.page), int(query.get("offset", 0))
        page = rows[offset : offset + limit]
        host = f"http://incorrect-url:9999{PUBLIC}{path}"
        return {
            "previous": f"{host}?limit={limit}&offset={offset - limit}" if offset else "",
            "next": f"{host}?limit={limit}&offset={offset + limit}" if page else "",
            "data": page,
        }

    def _config(self, path: str, body: Body) -> Body:
        now = self.world.now()
        match path:
            case "/health":
                return {"available": True}
            case "/connections/list":
                feeds = self.feeds.values() if body.get("workspaceId") == WORKSPACE else ()
                return {"connections": [full_connection_body(f, WORKSPACE, self.states.get(f.id, {})) for f in feeds]}
            case "/connections/refresh" if (feed := self.feeds.get(str(body.get("connectionId")))) is not None:
                try:
                    return {"job": self._begin(feed, "refresh").full_body(now)["job"]}
                except Problem as problem:
                    raise Problem(problem.status, "", str(problem), public=False) from problem
            case "/jobs/get_without_logs" if body.get("id") in self.jobs:
                return self.jobs[int(body["id"])].full_body(now)
            case _:
                raise Problem(404, "", f"Could not find configuration for {path}", public=False)

    # --- tokens -------------------------------------------------------------------------------------------------

    def _token(self, body: Body) -> Body:
        if (body.get("client_id"), body.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise Problem(401, "invalid-api-key", "Invalid client id or secret")
        now = self.world.now()
        self._given += 1
        claims = {"iat": now.timestamp(), "exp": (now + self.life).timestamp(), "jti": self._given}
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        token = f"eyJhbGciOiJIUzI1NiJ9.{payload}.c2FuZGJveA"
        self._tokens[token] = now + self.life
        told = {"token_type": "Bearer", "expires_in": int(self.life.total_seconds())} if self.tells_life else {}
        return {"access_token": token, **told}

    def _admit(self, authorization: str) -> None:
        kind, _, rest = authorization.partition(" ")
        match self.mode:
            case "none":
                return
            case "basic" if kind == "Basic" and rest == base64.b64encode(f"airbyte:{PASSWORD}".encode()).decode():
                return
            case "application" if kind == "Bearer" and rest in self._tokens:
                if self.world.now() < self._tokens[rest]:
                    return
        raise Problem(401, "invalid-api-key", "The token is not valid, or not valid any more")
