"""The configuration as a compiler sees it; ``--live`` tries every credential, permission and connection as well."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import anyio
from rich.text import Text

from stackhub.cli import exits, plan, words
from stackhub.cli.asked import ask_each
from stackhub.cli.where import Where
from stackhub.config.instances import Instance
from stackhub.config.layers import prefix_of
from stackhub.config.options import connection_of
from stackhub.config.read import Configuration
from stackhub.contract import Catalog, Connection, Health, Permission, Probe
from stackhub.decide.coverage import uncovered
from stackhub.engine.watching import watches
from stackhub.errors import ConfigError, Problem
from stackhub.server.redact import Redactor

PATIENCE: Final = 60.0  # seconds for one instance
LISTED: Final = 8  # candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of one trial."""

    instance: str
    name: str
    ok: bool
    detail: str = ""
    remedy: str = ""


def check(where: Where, *, live: bool, as_json: bool) -> int:
    """Check everything that can be checked, and say all that is wrong at once."""
    try:
        configuration = where.configuration()
    except ConfigError as err:
        if not as_json:
            raise
        words.document(_view(err.problems, (), None, ()))
        return exits.WRONG
    warnings = [*configuration.warnings, *lints(configuration)]
    tried = anyio.run(_try_all, configuration, where.environ) if live else []
    code = exits.FAILED if any(not one.ok for one in tried) else exits.OK
    if as_json:
        words.document(_view((), warnings, configuration, tried))
        return code
    for warning in warnings:
        exits.say(f"{warning.place}: warning: {warning.text}" if warning.place else f"warning: {warning.text}")
    if live:
        _show(tried)
    counted = (
        words.counted(len(configuration.pipelines), "pipeline"),
        words.counted(len(configuration.instances), "instance"),
    )
    if configuration.in_shadow:
        print(f"in shadow, so they start nothing and tell nobody: {', '.join(configuration.in_shadow)}")
    refused = sum(not one.ok for one in tried)
    print(f"{', '.join(counted)}: {f'{refused} of {len(tried)} trials refused' if refused else 'good'}")
    return code


def lints(configuration: Configuration) -> list[Problem]:
    """Return what is allowed and yet is probably not meant."""
    found = []
    for name, pipeline in configuration.pipelines.items():
        place = configuration.sources[name].relative_to(configuration.directory).as_posix()
        found += [Problem(place, text) for text in uncovered(pipeline, plan.routes(pipeline, configuration))]
    for name, instance in configuration.instances.items():
        found += _absent_paths(name, instance, configuration.directory)
    return found


def _absent_paths(name: str, instance: Instance, directory: Path) -> list[Problem]:
    settings = instance.settings
    return [
        Problem(f"{name}.env", f"{prefix_of(type(settings))}{key.upper()}: {directory / value} does not exist")
        for key in type(settings).model_fields
        if isinstance(value := getattr(settings, key), Path) and not (directory / value).exists()
    ]


def _view(
    problems: Sequence[Problem],
    warnings: Sequence[Problem],
    configuration: Configuration | None,
    tried: Sequence[Tried],
) -> dict[str, Any]:
    return {
        "problems": [asdict(one) for one in problems],
        "warnings": [asdict(one) for one in warnings],
        "pipelines": sorted(configuration.pipelines) if configuration else [],
        "shadow": configuration.in_shadow if configuration else [],
        "instances": sorted(configuration.instances) if configuration else [],
        "live": [asdict(one) for one in tried],
    }


def _show(tried: Sequence[Tried]) -> None:
    out = words.console()
    good, bad = ("✓", "✗") if words.fits("✓✗", out.encoding) else ("ok", "no")
    rows = [
        (
            one.instance,
            Text(good, style="green") if one.ok else Text(bad, style="bold red"),
            one.name,
            Text(words.clean(one.detail), style="dim").append(f"\n{one.remedy}".rstrip(), style="default not dim"),
        )
        for one in tried
    ]
    words.table(out, ("instance", "", "permission", "detail and remedy"), rows)


# --- live ------------------------------------------------------------------------------------------------------------


async def _try_all(configuration: Configuration, environ: Mapping[str, str]) -> list[Tried]:
    hide = Redactor(configuration.secrets)
    found: dict[str, list[Tried]] = {name: [] for name in configuration.instances}

    async def ask(instance: Instance, opened: object) -> None:
        name, mine = instance.name, found[instance.name]
        permissions = await opened.check() if isinstance(opened, Probe) else ()
        mine += [_tried(name, one, hide) for one in permissions]
        wanted = _connections(configuration, instance, environ)
        if wanted and isinstance(opened, Catalog) and all(one.ok for one in mine):
            held = await opened.connections()
            mine += [_match(name, place, asked, held) for place, asked in wanted]

    for name, why in (await ask_each(configuration, ask, patience=PATIENCE)).items():
        found[name].append(Tried(instance=name, name="answers", ok=False, detail=why))
    return [tried for name in sorted(found) for tried in found[name]]


def _tried(instance: str, one: Permission, hide: Redactor) -> Tried:
    return Tried(instance=instance, name=one.name, ok=one.ok, detail=hide(one.detail), remedy=hide(one.remedy))


def _connections(configuration: Configuration, instance: Instance, environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what tasks and triggers name as their connection at this instance, with the place of each."""
    waited_for = [
        (f"{pipeline.name}: what it waits for", watched.connection)
        for pipeline in configuration.pipelines.values()
        for watched in sorted(watches(pipeline))
        if watched.instance == instance.name
    ]
    return waited_for + [
        (f"{pipeline.name}.{task.name}", asked)
        for pipeline in configuration.pipelines.values()
        for task in pipeline.tasks
        if task.instance == instance.name and (asked := connection_of(task, pipeline.name, instance.connector, environ))
    ]


def _match(instance: str, place: str, asked: str, held: Sequence[Connection]) -> Tried:
    """Say whether what a task names is one connection, and one that runs."""
    name = f"connection of {place}"
    found = [one for one in held if asked in (one.id, one.name)]
    if not found:
        names = sorted({one.name for one in held})
        near = difflib.get_close_matches(asked, names, n=3) or names[:LISTED]
        remedy = f"name one of: {', '.join(near)}" if near else "the account shows none to this key"
        return Tried(instance=instance, name=name, ok=False, detail=f"there is no {asked!r}", remedy=remedy)
    if len(found) > 1:
        remedy = f"name it by its id: {', '.join(one.id for one in found)}"
        return Tried(instance=instance, name=name, ok=False, detail=f"{asked!r} are {len(found)}", remedy=remedy)
    [one] = found
    detail = f"{asked} is {one.health.value}{f': {one.note}' if one.note else ''}"
    good = one.health in {Health.OK, Health.UNKNOWN}
    remedy = "" if good else f"mend it at its vendor{f': {one.url}' if one.url else ''}"
    return Tried(instance=instance, name=name, ok=good, detail=detail, remedy=remedy)
