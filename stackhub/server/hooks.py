"""Webhooks. Vendors': verified by their connector over the raw bytes, and believed only so far as to look at once."""

from typing import Final

import anyio
import structlog
from fastapi import APIRouter, HTTPException, Request

from stackhub.contract import Rejected, Webhook
from stackhub.errors import Refused, StackhubError
from stackhub.server.finding import TheEngine
from stackhub.server.patience import submit
from stackhub.server.views import View

log = structlog.get_logger()
PATIENCE: Final = 5.0  # seconds for a connector to verify and read one
CLOSED: Final = "there is no such hook, or it has no secret"
REFUSED: Final = {401: "the signature is missing or wrong", 403: "the signature is missing or wrong"}

router = APIRouter(prefix="/hooks", include_in_schema=False)


@router.post("/pipelines/{name}", status_code=202)
async def begin(request: Request, name: str, engine: TheEngine) -> View:
    """Begin a run by a signed request; delivered again, it answers with the run that it has begun."""
    try:
        wanted = await engine.hooks.read(name, dict(request.headers), await request.body())
    except Rejected as err:
        raise HTTPException(err.status, str(err)) from err
    except Refused as err:
        raise HTTPException(422, str(err)) from err
    if not wanted.before:
        try:
            return await submit(engine, "trigger", wanted.args, f"webhook {wanted.args['hook']}")
        except Refused:
            before = await engine.hooks.begun(name, str(wanted.args["hook"]))  # by another hub, in this moment
            if not before:
                raise
            return {"run": before, "already": True}
    return {"run": wanted.before, "already": True}


@router.post("/{instance}")
@router.post("/{instance}/{path:path}")
async def hear(request: Request, instance: str, engine: TheEngine, path: str = "") -> View:
    """Hear from a vendor, and wake its lane if that was genuine.

    An unknown instance, one that hears nothing and one without a secret answer alike, so that nobody learns which
    there are.
    """
    held = engine.lanes.open.get(instance)
    if held is None or not isinstance(held.connector, Webhook):
        raise HTTPException(404, CLOSED)
    body = await request.body()
    try:
        with anyio.fail_after(PATIENCE):
            hints = await held.connector.receive(dict(request.headers), body, path)
    except Rejected as err:
        status = err.status if 400 <= err.status < 500 else 400  # noqa: PLR2004 - the caller's fault
        raise HTTPException(status, CLOSED if status == 404 else REFUSED.get(status, "refused")) from err  # noqa: PLR2004
    except (StackhubError, TimeoutError) as err:
        raise HTTPException(503, "this cannot be verified now") from err
    except Exception as err:  # a bug, but in a plugin, and from a stranger's bytes: it may cost this hook, not the hub
        log.exception("bug in a connector", instance=instance, verb="receive")
        raise HTTPException(400, "this cannot be read") from err
    if hints:
        engine.lanes.look_now(instance)
    return {"heard": len(hints)}
