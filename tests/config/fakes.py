"""Small connectors and a directory to write configurations in."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from stackhub.config.read import Configuration, read
from stackhub.contract import Limits, Operation, Options, Role, Settings, StartIs
from stackhub.errors import ConfigError


class TapSettings(Settings):
    model_config = SettingsConfigDict(env_prefix="TAP_")

    api_key: SecretStr = Field(min_length=4)
    api_url: str = "https://tap.example.com"
    page: int = 100
    regions: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    hook: SecretStr | None = None

    @field_validator("hook")
    @classmethod
    def _talks_too_much(cls, value):
        if value and value.get_secret_value().startswith("bad"):
            raise ValueError(f"will not do: {value.get_secret_value()}")
        return value


class MillSettings(Settings):
    model_config = SettingsConfigDict(env_prefix="MILL_")
    further_variables: ClassVar[bool] = True

    project_dir: Path = Path()
    target: str | None = None
    further: Mapping[str, SecretStr] = Field(default_factory=dict)


class CellarSettings(Settings):
    model_config = SettingsConfigDict(env_prefix="CELLAR_")


class BellSettings(Settings):
    model_config = SettingsConfigDict(env_prefix="BELL_")

    token: SecretStr
    channel: str | None = None


class HornSettings(Settings):
    model_config = SettingsConfigDict(env_prefix="MILL_FAST_")  # clashes with the instance mill.fast


class SyncOptions(Options):
    connection: str
    rows: int | None = Field(default=None, ge=0)


class BuildOptions(Options):
    select: str | list[str] | None = None
    partial: bool = False
    models: Annotated[tuple[str, ...], BeforeValidator(lambda v: v.split() if isinstance(v, str) else v)] = ()
    variables: dict[str, str] = Field(default_factory=dict)


class CheckOptions(Options):
    url: SecretStr
    query: str = "select 1"
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    since: str = ""
    unit: str = "rows"

    @field_validator("unit")
    @classmethod
    def _is_a_unit(cls, value):
        if value not in {"rows", "bytes"}:
            raise ValueError(f"no such unit: {value}")
        return value


class BellRoute(Options):
    channel: str | None = None
    loud: bool = False


class HornRoute(Options):
    melody: str


class Fake:
    summary = "a fake"
    route = None
    operations: Mapping[str, Operation] = {}

    def __init__(self, name, settings, operations=None, route=None):
        self.name, self.settings, self.operations, self.route = name, settings, operations or {}, route

    def limits(self, settings):
        return Limits()

    def open(self, settings, context):
        raise NotImplementedError

    def sandbox(self, world):
        return None


def operation(options, role):
    return Operation(options=options, summary="-", start_is=StartIs.BLIND, settle=timedelta(), role=role)


CONNECTORS = {
    fake.name: fake
    for fake in (
        Fake("tap", TapSettings, {w: operation(SyncOptions, Role.EXTRACT) for w in ("sync", "wait")}),
        Fake("mill", MillSettings, {"build": operation(BuildOptions, Role.TRANSFORM)}),
        Fake("cellar", CellarSettings, {"check": operation(CheckOptions, Role.OTHER)}),
        Fake("bell", BellSettings, route=BellRoute),
        Fake("horn", CellarSettings, route=HornRoute),
        Fake("mill_fast", HornSettings, {"build": operation(BuildOptions, Role.TRANSFORM)}),
    )
}

TAP = "TAP_API_KEY=tap-key-1\n"
BELL = "BELL_TOKEN=bell-token-1\n"

GOOD = """\
pipeline: revenue
description: Revenue marts
owner: finance
schedule: {cron: "0 6 * * 1-5", timezone: Europe/Berlin}
sla: {finish_by: "07:30", max_duration: 75m}
catchup: last
overlap: skip
max_active: 4
defaults: {timeout: 2h, retries: {attempts: 3, wait: 30s, backoff: 2, max_wait: 10m}}

tasks:
  marts:
    uses: mill.build
    with: {select: "+tag:revenue", partial: true}
  shop: {uses: tap.sync, with: {connection: shop_prod}}
  stripe:
    uses: tap.wait
    with: {connection: "Stripe to warehouse"}
    timeout: 30m
    retries: {attempts: 1}
    on_timeout: let_go
    freshness: require_new
  checked:
    uses: cellar.check
    with: {url: "${WAREHOUSE_URL}", since: "{{ interval.start }}"}
    needs: [marts, {task: shop, complete: true}]

alerts:
  - {to: bell, channel: "#data", on: [failed, at_risk, late, resolved]}
  - {to: bell, severity: critical}
"""
ENVIRON = {"WAREHOUSE_URL": "db://user:cellar-secret@host/db"}


def load(name):
    return CONNECTORS[name]


class House:
    """A configuration directory."""

    def __init__(self, root: Path):
        self.root = root
        self.environ = dict(ENVIRON)

    def write(self, **files: str) -> "House":
        """Write env files by name ("tap_eu" is tap.eu.env) and pipelines ("p_revenue" is pipelines/revenue.yaml)."""
        for name, text in files.items():
            if name.startswith("p_"):
                self.put(f"pipelines/{name[2:]}.yaml", text)
            else:
                self.put(f"{name.replace('_', '.')}.env", text)
        return self

    def put(self, path: str, text: str | bytes) -> Path:
        file = self.root / path
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(0o600)
        return file

    def read(self, **more) -> Configuration:
        return read(self.root, self.environ, load, CONNECTORS, **more)

    def problems(self) -> list[str]:
        """Return every problem as a person reads it."""
        try:
            self.read()
        except ConfigError as error:
            return [str(problem) for problem in error.problems]
        return []

    def warnings(self) -> list[str]:
        return [str(warning) for warning in self.read().warnings]
