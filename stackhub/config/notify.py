"""Whom the hub tells when a pipeline does not say, and who steps in when a route cannot deliver."""

from stackhub.config.findings import Findings
from stackhub.config.instances import Instance, Instances
from stackhub.config.options import check_options
from stackhub.config.settings import HubSettings
from stackhub.model.pipeline import Route


def default_routes(hub: HubSettings, place: str, instances: Instances, findings: Findings) -> tuple[Route, ...]:
    """Return the routes of pipelines without ``alerts:``: STACKHUB_ALERTS, else every notifier with an env file.

    ``place`` is where STACKHUB_ALERTS is given.
    """
    if hub.alerts is not None:
        asked = (_notifier(name, place, "STACKHUB_ALERTS: ", instances, findings) for name in dict.fromkeys(hub.alerts))
        told = [one for one in asked if one is not None]
    else:
        told = [one for one in instances.usable().values() if one.notifies and one.source is not None]
    for one in told:
        _check_bare(one, place if hub.alerts is not None else f"{one.name}.env", instances, findings)
    return tuple(Route(to=one.name) for one in told)


def fallbacks(hub: HubSettings, place: str, instances: Instances, findings: Findings) -> tuple[str, ...]:
    """Return the instances to try, in order, when a route cannot deliver; the route's own may be among them."""
    if hub.fallback is None:
        return tuple(name for name, one in instances.usable().items() if one.notifies)
    instance = _notifier(hub.fallback, place, "STACKHUB_FALLBACK: ", instances, findings)
    if instance is not None:
        _check_bare(instance, place, instances, findings)
    return (hub.fallback,)


def _notifier(name: str, place: str, before: str, instances: Instances, findings: Findings) -> Instance | None:
    instance = instances.ask(name, place, before)
    if instance is not None and not instance.notifies:
        findings.wrong(place, f"{before}{name} is no notifier: it tells nobody anything")
        return None
    return instance


def _check_bare(one: Instance, place: str, instances: Instances, findings: Findings) -> None:
    """Check that a route without options of its own will do."""
    if one.connector.route is None:
        return
    for fault in check_options(one.connector.route, {}, instances.environ, None).faults:
        text = f"{one.name} cannot be told without options ({fault})"
        findings.wrong(place, f"{text}: list it under alerts: in the pipelines, and others in STACKHUB_ALERTS")
