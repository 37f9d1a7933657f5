"""The routes that ask for something to be done. Each is kept before it is obeyed, so a 2xx outlives a crash."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Any, Final, cast

import anyio
from fastapi import APIRouter, Header, HTTPException, Request
from msgspec import MsgspecError
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from stackhub.engine.engine import Engine
from stackhub.model.codec import dump, load
from stackhub.server.finding import (
    Caller,
    RunId,
    Text,
    TheCaller,
    TheEngine,
    answers,
    pipeline_named,
    run_named,
    task_named,
)
from stackhub.server.patience import read, submit
from stackhub.server.views import View
from stackhub.store import shown

MANY: Final = 1000  # tasks that one request may name

router = APIRouter(responses=answers(400, 404, 408, 409, 413, 415))


def keepable(given: dict[str, Any]) -> dict[str, Any]:
    """Refuse what would not be the same once kept: infinities, halves of letters, lists without end."""
    try:
        same = load(dict[str, Any], dump(given)) == given
    except (MsgspecError, OverflowError, RecursionError, TypeError, ValueError) as err:
        raise ValueError("holds a value that cannot be kept") from err
    if not same:
        raise ValueError("holds a value that cannot be kept")
    return given


_Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f]+$", max_length=200)]
_Reason = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=2000)]
_Key = Annotated[str | None, Header(pattern=r"^[A-Za-z0-9_.:-]{1,100}$", description="The same key makes one run.")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Triggering(_Body):
    """One part, or other options, once."""

    only: list[_Name] = Field(default=[], max_length=MANY, description="Tasks; the others are left out.")
    options: Annotated[dict[_Name, dict[str, Any]], AfterValidator(keepable)] = Field(
        default={}, alias="with", max_length=MANY, description="Options in place of the configured ones, by task."
    )
    params: Annotated[dict[_Name, Any], AfterValidator(keepable)] = Field(
        default={}, max_length=MANY, description="What `{{ trigger.NAME }}` stands for in the run's options."
    )


class Reason(_Body):
    """Why; it stands in the history."""

    reason: _Reason = ""


class Cancelling(Reason):
    """How a run is ended."""

    lost: bool = Field(default=False, description="Jobs that stackhub has lost sight of are over.")


class GoodReason(_Body):
    """Why; a skip is audited, so it needs one."""

    reason: Annotated[_Reason, Field(min_length=1)]


class Retrying(_Body):
    """How a run is done again."""

    from_start: bool = Field(default=False, description="Carry nothing over.")
    latest: bool = Field(default=False, description="Follow the pipeline as it is today.")
    lost: bool = Field(default=False, description="Of a run that goes on: start again the jobs that are out of sight.")


class Muting(GoodReason):
    """What nobody is told of for a while, and why."""

    target: _Name = Field(description="A pipeline, an instance, INSTANCE/CONNECTION, or the key of an open incident.")
    until: AwareDatetime = Field(description="RFC 3339, with its zone.")


class Unmuting(_Body):
    """What is told again."""

    target: _Name = Field(description="As it was muted, or the mute's key.")


class Testing(_Body):
    """Whose routes are tested."""

    pipeline: _Name | None = Field(default=None, description="Absent: the default routes.")


# --- pipelines -------------------------------------------------------------------------------------------------------


@router.post("/pipelines/{name}/trigger", status_code=202, tags=["pipelines"])
async def trigger(
    request: Request,
    name: Text,
    engine: TheEngine,
    caller: TheCaller,
    body: Triggering | None = None,
    idempotency_key: _Key = None,
) -> View:
    """Start a run. It is durably accepted when this answers: killed right after, it is still there."""
    pipeline_named(engine, name)
    asked = body or Triggering()
    args = {"pipeline": name, "only": asked.only, "with": asked.options, "trigger": caller.trigger}
    if asked.params:
        args["params"] = asked.params
    if idempotency_key is None:
        return await submit(engine, "trigger", args, caller.by)
    async with cast("anyio.Lock", request.app.state.keys):
        before = await read(engine, partial(shown.asked, key=idempotency_key))
        args["idempotency_key"] = idempotency_key
        if before is None:
            return await submit(engine, "trigger", args, caller.by)
        if before.args != args:
            raise HTTPException(422, f"Idempotency-Key {idempotency_key} was used for another request")
        return before.result


@router.post("/pipelines/{name}/pause", tags=["pipelines"])
async def pause(name: Text, engine: TheEngine, caller: TheCaller, body: Reason | None = None) -> View:
    """Pause a pipeline: its schedules start nothing until it is resumed."""
    pipeline_named(engine, name)
    return await _submit(engine, caller, "pause", {"pipeline": name, "reason": body.reason if body else ""})


@router.post("/pipelines/{name}/resume", tags=["pipelines"])
async def resume(name: Text, engine: TheEngine, caller: TheCaller) -> View:
    """Resume a pipeline; its `catchup` says what becomes of the ticks in between."""
    pipeline_named(engine, name)
    return await _submit(engine, caller, "resume", {"pipeline": name})


# --- runs ------------------------------------------------------------------------------------------------------------


@router.post("/runs/{run_id}/cancel", status_code=202, tags=["runs"])
async def cancel(run_id: RunId, engine: TheEngine, caller: TheCaller, body: Cancelling | None = None) -> View:
    """Cancel a run: its jobs are asked to stop, or let go where their tool has no cancel."""
    run = (await run_named(engine, run_id)).run
    return await _submit(engine, caller, "cancel", {"run": run.id, **(body or Cancelling()).model_dump()})


@router.post("/runs/{run_id}/retry", status_code=202, tags=["runs"])
async def retry(run_id: RunId, engine: TheEngine, caller: TheCaller, body: Retrying | None = None) -> View:
    """Make a run that does what this one did not get done; asked twice, it returns the same run."""
    run = (await run_named(engine, run_id)).run
    return await _submit(engine, caller, "retry", {"run": run.id, **(body or Retrying()).model_dump()})


@router.post("/runs/{run_id}/steps/{task}/skip", status_code=202, tags=["runs"])
async def skip(run_id: RunId, task: Text, engine: TheEngine, caller: TheCaller, body: GoodReason) -> View:
    """Go on without a task; of a run that has ended, by a retry that does."""
    open_run = await run_named(engine, run_id)
    args = {"run": open_run.run.id, "task": task_named(open_run, task), "reason": body.reason}
    return await _submit(engine, caller, "skip", args)


# --- incidents, the hub ----------------------------------------------------------------------------------------------


@router.post("/incidents/{incident}/close", tags=["incidents"])
async def close(incident: Text, engine: TheEngine, caller: TheCaller, body: Reason | None = None) -> View:
    """Close an incident by hand; ``incident`` is its id, or its key."""
    if not any(incident in (one.id, one.key) for one in engine.incidents.open.values()):
        raise HTTPException(404, f"no open incident {incident!r}")
    return await _submit(engine, caller, "close", {"incident": incident, "reason": body.reason if body else ""})


@router.post("/alerts/test", status_code=202, tags=["incidents"])
async def test_alerts(engine: TheEngine, caller: TheCaller, body: Testing | None = None) -> View:  # noqa: PT028 - no test
    """Send a test down each route of a pipeline, or down the default ones."""
    name = body.pipeline if body else None
    if name is not None:
        pipeline_named(engine, name)
    return await _submit(engine, caller, "test", {"pipeline": name or ""})


@router.post("/alerts/mute", tags=["incidents"])
async def mute(engine: TheEngine, caller: TheCaller, body: Muting) -> View:
    """Tell nobody of a pipeline, an account or a connection for a while; what happens is kept, and told after it."""
    args = {"target": body.target, "until": body.until.isoformat(), "reason": body.reason}
    return await _submit(engine, caller, "mute", args)


@router.post("/alerts/unmute", tags=["incidents"])
async def unmute(engine: TheEngine, caller: TheCaller, body: Unmuting) -> View:
    """End a mute: what it has held back, and lasts, is told at once."""
    return await _submit(engine, caller, "unmute", {"target": body.target})


@router.post("/reload", tags=["hub"])
async def reload(request: Request) -> View:
    """Read the configuration again, as SIGHUP does. One that is not good is refused whole."""
    again = cast("Callable[[], Awaitable[str]] | None", request.app.state.reload)
    if again is None:
        raise HTTPException(409, "this hub does not read its configuration again: start it anew")
    refused = await again()
    if refused:
        raise HTTPException(409, refused)
    return {"revision": request.app.state.engine.revision}


async def _submit(engine: Engine, caller: Caller, kind: str, args: Mapping[str, Any]) -> View:
    return await submit(engine, kind, args, caller.by)
