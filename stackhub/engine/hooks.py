"""The `webhook` triggers: a signed request begins one run, however often it is delivered."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from stackhub.clock import Clock
from stackhub.config.expand import expand
from stackhub.decide.payload import values
from stackhub.decide.signed import verified
from stackhub.engine.inforce import InForce
from stackhub.errors import ConfigError, Rejected
from stackhub.store import tables as t
from stackhub.store.store import Store

LONGEST: Final = 64 * 1024  # bytes of a body
CLOSED: Final = "there is no such hook, or it has no secret"
PAUSED: Final = "{} is paused: send it again when it is resumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A genuine request, read."""

    args: Mapping[str, Any]  # of the command
    before: str  # the run that an earlier delivery of it began; "" when this is the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Verifies and reads requests."""

    store: Store
    in_force: InForce
    clock: Clock
    environ: Mapping[str, str]

    async def read(self, name: str, headers: Mapping[str, str], body: bytes) -> Wanted:
        """Read a request to the hook of a pipeline.

        Raises:
            Rejected: with the HTTP status that it deserves; nobody learns which pipelines there are.
            Refused: its values cannot be handed on.
        """
        known = self.in_force.active(name)
        hook = known.pipeline.hook if known is not None else None
        if known is None or hook is None:
            raise Rejected(CLOSED, status=404)
        try:
            secret = str(expand(hook.secret, self.environ))
        except ConfigError:
            raise Rejected(CLOSED, status=404) from None
        id_ = verified(secret, headers, body, self.clock.now(), hook.tolerance)
        before = await self.begun(name, id_)
        if before:
            return Wanted(args={}, before=before)
        if known.paused_at is not None:
            raise Rejected(PAUSED.format(name), status=409)
        if len(body) > LONGEST:
            raise Rejected(f"a body may have {LONGEST} bytes at most", status=413)
        try:
            payload = msgspec.json.decode(body, type=dict[str, Any]) if body.strip() else {}
        except (msgspec.MsgspecError, RecursionError):
            raise Rejected("the body is no JSON object", status=400) from None
        values(payload)  # refused before anything is kept
        args = {"pipeline": name, "trigger": "webhook", "params": payload, "hook": id_}
        return Wanted(args=args, before="")

    async def begun(self, pipeline: str, id_: str) -> str:
        """Return the run that a request has begun; "" when it has begun none."""
        return await self.store.read(partial(_run_of, pipeline=pipeline, id_=id_))


def _run_of(connection: sa.Connection, pipeline: str, id_: str) -> str:
    where = (t.hook.c.pipeline == pipeline, t.hook.c.id == id_)
    return connection.scalar(sa.select(t.hook.c.run).where(*where)) or ""
