"""The hub's own settings: ``stackhub.env`` and ``STACKHUB_*``."""

import ipaddress
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from stackhub.config.duration import Duration, Size
from stackhub.config.zones import known_zone
from stackhub.contract import Settings
from stackhub.model.pipeline import Mode

_STORES: Final = ("sqlite", "postgresql")


def _lowered(written: Any) -> Any:
    return written.lower() if isinstance(written, str) else written


def _names(written: Any) -> Any:
    if isinstance(written, str):
        return tuple(name.strip() for name in written.split(",") if name.strip())
    return written


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError("should be an address such as https://stackhub.example.com")
    return url


def _secret_address(url: SecretStr) -> SecretStr:
    _address(url.get_secret_value())
    return url


class HubSettings(Settings):
    """One hub. Every field is written ``STACKHUB_<FIELD>``; paths are absolute once `read` has made them."""

    model_config = SettingsConfigDict(env_prefix="STACKHUB_")

    database_url: SecretStr
    """Where the store is: ``sqlite:///path`` or ``postgresql://user:password@host/name``; by default SQLite in
    ``state_dir``. Secret, since it may hold a password."""
    state_dir: Path
    """What is ours to write in; by default ``.stackhub`` in the configuration's directory."""
    host: str = "127.0.0.1"
    port: int = Field(default=8787, ge=0, le=65_535)
    """0 takes any free port."""
    api_token: SecretStr | None = Field(default=None, min_length=8)
    """What callers of the API show; without one the hub listens on loopback only."""
    timezone: Annotated[str, AfterValidator(known_zone)] = "UTC"
    """The zone of schedules and deadlines that name none; an IANA name."""
    mode: Annotated[Mode, BeforeValidator(_lowered)] = Mode.LIVE
    """``shadow``: every pipeline decides, records and shows what it would do, starts nothing and tells nobody."""
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lowered)] = "text"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lowered)] = "info"
    alerts: Annotated[tuple[str, ...] | None, BeforeValidator(_names)] = None
    """The instances that hear of pipelines without ``alerts:``; None: every notifier that has an env file."""
    fallback: str | None = None
    """The instance that is told when a route cannot deliver; None: any other notifier."""
    grace: Duration = timedelta(seconds=10)
    """From SIGTERM to exit."""
    lease: Duration = timedelta(seconds=15)
    """How long one of several hubs may be silent before the others take over what it attends."""
    catalog_every: Duration = timedelta(minutes=1)
    """How often an account is looked at for what has landed there, where something waits for that."""
    watch: Duration = timedelta(minutes=5)
    """How often accounts are looked at for connections that will not load; 0s: never."""
    retention: Duration = timedelta(days=90)
    """How long runs and what they said are kept."""
    log_max: Size = 50_000_000
    """Bytes of output kept for a step; head and tail stay."""
    heartbeat_url: Annotated[SecretStr, AfterValidator(_secret_address)] | None = None
    """Called every minute while the hub is well. Secret: whoever knows it can fake the beat."""
    public_url: Annotated[str, AfterValidator(_address)] | None = None
    """Where people reach the page, for links in messages."""

    @field_validator("database_url")
    @classmethod
    def _is_a_store(cls, url: SecretStr) -> SecretStr:
        scheme = url.get_secret_value().partition(":")[0].partition("+")[0]
        if scheme not in _STORES:
            raise ValueError("should begin with sqlite:/// or postgresql://")
        return url

    @field_validator("grace", "retention", "catalog_every")
    @classmethod
    def _is_some_time(cls, length: timedelta) -> timedelta:
        if length <= timedelta():
            raise ValueError("should be longer than nothing")
        return length

    @field_validator("lease")
    @classmethod
    def _can_be_renewed(cls, length: timedelta) -> timedelta:
        if not timedelta(seconds=3) <= length <= timedelta(minutes=10):
            raise ValueError("should be from 3s to 10m: it is renewed at each third of it")
        return length

    @field_validator("log_max")
    @classmethod
    def _holds_something(cls, size: int) -> int:
        least = 10_000
        if size < least:
            raise ValueError("should be 10KB at least")
        return size

    @field_validator("public_url")
    @classmethod
    def _has_no_slash(cls, url: str | None) -> str | None:
        return url.rstrip("/") if url else url

    @model_validator(mode="after")
    def _is_guarded(self) -> "HubSettings":
        if self.api_token is None and not is_loopback(self.host):
            raise ValueError(
                f"STACKHUB_HOST={self.host} can be reached from other machines, so STACKHUB_API_TOKEN is needed: "
                "set one, or listen on 127.0.0.1",
            )
        return self


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address; a name other than ``localhost`` is not believed."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def hub_defaults(directory: Path, given: Mapping[str, str]) -> dict[str, object]:
    """Say what depends on where the configuration is. ``given`` is what the user wrote for each field, if anything.

    A relative ``state_dir`` starts at the configuration's directory, and so does a relative SQLite file.
    """
    state = Path(os.path.abspath(directory / given.get("state_dir", ".stackhub")))  # noqa: PTH100 - keeps symlinks
    url = given.get("database_url", "")
    kind, slashes, rest = url.partition(":///")
    if not url:
        url = f"sqlite:///{state / 'stackhub.db'}"
    elif kind.startswith("sqlite") and slashes and rest and not rest.startswith(("/", ":memory:", "file:")):
        url = f"{kind}:///{os.path.abspath(directory / rest)}"  # noqa: PTH100 - as above
    return {"state_dir": state, "database_url": url}
