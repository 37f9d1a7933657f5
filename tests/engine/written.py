"""What env files and pipelines may say of connectors that are played, and what that makes of them."""

from datetime import timedelta
from functools import cache
from typing import Any

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from stackhub.contract import Limits, Operation, Options, PartlyBuilt, Role, Settings, StartIs


class SyncOptions(Options):
    connection: str


class BuildOptions(Options):
    select: str = "all"
    token: SecretStr | None = None


class PressOptions(PartlyBuilt):
    select: str = "all"


class AlertRoute(Options):
    channel: str = ""


class Played(Settings):
    token: SecretStr = SecretStr("token")
    rate: float = 1e6
    burst: int = 1_000_000
    width: int = 100
    max_active: int | None = None
    look: float = 1.0  # seconds
    first_look: float = 0.5
    longest: float | None = None
    alone: str = ""


@cache
def settings_of(name: str, shape: type[Played] = Played) -> type[Settings]:
    """Make the settings of a connector of this name."""
    config = SettingsConfigDict(env_prefix=f"{name.upper()}_")
    return type(f"{name.title()}Settings", (shape,), {"model_config": config, "__module__": __name__})


def limits(settings: Any) -> Limits:
    return Limits(
        rate=settings.rate,
        burst=settings.burst,
        width=settings.width,
        look=timedelta(seconds=settings.look),
        first_look=timedelta(seconds=settings.first_look),
        longest=timedelta(seconds=settings.longest) if settings.longest is not None else None,
        alone=frozenset(settings.alone.split(",")) - {""},
    )


def operation(
    start_is: StartIs,
    role: Role,
    options: type[Options] = SyncOptions,
    *,
    cancellable: bool = True,
    settle: timedelta = timedelta(seconds=10),
    call_timeout: timedelta = timedelta(seconds=5),
    reloads: bool = False,
    watch: str = "",
) -> Operation:
    return Operation(
        options=options,
        summary="-",
        start_is=start_is,
        settle=settle,
        call_timeout=call_timeout,
        role=role,
        cancellable=cancellable,
        reloads=reloads,
        watch=watch,
    )


def subject(options: Any) -> str:
    """Return what a job is about."""
    return getattr(options, "connection", None) or options.select
