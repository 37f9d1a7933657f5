"""What can go wrong with a pipeline that nobody would be told of. Pure."""

from collections.abc import Sequence
from typing import Final

from stackhub.decide.routes import same
from stackhub.model.pipeline import Pipeline, Route, Told

EVENTS: Final = {Told.FAILED: "fails", Told.LATE: "is late"}


def uncovered(pipeline: Pipeline, routes: Sequence[Route]) -> list[str]:
    """Return what is to be said of a pipeline whose failure, or lateness, reaches nobody for certain.

    A route for an owner counts where the pipeline is his: whose models a failure will reach is not known beforehand.
    """
    if not routes:
        return [f"nobody is told when {pipeline.name} fails: add alerts, or a notifier's env file"]
    wanted = [Told.FAILED, *([Told.LATE] if pipeline.sla is not None else [])]
    return [said for kind in wanted if (said := _gap(pipeline, routes, kind))]


def _gap(pipeline: Pipeline, routes: Sequence[Route], kind: Told) -> str:
    listening = [route for route in routes if kind in route.on]
    if any(not route.owners or (pipeline.owner and same(route.owners, [pipeline.owner])) for route in listening):
        return ""
    said = f"nobody is told for certain when {pipeline.name} {EVENTS[kind]}"
    if not listening:
        return f"{said}: no route has {kind.value} under on:"
    whose = ", ".join(sorted({owner for route in listening for owner in route.owners}))
    its = f"its owner is {pipeline.owner}" if pipeline.owner else "it has no owner"
    return f"{said}: {its}, and the routes that hear of it are for {whose} alone"
