"""The prompter's desk: scripts what the fake vendors do, over HTTP, so that curl is enough.

    GET    /                  what is played here and how to point a hub at it, in plain text
    GET    /_sandbox/<name>   connections, requests, messages, planned faults
    POST   /_sandbox/<name>   one or more of
             {"connection": "shop_crm", "turns": [{"ends": "badly", "seconds": 2, "reason": "quota"}]}
             {"fault": {"breaks": "status", "status": 503, "times": 3, "path": "/sync$"}}
             {"feed": {"id": "calm_river", "name": "erp", "tables": ["invoices"]}}
             {"connection": "shop_crm", "begin": true}       a sync of the vendor's own schedule
             {"hook": "http://127.0.0.1:8787/hooks/fivetran"}
    DELETE /_sandbox/<name>   forget the faults that are left

`Turn`, `Fault` and `Feed` of `stackhub.contract.sandbox` say what each key means.
"""

import json
import re
import shlex
from dataclasses import asdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from stackhub.contract.sandbox import App, FakeVendor, Fault, Feed, InboxVendor, SyncVendor, Turn

if TYPE_CHECKING:
    from stackhub.sandbox.mount import Stage  # which imports this module

LAST: Final = 200  # requests that are shown


class Order(BaseModel):
    """What may be asked of one vendor."""

    model_config = ConfigDict(extra="forbid")

    connection: str = ""
    turns: tuple[Turn, ...] = ()
    begin: bool = False
    hook: str | None = None
    fault: Fault | None = None
    feed: Feed | None = None


class _Wrong(Exception):
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def desk(stage: "Stage") -> App:
    """Build the application that answers for everything but the vendors themselves."""

    async def tell(request: Request) -> Response:
        return PlainTextResponse(playbill(stage, str(request.base_url).rstrip("/")))

    async def direct(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            vendor = _vendor(stage, name)
            if request.method == "POST":
                _follow(stage, name, _read(await request.body()))
            elif request.method == "DELETE":
                vendor.faults.clear()
        except _Wrong as wrong:
            return JSONResponse({"error": str(wrong)}, wrong.status)
        return JSONResponse(_shown(stage, name, vendor))

    return Starlette(
        routes=[
            Route("/", tell),
            Route("/_sandbox/{name}", direct, methods=["GET", "POST", "DELETE"]),
        ]
    )


def _vendor(stage: "Stage", name: str) -> FakeVendor:
    if name not in stage.vendors:
        raise _Wrong(HTTPStatus.NOT_FOUND, f"no vendor {name!r} here: {', '.join(sorted(stage.vendors)) or 'none'}")
    return stage.vendors[name]


def _read(body: bytes) -> Order:
    try:
        return Order.model_validate_json(body)
    except ValidationError as err:
        words = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in err.errors())
        raise _Wrong(HTTPStatus.BAD_REQUEST, words) from err


def _follow(stage: "Stage", name: str, order: Order) -> None:
    vendor = stage.vendors[name]
    of_syncs = order.connection or order.feed or order.hook is not None
    if not (of_syncs or order.fault):
        raise _Wrong(HTTPStatus.BAD_REQUEST, "says nothing: give connection and turns, fault, feed, or hook")
    if order.fault:
        _check(order.fault)
    if of_syncs:
        if not isinstance(vendor, SyncVendor):
            raise _Wrong(HTTPStatus.BAD_REQUEST, f"{name} runs no syncs: give a fault")
        _sync(stage, name, vendor, order)
    if order.fault:
        vendor.faults.append(order.fault)


def _sync(stage: "Stage", name: str, vendor: SyncVendor, order: Order) -> None:
    """Follow what concerns a vendor's syncs."""
    if order.feed:
        stage.add(name, order.feed)
    if order.connection:
        known = [feed for feed in stage.feeds(name) if order.connection in {feed.id, feed.name}]
        if not known:
            names = ", ".join(feed.name for feed in stage.feeds(name)) or "none"
            raise _Wrong(HTTPStatus.NOT_FOUND, f"{name} has no connection {order.connection!r}: {names}")
        if order.turns or not order.begin:
            vendor.script(known[0].id, *order.turns)
        if order.begin:
            vendor.begin(known[0].id)
    if order.hook is not None:
        vendor.hook = order.hook


def _check(fault: Fault) -> None:
    try:
        re.compile(fault.path)
    except re.error as err:
        raise _Wrong(HTTPStatus.BAD_REQUEST, f"fault.path: no regular expression: {err}") from err


def _shown(stage: "Stage", name: str, vendor: FakeVendor) -> dict[str, Any]:
    shown: dict[str, Any] = {"vendor": name, "faults": [asdict(fault) for fault in vendor.faults if fault.times > 0]}
    if isinstance(vendor, SyncVendor):
        shown["connections"] = [{**asdict(feed), "started": vendor.started(feed.id)} for feed in stage.feeds(name)]
    if isinstance(vendor, InboxVendor):
        shown["messages"] = [asdict(message) for message in vendor.shown()]
    return {**shown, "requests": [f"{method} {path}" for method, path in vendor.requests[-LAST:]]}


def playbill(stage: "Stage", url: str) -> str:
    """Say in plain text what is played here, which variables point at it, and how to script it."""
    parts = ["stackhub sandbox: fake vendors, as awkward as the real ones. Nothing here leaves this machine."]
    for name, variables in sorted(stage.environment(url).items()):
        lines = [f"== {name}   {url}/{name}", *(f"{feed.name}  ({feed.id})" for feed in stage.feeds(name))]
        parts.append(
            "\n".join([*lines, f"{name}.env:", *(f"  {key}={_quoted(value)}" for key, value in variables.items())])
        )
    syncs = [name for name, vendor in sorted(stage.vendors.items()) if isinstance(vendor, SyncVendor)]
    for name in syncs[:1]:
        connection = next((feed.name for feed in stage.feeds(name)), "NAME")
        order: dict[str, Any] = {
            "connection": connection,
            "turns": [{"ends": "badly", "reason": "quota exhausted"}],
        }
        parts.append(f"The next sync ends badly:\n  curl -d {shlex.quote(json.dumps(order))} {url}/_sandbox/{name}")
    for name in sorted(stage.vendors)[:1]:
        order = {"fault": {"breaks": "status", "status": 503, "times": 3}}
        parts.append(
            f"The next three answers are 503:\n  curl -d {shlex.quote(json.dumps(order))} {url}/_sandbox/{name}\n"
            f"What has been asked of it, and what it shows:\n  curl {url}/_sandbox/{name}"
        )
    return "\n\n".join(parts) + "\n"


def _quoted(value: str) -> str:
    """Write a value as an env file wants it: ``#`` begins a comment, except between quotes."""
    return f'"{value}"' if set(value) & set("# ") else value
