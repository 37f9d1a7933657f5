"""A configuration directory, read and checked as a whole: all of it good, or every problem at once."""

import hashlib
import os
import secrets as randomness
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from stackhub.config.calendars import calendar_files
from stackhub.config.checks import Declared, check_together, declare
from stackhub.config.env_files import HUB, env_files, read_env_file
from stackhub.config.findings import Findings
from stackhub.config.hiding import to_hide
from stackhub.config.instances import Instance, Instances, fingerprint
from stackhub.config.layers import Resolved, Source, resolve
from stackhub.config.notify import default_routes, fallbacks
from stackhub.config.page import Page
from stackhub.config.settings import HubSettings, hub_defaults
from stackhub.config.yaml_nodes import MOST_BYTES
from stackhub.config.yaml_nodes import load as load_yaml
from stackhub.contract import Connector
from stackhub.errors import ConfigError, Problem
from stackhub.model import codec
from stackhub.model.pipeline import Mode, Pipeline, Route

PIPELINES: Final = "pipelines"
_THIS_PROCESS: Final = randomness.token_bytes(32)

DirectoryState: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""(name, modified in ns, size, inode) of each file that matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All that a directory and the environment say, checked."""

    directory: Path
    hub: HubSettings
    instances: Mapping[str, Instance]
    pipelines: Mapping[str, Pipeline]
    texts: Mapping[str, str]  # pipeline -> its snapshot: canonical JSON, equal for equal pipelines
    sources: Mapping[str, Path]  # pipeline -> its file
    routes: tuple[Route, ...]  # of pipelines without `alerts:`
    fallback: tuple[str, ...]  # the instances to try when a route cannot deliver
    warnings: tuple[Problem, ...]
    secrets: tuple[str, ...]  # every secret value, longest first, for redaction
    hub_fingerprint: str

    @property
    def in_shadow(self) -> list[str]:
        """Return the names of the pipelines that start nothing and tell nobody."""
        return [name for name, pipeline in self.pipelines.items() if pipeline.mode is Mode.SHADOW]

    @property
    def revision(self) -> str:
        """Name this configuration: the same while nothing in it has changed, under the same key."""
        text = codec.dump(
            [
                self.hub_fingerprint,
                {name: one.fingerprint for name, one in self.instances.items()},
                dict(self.texts),
            ]
        )
        return hashlib.sha256(text.encode()).hexdigest()


def read(
    directory: Path,
    environ: Mapping[str, str],
    load: Callable[[str], Connector],
    names: Collection[str],
    *,
    key: bytes = _THIS_PROCESS,
) -> Configuration:
    """Read a configuration directory.

    ``load`` returns an installed connector by its name, one of ``names``; only those that are used are loaded.
    ``key`` makes the fingerprints worthless to whoever has not got it; with a key that is kept, fingerprints and
    revision can be compared across restarts.

    Raises:
        ConfigError: with every problem there is, in the order of their places.
    """
    findings = Findings()
    directory = _there(directory)
    hub = _hub(directory, environ, findings)
    settings = hub.settings
    instances = Instances(
        directory=directory,
        environ=environ,
        load=load,
        installed=names,
        key=key,
        findings=findings,
    )
    instances.read_files()
    declared = [_declared(path, instances, environ, settings, findings) for path in _pipeline_files(directory)]
    check_together(declared)
    routes: tuple[Route, ...] = ()
    stepping_in: tuple[str, ...] = ()
    if settings is not None:
        routes = default_routes(settings, _place(hub, "alerts"), instances, findings)
        stepping_in = fallbacks(settings, _place(hub, "fallback"), instances, findings)
    usable = instances.usable()
    warnings = findings.settle()
    assert settings is not None  # noqa: S101 - else there was a problem, and `settle` has raised
    good = {one.name: one for one in declared if one is not None and one.name is not None and one.pipeline is not None}
    pipelines = {name: one.pipeline for name, one in sorted(good.items()) if one.pipeline is not None}
    hidden = {*hub.secrets}
    hidden.update(*(one.secrets for one in usable.values()), *(one.secrets for one in good.values()))
    return Configuration(
        directory=directory,
        hub=settings,
        instances=usable,
        pipelines=pipelines,
        texts={name: codec.dump(pipeline) for name, pipeline in pipelines.items()},
        sources={name: directory / one.page.document.name for name, one in sorted(good.items())},
        routes=routes,
        fallback=stepping_in,
        warnings=warnings,
        secrets=to_hide(hidden),
        hub_fingerprint=fingerprint(settings, key),
    )


def read_hub(directory: Path, environ: Mapping[str, str]) -> HubSettings:
    """Read the hub's own settings alone: a pipeline that cannot be read hides no history.

    Raises:
        ConfigError: there is no such directory, or ``stackhub.env`` cannot be used.
    """
    findings = Findings()
    hub = _hub(_there(directory), environ, findings)
    findings.settle()
    assert hub.settings is not None  # noqa: S101 - else there was a problem, and `settle` has raised
    return hub.settings


def find_directory(option: str | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Find the configuration: ``--config``, STACKHUB_CONFIG, ``./configs`` if it holds stackhub.env, else ``cwd``."""
    named = option or environ.get("STACKHUB_CONFIG")
    if named:
        return cwd / named
    configs = cwd / "configs"
    return configs if (configs / f"{HUB}.env").is_file() else cwd


def fingerprint_directory(directory: Path) -> DirectoryState:
    """Return something cheap that differs once an env, pipeline or calendar file was added, removed or written."""
    found = []
    for path in [*env_files(directory), *_pipeline_files(directory), *calendar_files(directory)]:
        try:
            seen = path.stat()
        except OSError:  # gone since it was listed
            continue
        found.append((f"{path.parent.name}/{path.name}", seen.st_mtime_ns, seen.st_size, seen.st_ino))
    return tuple(found)


def _there(directory: Path) -> Path:
    directory = Path(os.path.abspath(directory))  # noqa: PTH100 - keeps symlinks, which is how clusters mount these
    if not directory.is_dir():
        raise ConfigError(Problem(str(directory), "is no directory: name one with --config or STACKHUB_CONFIG"))
    return directory


def _hub(directory: Path, environ: Mapping[str, str], findings: Findings) -> Resolved[HubSettings]:
    path = directory / f"{HUB}.env"
    file = read_env_file(path, findings) if path.is_file() else None
    source = Source(name=HUB, directory=directory, file=file, environ=environ)
    return resolve(HubSettings, source, findings, lambda given: hub_defaults(directory, given))


def _place(hub: Resolved[HubSettings], name: str) -> str:
    return hub.given[name].place if name in hub.given else f"{HUB}.env"


def _pipeline_files(directory: Path) -> list[Path]:
    """List the pipeline files by name; editors' hidden ones are not ours."""
    found = [path for kind in ("*.yaml", "*.yml") for path in (directory / PIPELINES).glob(kind)]
    return sorted(path for path in found if not path.name.startswith(".") and path.is_file())


def _declared(
    path: Path,
    instances: Instances,
    environ: Mapping[str, str],
    hub: HubSettings | None,
    findings: Findings,
) -> Declared | None:
    name = f"{PIPELINES}/{path.name}"
    try:
        with path.open("rb") as stream:
            document = load_yaml(stream.read(MOST_BYTES + 1), name)
    except OSError as error:
        findings.wrong(name, f"cannot be read: {error.strerror}")
    except ConfigError as error:
        findings.problems += error.problems
    else:
        findings.problems += document.problems
        page = Page(document, findings)
        if hub is None:
            return declare(page, instances, environ, "UTC")
        return declare(page, instances, environ, hub.timezone, hub.mode)
    return None
