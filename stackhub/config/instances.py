"""Instances: a connector with its settings, from an env file or, where there is none, from the process environment."""

import hashlib
import hmac
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stackhub.config.env_files import HUB, env_files, instance_of, read_env_file
from stackhub.config.findings import Findings
from stackhub.config.layers import Source, own_prefix, resolve
from stackhub.config.nearest import hint
from stackhub.config.shape import secrets_in
from stackhub.contract import Connector, Settings
from stackhub.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A connector with credentials."""

    name: str  # "fivetran", "fivetran.eu"
    connector: Connector
    settings: Settings
    source: Path | None  # its env file
    secrets: tuple[str, ...] = field(default=(), repr=False)  # what no log may show
    fingerprint: str = ""  # tells whether an edit changed the settings; worth nothing without the key

    @property
    def notifies(self) -> bool:
        """Whether alerts can be sent to it."""
        return self.connector.route is not None


@dataclass(slots=True, kw_only=True)
class Instances:
    """The instances of one directory: those with a file at once, others when something names them."""

    directory: Path
    environ: Mapping[str, str]
    load: Callable[[str], Connector]
    installed: Collection[str]
    key: bytes
    findings: Findings
    _found: dict[str, Instance | None] = field(default_factory=dict)  # None: there is one, and it is not usable
    _connectors: dict[str, Connector | ConfigError] = field(default_factory=dict)

    def read_files(self) -> None:
        """Read every env file but the hub's."""
        for path in env_files(self.directory):
            named = instance_of(path, self.findings)
            if named is None or named[0] == HUB:
                continue
            name, kind = named
            if kind == HUB:
                self.findings.wrong(path.name, f"there is one hub: its file is {HUB}.env")
                continue
            self._found[name] = None
            connector = self.connector(kind, path.name)
            if connector is not None:
                file = read_env_file(path, self.findings)
                source = Source(name=name, directory=self.directory, file=file, environ=self.environ)
                self._found[name] = self._made(connector, source)

    def connector(self, name: str, place: str, before: str = "") -> Connector | None:
        """Return a connector; one that is not there, or cannot be used, is a problem at ``place``."""
        if name not in self.installed:
            self.findings.wrong(place, f"{before}unknown connector {name!r}{hint(name, self.installed)}")
            return None
        if name not in self._connectors:
            try:
                self._connectors[name] = self.load(name)
            except ConfigError as error:
                self._connectors[name] = error
        found = self._connectors[name]
        if isinstance(found, ConfigError):
            for problem in found.problems:
                self.findings.wrong(place, f"{before}{problem}")
            return None
        return found

    def ask(self, name: str, place: str, before: str = "") -> Instance | None:
        """Return the instance that something at ``place`` names; why there is none is a problem there, told once."""
        if name in self._found:
            return self._found[name]
        kind, dot, part = name.partition(".")
        if kind not in self.installed:
            known = {*self._found, *(n for n in self.installed if not dot)}
            self.findings.wrong(place, f"{before}unknown instance {name!r}{hint(name, known)}")
            return None
        connector = self.connector(kind, place, before)
        if connector is None:
            return None
        prefix = own_prefix(connector.settings, name)
        if dot and not (part and any(key.startswith(prefix) for key in self.environ)):
            text = f"no instance {name!r}: there is neither {name}.env nor a variable {prefix}* in the environment"
            self.findings.wrong(place, before + text + hint(name, self.of(kind)))
            return None
        source = Source(name=name, directory=self.directory, file=None, environ=self.environ, asked_at=place)
        self._found[name] = None
        self._found[name] = self._made(connector, source)
        return self._found[name]

    def of(self, connector: str) -> list[str]:
        """Return the names of a connector's instances that are known so far, whether usable or not."""
        return [name for name in self._found if name.partition(".")[0] == connector]

    def usable(self) -> dict[str, Instance]:
        """Return the instances by name; those whose variables would be mixed up are problems."""
        owners: dict[str, str] = {}
        for name in sorted(self._found):
            connector = self._connectors.get(name.partition(".")[0])
            if connector is None or isinstance(connector, ConfigError):
                continue
            prefix = own_prefix(connector.settings, name)
            other = owners.setdefault(prefix, name)
            if other != name:
                text = f"{other} and {name} would both read {prefix}* from the environment: rename one"
                self.findings.wrong(f"{name}.env", text)
        return {name: one for name, one in sorted(self._found.items()) if one is not None}

    def _made(self, connector: Connector, source: Source) -> Instance | None:
        resolved = resolve(connector.settings, source, self.findings)
        if resolved.settings is None:
            return None
        return Instance(
            name=source.name,
            connector=connector,
            settings=resolved.settings,
            source=source.file.path if source.file else None,
            secrets=resolved.secrets,
            fingerprint=fingerprint(resolved.settings, self.key),
        )


def fingerprint(settings: Settings, key: bytes) -> str:
    """Return a keyed hash over settings and secrets: the same for the same, and no way back without the key."""
    secrets = [[list(loc), value] for loc, value in secrets_in(settings)]
    shown = settings.model_dump(mode="json", fallback=repr)
    text = json.dumps([type(settings).__name__, shown, secrets], sort_keys=True)
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
