"""What the accounts hold: each connection, how it is, when it last landed, and who uses it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import anyio
from rich.text import Text

from stackhub.cli import exits, words
from stackhub.cli.asked import ask_each
from stackhub.cli.where import Where
from stackhub.config.instances import Instance
from stackhub.config.nearest import hint
from stackhub.config.read import Configuration
from stackhub.config.uses import uses_at
from stackhub.contract import Catalog, Connection, Health
from stackhub.decide.watch import SAYS, trouble_of, uses_of
from stackhub.errors import Refused
from stackhub.model.incident import Incident
from stackhub.server.views import connection_view
from stackhub.store import connections as kept
from stackhub.store import queries

PATIENCE: Final = 120.0  # seconds for an account to list what it holds
LISTED: Final = 4  # tasks


def connections(where: Where, instance: str, *, live: bool, as_json: bool) -> int:
    """List connections: as the daemon last saw them, or as the accounts say now."""
    configuration = where.configuration()
    if instance and instance not in configuration.instances:
        raise Refused(f"no instance {instance!r}{hint(instance, configuration.instances)}")
    with where.reader() as reader:
        held: dict[str, dict[str, Connection]] = reader(kept.connections) if reader else {}
        opened = {one.key: one for one in reader(queries.open_incidents)} if reader else {}
    silent: dict[str, str] = {}
    if live:
        held, silent = anyio.run(_asked, configuration, instance)
    views = _views(configuration, where.environ, held, opened, instance)
    if as_json:
        words.document(views)
    else:
        _show(views, where.hub().timezone)
    for name, why in sorted(silent.items()):
        exits.say(f"{name}: {why}")
    if not views and not as_json and not live:
        exits.say("nothing is known yet: the daemon looks at accounts that pipelines use; --live asks them now")
    return exits.FAILED if silent else exits.OK


async def _asked(configuration: Configuration, wanted: str) -> tuple[dict[str, dict[str, Connection]], dict[str, str]]:
    held: dict[str, dict[str, Connection]] = {}

    async def ask(instance: Instance, opened: object) -> None:
        if isinstance(opened, Catalog) and wanted in ("", instance.name):
            held[instance.name] = {one.id: one for one in await opened.connections()}

    silent = await ask_each(configuration, ask, patience=PATIENCE)
    return held, {name: why for name, why in silent.items() if wanted in ("", name)}


def _views(
    configuration: Configuration,
    environ: Mapping[str, str],
    held: Mapping[str, Mapping[str, Connection]],
    opened: Mapping[str, Incident],
    wanted: str,
) -> list[dict[str, Any]]:
    return [
        connection_view(
            name,
            one,
            used_by=[f"{use.pipeline}.{use.task}" for use in uses_of(one, uses)],
            incident=trouble_of(opened, name, one.id),
        )
        for name, found in sorted(held.items())
        if wanted in ("", name)
        for account in [configuration.instances.get(name)]
        for uses in [uses_at(account, configuration.pipelines.values(), environ) if account is not None else {}]
        for one in sorted(found.values(), key=lambda one: (one.name, one.id))
    ]


def _show(views: Sequence[Mapping[str, Any]], zone: str) -> None:
    now = datetime.now(UTC)
    rows = []
    for one in views:
        bad = one["health"] in SAYS
        state = Text(one["health"], style="bold red" if bad else "" if one["health"] == Health.OK else "yellow")
        if one["syncing"]:
            state.append(", syncing", style="cyan")
        last = one["last_landing"]
        at = datetime.fromisoformat(last["ended_at"]) if last else None
        landed = f"{words.stamp(at, zone, short=True)} ({words.length(now - at)} ago)" if at else ""
        used = words.listed(one["used_by"], LISTED) if one["used_by"] else "nobody"
        note = f"\n{words.first_line(one['note'])}" if one["note"] else ""
        name = Text(words.clean(f"{one['instance']}/{one['name']}"))
        rows.append((name, state, one["schedule"], landed, Text(used).append(words.clean(note), style="dim")))
    if rows:
        words.table(words.console(), ("connection", "state", "schedule", f"last landing ({zone})", "used by"), rows)
