"""Small fake vendors, and connectors that bring them along."""

import json
from dataclasses import dataclass, field

import anyio

from stackhub.contract.sandbox import Shown, faulty


class Player:
    """Answers every request with what it saw of it."""

    def __init__(self, name, world):
        self.name = name
        self.world = world
        self.faults = []
        self.requests = []
        self._app = faulty(self._answer, self.faults, self.requests, world)

    async def __call__(self, scope, receive, send):
        await self._app(scope, receive, send)

    async def _answer(self, scope, receive, send):
        seen = {"name": self.name, "root": scope["root_path"], "path": scope["path"]}
        seen["raw"] = scope["raw_path"].decode()
        body = json.dumps(seen).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def environment(self, url):
        return {f"{self.name.upper()}_API_URL": url, f"{self.name.upper()}_KEY": "sandbox"}


class Syncs(Player):
    """Has connections, ticks, and remembers how it was scripted."""

    def __init__(self, name, world):
        super().__init__(name, world)
        self.added = []
        self.scripts = {}
        self.begun = []
        self.hook = ""
        self.ticking = anyio.Event()
        self.stopped = False

    def add(self, feed):
        self.added.append(feed)

    def script(self, connection, *turns):
        self.scripts[connection] = turns

    def begin(self, connection):
        self.begun.append(connection)

    def started(self, connection):
        return 3

    async def run(self):
        self.ticking.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.stopped = True


class Inbox(Player):
    """Shows one message."""

    def shown(self):
        return [Shown(where="#data", lines=("dbt failed",), replies=(("retried",),))]


@dataclass
class Plugin:
    """A connector, as far as a stage needs one."""

    name: str
    play: object = None
    played: list = field(default_factory=list)

    def sandbox(self, world):
        vendor = self.play(self.name, world) if self.play else None
        self.played.append(vendor)
        return vendor
