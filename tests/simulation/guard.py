"""What stands between one life of a hub and the far ends: a dead hub reaches nothing any more.

Each verb of a connector is a point before and after which its hub may die; so is each request where the far end is a
fake vendor behind a transport.
"""

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from stackhub.config.read import Configuration

VERBS = (
    "prepare",
    "start",
    "poll",
    "find",
    "cancel",
    "deliver",
    "connections",
    "check",
    "receive",
    "fingerprint",
    "reading",
)
FACTS = ("speaks", "promise")


class Killed(BaseException):
    """The hub's process is gone."""


def guarded(configuration: Configuration, life: Any) -> Configuration:
    """Return a configuration whose connectors are reached by one life only, while it lasts."""
    instances = {
        name: replace(one, connector=GuardedConnector(one.connector, life))
        for name, one in configuration.instances.items()
    }
    return replace(configuration, instances=instances)


class GuardedConnector:
    """A connector in the hands of one life."""

    def __init__(self, connector, life):
        self._connector, self._life = connector, life

    def __getattr__(self, name):
        return getattr(self._connector, name)

    @asynccontextmanager
    async def open(self, settings, context):
        life = self._life
        if life.transport is not None:
            wire = GuardedTransport(life.transport(context.instance), life, context.instance)
            context = replace(context, transport=wire, rng=life.rng)
        async with self._connector.open(settings, context) as opened:
            yield _hold(opened, life, context.instance)


def _hold(opened, life, instance):
    """Return something that implements the protocols which ``opened`` does, and no more."""

    def verb(name):
        async def call(_, *args, **more):
            life.point(f"{instance} {name}: before")
            answer = await getattr(opened, name)(*args, **more)
            life.point(f"{instance} {name}: after")
            return answer

        return call

    parts: dict[str, Any] = {name: verb(name) for name in VERBS if hasattr(opened, name)}
    parts |= {name: getattr(opened, name) for name in FACTS if hasattr(opened, name)}
    return type(f"Guarded{type(opened).__name__}", (), parts)()


@dataclass
class GuardedTransport(httpx.AsyncBaseTransport):
    """A far end's HTTP, in the hands of one life."""

    inner: httpx.AsyncBaseTransport
    life: Any
    instance: str

    async def handle_async_request(self, request):
        what = f"{self.instance} {request.method} {request.url.path}"
        self.life.point(f"{what}: before")
        answer = await self.inner.handle_async_request(request)
        self.life.point(f"{what}: after")
        return answer
