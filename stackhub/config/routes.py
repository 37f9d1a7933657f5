"""Whom a pipeline tells of what: what stands under ``alerts:`` in its file."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from stackhub.config.findings import Loc
from stackhub.config.instances import Instances
from stackhub.config.options import check_options
from stackhub.config.page import Page
from stackhub.config.pipeline_file import PipelineFile, RouteFile
from stackhub.model.pipeline import OPENING, Route, Told
from stackhub.model.words import say

OFTEN: Final = timedelta(minutes=5)  # a route is reminded no more often than this


def routes_of(
    file: PipelineFile,
    page: Page,
    instances: Instances,
    environ: Mapping[str, str],
) -> tuple[tuple[Route, ...] | None, list[str]]:
    """Return whom a pipeline tells, None where that is for the hub to say; and the secrets in the routes' options."""
    if file.alerts is None:
        return None, []
    routes: list[Route] = []
    secrets: list[str] = []
    for at, one in file.alerts.items():
        loc: Loc = ("alerts", at)
        place = page.document.place((*loc, "to"))
        instance = instances.ask(one.to, place, page.before((*loc, "to")))
        if instance is None:
            continue
        model = instance.connector.route
        if model is None:
            page.wrong((*loc, "to"), f"{one.to} tells nobody anything: it is no notifier")
            continue
        checked = check_options(model, one.model_extra or {}, environ, None)
        secrets += checked.secrets
        for fault in checked.faults:
            page.fault(fault, loc)
        if one.owner == {}:
            page.wrong((*loc, "owner"), "lists nobody: leave it out to hear of everything")
        if one.renotify is not None and one.renotify < OFTEN:
            page.wrong((*loc, "renotify"), f"is {say(one.renotify)}: at least {say(OFTEN)}")
        routes.append(
            Route(
                to=one.to,
                on=_heard(one, loc, page),
                owners=tuple((one.owner or {}).values()),
                severity=one.severity,
                renotify=one.renotify,
                options=one.model_extra or {},
            )
        )
    return tuple(routes), secrets


def _heard(one: RouteFile, loc: Loc, page: Page) -> frozenset[Told]:
    if one.on is None:
        return OPENING
    heard = frozenset(one.on.values())
    if not heard & OPENING:
        page.wrong((*loc, "on"), f"lists nothing that opens an incident: {', '.join(sorted(OPENING))}")
    return heard
